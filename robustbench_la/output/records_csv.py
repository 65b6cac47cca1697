"""Records as CSV: a line of names, then one line per record."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from robustbench_la.records.cells import encode_level


def records_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Records, flat as in JSON, of the same names throughout; empty where there are none.

    A level is one column, ``parameter``: ``0.05``, or ``1.5/2`` where a corruption has several parameters.
    """
    lines = [_line(row) for row in rows]
    text = io.StringIO()
    if lines:
        writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return text.getvalue()


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    line = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items() if name != "parameters"}
    return line | {"parameter": encode_level(tuple(row["parameters"].values()))}
