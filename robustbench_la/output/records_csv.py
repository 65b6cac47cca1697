"""Records as CSV: a line of names, then one line per record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from robustbench_la.output.csv_text import csv_text
from robustbench_la.records.cells import CLEAN, Cell, Pass, RunSetting, encode_level
from robustbench_la.records.networks import NETWORK, NetworkRecord


def records_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Records, flat as in JSON, of the same names throughout; empty where there are none.

    A level is one column, ``parameter``: ``0.05``, or ``1.5/2`` where a corruption has several parameters.
    """
    lines = [_line(row) for row in rows]
    return csv_text(list(lines[0]), lines) if lines else ""


def cell_names() -> list[str]:
    """The names of a cell's columns with those of its setting, for a file without cells."""
    network: dict[str, Any] = dict.fromkeys(NETWORK)
    measured: dict[str, Any] = {field.name: None for field in fields(Cell) if field.name not in ("network", "pass_")}
    blank = Cell(network=NetworkRecord(**network), pass_=Pass(CLEAN, None), **measured)
    return [*_line(blank.as_dict()), *(field.name for field in fields(RunSetting)), "partial"]


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    line = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items() if name != "parameters"}
    return line | {"parameter": encode_level(tuple(row["parameters"].values()))}
