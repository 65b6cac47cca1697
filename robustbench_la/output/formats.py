"""The formats that tables can be written in, and which of them a file's name asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from robustbench_la.analysis.tables.table import Table
from robustbench_la.errors import UserError
from robustbench_la.output.html import page
from robustbench_la.output.json_documents import tables_document
from robustbench_la.output.latex import latex
from robustbench_la.output.markdown import tables_markdown
from robustbench_la.output.terminal import plain
from robustbench_la.output.tidy_csv import tidy

FORMATS: Mapping[str, Callable[[Sequence[Table]], str]] = MappingProxyType(
    {"text": plain, "markdown": tables_markdown, "latex": latex, "csv": tidy, "json": tables_document, "html": page}
)
"""Name -> function from tables to text."""
_SUFFIXES = {
    ".txt": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".tex": "latex",
    ".csv": "csv",
    ".json": "json",
    ".html": "html",
    ".htm": "html",
}


def format_for(name: str) -> str:
    """The format that a file's name asks for.

    Raises:
        UserError: for a name without a known suffix.
    """
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    if suffix not in _SUFFIXES:
        raise UserError(f"{name}: cannot tell the format from the name; end it in {', '.join(_SUFFIXES)}, or give --format")
    return _SUFFIXES[suffix]
