"""Results as JSON documents: cells, fluctuations, tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from robustbench_la.analysis.tables.table import Estimate, Table, Value
from robustbench_la.records.cells import SCHEMA, Cell, Provenance
from robustbench_la.records.layers import STATISTICS, NetworkFluctuation
from robustbench_la.store import layer_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
    return json.dumps({"schema": 1, "tables": content}, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _known(value: Value) -> Any:
    return asdict(value) if isinstance(value, Estimate) else value
