"""``larobust forget``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from robustbench_la.cli import filters, options
from robustbench_la.cli.streams import say

HELP = """Remove the results that match every filter; shows them and asks first.

The file keeps its size; later results use the space."""
EXAMPLE = "Example: larobust forget --ckpt 'runs/old-*.pt' --noise fog"


Yes = Annotated[bool, options.switch("--yes", "-y", help="Do not ask.", panel=options.OUTPUT)]


def command(
    ckpt: filters.Checkpoint = None,
    activation: filters.Activation = None,
    arch: filters.Arch = None,
    data: filters.Data = None,
    noise: filters.Noise = None,
    severity: filters.Severity = None,
    noise_seed: filters.NoiseSeed = None,
    yes: Yes = False,
    store: options.Store = None,
) -> None:
    """Read arguments, show, ask, remove."""
    from robustbench_la.analysis.tables.store_tables import overview
    from robustbench_la.errors import NothingSelectedError, UserError
    from robustbench_la.output import terminal
    from robustbench_la.store.filters import select
    from robustbench_la.store.schema import EVERYTHING
    from robustbench_la.store.store import Store

    path = options.store_path(store)
    selection = select(ckpt, activation, arch, data, noise, severity, noise_seed, of=path)
    if selection == EVERYTHING:
        raise UserError(f"nothing to forget; give a filter such as --ckpt or --noise (to forget everything, delete {path})")
    with Store(path, reading=True) as opened:
        cells, layers = opened.cells(selection), opened.layers(selection, statistics=False)
    if not cells and not layers:
        raise NothingSelectedError(f"{path} holds nothing that matches")
    terminal.show([overview(cells, layers, path)])
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("no terminal to ask on; give --yes to remove these")
        if not typer.confirm("Remove these?", err=True):
            say("nothing was removed")
            return
    with Store(path) as opened:
        gone, records = opened.forget(selection)
    say(f"{gone:,} cells removed" + (f", {records:,} layer records" if records else ""))
