"""Tables as text, as wide as a terminal is: labels fold, numbers do not, columns that find no room go to a further block."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.cells import cell_len

from robustbench_la.analysis.tables.table import Row, Table, Value, best, number
from robustbench_la.output.layout import heading, readable, shared_text, shortened, split_columns, text

if TYPE_CHECKING:
    from rich.console import RenderableType

_GAP = 1
"""Characters between columns; labels have one more behind them."""
_BAR = 8
"""Characters of the longest bar."""
_SHORTEST = 20
"""Characters of a name that leaves out its middle; shorter ones are folded, so that they can still be told apart."""
_COLONS = re.compile(r":(?=:)")
_WORDS = re.compile(r"(?<!\S)[\d./]+(?!\S)\s*|[^\s_./-]+[\s_./-]*|[\s_./-]+")
"""Where a label may be folded: behind each of them."""
_LABELS = (120, 72, 56, 44, 36, 28, 22, 18, 14, 11)
"""Widths in characters that a label may be folded to; the widest that fits the terminal is taken."""


def plain(tables: Sequence[Table], width: int = 100) -> str:
    """As in a terminal of a width, without colours."""
    import io

    from rich.console import Console

    stream = io.StringIO()
    # In a notebook rich would display the text instead of writing it to the stream.
    console = Console(file=stream, width=width, highlight=False, color_system=None, legacy_windows=False, force_jupyter=False)
    for table in tables:
        console.print(terminal(table, width=width), width=max(width, least_width(table)))
        console.print()
    return "\n".join(line.rstrip() for line in stream.getvalue().rstrip().split("\n")) + "\n"


def show(tables: Sequence[Table]) -> None:
    """Print tables on stdout, as wide as the terminal is."""
    from rich.console import Console

    class Pipe(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to the caller: rich would exit with 1, which means a regression here."""
            raise BrokenPipeError

    console = Pipe(highlight=False)
    for index, table in enumerate(tables):
        if index:
            console.print()
        console.print(terminal(table, width=console.width), width=max(console.width, least_width(table)))


def terminal(table: Table, *, width: int) -> RenderableType:
    """For a terminal ``width`` characters wide; where that is under ``least_width``, the table is wider.

    What all rows share is printed below the title. Labels fold; numbers do not: columns that find no room go to a further block.
    """
    from rich.console import Group
    from rich.text import Text

    table = _foldable(table)
    shown, shared = split_columns(table)
    above = [Text(f"{heading(table.columns[index])}: {shared_text(table, index)}") for index in shared]
    table = shortened(table)
    fold, blocks = _layout(table, shown, width)
    if len(blocks) > 1 and table.columns[shown[0]].grouped:
        numbered, fewer, named = _numbered(table, shown)
        narrow, own = _layout(numbered, fewer, width)
        if len(own) < len(blocks):
            table, fold = numbered, narrow
            blocks = [own[0], *([index for index in block if not _only_counts(table, index)] for block in own[1:])]
            above += [Text(line) for line in named]
    grids = [_grid(table, indices, fold) for indices in blocks]
    spaced = [line for grid in grids for line in (grid, Text())]
    return Group(Text(table.title, style="bold"), *above, *spaced, *(Text(note, style="dim") for note in table.notes))


def _foldable(table: Table) -> Table:
    """A table for readers in which, wherever a line begins, none is a workflow's command."""

    def apart(text: str) -> str:
        return _COLONS.sub(r"\\x3a", text)

    table = readable(table)
    return replace(
        table,
        title=apart(table.title),
        columns=tuple(replace(column, name=apart(column.name)) for column in table.columns),
        rows=tuple(
            replace(row, values=tuple(apart(value) if isinstance(value, str) else value for value in row.values))
            for row in table.rows
        ),
        notes=tuple(map(apart, table.notes)),
    )


