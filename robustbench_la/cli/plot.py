"""``larobust plot``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from robustbench_la.cli import options
from robustbench_la.errors import UserError, lookup

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from robustbench_la.output.figures.style import Columns
    from robustbench_la.store.schema import Selection
    from robustbench_la.store.store import Store, Stored

Record = TypeVar("Record")
HELP = """Draw a figure, as PNG, SVG or PDF.

severity: accuracy against severity; a line per activation, a panel per corruption and one for their mean.

groups: bars of clean images, Noise, Blur ... and the mean over all.

scatter: mean accuracy under corruption against clean accuracy, a point per checkpoint, with the line of effective robustness.

layers: fluctuation layer by layer, as `larobust fluctuation` measured it.

activations: the output curves of LA-SiLU and LA-HardSiLU for several means and spreads of a layer, next to SiLU and HardSiLU;
it reads no results."""
EXAMPLE = "Example: larobust plot severity --data 'mnist:*' -o severity.pdf"

KINDS = ("activations", "severity", "groups", "scatter", "layers")
FIGURE = "Figure"
Kind = Annotated[
    str, typer.Argument(metavar="KIND", help="severity, groups, scatter, layers or activations.", show_default=False)
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
    ckpt: options.FilterCheckpoint = None,
    activation: options.FilterActivation = None,
    arch: options.FilterArch = None,
    data: options.FilterData = None,
    noise: options.FilterNoise = None,
    severity: options.FilterSeverity = None,
    noise_seed: options.FilterNoiseSeed = None,
    store: options.Store = None,
) -> None:
    """Read the arguments, read the store, draw, save."""
    from pathlib import Path

    from robustbench_la.cli.filters import select
    from robustbench_la.output.figures import style

    lookup(dict.fromkeys(KINDS), kind, kind="figure")
    if columns not in style.WIDTHS:
        raise UserError(f"--columns is 1 or 2, not {columns}")
    span: Columns = 1 if columns == 1 else 2
    if metric is not None and kind not in ("severity", "groups"):
        raise UserError(f"--metric is for plot severity and plot groups, not for plot {kind}")
    if per_element and kind != "layers":
        raise UserError(f"--per-element is for plot layers, not for plot {kind}")
    path = Path(output)
    style.check_path(path)
    filters = (ckpt, activation, arch, data, noise, severity, noise_seed)
    if kind == "activations":
        if store is not None or group is not None or allow_missing or any(filters):
            raise UserError("plot activations draws formulas: it reads no store, so there is nothing to select")
        style.save(_activations(span), path)
        print(f"{output} written", file=sys.stderr)
        return
    there = options.store_path(store)
    if path.resolve() == there.resolve():
        raise UserError(f"-o {output} would overwrite the store")
    selection = select(*filters)
    if kind == "layers":
        figure = _layers(there, selection, group, per_element=per_element, allow_missing=allow_missing, columns=span)
    else:
        figure = _cells(there, selection, kind, metric, group, allow_missing=allow_missing, columns=span)
    style.save(figure, path)
    print(f"{output} written", file=sys.stderr)


def _activations(columns: Columns) -> Figure:
    from robustbench_la.output.figures.curves import activation_curves

    return activation_curves(columns=columns)


def _cells(
    path: Path, selection: Selection, kind: str, metric: str | None, number: int | None, *, allow_missing: bool, columns: Columns
) -> Figure:
    from robustbench_la.analysis.one_group import cells_of_one
    from robustbench_la.output.figures.bars import group_bars
    from robustbench_la.output.figures.scatter import scatter
    from robustbench_la.output.figures.severity import severity

    def read(store: Store) -> list[Stored]:
        return store.cells(selection)

    found = cells_of_one(_read(path, read, "cell"), number=number, allow_missing=allow_missing)
    if kind == "scatter":
        return scatter(found, columns=columns)
    draw = severity if kind == "severity" else group_bars
    return draw(found, metric=metric or "top1", columns=columns)


def _layers(
    path: Path, selection: Selection, number: int | None, *, per_element: bool, allow_missing: bool, columns: Columns
) -> Figure:
    from robustbench_la.analysis.one_group import layers_of_one
    from robustbench_la.output.figures import layers

    records = _read(path, lambda store: store.layers(selection), "layer record (see `larobust fluctuation`)")
    title, measured = layers_of_one(records, number=number, allow_missing=allow_missing)
    return layers.layers(measured, per_element=per_element, about=f"{title}.", columns=columns)


def _read(path: Path, read: Callable[[Store], list[Record]], what: str) -> list[Record]:
    """Records of a store. Raises NothingSelectedError if there are none."""
    from robustbench_la.errors import NothingSelectedError
    from robustbench_la.store.store import Store

    with Store(path, reading=True) as store:
        records = read(store)
    if not records:
        raise NothingSelectedError(f"{path} holds no {what} that matches; `larobust results` shows what it holds")
    return records
