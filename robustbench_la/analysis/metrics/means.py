"""Means over conditions, with their weights. If a value is missing, so is the mean; it never covers only a part."""

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
    """Column -> weighted conditions, for columns that are means: over corruptions of the means over severities."""
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
        column: {condition: 1 / len(names) / len(by_name[name]) for name in names for condition in by_name[name]}
        for column, names in columns.items()
    }
    if PAPER_TOTAL in means and CLEAN not in conditions:
        del means[PAPER_TOTAL]
    return single | means


def mean_columns(table: ConditionValues, detail: Detail) -> list[Values]:
    """The columns of ``weights_of``, for each network."""
    members = weights_of(table.conditions, detail)
    return [{column: _weighted(row, weights) for column, weights in members.items()} for row in table.rows]


def _weighted(row: Mapping[Condition, float | None], weights: Mapping[Condition, float]) -> float | None:
    terms = [None if (value := row[condition]) is None else weight * value for condition, weight in weights.items()]
    present = [term for term in terms if term is not None]
    return math.fsum(present) if len(present) == len(terms) else None
