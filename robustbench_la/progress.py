"""Progress on stderr, for a person who waits. Nothing is shown where stderr is not a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

Advance = Callable[[int], None]
Meter = Callable[[str, int], AbstractContextManager[Advance]]
"""From (what is being done, how many items) to a context that gives ``advance(items done since)``."""


@contextlib.contextmanager
def silent(what: str, total: int) -> Iterator[Advance]:
    """Shows nothing."""
    yield lambda _: None


def bar(unit: str) -> Meter:
    """A progress bar that shows ``unit`` per second and the time left."""

    @contextlib.contextmanager
    def meter(what: str, total: int) -> Iterator[Advance]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
        from rich.text import Text

        class Rate(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{task.speed:,.0f} {unit}/s" if task.speed else "")

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task(what, total=total)
            yield lambda items: progress.advance(task, items)

    return meter