def least_width(table: Table) -> int:
    """Characters that the labels and the widest other column take."""
    table = _foldable(table)
    shown, _ = split_columns(table)
    table = shortened(table)
    labels = sum(_needed(table, index, _LABELS[-1]) + _GAP for index in shown if table.columns[index].is_label)
    return labels + max((_needed(table, index, 0) for index in shown if not table.columns[index].is_label), default=0)


def _numbered(table: Table, shown: Sequence[int]) -> tuple[Table, list[int], list[str]]:
    """Numbers in place of names that head several rows each, so that more columns fit.

    Returns: The table, its columns without those that the names imply, and a line for each number.
    """
    first = shown[0]
    members: dict[Value, list[Row]] = {}
    for row in table.rows:
        members.setdefault(row.values[first], []).append(row)
    texts = [index for index in shown[1:] if table.columns[index].kind == "text"]
    implied = [index for index in texts if all(len({row.values[index] for row in rows}) == 1 for rows in members.values())]
    numbers = {name: str(number) for number, name in enumerate(members, start=1)}
    details = {name: ", ".join(str(rows[0].values[index]) for index in implied) for name, rows in members.items()}
    named = [f"{numbers[name]}: {name}" + (f" ({details[name]})" if details[name] else "") for name in members]
    rows = [
        replace(row, values=(*row.values[:first], numbers[row.values[first]], *row.values[first + 1 :])) for row in table.rows
    ]
    heads = (*table.columns[:first], replace(table.columns[first], name="no."), *table.columns[first + 1 :])
    return replace(table, columns=heads, rows=tuple(rows)), [index for index in shown if index not in implied], named


def _only_counts(table: Table, index: int) -> bool:
    """Whether a column is a label that tells no rows apart, and need not be repeated in further blocks."""
    return table.columns[index].is_label and table.columns[index].kind == "count"


def _layout(table: Table, indices: Sequence[int], width: int) -> tuple[int, list[list[int]]]:
    """The width to fold labels to, and the columns in blocks that fit the terminal, each beginning with the labels."""

    def cost(layout: tuple[int, list[list[int]]]) -> tuple[bool, bool, int]:
        fold, blocks = layout
        widest = max(sum(_needed(table, index, fold) + _GAP for index in block) - _GAP for block in blocks)
        return widest > width, _mixed_up(table, indices, fold), sum(_height(table, block, fold) for block in blocks)

    layouts = [(fold, _blocks(table, indices, width, fold)) for fold in _LABELS]
    return min(layouts, key=cost)  # of equally good ones the first, with the widest labels


def _mixed_up(table: Table, indices: Sequence[int], fold: int) -> bool:
    """Whether two labels would look the same."""
    for index in indices:
        labels = {str(row.values[index]) for row in table.rows if table.columns[index].kind == "text"}
        if len({tuple(_fitted(label, fold)) for label in labels}) < len(labels):
            return True
    return False


def _height(table: Table, indices: Sequence[int], fold: int) -> int:
    """Lines that a block takes."""
    headings = max((len(heading(table.columns[index]).split()) for index in indices), default=1)
    return headings + 2 + sum(max(len(_lines(table, row, index, fold)) for index in indices) for row in table.rows)


def _blocks(table: Table, indices: Sequence[int], width: int, fold: int) -> list[list[int]]:
    labels = [index for index in indices if table.columns[index].is_label]
    room = width - sum(_needed(table, index, fold) + _GAP for index in labels)
    blocks: list[list[int]] = [[]]
    used = 0
    for index in indices:
        if index in labels:
            continue
        need = _needed(table, index, fold) + _GAP
        if blocks[-1] and used + need - _GAP > room:
            blocks.append([])
            used = 0
        blocks[-1].append(index)
        used += need
    return [labels + block for block in blocks]


def _needed(table: Table, index: int, fold: int) -> int:
    """Characters that a column takes: its longest word of a heading, and its longest line."""
    column = table.columns[index]
    words = max(map(cell_len, heading(column).split()), default=0)
    longest = max(words, *(cell_len(line) for row in table.rows for line in _lines(table, row, index, fold)), 1)
    longest += (_BAR + 1) * column.bar
    return longest + (column.kind == "text")


