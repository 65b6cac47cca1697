"""Tables as text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from robustbench_la.compare import Column, Estimate, Table, Value

if TYPE_CHECKING:
    from rich.console import RenderableType

_GAP = 2
"""Characters between columns."""
_LABEL = 14
"""Characters that a label is given, at most, before numbers are moved to a further block of the table."""


def text(value: Value, column: Column, *, signed: bool = False) -> str:
    """A value as it is shown: percent with two decimals, gaps as a dash, an interval in a second line."""
    if value is None:
        return "" if column.kind == "text" else "–"
    if isinstance(value, str):
        return value
    if isinstance(value, Estimate):
        return f"{text(value.value, column)}\n{100 * value.low:.1f}–{100 * value.high:.1f}"
    if column.kind == "percent":
        return f"{100 * value:{'+' if signed else ''}.2f}"
    return f"{value:,d}" if isinstance(value, int) else f"{value:.4g}"


def show(tables: Sequence[Table]) -> None:
    """Print tables on stdout, as wide as the terminal is."""
    from rich.console import Console

    class Pipe(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to the caller: rich would exit with 1, which means a regression here."""
            raise BrokenPipeError

    console = Pipe(highlight=False)
    for table in tables:
        console.print(terminal(table, width=console.width))


def terminal(table: Table, *, width: int) -> RenderableType:
    """For a terminal ``width`` characters wide.

    What all rows share stands above the table. Words fold; numbers do not: columns that find no room go to a further block.
    """
    from rich.console import Group
    from rich.text import Text

    shown, shared = _split_columns(table)
    above = [Text(f"{table.columns[place].name}: {text(table.rows[0].values[place], table.columns[place])}") for place in shared]
    blocks = [_grid(table, places, number) for number, places in enumerate(_blocks(table, shown, width))]
    spaced = [line for block in blocks for line in (block, Text())]
    return Group(*above, *spaced, *(Text(note, style="dim") for note in table.notes))


def _grid(table: Table, places: Sequence[int], number: int) -> RenderableType:
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(
        title=table.title if number == 0 else None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
    )
    for place in places:
        column = table.columns[place]
        least = _narrowest(table, place)
        grid.add_column(
            column.name.replace("_", " "),
            justify="left" if column.kind == "text" else "right",
            overflow="fold",
            min_width=least,
            max_width=None if column.kind == "text" else least,
        )
    best = {place: _best(table, place) for place in places}
    for row in table.rows:
        cells = []
        for place in places:
            value, column = row.values[place], table.columns[place]
            style = "dim" if row.is_difference else "bold" if best[place] is not None and _number(value) == best[place] else ""
            cells.append(Text(text(_short(value, table, place), column, signed=row.is_difference), style=style))
        grid.add_row(*cells, end_section=row.is_difference)
    return grid


def _split_columns(table: Table) -> tuple[list[int], list[int]]:
    """Places of the columns to show, and of text columns that say the same in each of several rows; empty ones are left out."""
    rows = [row for row in table.rows if not row.is_difference]
    shared = [
        place
        for place, column in enumerate(table.columns)
        if column.kind == "text" and len(rows) > 1 and len({row.values[place] for row in rows}) == 1
    ]
    empty = [place for place in range(len(table.columns)) if all(row.values[place] is None for row in rows)]
    return [place for place in range(len(table.columns)) if place not in (*shared, *empty)], shared


def _blocks(table: Table, places: Sequence[int], width: int) -> list[list[int]]:
    """The columns in blocks that fit the width, each beginning with the labels."""
    labels = [place for place in places if table.columns[place].kind == "text"]
    if len(labels) == len(places):
        return [labels]
    blocks: list[list[int]] = [[]]
    room = width - sum(min(_LABEL, _widest(table, place)) + _GAP for place in labels)
    used = 0
    for place in places:
        if place in labels:
            continue
        need = _narrowest(table, place) + _GAP
        if blocks[-1] and used + need > room:
            blocks.append([])
            used = 0
        blocks[-1].append(place)
        used += need
    return [labels + block for block in blocks]


def _narrowest(table: Table, place: int) -> int:
    """Characters that a column needs: its longest word of a heading, and whole numbers."""
    words = max(map(len, table.columns[place].name.replace("_", " ").split()))
    if table.columns[place].kind == "text":
        return max(words, min(_LABEL, _widest(table, place)))
    return max(words, _widest(table, place))


def _widest(table: Table, place: int) -> int:
    """Characters of the longest line in a column."""
    shown = (text(_short(row.values[place], table, place), table.columns[place], signed=row.is_difference) for row in table.rows)
    return max((len(line) for value in shown for line in value.splitlines()), default=1)


def _best(table: Table, place: int) -> float | None:
    """The best number of a column, to be set in bold, where rows differ."""
    better = table.columns[place].better
    values = [_number(row.values[place]) for row in table.rows if not row.is_difference]
    numbers = [value for value in values if value is not None]
    if better is None or len(set(numbers)) < 2:
        return None
    return max(numbers) if better == "higher" else min(numbers)


def _number(value: Value) -> float | None:
    value = value.value if isinstance(value, Estimate) else value
    return None if isinstance(value, str) else value


def _short(value: Value, table: Table, place: int) -> Value:
    """File names without the folder that all of them share."""
    if table.columns[place].name != "checkpoint" or not isinstance(value, str):
        return value
    folders = {os.path.dirname(str(row.values[place])) for row in table.rows if not row.is_difference}  # noqa: PTH120
    shared = folders.pop() if len(folders) == 1 else ""
    return value.removeprefix(shared + os.sep) if shared else value
