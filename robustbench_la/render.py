"""Tables as text."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from robustbench_la.compare import Column, Table, Value

if TYPE_CHECKING:
    from rich.console import RenderableType

_RIGHT = ("percent", "points", "interval", "number", "count")


def text(value: Value, column: Column, *, signed: bool = False) -> str:
    """A value as it is shown: percent with two decimals, gaps as a dash."""
    if value is None:
        return "" if column.kind in ("text", "interval") else "–"
    if isinstance(value, tuple):
        return "–".join(f"{100 * end:.1f}" for end in value)
    if isinstance(value, str):
        return value
    if column.kind in ("percent", "points"):
        return f"{100 * value:{'+' if signed else ''}.2f}"
    return f"{value:,d}" if isinstance(value, int) else f"{value:.4g}"


def terminal(table: Table) -> RenderableType:
    """For a terminal of any width: columns that say the same in every row become a line above, words fold, numbers stay whole."""
    from rich import box
    from rich.console import Group
    from rich.table import Table as Grid
    from rich.text import Text

    shown, constant = _split_columns(table)
    grid = Grid(title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for place in shown:
        column = table.columns[place]
        right = column.kind in _RIGHT
        grid.add_column(
            column.name.replace("_", " "),
            justify="right" if right else "left",
            no_wrap=False,
            overflow="fold",
            min_width=_widest(table, place) if right else 6,
        )
    best = {place: _best(table, place) for place in shown}
    for row in table.rows:
        cells = []
        for place in shown:
            value, column = row.values[place], table.columns[place]
            style = "dim" if row.is_difference else "bold" if best[place] is not None and value == best[place] else ""
            cells.append(Text(text(_short(value, table, place), column, signed=row.is_difference), style=style))
        grid.add_row(*cells, end_section=row.is_difference)
    above = [Text(f"{table.columns[place].name}: {text(table.rows[0].values[place], table.columns[place])}") for place in constant]
    return Group(*above, grid, *(Text(note, style="dim") for note in table.notes))


def _split_columns(table: Table) -> tuple[list[int], list[int]]:
    """Places of the columns to show, and of text columns that say the same in each of several rows."""
    rows = [row for row in table.rows if not row.is_difference]
    constant = [
        place
        for place, column in enumerate(table.columns)
        if column.kind == "text" and len(rows) > 1 and len({row.values[place] for row in rows}) == 1
    ]
    empty = [place for place in range(len(table.columns)) if all(row.values[place] is None for row in rows)]
    return [place for place in range(len(table.columns)) if place not in (*constant, *empty)], constant


def _widest(table: Table, place: int) -> int:
    """Characters that the widest number of a column takes."""
    return max((len(text(row.values[place], table.columns[place], signed=row.is_difference)) for row in table.rows), default=1)


def _best(table: Table, place: int) -> Value:
    """The best value of a column, to be set in bold, where there is more than one row."""
    column = table.columns[place]
    values = [row.values[place] for row in table.rows if not row.is_difference]
    numbers = [value for value in values if isinstance(value, int | float)]
    if column.better is None or len(numbers) < 2 or len(set(numbers)) < 2:
        return None
    return max(numbers) if column.better == "higher" else min(numbers)


def _short(value: Value, table: Table, place: int) -> Value:
    """File names without the folder that all of them share."""
    if table.columns[place].name != "checkpoint" or not isinstance(value, str):
        return value
    names = [str(row.values[place]) for row in table.rows if not row.is_difference]
    shared = os.path.commonpath([os.path.dirname(name) for name in names]) if len(names) > 1 else os.path.dirname(value)  # noqa: PTH120
    return value.removeprefix(shared + os.sep) if shared else value

