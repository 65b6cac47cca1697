"""Tables as one HTML page that needs nothing but itself: on a screen light or dark, on a phone, in print."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from robustbench_la.analysis.table import Table
from robustbench_la.output.layout import heading, laid_out

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --dim: #5c5c5c; --rule: #d4d4d4; --band: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #16181b; --dim: #a3a3a3; --rule: #3a3d42; --band: #1f2327; }
}
body { margin: 0 auto; padding: 1rem; max-width: 90rem; color: var(--ink); background: var(--paper);
  font: 16px/1.45 system-ui, sans-serif; }
section { margin-bottom: 2.5rem; }
h2 { font-size: 1.1rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .6rem; text-align: right; vertical-align: top; white-space: nowrap; }
thead th { border-bottom: 2px solid var(--rule); vertical-align: bottom; white-space: normal; }
tbody th, tbody td { border-bottom: 1px solid var(--rule); }
.label { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 6rem; }
tbody th { font-weight: normal; position: sticky; left: 0; background: var(--paper); }
.difference td, .difference th { color: var(--dim); background: var(--band); }
.published td, .published th { font-style: italic; }
small { display: block; color: var(--dim); font-weight: normal; }
p { margin: .4rem 0; max-width: 110ch; font-size: .85rem; color: var(--dim); overflow-wrap: anywhere; }
@media print {
  :root { --ink: #000; --paper: #fff; --dim: #333; --rule: #999; --band: #fff; }
  .wide { overflow: visible; } table { font-size: .65rem; } th, td { padding: .15rem .3rem; }
  tr { break-inside: avoid; } tbody th { position: static; }
}
"""


def page(tables: Sequence[Table]) -> str:
    """A whole page; everything that comes from outside is escaped."""
    body = "\n".join(_section(table) for table in tables)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>larobust: {escape(tables[0].title if tables else 'no results')}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _section(table: Table) -> str:
    grid = laid_out(table)
    names = "".join(f'<th scope="col"{_label(column.kind == "text")}>{escape(heading(column))}</th>' for column in grid.columns)
    lines = []
    for row in grid.rows:
        kind = ' class="difference"' if row.is_difference else ' class="published"' if row.is_published else ""
        cells = []
        for place, (column, cell) in enumerate(zip(grid.columns, row.cells, strict=True)):
            first, *rest = [escape(part) for part in cell.parts]
            shown = (f"<b>{first}</b>" if cell.is_best else first) + "".join(f"<small>{part}</small>" for part in rest)
            tag = 'th scope="row"' if place == 0 else "td"
            cells.append(f"<{tag}{_label(column.kind == 'text')}>{shown}</{tag.split()[0]}>")
        lines.append(f"<tr{kind}>{''.join(cells)}</tr>")
    shared = "".join(f"<p>{escape(name)}: {escape(value)}</p>\n" for name, value in grid.shared)
    notes = "\n".join(f"<p>{escape(note)}</p>" for note in table.notes)
    rows = "\n".join(lines)
    return (
        f"<section>\n<h2>{escape(table.title)}</h2>\n{shared}"
        f'<div class="wide"><table>\n<thead><tr>{names}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>\n'
        f"{notes}\n</section>"
    )


def _label(is_text: bool) -> str:
    return ' class="label"' if is_text else ""
