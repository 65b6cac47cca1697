"""Progress bars: on stderr if it is a terminal, below the cell in a notebook, nowhere else."""

from __future__ import annotations

import contextlib
import html
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from robustbench_la.text import clipped, printable

Advance = Callable[[int], None]
Meter = Callable[[str, int], AbstractContextManager[Advance]]
"""Takes (what is being done, total number of items); the context yields ``advance(items done since the last call)``."""
_LONGEST = 40
"""Characters of a name next to a bar."""
_PAUSE = 0.2
"""Seconds between two updates in a notebook."""


@contextlib.contextmanager
def silent(what: str, total: int) -> Iterator[Advance]:
    """Shows nothing."""
    yield lambda _: None


def bar(unit: str) -> Meter:
    """A progress bar with the rate and the time left.

    Args:
        unit: What is counted, in the plural, such as ``images``.

    Returns:
        The meter to pass on to a measurement.
    """
    return _notebook_bar(unit) if _in_notebook() else _terminal_bar(unit)


def _terminal_bar(unit: str) -> Meter:
    @contextlib.contextmanager
    def meter(what: str, total: int) -> Iterator[Advance]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
        from rich.text import Text

        class Rate(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{task.speed:,.0f} {unit}/s" if task.speed else "")

        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task(_named(what), total=total)
            yield lambda items: progress.advance(task, items)

    return meter


def _named(what: str) -> str:
    """What is done, which may name a file of the user's."""
    return clipped(printable(what), word=_LONGEST)


def _in_notebook() -> bool:
    """Whether the process is a Jupyter kernel; IPython in a terminal does not count."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def _notebook_bar(unit: str) -> Meter:
    """A bar in plain HTML, which every notebook shows without extra packages. It disappears once the work is done."""

    @contextlib.contextmanager
    def meter(what: str, total: int) -> Iterator[Advance]:
        import IPython.display

        def shown(seconds: float) -> object:
            return IPython.display.HTML(_html(what, done, total, seconds, unit))  # type: ignore[no-untyped-call]  # IPython's

        done = 0
        handle = IPython.display.display(shown(0.0), display_id=True)  # type: ignore[no-untyped-call]  # IPython's
        started = updated = time.monotonic()

        def advance(items: int) -> None:
            nonlocal done, updated
            done += items
            now = time.monotonic()
            if now - updated >= _PAUSE:
                updated = now
                handle.update(shown(now - started))

        try:
            yield advance
        finally:
            handle.update(IPython.display.HTML(""))  # type: ignore[no-untyped-call]  # IPython's

    return meter


def _html(what: str, done: int, total: int, seconds: float, unit: str) -> str:
    """A bar with text next to it.

    >>> _html("evaluating", 50, 200, 10.0, "images")
    'evaluating <progress max="200" value="50"></progress> 50/200, 5 images/s, 30 s left'
    """
    rate = done / seconds if seconds else 0.0
    speed = f", {rate:,.0f} {unit}/s, {(total - done) / rate:,.0f} s left" if rate else ""
    return f'{html.escape(_named(what))} <progress max="{total}" value="{done}"></progress> {done:,}/{total:,}{speed}'
