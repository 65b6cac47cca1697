"""Tables as tidy CSV: one number per line, with all that is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from robustbench_la.analysis.tables.table import Estimate, Evidence, Row, Table, Value
from robustbench_la.output.csv_text import csv_text
from robustbench_la.records.networks import kinds_of

_PARTS = tuple(field.name for field in fields(Estimate) if field.name not in ("value", "evidence"))
_EVIDENCE = tuple(field.name for field in fields(Evidence))


def tidy(tables: Sequence[Table]) -> str:
    """CSV with one number of a table per line: its labels, its value, and all that is known of it in columns of their own.

    Percentages are fractions; nothing is rounded.
    """
    return csv_text(_names(tables), tidy_rows(tables))


def tidy_rows(tables: Sequence[Table]) -> list[dict[str, object]]:
    """The same as rows of values, numbers as numbers; None for what is not known."""
    blank: dict[str, object] = dict.fromkeys(_names(tables))
    return [blank | line for table in tables for row in table.rows for line in _lines(table, row)]


def number_types(tables: Sequence[Table]) -> dict[str, type]:
    """The columns that hold nothing but numbers or gaps, and whether these are int or float."""
    known: Mapping[str, tuple[type, ...]] = {**kinds_of(Estimate), **kinds_of(Evidence)}
    types = {name: kinds[0] for name, kinds in known.items() if kinds[0] in (int, float)}
    for label in (column for table in tables for column in table.columns if column.is_label):
        if label.kind != "text":
            types[label.name] = int if label.kind == "count" else float
        else:
            types.pop(label.name, None)
    names = _names(tables)
    rows = tidy_rows(tables)
    texts = {name for name in types if any(isinstance(row.get(name), str) for row in rows)}
    return {name: kind for name, kind in types.items() if name in names and name not in texts}


def _names(tables: Sequence[Table]) -> list[str]:
    labels = dict.fromkeys(column.name for table in tables for column in table.columns if column.is_label)
    measured = any(not column.is_label for table in tables for column in table.columns)
    more = ("row", "column", "unit", "value", *_PARTS, *_EVIDENCE) if measured else ()
    return list(dict.fromkeys(["table", *labels, *more]))


def _lines(table: Table, row: Row) -> Iterator[dict[str, object]]:
    pairs = list(zip(table.columns, row.values, strict=True))
    first = {"table": table.title, **{column.name: _plain(value) for column, value in pairs if column.is_label}}
    numbers = [(column, value) for column, value in pairs if not column.is_label]
    if not numbers:
        yield first
    kind = "difference" if row.is_difference else "published" if row.is_published else "measured"
    for column, value in numbers:
        unit = {"percent": "fraction", "count": "count"}.get(column.kind, "")
        estimate = value if isinstance(value, Estimate) else None
        evidence = estimate.evidence if estimate else None
        yield {
            **first,
            "row": kind,
            "column": column.name,
            "unit": unit,
            "value": _plain(value),
            **{name: getattr(estimate, name) for name in _PARTS if estimate is not None},
            **{name: getattr(evidence, name) for name in _EVIDENCE if evidence is not None},
        }


def _plain(value: Value) -> object:
    return value.value if isinstance(value, Estimate) else value
