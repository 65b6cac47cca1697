"""Tables as Markdown, and the one escaper for text that comes from outside."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_la.analysis.tables.table import Table
from robustbench_la.output.layout import heading, laid_out

_MARKDOWN = str.maketrans(
    {mark: f"\\{mark}" for mark in "\\`*_{}[]<>|~#$"} | dict.fromkeys("\t\n\v\f\r\x85\u2028\u2029", " ") | {"&": "&amp;"}
)


def tables_markdown(tables: Sequence[Table]) -> str:
    """Tables as GitHub renders them: numbers to the right, the best of a column bold, differences in italics."""
    return "\n".join(_markdown(table) for table in tables)


def _markdown(table: Table) -> str:
    grid = laid_out(table)
    above = [f"{escaped(name)}: {escaped(value)}  " for name, value in grid.shared]
    names = [escaped(heading(column)) for column in grid.columns]
    rules = [":--" if column.kind == "text" else "--:" for column in grid.columns]
    rows = []
    for row in grid.rows:
        style = "*" if row.is_difference or row.is_published else ""
        cells = []
        for cell in row.cells:
            mark = "**" if cell.is_best else style if cell.text.strip() else ""
            cells.append(f"{mark}{escaped(cell.text)}{mark}")
        rows.append(cells)
    lines = [f"| {' | '.join(cells)} |" for cells in (names, rules, *rows)]
    notes = [line for note in grid.notes for line in ("", escaped(note))]
    return "\n".join([f"### {escaped(grid.title)}", "", *above, *([""] if above else []), *lines, *notes, ""])


def escaped(text: str) -> str:
    r"""A text on one line, without anything that Markdown or HTML would take for markup.

    >>> print(escaped("a_b | $x$ #1 & <i>"))
    a\_b \| \$x\$ \#1 &amp; \<i\>
    """
    return text.translate(_MARKDOWN)
