"""What ``larobust --help`` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from robustbench_la.cli.commands import ABOUT, EXIT_CODES

if TYPE_CHECKING:
    from rich.panel import Panel

    from robustbench_la.cli.commands import Entry

_FIRST = 13
"""Characters of the column of names."""


def print_overview(commands: Mapping[str, Entry], options: Sequence[tuple[str, str]]) -> None:
    """The commands by panel, then the options, as wide as the terminal is.

    Args:
        commands: By name.
        options: Flags and help of each option that comes before a command.
    """
    from rich.console import Console
    from rich.padding import Padding

    console = Console(highlight=False)
    console.print(Padding("Usage: [bold]larobust COMMAND[/] ...   ([bold]larobust COMMAND --help[/] explains one)", (1, 1)))
    console.print(Padding(ABOUT, (0, 1, 1, 1)))
    for panel in dict.fromkeys(entry.panel for entry in commands.values()):
        rows = [(name, entry.summary) for name, entry in commands.items() if entry.panel == panel]
        console.print(_panel(panel, rows))
    console.print(_panel("Options", options))
    console.print(Padding(EXIT_CODES, (1, 1)))


def _panel(title: str, rows: Iterable[tuple[str, str]]) -> Panel:
    from rich import box
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, expand=True, pad_edge=False)
    table.add_column(style="bold cyan", no_wrap=True, min_width=_FIRST)
    table.add_column(ratio=1)
    for name, summary in rows:
        table.add_row(Text(name), Text(summary))
    return Panel(table, title=title, title_align="left", border_style="dim", box=box.ROUNDED)
