"""What the columns of a metric mean, in sentences: the notes shown below every comparison."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_la.analysis.groups.groups import Group
from robustbench_la.analysis.metrics.imagenet_c import COMMON, GROUP_MEMBERS
from robustbench_la.analysis.metrics.means import MEAN, PAPER_TOTAL, Detail, alike
from robustbench_la.analysis.metrics.metrics import Metric
from robustbench_la.analysis.metrics.named_means import lacks
from robustbench_la.records.cells import Condition
from robustbench_la.records.level_words import corruptions_by_levels, levels_in_words, severities_in_words, shared_severities

_IMAGENET_C_JPEG = 85
"""The quality of the JPEGs of the published ImageNet-C."""
_ALEXNET_SIZE = 224
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
            members = {key.capitalize(): value for key, value in GROUP_MEMBERS.items() if key.capitalize() in names}
            notes += [mean_note(key, group.conditions, value, ", ".join(value)) for key, value in members.items()]
        if MEAN in names:
            notes.append(mean_note(MEAN, group.conditions, group.corruptions, in_words(group.corruptions)))
        if group.corruptions and (detail != "severity" or MEAN in names):
            notes.append(f"Each corruption: mean over {levels(group)}.")
        if PAPER_TOTAL in names:
            over = "the 19 corruptions and, as a twentieth, the clean images, as in the paper"
            notes.append(mean_note(PAPER_TOTAL, group.conditions, group.corruptions, over))
    if metric.needs_reference and not {"mCE", "relative mCE"} & set(names):
        notes.append(f"No mCE: it needs 15 corruptions at severities 1 to 5; not measured: {lacks(group.conditions, COMMON)}.")
    return (" ".join(notes),)


def reference_note(group: Group, reference: str) -> str:
    """What corruption errors are relative to, and in what these images are not those that AlexNet's errors were measured on.

    Args:
        group: The networks and conditions that are compared.
        reference: ``alexnet``, or the name of a checkpoint.
    """
    if reference != "alexnet":
        return f"Reference: {reference}."
    note = "Reference: AlexNet's errors on the published ImageNet-C, 224 px (Hendrycks & Dietterich 2019; clean: torchvision's)."
    if group.source == "prebuilt":
        return note
    others = []
    if group.jpeg != _IMAGENET_C_JPEG:
        stored = "were not stored as JPEG" if group.jpeg is None else f"were stored as JPEG {group.jpeg}"
        others.append(f"these images {stored}, those of ImageNet-C as JPEG {_IMAGENET_C_JPEG} (--jpeg {_IMAGENET_C_JPEG})")
    settings = [stored.setting for results in group.networks for stored in results.cells.values()]
    others += [f"these images are {crop} px wide" for crop in sorted({one.crop or 0 for one in settings} - {0, _ALEXNET_SIZE})]
    notes = [note, *([f"Not the same: {'; '.join(others)}."] if others else [])]
    if any(one.crop is None for one in settings):
        notes.append("These images were not cropped (--crop 224): if theirs is another size, the numbers do not compare.")
    return " ".join(notes)


def mean_over(conditions: Sequence[Condition], corruptions: Sequence[str], named: str) -> str:
    """What a mean over corruptions covers, in words; empty if they share no severity, so that there is none.

    Args:
        conditions: All that were measured.
        corruptions: Those in the mean.
        named: The same in words.
    """
    measured = {name: [each for each in conditions if each.corruption == name] for name in corruptions}
    covered = alike(measured)
    if corruptions and not covered:
        return ""
    if covered == measured:
        return f"mean over {named}"
    shared = severities_in_words(shared_severities(each for own in covered.values() for each in own))
    return f"mean over {named}, at {shared} only, as not all were measured at the others"


def mean_note(column: str, conditions: Sequence[Condition], corruptions: Sequence[str], named: str) -> str:
    """What a column is the mean over, or why there is none, in a sentence; arguments as of ``mean_over``."""
    over = mean_over(conditions, corruptions, named)
    if not over:
        return f"No {column}: its corruptions share no severity."
    return f"{column.capitalize() if column == MEAN else column}: {over}."


def levels(group: Group) -> str:
    """The severities in words, per corruption if they differ; custom levels by corruption."""
    if shared := shared_severities(group.conditions):
        return severities_in_words(shared)
    if any(condition.severity is None for condition in group.conditions):
        return f"its levels ({levels_in_words(group.conditions)})"
    listed = (f"{severities} ({names})" for severities, names in corruptions_by_levels(group.conditions).items())
    return "the measured severities, which differ: " + "; ".join(listed)


def in_words(corruptions: Sequence[str]) -> str:
    """Corruptions by name, or their number if they are many."""
    return ", ".join(corruptions) if len(corruptions) <= _SHORT else f"all {len(corruptions)} corruptions"
