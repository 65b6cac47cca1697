"""What a table's columns hold: from the cells of a group's networks to one number per network and column.

No spread over training seeds, no tests.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from robustbench_la.analysis.groups.groups import Group, NetworkResults
from robustbench_la.analysis.metrics.condition_values import ConditionValues, Reference
from robustbench_la.analysis.metrics.definitions import column_notes
from robustbench_la.analysis.metrics.imagenet_c import ALEXNET, ALEXNET_CLEAN_ERROR
from robustbench_la.analysis.metrics.means import Detail, Values, mean, mean_columns, weights_of
from robustbench_la.analysis.metrics.metrics import METRICS, Metric, top1
from robustbench_la.analysis.tables.table import Column
from robustbench_la.records.cells import CLEAN, Condition, Pass


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricColumns:
    """One number per network and column."""

    columns: tuple[Column, ...]
    rows: tuple[Values, ...] = field(repr=False)
    """In the order of the group's networks; averaged over noise seeds."""
    noise: tuple[Values, ...] = field(repr=False)
    """Standard deviation over noise seeds of each network; empty with one seed."""
    members: Mapping[str, Mapping[Condition, float]] = field(repr=False)
    """Column -> conditions and their weights in it; empty where a column is no mean of conditions."""
    notes: tuple[str, ...]


def metric_columns(group: Group, metric: str, detail: Detail, reference: Reference | None = None) -> MetricColumns:
    """Measure a group by one of METRICS.

    Raises:
        ValueError: if the metric is not defined for what was measured.
    """
    entry = METRICS[metric]
    if entry.derived and not group.corruptions:
        raise ValueError(f"{entry.title.lower()} needs corrupted images, and only clean ones were measured")
    conditions = group.conditions
    seeds: dict[Condition, list[int | None]] = {condition: [] for condition in conditions}
    for condition, seed in group.passes:
        seeds[condition].append(seed)

    def rows_of(chosen: Callable[[Condition], Sequence[int | None]]) -> list[Values]:
        rows = tuple(_row(network, conditions, chosen, entry) for network in group.networks)
        values = ConditionValues(group=group, conditions=conditions, rows=rows, reference=reference)
        return (entry.derived or mean_columns)(values, detail)

    rows = rows_of(lambda condition: seeds[condition])
    noisy = [set(own) for condition, own in seeds.items() if condition != CLEAN]
    common = sorted(seed for seed in set.intersection(*noisy) if seed is not None) if noisy else []
    draws = [rows_of(_chooser(seed)) for seed in common] if len(common) > 1 else []
    noise = tuple(_deviations([rows_of_seed[index] for rows_of_seed in draws]) for index in range(len(rows) if draws else 0))
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = tuple(Column(name=name, kind=entry.kind, better=entry.better) for name in names)
    members = {} if entry.derived else weights_of(conditions, detail)
    return MetricColumns(
        columns=columns, rows=tuple(rows), noise=noise, members=members, notes=column_notes(group, entry, detail, names)
    )


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
        known = [value for draw in draws if (value := draw[name]) is not None]
        deviations[name] = statistics.stdev(known) if len(known) == len(draws) else None
    return deviations


def reference_of(group: Group, index: int) -> Reference:
    """A network of a group as the reference.

    Raises:
        ValueError: if it has gaps.
    """
    rows = [
        {
            condition: mean(top1(stored.cell) for (own, _), stored in group.networks[index].cells.items() if own == condition)
            for condition in group.conditions
        }
    ]
    name = group.networks[index].network.checkpoint
    errors = ConditionValues(group=group, conditions=group.conditions, rows=tuple(rows), reference=None).errors(0)
    if any(value is None for row in errors.values() for value in row.values()):
        raise ValueError(f"the reference {name} was not measured under all conditions")
    clean = rows[0].get(CLEAN)
    return Reference(name=name, errors=errors, clean_error=None if clean is None else 1 - clean)


ALEXNET_REFERENCE = Reference(name="AlexNet on ImageNet-C", errors=ALEXNET, clean_error=ALEXNET_CLEAN_ERROR)
