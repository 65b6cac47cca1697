"""What user code prints: apart from results, and unable to control a terminal or a workflow."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import TextIO

from robustbench_la.text import printable

_LONGEST_LINE = 10_000
"""Characters that are kept back until the line ends."""


class _Shown(io.StringIO):
    """Passes whole lines on, each printable."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._rest = ""

    def write(self, text: str, /) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        if len(self._rest) > _LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], ""
        self._stream.writelines(f"{printable(line)}\n" for line in lines)
        return len(text)

    def finish(self) -> None:
        """Pass on a line that was not ended."""
        if self._rest:
            self.write("\n")


@contextlib.contextmanager
def prints_on_stderr() -> Iterator[None]:
    """Keep what user code prints apart from results: JSON on stdout stays JSON."""
    shown = _Shown(sys.stderr)
    try:
        with contextlib.redirect_stdout(shown):
            yield
    finally:
        shown.finish()
