"""``larobust merge``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_la.cli import options
from robustbench_la.cli.streams import say

if TYPE_CHECKING:
    from robustbench_la.records.cells import Cell

HELP = """Join stores, such as those of several machines, into one.

OUTPUT may exist already, or be one of the FILES: the cells it is missing are added, in the order of the FILES. If two files hold
the same cell with different answers (another device can change a few), the first is kept and the conflict is reported."""
EXAMPLE = "Example: larobust merge here.sqlite there.sqlite -o all.sqlite"

_SHOWN = 3
"""How many conflicts are named."""


Files = Annotated[list[str], typer.Argument(metavar="FILES", help="Stores to join.", show_default=False)]
Written = Annotated[
    str, typer.Option("--output", "-o", metavar="OUTPUT", help="The store to write.", rich_help_panel=options.OUTPUT)
]


def command(files: Files, output: Written) -> None:
    """Read arguments, join, report."""
    from robustbench_la.errors import UserError
    from robustbench_la.files import is_missing, is_same, similar_files
    from robustbench_la.store.merge import merge
    from robustbench_la.store.store import Store, check

    target = Path(output)
    for file in files:
        if is_missing(Path(file)):
            raise UserError(f"{file} does not exist; give stores that larobust wrote{similar_files(Path(file))}")
    check(target)
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(Store(Path(file), reading=True)) for file in files]  # all, before anything is written
        with Store(target) as joined:
            for source in sources:
                if is_same(source.path, target):
                    continue
                merged = merge(joined, source)
                say(f"{source.path}: {merged.added:,} added, {merged.present:,} were present already")
                if merged.conflicting:
                    say(_conflict(source.path, target, merged.conflicting))


def _conflict(source: Path, target: Path, cells: tuple[Cell, ...]) -> str:
    named = ", ".join(f"{cell.network.checkpoint} under {cell.condition}" for cell in cells[:_SHOWN])
    more = f" and {len(cells) - _SHOWN:,} more" if len(cells) > _SHOWN else ""
    return f"{source}: {len(cells):,} have other answers than in {target}, which are kept: {named}{more}"
