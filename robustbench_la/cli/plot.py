"""``larobust plot``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_la.errors import UserError, lookup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from robustbench_la.style import Columns

HELP = """Draw a figure, as PNG, SVG or PDF.

activations: the output curves of LA-SiLU and LA-HardSiLU for several means and spreads of a layer, beside SiLU and HardSiLU.

Example: larobust plot activations -o curves.pdf"""


def command(
    kind: Annotated[str, typer.Argument(metavar="[activations]", help="What to draw.", show_default=False)],
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="Where to; its suffix says .png, .svg or .pdf.")],
    columns: Annotated[int, typer.Option("--columns", metavar="1|2", help="Columns of a page that the figure spans.")] = 2,
) -> None:
    """Read the arguments, draw, save."""
    from pathlib import Path

    from robustbench_la import style

    draw = lookup(_FIGURES, kind, kind="figure")
    if columns not in style.WIDTHS:
        raise UserError(f"--columns is 1 or 2, not {columns}")
    path = Path(output)
    style.check_path(path)
    style.save(draw(1 if columns == 1 else 2), path)


def _activations(columns: Columns) -> Figure:
    from robustbench_la import plots

    return plots.activation_curves(columns=columns)


_FIGURES: Mapping[str, Callable[[Columns], Figure]] = {"activations": _activations}
