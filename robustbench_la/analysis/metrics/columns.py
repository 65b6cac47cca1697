"""The columns of a comparison: from the cells of a group's networks to one number per network and column.

Spread over training seeds and tests are computed elsewhere.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from robustbench_la.analysis.groups.groups import Group, NetworkResults
from robustbench_la.analysis.metrics.condition_values import ConditionValues, Reference
from robustbench_la.analysis.metrics.definitions import column_notes
from robustbench_la.analysis.metrics.imagenet_c import ALEXNET, ALEXNET_CLEAN_ERROR, COMMON
from robustbench_la.analysis.metrics.means import MEAN, Detail, Values, mean, weighted_means, weights_of
from robustbench_la.analysis.metrics.metrics import METRICS, Metric, top1
from robustbench_la.analysis.metrics.named_means import NAMED_MEANS, lacks, named_columns
from robustbench_la.analysis.tables.table import Column
from robustbench_la.records.cells import CLEAN, Condition, Pass


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricColumns:
    """One number per network and column."""

    columns: tuple[Column, ...]
    rows: tuple[Values, ...] = field(repr=False)
    """One per network, in the group's order; averaged over noise seeds."""
    noise: tuple[Values, ...] = field(repr=False)
    """Standard deviation over noise seeds, one per network; empty if there is only one seed."""
    members: Mapping[str, Mapping[Condition, float]] = field(repr=False)
    """Column -> conditions and their weights; empty if the columns are not means over conditions."""
    notes: tuple[str, ...]
    repeated: tuple[Column, ...] = ()
    """Columns that are shown only on request: those that say what another one says, such as the mean over a single corruption,
    and means that have a name."""
    definitions: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What columns shown on request are, a sentence each."""
    absent: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Columns that the conditions do not allow -> the reason."""


def metric_columns(group: Group, metric: str, detail: Detail, reference: Reference | None = None) -> MetricColumns:
    """Compute a metric for every network of a group.

    Args:
        group: The networks and their cells.
        metric: A key of METRICS.
        detail: One column per group of corruptions, per corruption, or per severity.
        reference: What corruption errors are relative to, for metrics that need a reference.

    Returns:
        The columns, with one value per network.

    Raises:
        ValueError: If the metric is not defined for the measured conditions.
    """
    entry = METRICS[metric]
    if entry.derived and not group.corruptions:
        raise ValueError(f"{entry.title.lower()} needs corrupted images, but only clean images were measured")
    conditions = group.conditions
    seeds: dict[Condition, list[int | None]] = {condition: [] for condition in conditions}
    for condition, seed in group.passes:
        seeds[condition].append(seed)

    def values_of(chosen: Callable[[Condition], Sequence[int | None]]) -> ConditionValues:
        rows = tuple(_row(network, conditions, chosen, entry) for network in group.networks)
        return ConditionValues(group=group, conditions=conditions, rows=rows, reference=reference)

    def rows_of(chosen: Callable[[Condition], Sequence[int | None]]) -> list[Values]:
        values = values_of(chosen)
        return entry.derived(values, detail) if entry.derived else weighted_means(values, members)

    on_request = [] if entry.derived else named_columns(conditions)
    members = {} if entry.derived else _members(entry, conditions, detail)
    rows = rows_of(lambda condition: seeds[condition])
    remarks = entry.remarks(values_of(lambda condition: seeds[condition]), detail) if entry.remarks else []
    seeds_per_condition = [set(condition_seeds) for condition, condition_seeds in seeds.items() if condition != CLEAN]
    common = sorted(seed for seed in set.intersection(*seeds_per_condition) if seed is not None) if seeds_per_condition else []
    draws = [rows_of(_chooser(seed)) for seed in common] if len(common) > 1 else []
    noise = tuple(_deviations([rows_of_seed[index] for rows_of_seed in draws]) for index in range(len(rows) if draws else 0))
    every = list(dict.fromkeys(name for row in rows for name in row))
    usual = [name for name in every if entry.named_mean or name not in on_request]
    names = [name for name in usual if name != MEAN or not _is_repeated(name, usual, members, rows)]
    columns = {name: Column(name=name, kind=entry.kind, better=entry.better) for name in every}
    return MetricColumns(
        columns=tuple(columns[name] for name in names),
        repeated=tuple(column for name, column in columns.items() if name not in names),
        rows=tuple(rows),
        noise=noise,
        members=members,
        notes=(*column_notes(group, entry, detail, names), *remarks),
        definitions={one.column: f"{one.column}: {one.definition}." for one in NAMED_MEANS.values() if one.column in on_request},
        absent=_absent(entry, conditions, every),
    )


