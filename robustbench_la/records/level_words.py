"""The severities and custom levels of conditions, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from robustbench_la.records.cells import CLEAN, Condition, encode_level

_SHORT = 6
"""The largest number of corruptions that are listed by name where the rest can be called the others."""
_NAMED = 3
"""The largest number of custom levels that a title names."""


def severities_in_words(numbers: Sequence[int]) -> str:
    """Severities, sorted.

    >>> severities_in_words((3,)), severities_in_words((1, 3)), severities_in_words((1, 2, 3))
    ('severity 3', 'severities 1, 3', 'severities 1 to 3')
    """
    whole = len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[-1] + 1))
    return ("severity " if len(numbers) == 1 else "severities ") + (
        f"{numbers[0]} to {numbers[-1]}" if whole else ", ".join(map(str, numbers))
    )


def shared_severities(conditions: Iterable[Condition]) -> tuple[int, ...]:
    """The severities at which each corruption was measured, if those are the same for all and no level is custom; else none."""
    severities = [
        tuple(sorted({one.severity for one in own if one.severity is not None})) if all(one.severity for one in own) else ()
        for own in _by_name(conditions).values()
    ]
    return severities[0] if len(set(severities)) == 1 else ()


def corruptions_by_levels(conditions: Iterable[Condition]) -> dict[str, str]:
    """Severities and custom levels -> the names of the corruptions that were measured at them.

    Args:
        conditions: Of any corruptions.

    Returns:
        Both in words; most of very many corruptions are called the others.
    """
    names: dict[str, list[str]] = {}
    for name, own in _by_name(conditions).items():
        names.setdefault(_levels(own), []).append(name)
    long = [levels for levels, corruptions in names.items() if len(corruptions) > _SHORT]
    return {
        levels: f"the other {len(corruptions)}" if [levels] == long and len(names) > 1 else ", ".join(corruptions)
        for levels, corruptions in names.items()
    }


def levels_in_words(conditions: Iterable[Condition]) -> str:
    """The levels of each corruption.

    >>> fog = Condition(corruption="fog", severity=None, parameters=(1.5, 2.0), profile=None)
    >>> frost = Condition(corruption="frost", severity=5, parameters=(0.6, 0.7), profile="cifar-c")
    >>> levels_in_words([fog, frost])
    'fog: level 1.5/2; frost: severity 5'
    """
    return "; ".join(f"{names}: {levels}" for levels, names in corruptions_by_levels(conditions).items())


def custom_levels(conditions: Iterable[Condition]) -> str:
    """The custom levels among conditions, as titles name them: by their number if they are many; empty if there are none.

    >>> fog = Condition(corruption="fog", severity=None, parameters=(1.5, 2.0), profile=None)
    >>> blur = [Condition(corruption="gaussian_blur", severity=None, parameters=(sigma,), profile=None) for sigma in (0.7, 1.0)]
    >>> custom_levels([fog]), custom_levels([fog, *blur])
    ('custom level fog=1.5/2', 'custom levels fog=1.5/2, gaussian_blur=0.7,1')
    """
    custom: dict[str, dict[str, None]] = {}
    for condition in conditions:
        if condition.is_custom:
            custom.setdefault(condition.corruption, {})[encode_level(condition.parameters)] = None
    count = sum(map(len, custom.values()))
    if count > _NAMED:
        return f"{count} custom levels"
    named = ", ".join(f"{name}={','.join(levels)}" for name, levels in custom.items())
    return f"custom level{'s' * (count > 1)} {named}" if custom else ""


def _by_name(conditions: Iterable[Condition]) -> dict[str, list[Condition]]:
    """The conditions of each corruption; clean images have no level."""
    by_name: dict[str, list[Condition]] = {}
    for condition in conditions:
        if condition != CLEAN:
            by_name.setdefault(condition.corruption, []).append(condition)
    return by_name


def _levels(conditions: Sequence[Condition]) -> str:
    severities = sorted({condition.severity for condition in conditions if condition.severity is not None})
    custom = sorted({condition.parameters for condition in conditions if condition.is_custom})
    words = [severities_in_words(severities)] if severities else []
    if custom:
        words.append(f"level{'s' * (len(custom) > 1)} {', '.join(map(encode_level, custom))}")
    return " and ".join(words) or "its only level"
