"""The table of figures: what each shows, what it is drawn from, and the function that draws it. Imports no matplotlib."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureKind:
    """One kind of figure."""

    summary: str
    """What it shows, as the help of ``larobust plot`` says it."""
    drawn_from: Literal["cells", "layers", "formulas"]
    """A Group of cells, a sequence of NetworkFluctuation, or nothing measured at all."""
    across: bool = False
    """Whether it shows networks of several architectures together, if they were measured alike."""
    stored: bool = True
    """Whether a store holds all it needs; activation means and every image's values are only known right after measuring."""
    options: tuple[str, ...] = ()
    """Which of ``larobust plot``'s options apply to it, as the function's keyword arguments."""
    function: str
    """``module:function``. It takes what it is drawn from, its options, and ``columns`` (of the page, 1 or 2)."""

    def draw(self, *drawn_from: object, **options: object) -> Figure:
        """Draw it. Raises: UserError where the results cannot be drawn this way."""
        module, _, name = self.function.partition(":")
        function: Callable[..., Figure] = getattr(importlib.import_module(module), name)
        return function(*drawn_from, **options)


FIGURES: Mapping[str, FigureKind] = MappingProxyType(
    {
        "severity": FigureKind(
            summary="accuracy against severity; a line per activation, a panel per corruption and one for their mean.",
            drawn_from="cells",
            options=("metric",),
            function="robustbench_la.output.figures.severity:severity",
        ),
        "groups": FigureKind(
            summary="bars of clean images, Noise, Blur ... and the mean over all; points where they are too alike for bars.",
            drawn_from="cells",
            options=("metric",),
            function="robustbench_la.output.figures.bars:group_bars",
        ),
        "scatter": FigureKind(
            summary="mean accuracy under corruption against clean accuracy, a point per checkpoint, with the line of effective "
            "robustness.",
            drawn_from="cells",
            across=True,
            function="robustbench_la.output.figures.scatter:scatter",
        ),
        "layers": FigureKind(
            summary="fluctuation layer by layer, as `larobust fluctuation` measured it.",
            drawn_from="layers",
            options=("per_element",),
            function="robustbench_la.output.figures.layers:layers",
        ),
        "distribution": FigureKind(
            summary="fluctuation over images.",
            drawn_from="layers",
            stored=False,
            function="robustbench_la.output.figures.distributions:distribution",
        ),
        "means": FigureKind(
            summary="activation means over elements.",
            drawn_from="layers",
            stored=False,
            function="robustbench_la.output.figures.distributions:activation_means",
        ),
        "activations": FigureKind(
            summary="the output curves of LA-SiLU and LA-HardSiLU for several means and spreads of a layer, next to SiLU and "
            "HardSiLU; it reads no results.",
            drawn_from="formulas",
            function="robustbench_la.output.figures.curves:activation_curves",
        ),
    }
)
"""To add a figure: a function in a file next to this one, and its entry here."""
OF_STORES = tuple(name for name, kind in FIGURES.items() if kind.stored)
"""What ``larobust plot`` draws."""
OF_LAYERS = tuple(name for name, kind in FIGURES.items() if kind.drawn_from == "layers")
"""What ``larobust fluctuation --plot`` draws."""
