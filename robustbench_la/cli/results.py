"""``larobust results``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from robustbench_la.cli import options

if TYPE_CHECKING:
    from robustbench_la.analysis.table import Table
    from robustbench_la.records.cells import Cell, RunSetting
    from robustbench_la.records.network_id import NetworkRecord
    from robustbench_la.store.layer_rows import LayerRow
    from robustbench_la.store.schema import Selection
    from robustbench_la.store.store import Stored

HELP = """Show what has been measured: all of the store, or what matches every filter."""
EXAMPLE = "Example: larobust results --activation la_silu --csv > results.csv"

Detail = Annotated[bool, options.switch("--detail", help="One row per cell.", panel=options.OUTPUT)]
Csv = Annotated[
    bool, options.switch("--csv", help="Print CSV instead of the table: one row per cell, in full.", panel=options.OUTPUT)
]
NOTHING_SELECTED = 5
"""The exit code where filters match nothing."""


def command(
    ckpt: options.FilterCheckpoint = None,
    activation: options.FilterActivation = None,
    arch: options.FilterArch = None,
    data: options.FilterData = None,
    noise: options.FilterNoise = None,
    severity: options.FilterSeverity = None,
    noise_seed: options.FilterNoiseSeed = None,
    detail: Detail = False,
    json_: options.Json = False,
    csv_: Csv = False,
    store: options.Store = None,
) -> None:
    """Read arguments, read the store, print."""
    from robustbench_la.errors import UserError
    from robustbench_la.output import terminal
    from robustbench_la.output.records_csv import cell_names, records_csv
    from robustbench_la.records.cells import SCHEMA
    from robustbench_la.store.schema import EVERYTHING
    from robustbench_la.store.store import Store

    if json_ and csv_:
        raise UserError("give --json or --csv, not both")
    selection = select(ckpt, activation, arch, data, noise, severity, noise_seed)
    path = options.store_path(store)
    with Store(path, reading=True) as opened:
        cells, layers = opened.cells(selection), opened.layers(selection, statistics=json_)
    if json_:
        rows = [_row(stored) for stored in cells]
        told = [{**row.as_dict(), **setting.as_dict()} for setting, row in layers]
        print(json.dumps({"schema": SCHEMA, "cells": rows, "layers": told}, indent=1, allow_nan=False))
    elif csv_:
        print(records_csv([_row(stored) for stored in cells]) or ",".join(cell_names()) + "\n", end="")
    elif cells or layers:
        terminal.show([_every_cell(cells) if detail else overview(cells, layers, path)])
    if not cells and not layers:
        print(f"{path} holds nothing" + ("" if selection == EVERYTHING else " that matches"), file=sys.stderr)
        if selection != EVERYTHING:
            raise typer.Exit(NOTHING_SELECTED)


def select(
    ckpt: Sequence[str] | None,
    activation: Sequence[str] | None,
    arch: Sequence[str] | None,
    data: Sequence[str] | None,
    noise: Sequence[str] | None,
    severity: Sequence[str] | None,
    noise_seed: Sequence[int] | None,
) -> Selection:
    """The selection that filters say. Raises: UserError for unknown noises and severities."""
    from corruptions import names_of
    from corruptions.registry import known_words
    from robustbench_la.errors import UserError, did_you_mean
    from robustbench_la.records.noise_words import parse_severities
    from robustbench_la.store.schema import Selection

    corruptions: list[str] = []
    for word in (part.strip() for text in noise or () for part in text.split(",")):
        names = ("clean",) if word == "clean" else names_of(word)
        if not names:
            raise UserError(f"unknown corruption {word!r}{did_you_mean(word, ('clean', *known_words()))}")
        corruptions += names
    return Selection(
        checkpoints=tuple(ckpt or ()),
        activations=tuple(activation or ()),
        architectures=tuple(arch or ()),
        data=tuple(data or ()),
        corruptions=tuple(corruptions),
        severities=parse_severities(list(severity)) if severity else (),
        noise_seeds=tuple(noise_seed or ()),
    )


class _Group(NamedTuple):
    """One network on one dataset; by content, as in the store: one name may have stood for several files."""

    network: NetworkRecord
    data: str
    precision: str
    images: int
    fingerprint: str


def _group(setting: RunSetting, network: NetworkRecord) -> _Group:
    return _Group(network, setting.data, setting.precision, setting.images, setting.fingerprint)


def overview(cells: Sequence[Stored], layers: Sequence[tuple[RunSetting, LayerRow]], path: Path) -> Table:
    """One row a network and dataset: how much was measured."""
    from robustbench_la.analysis.table import Column, Row, Table

    groups: dict[_Group, tuple[list[Cell], list[object]]] = {}
    for stored in cells:
        groups.setdefault(_group(stored.setting, stored.cell.network), ([], []))[0].append(stored.cell)
    for setting, row in layers:
        groups.setdefault(_group(setting, row.network), ([], []))[1].extend([row.layer] * (row.index >= 0))
    names = {(group.network.checkpoint, group.network.sha256) for group in groups}
    unclear = len({name for name, _ in names}) < len(names)
    rounded = {group.precision for group in groups} != {"float32"}
    rows = [
        Row(
            values=(
                group.network.checkpoint,
                *([group.network.sha256[:8]] if unclear else []),
                group.network.activation,
                group.network.architecture,
                group.data,
                *([group.precision] if rounded else []),
                group.images,
                len({cell.condition for cell in own}),
                len({cell.noise_seed for cell in own} - {None}) or None,
                len(own),
                len(records) or None,
            )
        )
        for group, (own, records) in groups.items()
    ]
    texts = ("checkpoint", *(["sha256"] if unclear else []), "activation", "architecture", "data")
    columns = (
        *(Column(name=name) for name in (*texts, *(["precision"] if rounded else []))),
        *(Column(name=name, kind="count") for name in ("images", "conditions", "noise seeds", "cells", "layer records")),
    )
    days = sorted(setting.started[:10] for setting in [*(stored.setting for stored in cells), *(run for run, _ in layers)])
    when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    records = sum(len(own) for _, own in groups.values())
    counts = f"{len(cells):,} cells" + (f", {records:,} layer records" if layers else "")
    note = f"{path}: {counts}, measured {when}; the file holds {path.stat().st_size / 1e6:,.1f} MB."
    return Table(title="Results", columns=columns, rows=tuple(rows), notes=(note,))


def _every_cell(cells: Sequence[Stored]) -> Table:
    from robustbench_la.analysis.paired_tests import wilson
    from robustbench_la.analysis.table import Column, Estimate, Row, Table

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
                    "own" if cell.condition.severity is None else cell.condition.severity,
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


def _row(stored: Stored) -> dict[str, Any]:
    return {**stored.cell.as_dict(), **stored.setting.as_dict()}
