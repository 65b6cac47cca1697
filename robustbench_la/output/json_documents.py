"""Results as JSON documents: cells, fluctuations, tables."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from robustbench_la.analysis.tables.table import Estimate, Table, Value
from robustbench_la.records.cells import SCHEMA, Cell, Provenance
from robustbench_la.records.layers import STATISTICS, NetworkFluctuation
from robustbench_la.store import layer_rows
from robustbench_la.text import is_printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COMMAND = re.compile(r"#(?=#\w*\[)")
"""The beginning of a command, wherever it is on a line of a workflow's log."""


def cells_document(cells: Sequence[Cell], provenance: Provenance) -> dict[str, Any]:
    """The JSON document of an evaluation."""
    return {"schema": SCHEMA, "cells": [cell.as_dict() for cell in cells], "provenance": asdict(provenance)}


def fluctuation_document(measured: Sequence[NetworkFluctuation], pairs: Table | None, provenance: Provenance) -> dict[str, Any]:
    """The JSON document of a fluctuation report."""
    compared = (
        [
            {
                column.name: asdict(value) if isinstance(value, Estimate) else value
                for column, value in zip(pairs.columns, row.values, strict=True)
            }
            for row in pairs.rows
        ]
        if pairs is not None
        else []
    )
    hidden = ("layer", "index", "per_image")
    wholes = [
        {name: value for name, value in layer_rows.rows(one)[0].as_dict().items() if name not in hidden}
        | {f"{name}_mean": _known_mean(values) for name, values in one.per_image.items()}
        for one in measured
    ]
    return {
        "schema": SCHEMA,
        "layers": [layer.as_dict() for one in measured for layer in one.layers],
        "networks": wholes,
        "comparisons": compared,
        "statistics": dict(STATISTICS),
        "provenance": asdict(provenance),
    }


def _known_mean(values: NDArray[np.float64]) -> float | None:
    """Over the images that have the value."""
    known = values[values == values]
    return float(known.mean()) if len(known) else None


def tables_document(tables: Sequence[Table]) -> str:
    """One JSON document: numbers as numbers, what is not known as null, shares as fractions."""
    content = [
        {
            "title": table.title,
            "columns": [{"name": c.name, "kind": c.kind, "better": c.better, "label": c.is_label} for c in table.columns],
            "rows": [
                {
                    "kind": "difference" if row.is_difference else "published" if row.is_published else "measured",
                    "values": {c.name: _known(value) for c, value in zip(table.columns, row.values, strict=True)},
                }
                for row in table.rows
            ],
            "notes": list(table.notes),
        }
        for table in tables
    ]
    return json_text({"schema": 1, "tables": content}, ascii_only=False) + "\n"


def json_text(document: object, *, indent: int | None = 1, ascii_only: bool = True) -> str:
    r"""A document as JSON, in which a terminal and a workflow's log find nothing to obey, and whose names are unchanged.

    Args:
        document: Of JSON's types.
        indent: Characters by which what is nested is indented; None for one line.
        ascii_only: Whether all letters beyond ASCII are escaped, not only those that cannot be printed.

    >>> print(json_text("\x1b[2J \u202e ä ##[error]", ascii_only=False))
    "\u001b[2J \u202e ä \u0023#[error]"
    """
    text = json.dumps(document, indent=indent, allow_nan=False, ensure_ascii=ascii_only)
    if not ascii_only:
        text = "\n".join(line if is_printable(line) else "".join(map(_escaped, line)) for line in text.split("\n"))
    return _COMMAND.sub(r"\\u0023", text)


def _escaped(character: str) -> str:
    return character if is_printable(character) else json.dumps(character)[1:-1]


def _known(value: Value) -> Any:
    return asdict(value) if isinstance(value, Estimate) else value
