"""`larobust compare --layers`: fluctuation inside networks, activation against activation, over training seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from robustbench_la.analysis.comparison.contest import held
from robustbench_la.analysis.comparison.labels import label_columns
from robustbench_la.analysis.comparison.notes import comparison_notes
from robustbench_la.analysis.comparison.tests_table import evidence
from robustbench_la.analysis.groups.groups import Group, NetworkResults, group
from robustbench_la.analysis.metrics.columns import MetricColumns
from robustbench_la.analysis.metrics.means import Values, mean
from robustbench_la.analysis.tables.layer_tables import COLUMNS, value
from robustbench_la.analysis.tables.table import Table
from robustbench_la.errors import UserError
from robustbench_la.records.cells import Record
from robustbench_la.store.layer_rows import networks

if TYPE_CHECKING:
    from robustbench_la.analysis.comparison.request import Request
    from robustbench_la.records.cells import Condition, RunSetting
    from robustbench_la.records.layers import LayerStats
    from robustbench_la.store.layer_rows import LayerRow
    from robustbench_la.store.store import Stored

_SHOWN = (
    "relative_mean",
    "fluctuation_per_element_mean",
    "input_per_element",
    "gain",
    "saturation_noisy",
    "activation_mean_abs",
    "cosine_mean",
)
"""The statistics that a comparison shows."""
_DEFINITIONS = {
    "relative_mean": "Relative: L1 norm of g(noisy) − g(clean), divided by that of g(clean), in %.",
    "fluctuation_per_element_mean": "Fluct.: the norm of the difference alone, per element.",
    "input_per_element": "Input: the same of the pre-activation.",
    "gain": "Gain: fluctuation / input.",
    "saturation_noisy": "Sat.: fraction of elements whose scale is below the threshold, in %.",
    "activation_mean_abs": "|Act. mean|: absolute mean activation of an element over clean images.",
    "cosine_mean": "Cosine: between clean and noisy activation.",
}
_LISTED = 6
"""The largest number of conditions that a note lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layers(Record):
    """The layers of one network in one pass."""

    layers: tuple[LayerStats, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """The same with the setting of its run: for grouping, what a cell is with its setting."""

    setting: RunSetting
    cell: _Layers


def compare_layers(stored: Iterable[tuple[RunSetting, LayerRow]], request: Request) -> list[Table]:
    """Compare stored layer records, group by group: each value is the mean over layers and conditions of one network.

    Args:
        stored: Rows of any networks, each with the setting it was measured in.
        request: What to compare and show; its columns are statistics of layers.

    Returns:
        One table per group, followed by those of its tests, if requested.

    Raises:
        UserError: If records are missing, or a column is unknown.
    """
    settings: dict[object, RunSetting] = {}
    rows: dict[RunSettingKey, list[LayerRow]] = {}
    for setting, row in stored:
        key = (setting.fingerprint, setting.precision)
        settings.setdefault((*key, row.key), setting)
        rows.setdefault(key, []).append(row)
    entries = [
        _Entry(
            setting=settings[(*key, record_key)],
            cell=_Layers(network=record.layers[0].network, pass_=record.layers[0].pass_, layers=record.layers),
        )
        for key, own in rows.items()
        for record_key, record in networks(own, None).items()
    ]
    # Groups look at settings, networks and passes only.
    groups = group(cast("list[Stored]", entries), allow_missing=request.allow_missing)
    return [table for each in groups for table in _tables(each, request)]


RunSettingKey = tuple[str, str]
"""Fingerprint of the images, and precision."""


def _tables(group: Group, request: Request) -> list[Table]:
    try:
        measured = _measured(group)
        contest = held(group, request, measured, None)
    except ValueError as error:
        raise UserError(f"{group.title}: {error}") from None
    shown = tuple(replace(column, bar=False, intervals=request.intervals) for column in contest.columns)
    notes = comparison_notes(
        group,
        request,
        measured,
        contest.contenders,
        contest.contrasts,
        contest.rows,
        unit="the unit of the column (points where it is %)",
    )
    columns = (*label_columns(group, request), *shown)
    table = Table(title=f"Fluctuation: {group.title}", columns=columns, rows=tuple(contest.rows), notes=notes, paths=group.paths)
    return [table, *(evidence(table) if request.tests else ())]


def _measured(group: Group) -> MetricColumns:
    rows = [_row(results, group) for results in group.networks]
    names = [name for name in _SHOWN if any(row[COLUMNS[name].name] is not None for row in rows)]
    conditions = list(map(str, group.conditions))
    listed = ", ".join(conditions) if len(conditions) <= _LISTED else f"{len(conditions)} conditions"
    definitions = [_DEFINITIONS[name] for name in names if name in _DEFINITIONS]
    about = f"Each value: mean over the layers of a network, and over {listed}."
    return MetricColumns(
        columns=tuple(COLUMNS[name] for name in names),
        rows=tuple(rows),
        noise=(),
        members={},
        notes=(about, " ".join(definitions)),
    )


def _row(results: NetworkResults, group: Group) -> Values:
    """One number per statistic: mean over layers, then over the noise seeds of a condition, then over conditions."""
    seeds: dict[Condition, list[object]] = {condition: [] for condition in group.conditions}
    records = {pass_: cast(_Layers, stored.cell).layers for pass_, stored in results.cells.items()}
    for pass_ in group.passes:
        seeds[pass_.condition].append(records.get(pass_))

    def over_layers(layers: object, name: str) -> float | None:
        return None if layers is None else mean(value(layer, name) for layer in cast("Sequence[LayerStats]", layers))

    return {
        COLUMNS[name].name: mean(mean(over_layers(layers, name) for layers in draws) for draws in seeds.values())
        for name in _SHOWN
    }
