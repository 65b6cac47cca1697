"""Tables as one HTML page that needs nothing but itself: on a screen light or dark, on a phone, in print.

The page is the template page.html next to this file.
"""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_la.analysis.table import Table
from robustbench_la.output.layout import heading, laid_out


def page(tables: Sequence[Table]) -> str:
    """A whole page; everything that comes from outside is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("robustbench_la.output", "."), autoescape=True, undefined=StrictUndefined)
    environment.filters["heading"] = heading
    shown = [{"title": table.title, "notes": table.notes, "grid": laid_out(table)} for table in tables]
    title = tables[0].title if tables else "no results"
    return environment.get_template("page.html").render(title=title, tables=shown, zip=zip) + "\n"
