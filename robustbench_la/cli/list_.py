"""``larobust list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_la.cli import options
from robustbench_la.errors import lookup

if TYPE_CHECKING:
    from robustbench_la.compare import Table

HELP = """Show what there is: corruptions, activations, architectures or datasets.

Example: larobust list corruptions"""


def command(
    what: Annotated[str, typer.Argument(help="corruptions, activations, architectures or datasets.", show_default=False)],
    json_: options.Json = False,
) -> None:
    """Read the argument, print the table."""
    import json

    table = lookup({"corruptions": _corruptions, "activations": _activations, "architectures": _architectures, "datasets": _datasets}, what, kind="list")()  # fmt: skip
    if json_:
        names = [column.name for column in table.columns]
        print(json.dumps([dict(zip(names, row.values, strict=True)) for row in table.rows], indent=1))
        return
    from rich.console import Console

    from robustbench_la import render

    Console(highlight=False).print(render.terminal(table))


def _table(title: str, names: tuple[str, ...], rows: list[tuple[str, ...]], *notes: str) -> Table:
    from robustbench_la.compare import Column, Row, Table

    return Table(
        title=title, columns=tuple(Column(name=name) for name in names), rows=tuple(Row(values=row) for row in rows), notes=notes
    )


def _corruptions() -> Table:
    from corruptions import CORRUPTIONS, GROUPS, PROFILES

    rows = [
        (name, ", ".join(entry.aliases), entry.group, entry.parameter, profile, " ".join(f"{level:g}" for level in entry.levels[profile]))
        for name, entry in CORRUPTIONS.items()
        for profile in PROFILES
    ]
    return _table(
        "Corruptions",
        ("name", "aliases", "group", "level", "profile", "severity 1 to 5"),
        rows,
        "Profiles: " + "; ".join(f"{name}: {summary}" for name, summary in PROFILES.items()) + ".",
        "Groups: " + "; ".join(f"{name}: {summary}" for name, summary in GROUPS.items()) + ".",
    )


def _activations() -> Table:
    from robustbench_la.activations import ACTIVATIONS

    rows = [(name, entry.level, entry.formula, entry.counterpart or "") for name, entry in ACTIVATIONS.items()]
    return _table(
        "Activations",
        ("name", "level", "scale", "counterpart"),
        rows,
        "Output = y x scale. u = y, the pre-activation; n = (y - mean) / sqrt(variance + alpha) over the sample's layer.",
    )


def _architectures() -> Table:
    from robustbench_la.models import ARCHITECTURES, PATTERNS

    rows = [(name, entry.summary) for name, entry in ARCHITECTURES.items()]
    return _table("Architectures", ("name", "what"), rows + list(PATTERNS.items()))


def _datasets() -> Table:
    from robustbench_la.data import DATASETS

    rows = [(f"{name}:ROOT" if entry.needs_root else name, entry.summary) for name, entry in DATASETS.items()]
    return _table("Datasets", ("name", "what"), rows)
