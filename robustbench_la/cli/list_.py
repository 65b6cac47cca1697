"""``larobust list``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_la.cli import completion, options
from robustbench_la.errors import UserError, lookup

if TYPE_CHECKING:
    from corruptions import Corruption
    from robustbench_la.analysis.tables.table import Table

HELP = """List the known corruptions, activations, architectures or datasets."""
EXAMPLE = "Example: larobust list corruptions"


def command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="corruptions, activations, architectures or datasets.",
            show_default=False,
            autocompletion=completion.lists,
        ),
    ],
    detail: Annotated[
        bool,
        options.switch(
            "--detail",
            help="Of corruptions, also parameters, and how they compare with the published code.",
            panel=options.OUTPUT,
        ),
    ] = False,
    json_: options.Json = False,
) -> None:
    """Read the argument, print the table."""
    import json

    tables = lookup(_LISTS, what, kind="list")()
    if detail:
        if what != "corruptions":
            raise UserError(f"--detail is for corruptions; there is no more to tell of {what}")
        tables += corruption_details()
    if json_:
        rows = [
            dict(zip([column.name for column in table.columns], row.values, strict=True))
            for table in tables
            for row in table.rows
        ]
        print(json.dumps(rows, indent=1))
        return
    from robustbench_la.output import terminal

    terminal.show(tables)


def _table(title: str, names: tuple[str, ...], rows: Sequence[tuple[str, ...]], *notes: str) -> Table:
    from robustbench_la.analysis.tables.table import Column, Row, Table

    return Table(
        title=title, columns=tuple(Column(name=name) for name in names), rows=tuple(Row(values=row) for row in rows), notes=notes
    )


def _corruptions() -> list[Table]:
    from corruptions import CORRUPTIONS, GROUPS, PROFILES

    rows = [(name, ", ".join(entry.aliases), entry.group, _parameters(entry)) for name, entry in CORRUPTIONS.items()]
    levels = [
        (name, profile, " ".join("/".join(f"{value:g}" for value in level) for level in entry.levels[profile]))
        for name, entry in CORRUPTIONS.items()
        for profile in PROFILES
    ]
    return [
        _table("Corruptions", ("name", "aliases", "group", "level"), rows, _glossary("Groups", GROUPS), _SEVERAL),
        _table("Levels", ("name", "profile", "severity 1 to 5"), levels, _glossary("Profiles", PROFILES)),
    ]


def corruption_details() -> list[Table]:
    """The parameters of each corruption, and how its images compare with those of the published code."""
    from corruptions import CORRUPTIONS

    parameters = [
        (name, parameter.name, parameter.unit, parameter.range_text)
        for name, entry in CORRUPTIONS.items()
        for parameter in entry.parameters
    ]
    fidelity = [
        (name, entry.fidelity.kind, " or ".join(map(str, entry.channels)) or "any", entry.fidelity.remark)
        for name, entry in CORRUPTIONS.items()
    ]
    return [
        _table("Parameters", ("name", "parameter", "what", "range"), parameters),
        _table("Fidelity to the published code", ("name", "images", "channels", "what was compared, what differs"), fidelity),
    ]


def _parameters(entry: Corruption) -> str:
    """What the number of a level is; of several, their names in their order."""
    if len(entry.parameters) == 1:
        return entry.parameters[0].unit
    return " / ".join(parameter.name for parameter in entry.parameters)


_SEVERAL = "Several numbers of a level are joined by / (fog=1.5/2); `larobust list corruptions --detail` says what each is."


def _glossary(title: str, words: Mapping[str, str]) -> str:
    return f"{title}: {'; '.join(f'{word}: {meaning}' for word, meaning in words.items())}."


def _activations() -> list[Table]:
    from robustbench_la.activations import ACTIVATIONS, counterparts

    rows = [(name, entry.level, entry.formula, ", ".join(counterparts(name))) for name, entry in ACTIVATIONS.items()]
    note = "Output = y x scale. u = y, the pre-activation; n = (y - mean) / sqrt(variance + alpha) over the sample's layer."
    return [_table("Activations", ("name", "level", "scale", "counterpart"), rows, note)]


def _architectures() -> list[Table]:
    from robustbench_la.models.architectures import ARCHITECTURES, PATTERNS

    rows = [(name, entry.summary) for name, entry in ARCHITECTURES.items()]
    return [_table("Architectures", ("name", "what"), [*rows, *PATTERNS.items()])]


def _datasets() -> list[Table]:
    from robustbench_la.images.datasets import DATASETS

    rows = [(f"{name}:DIR" if entry.needs_root else name, entry.summary) for name, entry in DATASETS.items()]
    return [_table("Datasets", ("name", "what"), rows)]


_LISTS: Mapping[str, Callable[[], list[Table]]] = {
    "corruptions": _corruptions,
    "activations": _activations,
    "architectures": _architectures,
    "datasets": _datasets,
}
