"""Files that a system still holds in memory, written to disk: those of one file system, not of the whole machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path


def flush(folder: Path) -> None:
    """Wait until what was written into a folder is on disk, as far as the system can do that."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows, where folders cannot be opened
        return
    if not _flush_file_system(folder):
        for path, _, files in os.walk(folder):
            for name in (*files, ""):
                _flush_one(Path(path, name))


def _flush_file_system(folder: Path) -> bool:
    """Flush the file system of a folder at once. False where the C library has no such function, or it fails."""
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):  # macOS
        return False
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return bool(syncfs(descriptor) == 0)
    finally:
        os.close(descriptor)


def _flush_one(path: Path) -> None:
    with contextlib.suppress(OSError):  # a file system that cannot, or a link to nothing
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
