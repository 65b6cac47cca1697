"""What a table's columns hold: from the cells of a group's networks to one number a network and column. No spread, no tests."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from robustbench_la.analysis.groups import Group, NetworkResults
from robustbench_la.analysis.metrics import (
    MEAN,
    METRICS,
    PAPER_TOTAL,
    ConditionValues,
    Detail,
    Metric,
    Reference,
    Values,
    errors_by_severity,
    mean,
    mean_columns,
    top1,
    weights_of,
)
from robustbench_la.analysis.robustness import ALEXNET, ALEXNET_CLEAN_ERROR, COMMON, GROUP_MEMBERS
from robustbench_la.analysis.table import Column
from robustbench_la.records.cells import CLEAN, Condition

_SHORT = 6
"""Corruptions that a note names one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricColumns:
    """One number a network and column."""

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

    Raises: ValueError when the figure is not defined for what was measured.
    """
    entry = METRICS[metric]
    if entry.derived and not group.corruptions:
        raise ValueError(f"{entry.title.lower()} needs corrupted images, and only clean ones were measured")
    conditions = group.conditions
    seeds: dict[Condition, list[int | None]] = {condition: [] for condition in conditions}
    for condition, seed in group.draws:
        seeds[condition].append(seed)

    def rows_of(chosen: Callable[[Condition], Sequence[int | None]]) -> list[Values]:
        rows = tuple(_row(network, conditions, chosen, entry) for network in group.networks)
        frames = ConditionValues(group=group, conditions=conditions, rows=rows, reference=reference)
        return (entry.derived or mean_columns)(frames, detail)

    rows = rows_of(lambda condition: seeds[condition])
    noisy = [set(own) for condition, own in seeds.items() if condition != CLEAN]
    common = sorted(seed for seed in set.intersection(*noisy) if seed is not None) if noisy else []
    draws = [rows_of(_chooser(seed)) for seed in common] if len(common) > 1 else []
    noise = tuple(_deviations([rows_of_seed[place] for rows_of_seed in draws]) for place in range(len(rows) if draws else 0))
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = tuple(Column(name=name, kind=entry.kind, better=entry.better) for name in names)
    members = {} if entry.derived else weights_of(conditions, detail)
    return MetricColumns(
        columns=columns, rows=tuple(rows), noise=noise, members=members, notes=_notes(group, entry, detail, names)
    )


def _chooser(seed: int) -> Callable[[Condition], Sequence[int | None]]:
    return lambda condition: (None,) if condition == CLEAN else (seed,)


def _row(
    network: NetworkResults, conditions: Sequence[Condition], seeds: Callable[[Condition], Sequence[int | None]], metric: Metric
) -> dict[Condition, float | None]:
    row: dict[Condition, float | None] = {}
    for condition in conditions:
        found = [network.cells.get((condition, seed)) for seed in seeds(condition)]
        row[condition] = mean(None if stored is None else metric.of_cell(stored.cell) for stored in found)
    return row


def _deviations(draws: Sequence[Values]) -> Values:
    deviations: Values = {}
    for name in draws[0]:
        known = [value for draw in draws if (value := draw[name]) is not None]
        deviations[name] = statistics.stdev(known) if len(known) == len(draws) else None
    return deviations


def reference_of(group: Group, place: int) -> Reference:
    """A network of a group as the reference. Raises: ValueError where it has gaps."""
    rows = [
        {
            condition: mean(top1(stored.cell) for (own, _), stored in group.networks[place].cells.items() if own == condition)
            for condition in group.conditions
        }
    ]
    frames = ConditionValues(group=group, conditions=group.conditions, rows=tuple(rows), reference=None)
    errors = errors_by_severity(frames, 0)
    if any(value is None for row in errors.values() for value in row.values()):
        raise ValueError(f"the reference {group.networks[place].checkpoint} was not measured under all conditions")
    clean = rows[0].get(CLEAN)
    return Reference(name=group.networks[place].checkpoint, errors=errors, clean_error=None if clean is None else 1 - clean)


ALEXNET_REFERENCE = Reference(name="AlexNet on ImageNet-C", errors=ALEXNET, clean_error=ALEXNET_CLEAN_ERROR)


def _notes(group: Group, metric: Metric, detail: Detail, names: Sequence[str]) -> tuple[str, ...]:
    """The definitions of the columns that are there."""
    said = [metric.definition]
    if metric.of_means:
        if detail == "group" and len(names) > 2:
            members = {key.capitalize(): ", ".join(value) for key, value in GROUP_MEMBERS.items() if key.capitalize() in names}
            said += [f"{key}: mean over {value}." for key, value in members.items()]
        if MEAN in names:
            said.append(f"{MEAN.capitalize()}: mean over {_named(group.corruptions)}.")
        if group.corruptions and (detail != "severity" or MEAN in names):
            said.append(f"A corruption stands for the mean over {_levels(group)}.")
        if PAPER_TOTAL in names:
            said.append(f"{PAPER_TOTAL}: mean over the 19 corruptions and, as a twentieth, clean images, as in the paper.")
    if metric.needs_reference and not {"mCE", "relative mCE"} & set(names):
        lacking = [name for name in COMMON if name not in group.corruptions]
        said.append(f"No mCE: it is the mean over 15 corruptions at severities 1 to 5; not measured: {_list(lacking)}.")
    return (" ".join(said),)


def _levels(group: Group) -> str:
    """Severities, in words; of each corruption where they differ."""
    if any(condition.severity is None for condition in group.conditions):
        return "its levels"
    members: dict[tuple[int, ...], list[str]] = {}
    for name in group.corruptions:
        found = {one.severity for one in group.conditions if one.corruption == name and one.severity is not None}
        members.setdefault(tuple(sorted(found)), []).append(name)
    if len(members) == 1:
        return "".join(map(_severities, members))
    told = (f"{_severities(severities)} ({_named(names)})" for severities, names in members.items())
    return "the severities that were measured, which are not the same: " + "; ".join(told)


def _severities(numbers: tuple[int, ...]) -> str:
    whole = len(numbers) > 2 and numbers == tuple(range(numbers[0], numbers[-1] + 1))
    return ("severity " if len(numbers) == 1 else "severities ") + (
        f"{numbers[0]} to {numbers[-1]}" if whole else ", ".join(map(str, numbers))
    )


def _named(corruptions: Sequence[str]) -> str:
    return ", ".join(corruptions) if len(corruptions) <= _SHORT else f"all {len(corruptions)} corruptions"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "some severities"
