"""``larobust results``."""

from __future__ import annotations

from typing import Annotated

from robustbench_la.cli import filters, options
from robustbench_la.cli.streams import say

HELP = """Show what has been measured: all of the store, or what matches every filter."""
EXAMPLE = "Example: larobust results --activation la_silu --csv > results.csv"

Detail = Annotated[bool, options.switch("--detail", help="One row per cell.", panel=options.OUTPUT)]
Csv = Annotated[
    bool, options.switch("--csv", help="Print CSV instead of the table: one row per cell, in full.", panel=options.OUTPUT)
]


def command(
    ckpt: filters.Checkpoint = None,
    activation: filters.Activation = None,
    arch: filters.Arch = None,
    data: filters.Data = None,
    noise: filters.Noise = None,
    severity: filters.Severity = None,
    noise_seed: filters.NoiseSeed = None,
    detail: Detail = False,
    json_: options.Json = False,
    csv_: Csv = False,
    store: options.Store = None,
) -> None:
    """Read arguments, read the store, print."""
    from robustbench_la.analysis.tables import store_tables
    from robustbench_la.errors import NothingSelectedError, UserError
    from robustbench_la.output import terminal
    from robustbench_la.output.json_documents import json_text
    from robustbench_la.output.records_csv import cell_names, records_csv
    from robustbench_la.records.cells import SCHEMA
    from robustbench_la.store.filters import select
    from robustbench_la.store.schema import EVERYTHING
    from robustbench_la.store.store import Store

    if json_ and csv_:
        raise UserError("give --json or --csv, not both")
    path = options.store_path(store)
    selection = select(ckpt, activation, arch, data, noise, severity, noise_seed, of=path)
    with Store(path, reading=True) as opened:
        cells, layers = opened.cells(selection), opened.layers(selection, statistics=json_)
    if json_ or csv_:
        rows = [{**stored.cell.as_dict(), **stored.setting.as_dict()} for stored in cells]
    if json_:
        records = [{**row.as_dict(), **setting.as_dict()} for setting, row in layers]
        print(json_text({"schema": SCHEMA, "cells": rows, "layers": records}))
    elif csv_:
        print(records_csv(rows) or ",".join(cell_names()) + "\n", end="")
    elif cells or layers:
        terminal.show([store_tables.every_cell(cells) if detail else store_tables.overview(cells, layers, path)])
    if not cells and not layers:
        if selection != EVERYTHING:
            raise NothingSelectedError(f"{path} holds nothing that matches")
        say(f"{path} holds nothing")
