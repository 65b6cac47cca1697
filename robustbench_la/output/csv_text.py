"""Records as CSV text that a spreadsheet only shows: no text of others becomes a formula, and numbers stay numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from robustbench_la.text import printable

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""What spreadsheets take for the beginning of a formula, also in the wide letters of East Asia."""


def csv_text(names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """A line of names, then one line per row."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([_cell(name) for name in names])
    writer.writerows([_cell(row[name]) for name in names] for row in rows)
    return stream.getvalue()


def _cell(value: object) -> object:
    """A value as it is; a text printable, and with an apostrophe where a spreadsheet would take it for a formula.

    >>> _cell(-0.5), _cell("-0.5"), _cell("-1.5/2"), _cell("=HYPERLINK(1)"), _cell("-a")
    (-0.5, '-0.5', '-1.5/2', "'=HYPERLINK(1)", "'-a")
    """
    if not isinstance(value, str):
        return value
    is_formula = value.lstrip(" ").startswith(_FORMULA) and not all(map(_is_number, value.split("/")))
    return ("'" if is_formula else "") + printable(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
