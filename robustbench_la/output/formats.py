"""Tables as Markdown, CSV and JSON, and the table of all formats. The others: render.py, latex.py, webpage.py."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from robustbench_la.analysis.table import Estimate, Table, Value
from robustbench_la.errors import UserError
from robustbench_la.output.html import page
from robustbench_la.output.latex import latex
from robustbench_la.output.terminal import heading, laid_out, plain

_MARKDOWN = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_{}[]<>|~#$"} | {"\n": " ", "\r": " ", "&": "&amp;"})


def tables_markdown(tables: Sequence[Table]) -> str:
    """Tables as GitHub renders them: numbers to the right, the best of a column bold, differences in italics."""
    return "\n".join(_markdown(table) for table in tables)


def _markdown(table: Table) -> str:
    grid = laid_out(table)
    above = [f"{_escaped(name)}: {_escaped(value)}  " for name, value in grid.shared]
    names = [_escaped(heading(column)) for column in grid.columns]
    rules = [":--" if column.kind == "text" else "--:" for column in grid.columns]
    rows = []
    for row in grid.rows:
        style = "*" if row.is_difference or row.is_published else ""
        cells = []
        for cell in row.cells:
            mark = "**" if cell.is_best else style if cell.text.strip() else ""
            cells.append(f"{mark}{_escaped(cell.text)}{mark}")
        rows.append(cells)
    lines = [f"| {' | '.join(cells)} |" for cells in (names, rules, *rows)]
    notes = [line for note in table.notes for line in ("", _escaped(note))]
    return "\n".join([f"### {_escaped(table.title)}", "", *above, *([""] if above else []), *lines, *notes, ""])


def _escaped(text: str) -> str:
    return text.translate(_MARKDOWN)


_PARTS = ("low", "high", "deviation", "count", "noise_deviation")
_EVIDENCE = ("one", "other", "test", "statistic", "p", "corrected", "effect", "gained", "lost", "answers")


def tidy(tables: Sequence[Table]) -> str:
    """CSV with one number of a table a line: what tells it apart, its value, and all that is known of it in columns of their own.

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
        told = {c.name: value for c, value in zip(table.columns, row.values, strict=True) if c.is_label}
        first: list[object] = [table.title, *(_plain(told.get(name)) for name in labels)]
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


def tables_document(tables: Sequence[Table]) -> str:
    """One JSON document: numbers as numbers, what is not known as null, shares as fractions."""
    told = [
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
    return json.dumps({"schema": 1, "tables": told}, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _known(value: Value) -> Any:
    return asdict(value) if isinstance(value, Estimate) else value


FORMATS: Mapping[str, Callable[[Sequence[Table]], str]] = MappingProxyType(
    {"text": plain, "markdown": tables_markdown, "latex": latex, "csv": tidy, "json": tables_document, "html": page}
)
"""Name -> function from tables to text."""
_SUFFIXES = {
    ".txt": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".tex": "latex",
    ".csv": "csv",
    ".json": "json",
    ".html": "html",
    ".htm": "html",
}


def format_for(name: str) -> str:
    """The format that a file's name asks for. Raises: UserError for a name that asks for none."""
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    if suffix not in _SUFFIXES:
        raise UserError(f"{name} tells no format: end it in {', '.join(_SUFFIXES)}, or give --format")
    return _SUFFIXES[suffix]
