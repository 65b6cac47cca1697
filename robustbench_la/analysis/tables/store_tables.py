"""The contents of a store as tables: one row per network and dataset, or one row per cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from robustbench_la.analysis.statistics.paired_tests import wilson
from robustbench_la.analysis.tables.table import Column, Estimate, Row, Table

if TYPE_CHECKING:
    from robustbench_la.records.cells import Cell, RunSetting
    from robustbench_la.records.networks import NetworkRecord
    from robustbench_la.store.layer_rows import LayerRow
    from robustbench_la.store.store import Stored


class _Group(NamedTuple):
    """One network on one dataset, identified by content as in the store: a file name may have been used for several networks."""

    network: NetworkRecord
    data: str
    precision: str
    images: int
    fingerprint: str


def _group(setting: RunSetting, network: NetworkRecord) -> _Group:
    return _Group(network, setting.data, setting.precision, setting.images, setting.fingerprint)


def overview(cells: Sequence[Stored], layers: Sequence[tuple[RunSetting, LayerRow]], path: Path) -> Table:
    """One row per network and dataset: how much was measured.

    Args:
        cells: The selected cells.
        layers: The selected layer records, each with the setting of its run.
        path: The store's file.

    Returns:
        The table.
    """
    groups: dict[_Group, tuple[list[Cell], list[object]]] = {}
    for stored in cells:
        groups.setdefault(_group(stored.setting, stored.cell.network), ([], []))[0].append(stored.cell)
    for setting, row in layers:
        groups.setdefault(_group(setting, row.network), ([], []))[1].extend([row.layer] * (row.index >= 0))
    names = {(group.network.checkpoint, group.network.sha256) for group in groups}
    ambiguous = len({name for name, _ in names}) < len(names)
    rounded = {group.precision for group in groups} != {"float32"}
    rows = [
        Row(
            values=(
                group.network.checkpoint,
                *([group.network.sha256[:8]] if ambiguous else []),
                group.network.activation,
                group.network.design,
                group.data,
                *([group.precision] if rounded else []),
                group.images,
                len({cell.condition for cell in group_cells}),
                len({cell.noise_seed for cell in group_cells} - {None}) or None,
                len(group_cells),
                len(records) or None,
            )
        )
        for group, (group_cells, records) in groups.items()
    ]
    texts = ("checkpoint", *(["sha256"] if ambiguous else []), "activation", "architecture", "data")
    columns = (
        *(Column(name=name) for name in (*texts, *(["precision"] if rounded else []))),
        *(Column(name=name, kind="count") for name in ("images", "conditions", "noise seeds", "cells", "layer records")),
    )
    days = sorted(setting.started[:10] for setting in [*(stored.setting for stored in cells), *(run for run, _ in layers)])
    period = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    records = sum(len(group_cells) for _, group_cells in groups.values())
    counts = f"{len(cells):,} cells" + (f", {records:,} layer records" if layers else "")
    note = f"{path}: {counts}, measured {period}; file size {path.stat().st_size / 1e6:,.1f} MB."
    return Table(title="Results", columns=columns, rows=tuple(rows), notes=(note,))


def every_cell(cells: Sequence[Stored]) -> Table:
    """One row per cell."""
    rows = []
    for stored in cells:
        cell = stored.cell
        rows.append(
            Row(
                values=(
                    cell.network.checkpoint,
                    cell.network.activation,
                    stored.setting.data,
                    cell.condition.corruption,
                    "custom" if cell.condition.is_custom else cell.condition.severity,
                    cell.condition.level,
                    cell.noise_seed,
                    Estimate(cell.correct / cell.total, *wilson(cell.correct, cell.total)),
                    cell.nll_sum / cell.total,
                    cell.correct,
                    cell.total,
                )
            )
        )
    columns = (
        *(Column(name=name) for name in ("checkpoint", "activation", "data", "corruption")),
        Column(name="severity", kind="count", label=True),
        Column(name="level", kind="number", label=True),
        Column(name="noise seed", kind="count", label=True),
        Column(name="top-1", kind="percent"),
        Column(name="NLL", kind="number"),
        Column(name="correct", kind="count"),
        Column(name="images", kind="count"),
    )
    notes = ("Top-1 accuracy in % with its 95 % Wilson interval; NLL: mean negative log-likelihood in nats.",)
    return Table(title="Cells", columns=columns, rows=tuple(rows), notes=notes)
