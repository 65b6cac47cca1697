"""Sets of corrupted images that larobust wrote, or is writing: how their folders are recognised."""

from __future__ import annotations

from pathlib import Path

from robustbench_la.files import exists

MANIFEST = "larobust-set.json"
"""The file in the folder of a set that says what it was made from."""
UNFINISHED = ".larobust-writing"
"""The folder in it for what is not finished."""


def corrupted_remark(folder: Path) -> tuple[str, ...]:
    """What to say of a folder of images that lies within such a set, or is one; nothing of others."""
    place = folder.absolute()
    if not any(exists(above / MANIFEST) for above in (place, *place.parents[:2])):
        return ()
    return ("corrupted images that larobust wrote; --noise clean measures them as they are, other noise corrupts them again",)


def unfinished_remark(root: Path) -> str:
    """That the set in a folder is not finished, and how it will be; empty if it is none, or is finished."""
    if not exists(root / UNFINISHED):
        return ""
    return f"larobust corrupt has not finished this set ({UNFINISHED} is in it); the same command goes on"