def _members(metric: Metric, conditions: Sequence[Condition], detail: Detail) -> dict[str, dict[Condition, float]]:
    """The conditions of each column and their weights. Raises ValueError if those of the metric's only mean are not all there."""
    if metric.named_mean is None:
        return weights_of(conditions, detail) | named_columns(conditions)
    if reason := metric.named_mean.missing(conditions):
        raise ValueError(reason)
    clean = {str(CLEAN): {CLEAN: 1.0}} if CLEAN in conditions else {}
    return clean | {metric.named_mean.column: metric.named_mean.weights(conditions)}


def _absent(metric: Metric, conditions: Sequence[Condition], names: Sequence[str]) -> dict[str, str]:
    """Why columns that users may know are not there."""
    if metric.needs_reference:
        lacking = f"it needs 15 corruptions at severities 1 to 5; not measured: {lacks(conditions, COMMON)}"
        return {name: lacking for name in ("mCE", "relative mCE") if not {"mCE", "relative mCE"} & set(names)}
    if metric.derived or metric.named_mean:
        return {}
    return {one.column: reason for one in NAMED_MEANS.values() if (reason := one.missing(conditions))}


def _is_repeated(
    name: str, names: Sequence[str], members: Mapping[str, Mapping[Condition, float]], rows: Sequence[Values]
) -> bool:
    """Whether another column is the mean over the same conditions or, where columns are no means, has the same numbers."""
    others = [other for other in names if other not in (name, CLEAN.corruption)]
    if members:
        return any(members[other] == members[name] != {} for other in others)
    return len(others) == 1 and all(row[others[0]] == row[name] for row in rows)


def _chooser(seed: int) -> Callable[[Condition], Sequence[int | None]]:
    return lambda condition: (None,) if condition == CLEAN else (seed,)


def _row(
    network: NetworkResults, conditions: Sequence[Condition], seeds: Callable[[Condition], Sequence[int | None]], metric: Metric
) -> dict[Condition, float | None]:
    row: dict[Condition, float | None] = {}
    for condition in conditions:
        cells = [network.cells.get(Pass(condition, seed)) for seed in seeds(condition)]
        row[condition] = mean(None if stored is None else metric.of_cell(stored.cell) for stored in cells)
    return row


def _deviations(draws: Sequence[Values]) -> Values:
    deviations: Values = {}
    for name in draws[0]:
        measured = [value for draw in draws if (value := draw[name]) is not None]
        deviations[name] = statistics.stdev(measured) if len(measured) == len(draws) else None
    return deviations


def reference_of(group: Group, index: int) -> Reference:
    """Use a network of a group as the reference for corruption errors.

    Args:
        group: The networks and their cells.
        index: Index of the reference network in the group.

    Returns:
        Its errors per corruption and severity.

    Raises:
        ValueError: If some of its cells are missing.
    """
    rows = [
        {
            condition: mean(top1(stored.cell) for (own, _), stored in group.networks[index].cells.items() if own == condition)
            for condition in group.conditions
        }
    ]
    name = group.names[index]
    errors = ConditionValues(group=group, conditions=group.conditions, rows=tuple(rows), reference=None).errors(0)
    if any(value is None for row in errors.values() for value in row.values()):
        raise ValueError(f"the reference {name} was not measured under all conditions")
    clean = rows[0].get(CLEAN)
    return Reference(name=name, errors=errors, clean_error=None if clean is None else 1 - clean)


ALEXNET_REFERENCE = Reference(name="AlexNet on ImageNet-C", errors=ALEXNET, clean_error=ALEXNET_CLEAN_ERROR, profile="imagenet-c")
