"""The output curves of layer-level activations next to those of their counterparts: formulas, nothing measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from robustbench_la.activations import ACTIVATIONS, DEFAULT_ALPHA
from robustbench_la.output.figures.style import GREY, Columns, canvas, look, name_of, note, themed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from robustbench_la.activations import Scale

_MEANS, _SPREADS = (-2.0, 0.0, 2.0), (0.25, 1.0, 4.0)


def activation_curves(*, alpha: float = DEFAULT_ALPHA, columns: Columns = 2) -> Figure:
    """Output y s((y - mu) / sqrt(sigma^2 + alpha)) of each layer-level activation, next to y s(y) of its counterpart.

    Left for several means mu at sigma = 1, right for several sigma at mu = 0. One that is not value x scale has no such curve.

    Args:
        alpha: Above 0.
        columns: Of the page, which the figure spans.
    """
    rows = {name: entry.scale for name, entry in ACTIVATIONS.items() if entry.level == "layer" and entry.scale is not None}
    with themed():
        figure = canvas(columns, len(rows) * (2.1 if columns == 2 else 1.95))
        grid = figure.subplots(len(rows), 2, squeeze=False, sharex=True, sharey=True)
        for (left, right), (name, scale) in zip(grid, rows.items(), strict=True):
            _draw(left, name, scale, [(mu, 1.0) for mu in _MEANS], alpha)
            left.set_title(f"{name_of(name)}, σ = 1")
            _draw(right, name, scale, [(0.0, sigma) for sigma in _SPREADS], alpha)
            right.set_title(f"{name_of(name)}, μ = 0")
        for axes in grid[-1]:
            axes.set_xlabel("pre-activation y")
        for axes in grid[:, 0]:
            axes.set_ylabel("activation a")
        note(
            figure,
            f"Layer level (solid): a = y s((y − μ) / √(σ² + α)), α = {alpha:g}, with mean μ and standard deviation σ of one "
            "sample's pre-activations at the layer. Element level (dashed): a = y s(y), which is the same at μ = 0, σ = 1.",
        )
    return figure


def _draw(axes: Axes, name: str, scale: Scale, pairs: Sequence[tuple[float, float]], alpha: float) -> None:
    """One activation for several pairs of mean and standard deviation, of which one varies."""
    y = np.linspace(-6, 6, 601)
    by_mean = len({mu for mu, _ in pairs}) > 1
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0.9)
    axes.axvline(0, color=GREY, linewidth=0.6, zorder=0.9)
    for place, (mu, sigma) in enumerate(pairs):
        text = (f"μ = {mu:g}" if by_mean else f"σ = {sigma:g}").replace("-", "−")
        variant = look(name, variant=place, variants=len(pairs)).named(text)
        axes.plot(y, y * scale((y - mu) / math.sqrt(sigma**2 + alpha)), label=variant.label, **variant.line())
    if counterpart := ACTIVATIONS[name].counterpart:
        axes.plot(y, y * scale(y), label=name_of(counterpart), **(look(counterpart).line() | {"color": "black"}))
    axes.legend(loc="upper left")
