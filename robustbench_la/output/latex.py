"""Tables as LaTeX with booktabs, each a `table` with its notes under it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from robustbench_la.analysis.tables.table import Table
from robustbench_la.output.for_readers import named_for_readers, unique_labels
from robustbench_la.output.layout import heading, laid_out
from robustbench_la.text import printable

_SPECIAL = {
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": "'",
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "σ": r"$\sigma$",
    "²": r"$^2$",
    "×": r"$\times$",
    # At the beginning of a row, \\ would take these for its own.
    "*": "{*}",
    "[": "{[}",
    "]": "{]}",
}
_NEGATIVE = re.compile(r"(?<![\w.,-])-(?=\d)")
"""The hyphen in front of a negative number."""
_SMALL, _SMALLER = 8, 12
"""Columns above which the type is smaller."""
_PREAMBLE = """% Needs \\usepackage{booktabs} and \\usepackage{graphicx}. larobust compare
"""


def latex(tables: Sequence[Table], *, show_paths: bool = False) -> str:
    """One `table` environment each, with a label, to be put into a document with booktabs and graphicx.

    What is too wide for the line is made smaller as a whole; letters beyond Latin-1 become ?, as pdflatex has none of them.
    Activations have the names that papers use.

    Args:
        tables: What is shown.
        show_paths: Whether to write the paths of files and folders, which say nothing to readers of a paper.
    """
    shown = [named_for_readers(table, show_paths=show_paths) for table in tables]
    labels = unique_labels([table.title for table in shown])
    return _PREAMBLE + "\n".join(_table(table, label) for table, label in zip(shown, labels, strict=True))


def escaped(text: str) -> str:
    """A text as LaTeX shows it.

    >>> escaped("a_b & 50%")
    'a\\\\_b \\\\& 50\\\\%'
    """
    return "".join(_SPECIAL.get(mark, mark if ord(mark) < 0x180 else "?") for mark in printable(text))


def _table(table: Table, label: str) -> str:
    grid = laid_out(table)
    alignment = "".join("l" if column.kind == "text" else "r" for column in grid.columns)
    lines = [" & ".join(_heading(heading(column)) for column in grid.columns) + r" \\", r"\midrule"]
    for row in grid.rows:
        cells = []
        for cell, column in zip(row.cells, grid.columns, strict=True):
            shown = escaped(cell.text) if column.kind == "text" else _numbers(cell.text)
            style = "textbf" if cell.is_best else "textit" if (row.is_difference or row.is_published) and shown else ""
            cells.append(f"\\{style}{{{shown}}}" if style else shown)
        lines.append(" & ".join(cells) + r" \\")
    shared = [f"{escaped(name)}: {escaped(value)}." for name, value in grid.shared]
    notes = "\n".join(f"\\par {note}" for note in [*shared, *(escaped(_NEGATIVE.sub("−", note)) for note in grid.notes)])
    body = "\n".join([f"\\begin{{tabular}}{{{alignment}}}", r"\toprule", *lines, r"\bottomrule", r"\end{tabular}"])
    count = len(grid.columns)
    size = r"\scriptsize" if count > _SMALLER else r"\footnotesize" if count > _SMALL else r"\small"
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            f"\\caption{{{escaped(grid.title)}}}",
            f"\\label{{{label}}}",
            size,
            # Made smaller where it is wider than the line, and never larger.
            r"\sbox0{%",
            body + "}",
            r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi",
            r"\par\smallskip\raggedright\footnotesize",
            notes,
            r"\end{table}",
            "",
        ]
    )


def _numbers(text: str) -> str:
    """Numbers with true minus signs and powers of ten.

    >>> print(_numbers("-2.5 (8.97e-05)"))
    $-$2.5 (8.97$\\times10^{-5}$)
    """
    shown = escaped(text.replace("-", "−"))
    return re.sub(r"e(\$-\$)?\+?0*(\d+)", lambda found: f"$\\times10^{{{'-' if found[1] else ''}{found[2]}}}$", shown)


def _heading(name: str) -> str:
    """A heading in lines of its own where it has several words."""
    words = [escaped(word) for word in name.split()]
    if len(words) < 2:
        return "".join(words)
    return "\\shortstack{" + r"\\".join(words) + "}"
