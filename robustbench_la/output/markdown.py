"""Tables as Markdown, and the one escaper for text that comes from outside."""

from __future__ import annotations

import re
from collections.abc import Sequence

from robustbench_la.analysis.tables.table import Table
from robustbench_la.output.layout import heading, laid_out
from robustbench_la.text import printable

_MARKDOWN = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_{}[]<>|~#$"} | {"&": "&amp;"})
_LINKED = re.compile(r"@(?=\w)|(?<=\w):(?=//)|\bwww(?=\.)|\\#(?=\d)|\bGH(?=-\d)|:(?=[\w+-]+:)", re.IGNORECASE)
"""What GitHub makes links, mentions and emoji of, although it is no markup of Markdown: nothing but a comment parts it."""
_RULE = re.compile(r"[-+=]+(?=\s|$)")
_NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")
"""What begins a list at the beginning of a paragraph, or underlines the one before it."""


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

    >>> print(escaped("a_b | $x$ & <i> by @me"))
    a\_b \| \$x\$ &amp; \<i\> by @<!-- -->me
    """
    shown = _LINKED.sub(lambda found: f"{found[0]}<!-- -->", printable(text).strip().translate(_MARKDOWN))
    return f"\\{shown}" if _RULE.match(shown) else _NUMBERED.sub(r"\1\\\2", shown)
