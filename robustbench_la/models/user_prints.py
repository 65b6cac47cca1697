"""What user code prints: apart from results, and unable to control a terminal or a workflow."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from robustbench_la.text import printable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_LONGEST_LINE = 10_000
"""Bytes that are kept back until the line ends."""


class _Shown(io.RawIOBase):
    """Passes whole lines of UTF-8 on, each printable. The stream that it passes them on to lends it its file descriptor."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._rest = b""

    def writable(self) -> bool:
        """Whether bytes can be written."""
        return True

    def fileno(self) -> int:
        """What code that writes past Python, such as faulthandler, writes to."""
        return self._stream.fileno()

    def write(self, content: ReadableBuffer, /) -> int:
        """Pass on the lines that end, and keep the rest."""
        added = bytes(content)
        *lines, self._rest = (self._rest + added).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        self._stream.writelines(f"{printable(line.decode(errors='replace'))}\n" for line in lines)
        return len(added)

    def close(self) -> None:
        """Pass on a line that was not ended. What user code closes, or wraps and forgets, can still be written to."""
        if self._rest:
            self.write(b"\n")


@contextlib.contextmanager
def prints_on_stderr() -> Iterator[None]:
    """Keep what user code prints apart from results: JSON on stdout stays JSON."""
    shown = _Shown(sys.stderr)
    # A real text file: user code reconfigures its standard output, writes bytes to its buffer, asks for its encoding.
    text = io.TextIOWrapper(shown, encoding="utf-8", errors="backslashreplace", write_through=True)  # type: ignore[type-var]
    try:
        with contextlib.redirect_stdout(text):
            yield
    finally:
        shown.close()
