"""Tables as text."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from robustbench_la.analysis.table import Column, Estimate, Row, Table, Value, best, number

if TYPE_CHECKING:
    from rich.console import RenderableType

_GAP = 1
"""Characters between columns; labels have one more behind them."""
_BAR = 8
"""Characters of the longest bar."""
GAP = "–"
"""Stands for what was not measured."""
LEVELS = (0.05, 0.01, 0.001)
"""p-values below which a difference gets one more star."""
_LABELS = (120, 72, 56, 44, 36, 28, 22, 18, 14, 11)
"""Widths in characters that a label may be folded to; the widest that fits the terminal is taken."""


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
        return value.split("\n") if isinstance(value, str) else [_number(value, column, signed=signed)]
    evidence = value.evidence
    shown = [_number(value.value, column, signed=signed) + marks(evidence.corrected if evidence else None)]
    if value.deviation is not None and evidence is None:
        shown.append("±" + _number(value.deviation, column))
    if column.intervals and value.low is not None and value.high is not None:
        precise = evidence is not None or value.count is not None  # intervals over seeds are narrower than those over images
        scale, decimals = (100, ".2f" if precise else ".1f") if column.kind == "percent" else (1, ".4g")
        sign = "+" if column.signed else ""
        low, high = f"{scale * value.low:{sign}{decimals}}", f"{scale * value.high:{sign}{decimals}}"
        shown.append(f"{low} to {high}" if value.low < 0 or column.signed else f"{low}–{high}")
    return shown


def marks(p: float | None) -> str:
    """Stars for a p-value: * below 0.05, ** below 0.01, *** below 0.001.

    >>> marks(0.03), marks(0.0009), marks(0.05), marks(None)
    ('*', '***', '', '')
    """
    return "" if p is None else "*" * sum(p < level for level in LEVELS)


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
    """A table for formats that lay it out themselves."""

    columns: tuple[Column, ...]
    shared: tuple[tuple[str, str], ...]
    """Names and values of the columns that all rows share."""
    rows: tuple[ShownRow, ...]


def laid_out(table: Table) -> ShownTable:
    """What to show of a table: short checkpoint names, no columns that say nothing or always the same, the best ones marked."""
    shown, shared = split_columns(table)
    above = tuple((heading(table.columns[place]), text(table.rows[0].values[place], table.columns[place])) for place in shared)
    table = shortened(table)
    best_there = {place: best(table, place) for place in shown}
    rows = []
    for row in table.rows:
        cells = []
        for place in shown:
            value, own = row.values[place], best_there[place]
            top = own is not None and number(value) == own and not row.is_difference and not row.is_published
            said = parts(value, table.columns[place], signed=row.is_difference)
            cells.append(ShownCell(parts=tuple(said), is_best=top))
        rows.append(ShownRow(cells=tuple(cells), is_difference=row.is_difference, is_published=row.is_published))
    return ShownTable(columns=tuple(table.columns[place] for place in shown), shared=above, rows=tuple(rows))


def plain(tables: Sequence[Table], width: int = 100) -> str:
    """As in a terminal of a width, without colours."""
    import io

    from rich.console import Console

    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, color_system=None, legacy_windows=False)
    for table in tables:
        console.print(terminal(table, width=width), width=max(width, least_width(table)))
        console.print()
    return "\n".join(line.rstrip() for line in stream.getvalue().rstrip().splitlines()) + "\n"


def _number(value: float, column: Column, *, signed: bool = False) -> str:
    sign = "+" if signed or column.signed else ""
    if column.kind == "percent":
        return f"{100 * value:{sign}.2f}"
    return f"{value:,d}" if isinstance(value, int) else f"{value:{sign}.4g}"


def show(tables: Sequence[Table]) -> None:
    """Print tables on stdout, as wide as the terminal is."""
    from rich.console import Console

    class Pipe(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to the caller: rich would exit with 1, which means a regression here."""
            raise BrokenPipeError

    console = Pipe(highlight=False)
    for place, table in enumerate(tables):
        if place:
            console.print()
        console.print(terminal(table, width=console.width), width=max(console.width, least_width(table)))


def terminal(table: Table, *, width: int) -> RenderableType:
    """For a terminal ``width`` characters wide; where that is under ``least_width``, the table is wider.

    What all rows share stands above the table. Labels fold; numbers do not: columns that find no room go to a further block.
    """
    from rich.console import Group
    from rich.text import Text

    shown, shared = split_columns(table)
    above = [Text(f"{table.columns[place].name}: {text(table.rows[0].values[place], table.columns[place])}") for place in shared]
    table = shortened(table)
    fold, blocks = _layout(table, shown, width)
    grids = [_grid(table, places, fold) for places in blocks]
    spaced = [line for grid in grids for line in (grid, Text())]
    return Group(*above, Text(table.title, style="bold"), *spaced, *(Text(note, style="dim") for note in table.notes))


def least_width(table: Table) -> int:
    """Characters that the labels and the widest other column take."""
    shown, _ = split_columns(table)
    table = shortened(table)
    labels = sum(_needed(table, place, _LABELS[-1]) + _GAP for place in shown if table.columns[place].is_label)
    return labels + max((_needed(table, place, 0) for place in shown if not table.columns[place].is_label), default=0)


