"""Tables for readers of a paper: activations by the names that papers use, no paths of one's own machine, labels to refer to."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

from robustbench_la.activations import ACTIVATIONS
from robustbench_la.analysis.tables.table import Row, Table
from robustbench_la.output.layout import short_names

_ACTIVATION = re.compile(r"(?<![\w.])(" + "|".join(sorted(ACTIVATIONS, key=len, reverse=True)) + r")(?![\w.]*\w)")
_ACTIVATION_COLUMNS = ("activation", "difference", "pair")
_DATA = re.compile(r"(?<= on )(.+?)(?=, [\d,]+(?: of [\d,]+ \(partial\))? images)")
"""The datasets in the title of a group."""
_PATH = re.compile(
    r"(?<![\w./\\~-])(?:(?:(?:~|\.{1,2})?/|[A-Za-z]:[/\\])(?:[\w.@+-]+[/\\])*([\w.@+-]+)"
    r"|(?:[\w.@+-]+[/\\])+([\w@+-][\w.@+-]*\.[A-Za-z]\w*))"
)
"""What nothing but a path looks like: it starts at the root, at home or where one is, or ends with the suffix of a file."""
_LAST = re.compile(r"[/\\]")
"""Between the parts of a path, on any system."""
_IN_FILE = re.compile(r"(?<![\w.@+-])[\w.@+-]+\.py:(\w+)")
"""A network of a file of the user's."""


def named_for_readers(table: Table, *, show_paths: bool) -> Table:
    """A table with names for readers.

    Args:
        table: Any table.
        show_paths: Whether to keep paths as they are.

    Returns:
        The table, with other texts and the same numbers.
    """
    clean = (lambda text: text) if show_paths else partial(without_paths, known=_known(table))
    rows = table.rows if show_paths else _without_folders(table)
    return replace(
        table,
        title=clean(table.title) if show_paths else clean(_DATA.sub(lambda found: _datasets(found[1]), table.title)),
        rows=tuple(_named(row, table) for row in rows),
        notes=tuple(map(clean, table.notes)),
    )


def without_paths(text: str, known: Collection[str] = ()) -> str:
    """A text with the last part of each path.

    Args:
        text: Any text.
        known: Paths that it may contain; others are recognised if they look like nothing else.

    >>> without_paths("models/net.py:Net of /home/me/runs/best.pt, fluctuation / input, 1.5/2, ResNet/20, N/A")
    'Net of best.pt, fluctuation / input, 1.5/2, ResNet/20, N/A'
    >>> without_paths("runs/my nets/best.pt (aaaaaaaa)", ["runs/my nets/best.pt"])
    'best.pt (aaaaaaaa)'
    """
    paths = sorted((path for path in known if _LAST.search(path)), key=len, reverse=True)
    if paths:
        either = "|".join(map(re.escape, paths))
        text = re.sub(rf"(?<![\w./\\~-])(?:{either})(?![\w/\\])", lambda found: _LAST.split(found[0].rstrip("/\\"))[-1], text)
    return _IN_FILE.sub(r"\1", _PATH.sub(lambda found: found[1] or found[2], text))


def _known(table: Table) -> list[str]:
    """Paths that a table names: those it says, and its checkpoints."""
    index = next((at for at, column in enumerate(table.columns) if column.name == "checkpoint"), None)
    named = [] if index is None else [str(row.values[index]) for row in table.rows if not row.is_difference]
    return [*table.paths, *(name for name in named if not name.endswith(")"))]  # what follows a name in brackets is no path


def _datasets(names: str) -> str:
    """Datasets without the folders that they are in; of a folder of images, its name and that of the folder around it.

    >>> _datasets("cifar10:/data/cifar"), _datasets("folder:/home/me/cifar10-jpeg/val")
    ('cifar10', 'cifar10-jpeg val')
    """
    shown = []
    for name in names.split(" = "):
        kind, _, root = name.partition(":")
        parts = [part for part in PurePosixPath(root.replace("\\", "/")).parts if part not in ("/", ".", "..", "~")]
        shown.append(" ".join(parts[-2:]) if kind == "folder" and parts else kind)
    return " = ".join(dict.fromkeys(shown))


def _without_folders(table: Table) -> tuple[Row, ...]:
    """Rows whose text columns hold no folders, unless these alone tell rows apart."""
    rows, known = list(table.rows), _known(table)
    for index, column in enumerate(table.columns):
        if column.kind != "text":
            continue
        texts = list(dict.fromkeys(value for row in rows if isinstance(value := row.values[index], str)))
        parts = list(dict.fromkeys(part for text in texts for part in text.split(" − ")))
        short = {part: without_paths(part, known) for part in parts}
        if len(set(short.values())) < len(parts):
            own = {part: os.sep.join(_LAST.split(part)) for part in parts}  # noqa: PTH118 - of any system
            named = short_names(list(own.values()))
            short = {part: named[own[part]] for part in parts}
        names = {text: " − ".join(short[part] for part in text.split(" − ")) for text in texts}
        rows = [
            replace(
                row, values=(*row.values[:index], names.get(str(row.values[index]), row.values[index]), *row.values[index + 1 :])
            )
            for row in rows
        ]
    return tuple(rows)


def _named(row: Row, table: Table) -> Row:
    """A row with the labels of activations where it says activations; rows of differences do so in their first column."""
    values = tuple(
        _ACTIVATION.sub(lambda found: ACTIVATIONS[found[1]].label, value)
        if isinstance(value, str) and (column.name in _ACTIVATION_COLUMNS or (row.is_difference and index == 0))
        else value
        for index, (column, value) in enumerate(zip(table.columns, row.values, strict=True))
    )
    return replace(row, values=values)


def unique_labels(titles: Sequence[str]) -> list[str]:
    """A label of LaTeX for each title.

    >>> unique_labels(["Top-1 accuracy: mlp on mnist, 200 images", "Top-1 accuracy: mlp on mnist, 100 images", "Tests: a"])
    ['tab:top-1-accuracy-mlp-on-mnist', 'tab:top-1-accuracy-mlp-on-mnist-2', 'tab:tests-a']
    """
    labels: list[str] = []
    for title in titles:
        words = re.findall(r"[a-z0-9]+", re.split(r", [\d,]+ ", title, maxsplit=1)[0].lower())
        label = "tab:" + "-".join(words)
        numbered = (f"{label}-{number}" for number in itertools.count(2))
        labels.append(label if label not in labels else next(other for other in numbered if other not in labels))
    return labels
