"""Tables as tidy CSV: one number per line, with all that is known of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from robustbench_la.analysis.tables.table import Estimate, Table, Value

_PARTS = ("low", "high", "deviation", "count", "noise_deviation")
_EVIDENCE = ("one", "other", "test", "statistic", "p", "corrected", "effect", "gained", "lost", "answers")


def tidy(tables: Sequence[Table]) -> str:
    """CSV with one number of a table per line: its labels, its value, and all that is known of it in columns of their own.

    Shares are fractions; nothing is rounded.
    """
    labels = list(dict.fromkeys(column.name for table in tables for column in table.columns if column.is_label))
    measured = any(not column.is_label for table in tables for column in table.columns)
    more = ("row", "column", "unit", "value", *_PARTS, *_EVIDENCE) if measured else ()
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["table", *labels, *(name for name in more)])
    for table in tables:
        writer.writerows(_lines(table, labels))
    return stream.getvalue()


def _lines(table: Table, labels: Sequence[str]) -> Iterator[list[object]]:
    for row in table.rows:
        labelled = {c.name: value for c, value in zip(table.columns, row.values, strict=True) if c.is_label}
        first: list[object] = [table.title, *(_plain(labelled.get(name)) for name in labels)]
        numbers = [(column, value) for column, value in zip(table.columns, row.values, strict=True) if not column.is_label]
        if not numbers:
            yield first
        kind = "difference" if row.is_difference else "published" if row.is_published else "measured"
        for column, value in numbers:
            unit = {"percent": "fraction", "count": "count"}.get(column.kind, "")
            estimate = value if isinstance(value, Estimate) else None
            evidence = estimate.evidence if estimate else None
            yield [
                *first,
                kind,
                column.name,
                unit,
                _plain(value),
                *(getattr(estimate, name, None) for name in _PARTS),
                *(getattr(evidence, name, None) for name in _EVIDENCE),
            ]


def _plain(value: Value) -> object:
    return value.value if isinstance(value, Estimate) else value
