"""Tables as HTML: a page that needs nothing but itself (on a screen light or dark, on a phone, in print), or a part of a page.

The templates page.html, fragment.html and tables.html are next to this file.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from robustbench_la.analysis.tables.table import Table
from robustbench_la.output.layout import heading, laid_out, readable
from robustbench_la.text import printable

if TYPE_CHECKING:
    from jinja2 import Environment


def page(tables: Sequence[Table]) -> str:
    """A whole page; everything that comes from outside is escaped."""
    return _rendered("page.html", tables, title=readable(tables[0]).title if tables else "no results")


def fragment(tables: Sequence[Table], *, headline: str = "", remarks: Sequence[str] = ()) -> str:
    """Tables as a part of a page, such as the output of a notebook's cell; everything that comes from outside is escaped.

    Args:
        tables: What is shown.
        headline: A line above them.
        remarks: Lines below them.
    """
    return _rendered("fragment.html", tables, headline=printable(headline), remarks=list(map(printable, remarks)))


def _rendered(template: str, tables: Sequence[Table], **more: object) -> str:
    return templates().get_template(template).render(tables=list(map(laid_out, tables)), zip=zip, **more) + "\n"


@functools.cache
def templates() -> Environment:
    """The templates in this folder, which escape all that is filled in."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("robustbench_la.output", "."), autoescape=True, undefined=StrictUndefined)
    environment.filters["heading"] = heading
    return environment
