"""The files that a pattern matches. Behind ``**`` every folder is entered once, however many links lead to it."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_DEEP = re.compile(r"(?:^|(?<=/))(?:\*\*/)+")


def matching(pattern: str) -> list[str]:
    """Find what a glob pattern matches.

    ``glob.glob`` follows links behind ``**``: two links to the folder that they are in would keep it busy for ever.

    Args:
        pattern: With ``*``, ``?``, ``[...]`` and ``**``.

    Returns:
        The paths, sorted, each once. Of a folder that several paths lead to, the one without links.
    """
    first, *others = _DEEP.split(re.sub(r"(^|/)\*\*$", r"\1**/*", pattern))
    found = [first] if others and not first else _glob(first)
    for rest in others:
        found = [path for folder in _folders_below(found) for path in _glob(glob.escape(folder) + rest)]
    return sorted(set(found))


def _glob(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern))  # noqa: PTH207  # Path.glob does not accept absolute patterns


def _folders_below(starts: Iterable[str]) -> Iterator[str]:
    """Folders and those inside them, as beginnings of paths: those without links first; hidden ones are left out."""
    seen: set[str] = set()
    links: list[str] = []
    waiting = list(starts)
    while waiting or links:
        folder = waiting.pop() if waiting else links.pop(0)
        real = os.path.realpath(folder)
        if real in seen or not Path(folder).is_dir():
            continue
        seen.add(real)
        yield folder
        try:
            with os.scandir(folder or ".") as entries:
                inside = [entry for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
        except OSError:  # no permission
            continue
        waiting += [f"{folder}{entry.name}/" for entry in inside if not entry.is_symlink()]
        links += [f"{folder}{entry.name}/" for entry in inside if entry.is_symlink()]
