"""``larobust plot``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from robustbench_la.cli import completion, filters, options
from robustbench_la.cli.streams import say
from robustbench_la.errors import UserError, lookup
from robustbench_la.output.figures.kinds import FIGURES, OF_STORES

if TYPE_CHECKING:
    from pathlib import Path

    from robustbench_la.store.schema import Selection
    from robustbench_la.store.store import Store, Stored

Record = TypeVar("Record")
HELP = "\n\n".join(
    ["Draw a figure, as PNG, SVG or PDF.", *(f"{name}: {FIGURES[name].summary}" for name in OF_STORES)],
)
EXAMPLE = "Example: larobust plot severity --data 'mnist:*' -o severity.pdf"

FIGURE = "Figure"
Kind = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        help=f"{', '.join(OF_STORES[:-1])} or {OF_STORES[-1]}.",
        show_default=False,
        autocompletion=completion.figures,
    ),
]
Written = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="File to write, with the suffix .png, .svg or .pdf.",
        show_default=False,
        rich_help_panel=options.OUTPUT,
    ),
]
PageColumns = Annotated[
    int, typer.Option("--columns", metavar="1|2", help="Columns of a page that the figure spans.", rich_help_panel=FIGURE)
]
MetricName = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="severity, groups: top1 (default), top5, nll, ece; groups also effective, relative.",
        rich_help_panel=FIGURE,
    ),
]
PerElement = Annotated[
    bool,
    options.switch("--per-element", help="layers: fluctuation per element, not relative to the clean activation.", panel=FIGURE),
]
GroupNumber = Annotated[
    int | None,
    typer.Option(
        "--group",
        metavar="NUMBER",
        help="Which group, if the results are of several that cannot share a figure (the error lists them).",
        rich_help_panel=options.FILTERS,
    ),
]


def command(
    kind: Kind,
    output: Written,
    columns: PageColumns = 2,
    metric: MetricName = None,
    per_element: PerElement = False,
    group: GroupNumber = None,
    allow_missing: options.AllowMissing = False,
    ckpt: filters.Checkpoint = None,
    activation: filters.Activation = None,
    arch: filters.Arch = None,
    data: filters.Data = None,
    noise: filters.Noise = None,
    severity: filters.Severity = None,
    noise_seed: filters.NoiseSeed = None,
    store: options.Store = None,
) -> None:
    """Read the arguments, read the store, draw, save."""
    from pathlib import Path

    from robustbench_la.files import is_same
    from robustbench_la.output.figures import style
    from robustbench_la.store.filters import select

    figure_kind = lookup({name: FIGURES[name] for name in OF_STORES}, kind, kind="figure")
    if columns not in style.WIDTHS:
        raise UserError(f"--columns must be 1 or 2, not {columns}")
    asked: dict[str, object] = {"metric": metric, "per_element": per_element or None}
    drawing = {"columns": columns, **{name: value for name, value in asked.items() if value is not None}}
    for name in drawing.keys() - {"columns"} - set(figure_kind.options):
        takers = " and ".join(f"plot {other}" for other in OF_STORES if name in FIGURES[other].options)
        raise UserError(f"--{name.replace('_', '-')} is for {takers}, not for plot {kind}")
    path = Path(output)
    style.check_path(path)
    filters = (ckpt, activation, arch, data, noise, severity, noise_seed)
    if figure_kind.drawn_from == "formulas":
        if store is not None or group is not None or allow_missing or any(filters):
            raise UserError(f"plot {kind} draws formulas: it reads no store, so there is nothing to select")
        style.save(figure_kind.draw(**drawing), path)
        say(f"{output} written")
        return
    results = options.store_path(store)
    if is_same(path, results):
        raise UserError(f"-o {output} would overwrite the store")
    read = partial(_cells, across=figure_kind.across) if figure_kind.drawn_from == "cells" else _layers
    records, about = read(results, select(*filters, of=results), group, allow_missing=allow_missing)
    style.save(figure_kind.draw(records, **about, **drawing), path)
    say(f"{output} written")


def _cells(
    path: Path, selection: Selection, number: int | None, *, allow_missing: bool, across: bool
) -> tuple[object, dict[str, object]]:
    """The group of cells that a figure shows, and nothing more to say about it."""
    from robustbench_la.analysis.groups.one_group import cells_of_one

    def read(store: Store) -> list[Stored]:
        return store.cells(selection)

    return cells_of_one(_read(path, read, "cell"), number=number, allow_missing=allow_missing, across=across), {}


def _layers(path: Path, selection: Selection, number: int | None, *, allow_missing: bool) -> tuple[object, dict[str, object]]:
    """The layers that a figure shows, and what they were measured on."""
    from robustbench_la.analysis.groups.one_group import layers_of_one

    records = _read(path, lambda store: store.layers(selection), "layer record (see `larobust fluctuation`)")
    title, measured = layers_of_one(records, number=number, allow_missing=allow_missing)
    return measured, {"about": f"{title}."}


def _read(path: Path, read: Callable[[Store], list[Record]], what: str) -> list[Record]:
    """Records of a store. Raises NothingSelectedError if there are none."""
    from robustbench_la.errors import NothingSelectedError
    from robustbench_la.store.store import Store

    with Store(path, reading=True) as store:
        records = read(store)
    if not records:
        raise NothingSelectedError(f"{path} holds no {what} that matches; `larobust results` shows what it holds")
    return records
