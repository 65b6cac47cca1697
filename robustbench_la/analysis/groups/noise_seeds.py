"""Noise seeds of a group in words: which they are, and where conditions have different ones."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_la.analysis.groups.groups import Group

_LISTED = 3
"""The largest number of conditions that are named per set of seeds."""


def seeds_in_words(seeds: Sequence[int]) -> str:
    """Seeds as readers say them; sorted.

    >>> seeds_in_words([-1, 0]), seeds_in_words([0, 1, 2, 3]), seeds_in_words([0, 5, 7]), seeds_in_words([4])
    ('-1 and 0', '0 to 3', '0, 5 and 7', '4')
    """
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    *first, last = map(str, seeds)
    return f"{', '.join(first)} and {last}" if first else last


def unequal_seeds(group: Group) -> str:
    """A sentence that names the noise seeds of each corruption, if they are not the same for all conditions; else empty."""
    seeds_of: dict[object, set[int]] = {}
    for condition, seed in group.passes:
        if seed is not None:
            seeds_of.setdefault(condition, set()).add(seed)
    sharing: dict[tuple[int, ...], list[object]] = {}
    for each, seeds in seeds_of.items():
        sharing.setdefault(tuple(sorted(seeds)), []).append(each)
    if len(sharing) < 2:
        return ""

    def listed(conditions: Sequence[object]) -> str:
        more = f" and {len(conditions) - _LISTED} more" if len(conditions) > _LISTED else ""
        return ", ".join(map(str, conditions[:_LISTED])) + more

    said = "; ".join(f"{seeds_in_words(seeds)} for {listed(conditions)}" for seeds, conditions in sharing.items())
    return f"Conditions have different noise seeds: {said}; means weigh the conditions equally, not the seeds."
