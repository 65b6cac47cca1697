"""Means over conditions, with their weights. If a value is missing, so is the mean; it never covers only a part.

Over corruptions that were measured at different severities it is taken at those that all of them share.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from robustbench_la.analysis.metrics.imagenet_c import GROUP_MEMBERS
from robustbench_la.records.cells import CLEAN, Condition

if TYPE_CHECKING:
    from robustbench_la.analysis.metrics.condition_values import ConditionValues

Detail = Literal["group", "corruption", "severity"]
Values = dict[str, float | None]
MEAN = "mean corr."
"""Name of the column with the mean over corruptions."""
PAPER_TOTAL = "paper Total"
"""The column Total of the LayerAct paper: mean over all 19 corruptions and, as a twentieth, the clean images.

The paper calls it the mean over all corruptions, but its printed totals follow from its printed groups (to 0.01 points, in all
ten rows) only if the clean accuracy is included, which raises them by about one point.
"""


def mean(values: Iterable[float | None]) -> float | None:
    """The mean; None if a value is missing or there are no values.

    >>> mean([0.25, 0.75]), mean([0.25, None]), mean([])
    (0.5, None, None)
    """
    given = list(values)
    present = [value for value in given if value is not None]
    return math.fsum(present) / len(present) if present and len(present) == len(given) else None


def weights_of(conditions: Sequence[Condition], detail: Detail) -> dict[str, dict[Condition, float]]:
    """Column -> weighted conditions, for columns that are means: over corruptions of the means over severities.

    A column of corruptions that share no severity has no conditions, and no mean.
    """
    by_name: dict[str, list[Condition]] = {}
    for condition in conditions:
        by_name.setdefault(condition.corruption, []).append(condition)
    corrupted = {name: conditions_of_name for name, conditions_of_name in by_name.items() if name != CLEAN.corruption}
    columns: dict[str, list[str]] = {}
    single = {str(condition): {condition: 1.0} for condition in conditions if condition == CLEAN or detail == "severity"}
    if detail == "corruption":
        columns = {name: [name] for name in corrupted}
    elif detail == "group":
        complete = {group: names for group, names in GROUP_MEMBERS.items() if set(names) <= set(corrupted)}
        columns = {group.capitalize(): list(names) for group, names in complete.items()}
    if corrupted:
        columns[MEAN] = list(corrupted)
    if detail == "group" and set(corrupted) == {name for names in GROUP_MEMBERS.values() for name in names}:
        columns[PAPER_TOTAL] = [*corrupted, *([CLEAN.corruption] if CLEAN in conditions else [])]
    means = {
        column: {
            condition: 1 / len(names) / len(own)
            for name, own in alike({name: by_name[name] for name in names}).items()
            for condition in own
        }
        for column, names in columns.items()
    }
    if PAPER_TOTAL in means and CLEAN not in conditions:
        del means[PAPER_TOTAL]
    return single | means


def alike(by_name: Mapping[str, Sequence[Condition]]) -> dict[str, list[Condition]]:
    """The conditions of several corruptions that one mean may cover: those at the severities that all were measured at.

    Otherwise a corruption would count for more or for less only because it was measured at severe levels, too. Custom levels, and
    clean images, are taken as they are.

    Args:
        by_name: The conditions of each corruption.

    Returns:
        The same corruptions with the conditions that are left; nothing if they share no severity.
    """
    corrupted = {name: own for name, own in by_name.items() if name != CLEAN.corruption}
    severities = [{condition.severity for condition in own} for own in corrupted.values()]
    if not severities or any(None in own for own in severities):
        return {name: list(own) for name, own in by_name.items()}
    shared = set.intersection(*severities)
    if not shared:
        return {}
    return {name: [one for one in own if one == CLEAN or one.severity in shared] for name, own in by_name.items()}


def mean_columns(table: ConditionValues, detail: Detail) -> list[Values]:
    """The columns of ``weights_of``, for each network."""
    return weighted_means(table, weights_of(table.conditions, detail))


def weighted_means(table: ConditionValues, members: Mapping[str, Mapping[Condition, float]]) -> list[Values]:
    """Columns that are means over conditions with these weights, for each network."""
    return [{column: _weighted(row, weights) for column, weights in members.items()} for row in table.rows]


def _weighted(row: Mapping[Condition, float | None], weights: Mapping[Condition, float]) -> float | None:
    terms = [None if (value := row[condition]) is None else weight * value for condition, weight in weights.items()]
    present = [term for term in terms if term is not None]
    return math.fsum(present) if present and len(present) == len(terms) else None