def _layout(table: Table, places: Sequence[int], width: int) -> tuple[int, list[list[int]]]:
    """The width to fold labels to, and the columns in blocks that fit the terminal, each beginning with the labels."""

    def cost(layout: tuple[int, list[list[int]]]) -> tuple[bool, int]:
        fold, blocks = layout
        widest = max(sum(_needed(table, place, fold) + _GAP for place in block) - _GAP for block in blocks)
        return widest > width, len(blocks)

    layouts = [(fold, _blocks(table, places, width, fold)) for fold in _LABELS]
    return min(layouts, key=cost)  # of equally good ones the first, with the widest labels


def _blocks(table: Table, places: Sequence[int], width: int, fold: int) -> list[list[int]]:
    labels = [place for place in places if table.columns[place].is_label]
    room = width - sum(_needed(table, place, fold) + _GAP for place in labels)
    blocks: list[list[int]] = [[]]
    used = 0
    for place in places:
        if place in labels:
            continue
        need = _needed(table, place, fold) + _GAP
        if blocks[-1] and used + need - _GAP > room:
            blocks.append([])
            used = 0
        blocks[-1].append(place)
        used += need
    return [labels + block for block in blocks]


def _needed(table: Table, place: int, fold: int) -> int:
    """Characters that a column takes: its longest word of a heading, and its longest line."""
    column = table.columns[place]
    words = max(map(len, heading(column).split()))
    longest = max(words, *(len(line) for row in table.rows for line in _lines(table, row, place, fold)), 1)
    longest += (_BAR + 1) * column.bar
    return longest + (column.kind == "text")


def heading(column: Column) -> str:
    return column.name.replace("_", " ")


def _lines(table: Table, row: Row, place: int, fold: int) -> list[str]:
    """What stands in a row, line by line; labels are folded."""
    column = table.columns[place]
    lines = text(row.values[place], column, signed=row.is_difference).split("\n")
    return [part for line in lines for part in _folded(line, fold)] if column.kind == "text" else lines


def _folded(label: str, width: int) -> list[str]:
    """``label`` in lines of at most ``width`` characters, parted after a space or a mark that joins words, if at all possible.

    >>> _folded("resnet20-12fca82f.th", 14)
    ['resnet20-', '12fca82f.th']
    """
    lines = [""]
    for word in re.findall(r"[^\s_./-]*[\s_./-]*", label):
        if len(lines[-1]) + len(word.rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += word
    return [line[start : start + width].rstrip() for line in lines for start in range(0, max(1, len(line.rstrip())), width)]


def _grid(table: Table, places: Sequence[int], fold: int) -> RenderableType:
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=0,
    )
    for place in places:
        column, width = table.columns[place], _needed(table, place, fold)
        grid.add_column(heading(column), justify="left" if column.kind == "text" else "right", min_width=width, max_width=width)
    best_there = {place: best(table, place) for place in places}
    above: Row | None = None
    for row in table.rows:
        cells = []
        for place in places:
            value = row.values[place]
            there = best_there[place] is not None and number(value) == best_there[place]
            style = "dim" if row.is_difference else "italic" if row.is_published else "bold" if there else ""
            lines = _lines(table, row, place, fold)
            if table.columns[place].grouped and above is not None and above.values[place] == value:
                lines = []
            if table.columns[place].bar:
                lines = [f"{lines[0]} {_bar(table, place, value)}", *lines[1:]]
            cells.append(Text("\n".join(lines), style=style))
        grid.add_row(*cells)
        above = row
    return grid


def _bar(table: Table, place: int, value: Value) -> str:
    """A bar of up to _BAR characters, in eighths of one, to be read against the largest of the column."""
    sizes = [abs(known) for row in table.rows if (known := number(row.values[place])) is not None]
    own = number(value)
    eighths = round(8 * _BAR * abs(own) / max(sizes)) if own is not None and max(sizes) > 0 else 0
    return ("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()).ljust(_BAR)


def split_columns(table: Table) -> tuple[list[int], list[int]]:
    """Places of the columns to show, and of text columns that say the same in each of several rows; empty ones are left out."""
    rows = [row for row in table.rows if not row.is_difference] or list(table.rows)
    shared = [
        place
        for place, column in enumerate(table.columns)
        if column.kind == "text" and len(rows) > 1 and len({row.values[place] for row in rows}) == 1
    ]
    empty = [place for place in range(len(table.columns)) if all(row.values[place] is None for row in rows)]
    return [place for place in range(len(table.columns)) if place not in (*shared, *empty)], shared


def shortened(table: Table) -> Table:
    """File names without the folder and the suffix that all of them share."""
    place = next((place for place, column in enumerate(table.columns) if column.name == "checkpoint"), None)
    if place is None:
        return table
    names = [str(row.values[place]) for row in table.rows if not row.is_difference]
    folders = {os.path.dirname(name) for name in names}  # noqa: PTH120
    suffixes = {os.path.splitext(name)[1] for name in names}  # noqa: PTH122
    folder = folders.pop() + os.sep if len(folders) == 1 else ""
    suffix = suffixes.pop() if len(suffixes) == 1 else ""

    def short(values: tuple[Value, ...]) -> tuple[Value, ...]:
        name = values[place]
        if not isinstance(name, str):
            return values
        return (*values[:place], name.removeprefix(folder).removesuffix(suffix), *values[place + 1 :])

    return replace(table, rows=tuple(replace(row, values=short(row.values)) for row in table.rows))
