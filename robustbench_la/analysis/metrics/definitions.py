"""What the columns of a metric mean, in sentences: the notes shown below every comparison."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_la.analysis.groups.groups import Group
from robustbench_la.analysis.metrics.imagenet_c import COMMON, GROUP_MEMBERS
from robustbench_la.analysis.metrics.means import MEAN, PAPER_TOTAL, Detail
from robustbench_la.analysis.metrics.metrics import Metric

_SHORT = 6
"""The largest number of corruptions that a note lists by name."""


def column_notes(group: Group, metric: Metric, detail: Detail, names: Sequence[str]) -> tuple[str, ...]:
    """The definitions of a table's columns, as one note.

    Args:
        group: The networks and conditions that are compared.
        metric: The metric shown.
        detail: What each column stands for.
        names: Names of the columns.

    Returns:
        The note, as a tuple of one string.
    """
    notes = [metric.definition]
    if metric.of_means:
        if detail == "group" and len(names) > 2:
            members = {key.capitalize(): ", ".join(value) for key, value in GROUP_MEMBERS.items() if key.capitalize() in names}
            notes += [f"{key}: mean over {value}." for key, value in members.items()]
        if MEAN in names:
            notes.append(f"{MEAN.capitalize()}: mean over {_named(group.corruptions)}.")
        if group.corruptions and (detail != "severity" or MEAN in names):
            notes.append(f"Each corruption: mean over {_levels(group)}.")
        if PAPER_TOTAL in names:
            notes.append(f"{PAPER_TOTAL}: mean over the 19 corruptions and, as a twentieth, the clean images, as in the paper.")
    if metric.needs_reference and not {"mCE", "relative mCE"} & set(names):
        missing = [name for name in COMMON if name not in group.corruptions]
        notes.append(f"No mCE: it needs 15 corruptions at severities 1 to 5; not measured: {_list(missing)}.")
    return (" ".join(notes),)


def _levels(group: Group) -> str:
    """The severities in words, per corruption if they differ."""
    if any(condition.severity is None for condition in group.conditions):
        return "its levels"
    by_severities: dict[tuple[int, ...], list[str]] = {}
    for name in group.corruptions:
        severities_of_name = {each.severity for each in group.conditions if each.corruption == name and each.severity is not None}
        by_severities.setdefault(tuple(sorted(severities_of_name)), []).append(name)
    if len(by_severities) == 1:
        return "".join(map(_severities, by_severities))
    listed = (f"{_severities(severities)} ({_named(names)})" for severities, names in by_severities.items())
    return "the measured severities, which differ: " + "; ".join(listed)


def _severities(numbers: tuple[int, ...]) -> str:
    whole = len(numbers) > 2 and numbers == tuple(range(numbers[0], numbers[-1] + 1))
    return ("severity " if len(numbers) == 1 else "severities ") + (
        f"{numbers[0]} to {numbers[-1]}" if whole else ", ".join(map(str, numbers))
    )


def _named(corruptions: Sequence[str]) -> str:
    return ", ".join(corruptions) if len(corruptions) <= _SHORT else f"all {len(corruptions)} corruptions"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "some severities"
