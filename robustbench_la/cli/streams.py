"""stdout and stderr whose reader may go away, as in ``larobust list corruptions | head``."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import textwrap
import warnings
from pathlib import Path
from typing import TextIO

from robustbench_la.text import clipped, printable

_COMMAND = re.compile(r": (larobust [a-z]+|sqlite3) ")
"""How a command begins that a message suggests."""
_LONGEST_WORD = 500
"""Characters of a name in a message; longer ones leave out their middle."""


class _Descriptor(io.FileIO):
    """An open file descriptor; what its reader, who has gone, or its full disk does not take is dropped, and nothing fails."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.failure: OSError | None = None

    def write(self, content: object, /) -> int:
        try:
            return super().write(content)  # type: ignore[arg-type]  # any bytes-like object, which the two stubs name differently
        except OSError as error:
            self.failure = self.failure or error
            return memoryview(content).nbytes  # type: ignore[arg-type]  # as above


_stdout: _Descriptor | None = None


def say(message: object, *, on: TextIO | None = None) -> None:
    """Print one line, in which names from outside hide nothing and do nothing; a terminal shows it wrapped.

    Args:
        message: What to say.
        on: Where; stderr if not given.
    """
    stream, text = sys.stderr if on is None else on, clipped(printable(str(message)), word=_LONGEST_WORD)
    if stream.isatty() and not _COMMAND.search(text):  # a command is copied as a line
        text = textwrap.fill(text, shutil.get_terminal_size().columns, break_long_words=False, break_on_hyphens=False)
    print(text, file=stream)


def install() -> None:
    """Let output that nobody reads any more end no measurement, hide no verdict and leave no file unwritten.

    stderr holds progress and remarks: whatever happens to it is ignored. What happens to stdout is in `stdout_failure`.
    """
    global _stdout
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  # open as long as the process lives
    stdout: TextIO = sys.stdout
    stderr: TextIO = sys.stderr
    if os.name != "posix" or stdout is not sys.__stdout__ or stderr is not sys.__stderr__:
        return
    _stdout = _Descriptor(stdout.fileno())
    # A terminal without − or √ shows ? and loses nothing.
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_stdout), encoding=stdout.encoding, errors="replace", line_buffering=stdout.isatty()
    )
    warnings.showwarning = _show_warning
    unheard = _Descriptor(stderr.fileno())
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(unheard), encoding=stderr.encoding, errors="backslashreplace", line_buffering=True
    )


def _show_warning(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
    """A warning of a library on one line: it may repeat what a file holds."""
    say(f"{category.__name__}: {message}")


def stdout_failure() -> OSError | None:
    """Why something that was printed is not on stdout; None if all is."""
    return None if _stdout is None else _stdout.failure
