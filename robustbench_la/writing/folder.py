"""The folder that a set is written into: whether it may be, and that one process writes at a time. What is not finished is in a
hidden folder of its own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from robustbench_la.errors import RunError, UserError
from robustbench_la.files import check_writable
from robustbench_la.images.written_sets import UNFINISHED
from robustbench_la.writing.manifest import MANIFEST

_OF_SYSTEMS = ("Thumbs.db", "desktop.ini")
"""Files that file managers leave in folders, as they leave hidden ones."""
_LOCK = "lock"
_TRIES = 100


def check_output(output: Path) -> None:
    """Raise UserError unless a set can be written into a folder, or go on there; leaves nothing behind."""
    check_writable(output / MANIFEST)
    if (output / MANIFEST).is_file() or not output.is_dir():
        return
    others = sorted(entry.name for entry in output.iterdir() if not entry.name.startswith(".") and entry.name not in _OF_SYSTEMS)
    if others:
        raise UserError(f"{output} holds other files, such as {others[0]}; give a new or an empty folder with -o")


@contextlib.contextmanager
def claimed(output: Path) -> Iterator[Path]:
    """Keep other processes from writing into a folder. Yields the folder for what is not finished; both are made if needed.

    Raises:
        RunError: If another process is writing there, or nothing can be made there.
    """
    made, unfinished = not output.exists(), output / UNFINISHED
    try:
        lock = _locked(unfinished)
    except OSError as error:
        raise RunError(f"cannot write to {output}: {error.strerror}") from None
    if lock is None:
        raise RunError(f"another process is writing to {output}; wait until it has finished, or give another folder with -o")
    try:
        yield unfinished
    finally:
        with contextlib.suppress(OSError):
            (unfinished / _LOCK).unlink()
        os.close(lock)
        with contextlib.suppress(OSError):  # what is not finished stays, and so do the folders around it
            unfinished.rmdir()
            if made:
                output.rmdir()


def _locked(folder: Path) -> int | None:
    """The descriptor of a locked file in a folder; None if another process has locked it."""
    for _ in range(_TRIES):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
        except FileNotFoundError:  # a process that has just finished removed the folder
            continue
        if not _lock(lock):
            os.close(lock)
            return None
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(lock), os.stat(folder / _LOCK)):  # noqa: PTH116
                return lock
        os.close(lock)  # a process that has just finished removed the file
    return None


def _lock(descriptor: int) -> bool:
    """Lock a file as long as the process lives. False if another has; True also where files cannot be locked."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: two processes would write the same bytes, and one of them fail
        pass
    return True
