"""What to show of a table, whatever the format: values as text, columns that are left out, the best ones, short names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from robustbench_la.analysis.tables.table import Column, Estimate, Row, Table, Value, best, number
from robustbench_la.text import clipped, printable

GAP = "–"
"""Stands for what was not measured."""
_MINUS = " − "
"""Between the names of a row of differences."""
_LONGEST = 600
"""Characters of a text in a cell; longer ones leave out their middle."""
LEVELS = (0.05, 0.01, 0.001)
"""p-values below which a difference gets one more star."""


def text(value: Value, column: Column, *, signed: bool = False) -> str:
    """A value as it is shown: percent with two decimals, gaps as a dash; what more is known of it, line by line."""
    return "\n".join(parts(value, column, signed=signed))


def parts(value: Value, column: Column, *, signed: bool = False) -> list[str]:
    """The number with its significance marks, then standard deviation, interval, and the other side of a difference.

    >>> parts(Estimate(0.912, deviation=0.0023), Column(name="clean", kind="percent"))
    ['91.20', '±0.23']
    """
    if value is None:
        return ["" if column.kind == "text" or (column.is_label and signed) else GAP]
    if not isinstance(value, Estimate):
        return [value] if isinstance(value, str) else [_number(value, column, signed=signed)]
    evidence = value.evidence
    shown = [_number(value.value, column, signed=signed) + marks(evidence.corrected if evidence else None)]
    if value.deviation is not None and evidence is None:
        shown.append("±" + _number(value.deviation, column))
    if column.intervals and value.low is not None and value.high is not None:
        precise = evidence is not None or value.count is not None  # intervals over seeds are narrower than those over images
        scale, decimals = (100, ".2f" if precise else ".1f") if column.kind == "percent" else (1, ".4g")
        sign = "+" if column.signed else ""
        low, high = _rounded(scale * value.low, decimals, sign), _rounded(scale * value.high, decimals, sign)
        shown.append(f"{low} to {high}" if value.low < 0 or column.signed else f"{low}–{high}")
    return shown


def marks(p: float | None) -> str:
    """Stars for a p-value: * below 0.05, ** below 0.01, *** below 0.001.

    >>> marks(0.03), marks(0.0009), marks(0.05), marks(None)
    ('*', '***', '', '')
    """
    return "" if p is None else "*" * sum(p < level for level in LEVELS)


def _number(value: float, column: Column, *, signed: bool = False) -> str:
    sign = "+" if signed or column.signed else ""
    if column.kind == "percent":
        return _rounded(100 * value, ".2f", sign)
    return f"{value:,d}" if isinstance(value, int) else _rounded(value, ".4g", sign)


def _rounded(value: float, form: str, sign: str = "") -> str:
    """A number in a format; what is rounded to 0 is never negative.

    >>> _rounded(-0.001, ".2f"), _rounded(-0.001, ".2f", "+"), _rounded(0.001, ".2f", "+")
    ('0.00', '0.00', '+0.00')
    """
    shown = f"{value:{sign}{form}}"
    return shown if float(shown) else shown.lstrip("-")


def heading(column: Column) -> str:
    return column.name.replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCell:
    """A value as it is shown."""

    parts: tuple[str, ...]
    is_best: bool

    @property
    def text(self) -> str:
        """All of it in one line."""
        first, *rest = self.parts
        return " ".join([first, *(part.replace("±", "± ") if part.startswith("±") else f"({part})" for part in rest)])


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRow:
    """A row of them."""

    cells: tuple[ShownCell, ...]
    is_difference: bool
    is_published: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTable:
    """A table for formats that lay it out themselves; its texts are printable, and of no format yet."""

    title: str
    notes: tuple[str, ...]
    columns: tuple[Column, ...]
    shared: tuple[tuple[str, str], ...]
    """Names and values of the columns that all rows share."""
    rows: tuple[ShownRow, ...]


def laid_out(table: Table) -> ShownTable:
    """What to show of a table: short checkpoint names, no columns that say nothing or always the same, the best ones marked."""
    table = readable(table)
    shown, shared = split_columns(table)
    above = tuple((heading(table.columns[index]), shared_text(table, index)) for index in shared)
    table = shortened(table)
    best_values = {index: best(table, index) for index in shown}
    rows = []
    for row in table.rows:
        cells = []
        for index in shown:
            value, own = row.values[index], best_values[index]
            top = own is not None and number(value) == own and not row.is_difference and not row.is_published
            shown_parts = parts(value, table.columns[index], signed=row.is_difference)
            cells.append(ShownCell(parts=tuple(shown_parts), is_best=top))
        rows.append(ShownRow(cells=tuple(cells), is_difference=row.is_difference, is_published=row.is_published))
    return ShownTable(
        title=table.title,
        notes=table.notes,
        columns=tuple(table.columns[index] for index in shown),
        shared=above,
        rows=tuple(rows),
    )


def readable(table: Table) -> Table:
    """A table for readers: texts that others wrote show what they hold, on one line each, whatever would hide or act in them."""

    def shown(value: Value) -> Value:
        return printable(value) if isinstance(value, str) else value

    return replace(
        table,
        title=clipped(printable(table.title)),
        columns=tuple(replace(column, name=clipped(printable(column.name))) for column in table.columns),
        rows=tuple(replace(row, values=tuple(map(shown, row.values))) for row in table.rows),
        notes=tuple(clipped(printable(note)) for note in table.notes),
    )


def shared_text(table: Table, index: int) -> str:
    """What all rows of a column share."""
    return clipped(text(table.rows[0].values[index], table.columns[index]), longest=_LONGEST)


def split_columns(table: Table) -> tuple[list[int], list[int]]:
    """Places of the columns to show, and of text columns that say the same in each of several rows; empty ones are left out."""
    rows = [row for row in table.rows if not row.is_difference] or list(table.rows)
    empty = [index for index in range(len(table.columns)) if all(row.values[index] is None for row in rows)]
    shared = [
        index
        for index, column in enumerate(table.columns)
        if column.kind == "text" and index not in empty and len(rows) > 1 and len({row.values[index] for row in rows}) == 1
    ]
    return [index for index in range(len(table.columns)) if index not in (*shared, *empty)], shared


def shortened(table: Table) -> Table:
    """File names without the folders and the end that all of them share, also where they are subtracted; no text very long."""
    index = next((at for at, column in enumerate(table.columns) if column.name in ("checkpoint", "difference")), None)
    named = table if index is None else _without_shared_folders(table, index)
    return replace(
        named,
        rows=tuple(
            replace(
                row,
                values=tuple(clipped(value, longest=_LONGEST) if isinstance(value, str) else value for value in row.values),
            )
            for row in named.rows
        ),
    )


def _without_shared_folders(table: Table, index: int) -> Table:
    differences = table.columns[index].name == "difference"
    names = [str(row.values[index]) for row in table.rows if differences or not row.is_difference]
    short = short_names([part for name in names for part in (name.split(_MINUS) if differences else [name])])

    def renamed(row: Row) -> Row:
        value = row.values[index]
        if not isinstance(value, str):
            return row
        parts = value.split(_MINUS) if differences or row.is_difference else [value]
        shown = _MINUS.join(short.get(part, part) for part in parts)
        return replace(row, values=(*row.values[:index], shown, *row.values[index + 1 :]))

    return replace(table, rows=tuple(map(renamed, table.rows)))


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Each file name without the folders at the beginning, and the folders, file name or suffix at the end, that all share.

    >>> short_names(["a/b/silu-1.pt", "a/b/relu-1.pt"])
    {'a/b/silu-1.pt': 'silu-1', 'a/b/relu-1.pt': 'relu-1'}
    >>> short_names(["runs/silu/best.pt", "runs/relu/best.pt"])
    {'runs/silu/best.pt': 'silu', 'runs/relu/best.pt': 'relu'}
    """
    split = {name: name.split(os.sep) for name in names}  # noqa: PTH206 - a name may be of no file
    parts = list(split.values())
    least = min((len(own) for own in parts), default=1)
    first = next((at for at in range(least - 1) if len({own[at] for own in parts}) > 1), least - 1)
    # Of a single name, the file stays.
    last = next((at for at in range(least - 1 - first) if len({own[-1 - at] for own in parts}) > 1), least - 1 - first)
    if len(split) < 2:
        last = 0
    short = {name: os.sep.join(own[first : len(own) - last]) for name, own in split.items()}  # noqa: PTH118
    suffixes = {os.path.splitext(name)[1] for name in short.values()}  # noqa: PTH122
    suffix = suffixes.pop() if len(suffixes) == 1 else ""
    return {name: end.removesuffix(suffix) or end for name, end in short.items()}