def _lines(table: Table, row: Row, index: int, fold: int) -> list[str]:
    """A value of a row, line by line; labels are folded."""
    column = table.columns[index]
    lines = text(row.values[index], column, signed=row.is_difference).split("\n")
    return [part for line in lines for part in _fitted(line, fold)] if column.kind == "text" else lines


def _fitted(label: str, width: int) -> list[str]:
    """A label in lines of at most ``width`` characters: names in one line that leaves out the middle, sentences folded.

    >>> _fitted("runs/experiments/la_silu-seed11.pt", 22), _fitted("a mean of several", 10)
    (['runs/e…_silu-seed11.pt'], ['a mean of', 'several'])
    """
    if " " in label or cell_len(label) <= width or width < _SHORTEST:
        return _folded(label, width)
    ahead = width // 4 + 1
    return [f"{_head(label, ahead)}…{_head(label[::-1], width - ahead - 1)[::-1]}"]


def _head(label: str, width: int) -> str:
    """The beginning of a text that takes at most ``width`` characters of a terminal, where some letters are two wide."""
    taken = 0
    for place, character in enumerate(label):
        taken += cell_len(character)
        if taken > width:
            return label[:place]
    return label


def _folded(label: str, width: int) -> list[str]:
    """``label`` in lines of at most ``width`` characters, parted after a space or a mark that joins words, if at all possible.

    Numbers, and those that a slash joins, stay whole.

    >>> _folded("resnet20-12fca82f.th", 14), _folded("網絡網絡網絡", 8)
    (['resnet20-', '12fca82f.th'], ['網絡網絡', '網絡'])
    >>> _folded("1.16/0.01 1.21/0.01", 17)
    ['1.16/0.01', '1.21/0.01']
    """
    lines = [""]
    for word in _WORDS.findall(label):
        if cell_len(lines[-1]) + cell_len(word.rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += word
    return [part for line in lines for part in _pieces(line.rstrip(), width)]


def _pieces(line: str, width: int) -> list[str]:
    """A line in pieces of at most ``width`` characters."""
    pieces = [_head(line, width) or line[:1]]
    while rest := line[sum(map(len, pieces)) :]:
        pieces.append(_head(rest, width) or rest[0])
    return [piece.rstrip() for piece in pieces]


def _grid(table: Table, indices: Sequence[int], fold: int) -> RenderableType:
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=0,
    )
    for index in indices:
        column, width = table.columns[index], _needed(table, index, fold)
        name = Text(heading(column))  # no markup: it may be a name that others gave
        grid.add_column(name, justify="left" if column.kind == "text" else "right", min_width=width, max_width=width)
    best_values = {index: best(table, index) for index in indices}
    above: Row | None = None
    for row in table.rows:
        cells = []
        for index in indices:
            value = row.values[index]
            is_best = best_values[index] is not None and number(value) == best_values[index]
            style = "dim" if row.is_difference else "italic" if row.is_published else "bold" if is_best else ""
            lines = _lines(table, row, index, fold)
            if table.columns[index].grouped and above is not None and above.values[index] == value:
                lines = []
            if table.columns[index].bar:
                lines = [f"{lines[0]} {_bar(table, index, value)}", *lines[1:]]
            cells.append(Text("\n".join(lines), style=style))
        grid.add_row(*cells)
        above = row
    return grid


def _bar(table: Table, index: int, value: Value) -> str:
    """A bar of up to _BAR characters, in eighths of one, to be read against the largest of the column."""
    sizes = [abs(known) for row in table.rows if (known := number(row.values[index])) is not None]
    own = number(value)
    eighths = round(8 * _BAR * abs(own) / max(sizes)) if own is not None and max(sizes) > 0 else 0
    return ("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()).ljust(_BAR)
