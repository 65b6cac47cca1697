"""Records as figures. How they look and are saved: see style.py; which records belong together: see panels.py.

Nothing is measured here, and no figure shows a number that does not follow from the records.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from robustbench_la.activations import ACTIVATIONS, DEFAULT_ALPHA, counterparts
from robustbench_la.errors import UserError
from robustbench_la.output.figures.panels import Panel, Series, clean_panels, panels
from robustbench_la.output.figures.style import (
    GREY,
    Columns,
    Look,
    canvas,
    key,
    level_key,
    logarithmic,
    look,
    name_of,
    note,
    save,
    themed,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from robustbench_la.records.layers import LayerStats, NetworkFluctuation

__all__ = ["activation_curves", "activation_means", "distribution", "layers", "save"]

_MOST_BANDS = 4
"""Lines with bands in a panel; those of more would cover each other."""
_MOST_PANELS: Mapping[Columns, int] = MappingProxyType({1: 3, 2: 6})
_BINS = 400
"""Of a distribution's outline."""
_MEANS, _SPREADS = (-2.0, 0.0, 2.0), (0.25, 1.0, 4.0)


def layers(
    measured: Sequence[NetworkFluctuation],
    *,
    per_element: bool = False,
    log: bool = False,
    about: str = "",
    columns: Columns = 2,
) -> Figure:
    """Fluctuation layer by layer: one line an activation, with a band from the 25 % to the 75 % quantile over images.

    Means and quantiles are averaged over the checkpoints of an activation. Networks of one layer have a row for each activation
    in place of a line, with a tick for each checkpoint's mean. One panel an architecture and condition, at most six;
    beyond that conditions are averaged.

    per_element: the fluctuation divided by the layer's D, in place of the fluctuation relative to the clean activation.
    about: what was measured, to stand before the rest of the small print.
    Raises: UserError if nothing was measured, or only the fluctuation was and per_element is False.
    """
    shown = panels(measured, most=_MOST_PANELS[columns])
    if not any(np.isfinite(_by_layer(one, per_element)).any() for panel in shown for one in panel.series):
        raise UserError("there is no relative fluctuation to draw (only the fluctuation was measured): draw it per element")
    what = "fluctuation per element" if per_element else "relative fluctuation"
    flat = [len(panel.layers) == 1 for panel in shown]
    across = 1 if columns == 1 else min(len(shown), 2 if len(shown) == 4 else 3)
    down = math.ceil(len(shown) / across)
    rows = max(len(panel.series) for panel in shown)
    with themed():
        figure = canvas(columns, down * (0.55 + 0.2 * rows if all(flat) else 1.9) + 0.35)
        grid = list(figure.subplots(down, across, squeeze=False).flat)
        for unused in grid[len(shown) :]:
            unused.remove()
        for place, (axes, panel) in enumerate(zip(grid, shown, strict=False)):
            axes.set_title(panel.title)
            first = grid[flat.index(flat[place])]
            if axes is not first:  # panels compare
                (axes.sharex if flat[place] else axes.sharey)(first)
            axes.tick_params(labelleft=place % across == 0)
            last = place + across >= len(shown)
            if flat[place]:
                _points(axes, panel, per_element)
                axes.set_xlabel(what if last else "")
            else:
                _lines(axes, panel, per_element)
                axes.set_xlabel("activation call, in forward order" if last else "")
                axes.set_ylabel(what if place % across == 0 else "")
        for axes, one in zip(grid, flat, strict=False):
            if log:
                logarithmic(axes, "x" if one else "y")
            else:
                (axes.set_xlim if one else axes.set_ylim)(0)
        looks = list(dict.fromkeys(one.look for panel in shown for one in panel.series))
        if all(flat):
            level_key(figure, looks)
        else:
            key(figure, looks)
        note(figure, f"{about} {_layers_note(shown, per_element)}".lstrip())
    return figure


def _value(per_element: bool, part: str) -> Callable[[LayerStats], float | None]:
    """What is drawn of a layer. part: ``mean`` or a quantile such as ``q25``."""

    def value(layer: LayerStats) -> float | None:
        found = layer.statistics.get(f"{'fluctuation' if per_element else 'relative'}_{part}")
        return found if found is None or not per_element else found / layer.elements

    return value


def _by_layer(series: Series, per_element: bool) -> NDArray[np.float64]:
    """Mean, and ends of the band, over checkpoints and conditions: (3, layers)."""
    parts = [series.over_layers(_value(per_element, part)).mean(axis=0) for part in ("mean", "q25", "q75")]
    return np.array(parts)


def _lines(axes: Axes, panel: Panel, per_element: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    banded = _banded(panel)
    for one in panel.series:
        mean, low, high = _by_layer(one, per_element)
        calls = np.arange(len(mean))
        if one in banded:
            axes.fill_between(calls, low, high, color=one.look.colour, alpha=0.16 if one.look.solid else 0.1, linewidth=0)
        axes.plot(calls, mean, label=one.look.label, **one.look.line(), **one.look.points())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(panel.layers) <= 5 and sum(map(len, panel.layers)) <= 40:
        axes.set_xticks(range(len(panel.layers)), panel.layers)


def _banded(panel: Panel) -> list[Series]:
    """All, or those at both levels if all are many; none if those are many too."""
    if len(panel.series) > _MOST_BANDS:
        there = {one.activation for one in panel.series}
        pairs = [one for one in panel.series if there.intersection(counterparts(one.activation))]
        return pairs if len(pairs) <= _MOST_BANDS else []
    return list(panel.series)


def _points(axes: Axes, panel: Panel, per_element: bool) -> None:
    for row, one in enumerate(panel.series):
        mean, low, high = _by_layer(one, per_element)[:, 0]
        axes.hlines(row, low, high, color=one.look.colour, linewidth=1.2, linestyle="-" if one.look.solid else (0, (3, 1.2)))
        each = one.over_layers(_value(per_element, "mean"))[:, 0]
        if len(each) > 1:
            axes.plot(each, np.full(len(each), row + 0.27), "|", color=one.look.colour, markersize=3.5, markeredgewidth=0.7)
        axes.plot([mean], [row], label=one.look.label, linestyle="", **one.look.points())
    _name_rows(axes, [one.look for one in panel.series])


def _name_rows(axes: Axes, looks: Sequence[Look]) -> None:
    """Activations down the vertical axis, the first on top."""
    axes.set_yticks(range(len(looks)), [one.label for one in looks])
    axes.set_ylim(len(looks) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _layers_note(shown: Sequence[Panel], per_element: bool) -> str:
    definition = (
        "Fluctuation per element: L1 norm of noisy minus clean activation, divided by the layer's elements."
        if per_element
        else "Relative fluctuation: L1 norm of noisy minus clean activation / L1 norm of the clean one."
    )
    flat = all(len(panel.layers) == 1 for panel in shown)
    some = "" if flat or all(_banded(panel) == list(panel.series) for panel in shown) else " (LayerAct and counterparts)"
    levels = "" if flat else " Solid, filled: layer level; dashed, hollow: element level."
    band = f"; {'bar' if flat else 'band'}{some}: middle half of the images, 25 % to 75 % quantile"
    if flat and any(len(one.checkpoints) > 1 for panel in shown for one in panel.series):
        band += "; ticks below it: each checkpoint's mean"
    return f"{definition} {_about(shown)}{band if flat or any(_banded(panel) for panel in shown) else ''}.{levels}"


def _about(shown: Sequence[Panel]) -> str:
    """How many images and checkpoints the means are over."""
    images = shown[0].series[0].checkpoints[0][0].layers[0].images
    counts = sorted({len(one.checkpoints) for panel in shown for one in panel.series})
    some = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{images:,} images" + ("" if counts == [1] else f" and {some} checkpoints an activation")


def distribution(
    measured: Sequence[NetworkFluctuation], *, relative: bool = False, log: bool = False, columns: Columns = 2
) -> Figure:
    """Distribution over images of the fluctuation (mean over layers), a row an activation; beside it that of the layers' input.

    As the paper's Figure 3, with its appendix Figure 4 beside it. One row of panels an architecture and condition, at most three;
    beyond that each image's values are averaged over conditions.

    relative: divided by the L1 norm of the clean activation.
    Raises: UserError if nothing was measured, or only the fluctuation was and relative is True.
    """
    shown = panels(measured, most=3)
    names = ["relative" if relative else "fluctuation", "input_fluctuation"]
    names = [name for name in names if all(name in record.per_image for record in measured)]
    if not names or (relative and names[0] != "relative"):
        raise UserError("there is no relative fluctuation to draw: only the fluctuation was measured")
    line_end = "\n" if columns == 1 else " "
    labels = {
        "fluctuation": f"fluctuation{line_end}(L1 norm)",
        "relative": f"relative{line_end}fluctuation",
        "input_fluctuation": f"input fluctuation{line_end}(L1 norm)",
    }
    rows = max(len(panel.series) for panel in shown)
    with themed():
        figure = canvas(columns, len(shown) * (0.5 + 0.27 * rows) + 0.3)
        grid = figure.subplots(len(shown), len(names), squeeze=False, sharex="col")
        for panel, line in zip(shown, grid, strict=True):
            line[0].set_title(panel.title, loc="left")
            for name, axes in zip(names, line, strict=True):
                _distributions(axes, [(one.look, one.over_images(name)) for one in panel.series], log=log)
                axes.tick_params(labelleft=name == names[0])
        cut = False
        for name, column in zip(names, grid.T, strict=True):
            column[-1].set_xlabel(labels[name])
            if not log:
                cut |= _cut(column[-1], [one.over_images(name) for panel in shown for one in panel.series])
        level_key(figure, [one.look for panel in shown for one in panel.series])
        each = "" if all(len(panel.layers) == 1 for panel in shown) else ", each the mean over layers"
        note(figure, f"Distribution over images{each}. {_ROW_NOTE} {_about(shown)}.{_CUT_NOTE if cut else ''}")
    return figure


_ROW_NOTE = "Marker: mean; thick bar: middle half, with the median."
_CUT_NOTE = " The axis leaves out at most 0.1 % of a row on either side."


def activation_means(measured: Sequence[NetworkFluctuation], *, columns: Columns = 2) -> Figure:
    """Distribution over elements of the activation averaged over clean images, a row an activation, with a line at zero.

    As the paper's Figure 2. The elements of all layers and checkpoints of an activation stand in one distribution; one panel an
    architecture.

    Raises: UserError if nothing was measured, or only the fluctuation.
    """
    shown = clean_panels(measured)
    if not any(len(one.over_elements()) for panel in shown for one in panel.series):
        raise UserError("there are no activation means to draw: only the fluctuation was measured")
    rows = max(len(panel.series) for panel in shown)
    cut = False
    with themed():
        figure = canvas(columns, len(shown) * (0.4 + 0.27 * rows) + 0.3)
        for axes, panel in zip(figure.subplots(len(shown), 1, squeeze=False)[:, 0], shown, strict=True):
            axes.axvline(0, color=GREY, linewidth=0.8, zorder=1.5)  # above the outlines, below the bars
            axes.set_title(panel.title)
            drawn = [(one.look, one.over_elements()) for one in panel.series]
            _distributions(axes, drawn)
            cut |= _cut(axes, [np.append(values, 0) for _, values in drawn])
        axes.set_xlabel("mean activation of an element over clean images")
        level_key(figure, [one.look for panel in shown for one in panel.series])
        depths = sorted({len(panel.layers) for panel in shown})
        over = "" if depths == [1] else f" of all {'-'.join(map(str, depths))} layers"
        note(figure, f"Distribution over the elements{over}. {_ROW_NOTE} {_about(shown)}.{_CUT_NOTE if cut else ''}")
    return figure


def _distributions(axes: Axes, rows: Sequence[tuple[Look, NDArray[np.float64]]], *, log: bool = False) -> None:
    """A row each: outline, middle half with the median, mean. Zeros count, but a logarithmic axis cannot show them."""
    for row, (shown, values) in enumerate(rows):
        if not len(values):
            continue
        places, heights = outline(values[values > 0] if log else values, log=log)
        if len(places):
            dashes = "-" if shown.solid else (0, (3, 1.2))
            axes.fill_between(places, row - 0.4 * heights, row + 0.4 * heights, linestyle=dashes, **shown.area())
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        axes.hlines(row, low, high, color=shown.colour, linewidth=2.4)
        axes.plot([middle], [row], "|", color=shown.colour, markersize=8, markeredgewidth=1.2)
        axes.plot(
            [values.mean()],
            [row],
            label=shown.label,
            linestyle="",
            **(shown.points() | {"markerfacecolor": "white", "markersize": 3.6}),
        )
    _name_rows(axes, [shown for shown, _ in rows])
    if log:
        logarithmic(axes, "x")


def _cut(axes: Axes, rows: Sequence[NDArray[np.float64]]) -> bool:
    """Let the axis span all but the outermost 0.1 % of each row, so that few do not squeeze the others; whether some are off."""
    rows = [values for values in rows if len(values)]
    if not rows:
        return False
    low, high = (extreme(np.quantile(values, q) for values in rows) for extreme, q in ((min, 0.001), (max, 0.999)))
    margin = 0.04 * (high - low)
    if not margin:
        return False
    axes.set_xlim(low - margin, high + margin)
    return any(values.min() < low - margin or values.max() > high + margin for values in rows)


def outline(values: NDArray[np.float64], *, log: bool = False) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places from the least to the largest of ``values`` and the density there, its largest 1; empty if all are equal.

    A histogram smoothed by a Gaussian of Silverman's width, 0.9 min(standard deviation, interquartile range / 1.34) n^(-1/5)
    (Silverman 1986, "Density Estimation", eq. 3.31), at least one bin; of the logarithms if ``log``.
    """
    shown = np.log10(values) if log else values
    if len(shown) < 2 or shown.min() == shown.max():
        return np.empty(0), np.empty(0)
    counts, edges = np.histogram(shown, bins=_BINS)
    places = (edges[1:] + edges[:-1]) / 2
    quarters = np.subtract(*np.quantile(shown, [0.75, 0.25])) / 1.34
    spread = min(shown.std(ddof=1), quarters) if quarters > 0 else shown.std(ddof=1)
    width = max(0.9 * spread * len(shown) ** -0.2, edges[1] - edges[0])
    density = np.exp(-(((places[:, None] - places) / width) ** 2) / 2) @ counts
    return 10**places if log else places, density / density.max()


def activation_curves(*, alpha: float = DEFAULT_ALPHA, columns: Columns = 2) -> Figure:
    """Output y s((y - mu) / sqrt(sigma^2 + alpha)) of each layer-level activation, beside y s(y) of its counterpart.

    Left for several means mu at sigma = 1, right for several sigma at mu = 0. alpha: above 0.
    """
    y = np.linspace(-6, 6, 601)
    rows = {name: entry.scale for name, entry in ACTIVATIONS.items() if entry.level == "layer" and entry.scale is not None}
    with themed():
        figure = canvas(columns, len(rows) * (2.1 if columns == 2 else 1.95))
        grid = figure.subplots(len(rows), 2, squeeze=False, sharex=True, sharey=True)
        for line, (name, scale) in zip(grid, rows.items(), strict=True):
            counterpart = ACTIVATIONS[name].counterpart
            for axes, pairs in zip(line, ([(mu, 1.0) for mu in _MEANS], [(0.0, sigma) for sigma in _SPREADS]), strict=True):
                by_mean = len({mu for mu, _ in pairs}) > 1
                axes.axhline(0, color=GREY, linewidth=0.6, zorder=0.9)
                axes.axvline(0, color=GREY, linewidth=0.6, zorder=0.9)
                for place, (mu, sigma) in enumerate(pairs):
                    text = (f"μ = {mu:g}" if by_mean else f"σ = {sigma:g}").replace("-", "−")
                    shade = look(name, variant=place, variants=len(pairs)).named(text)
                    axes.plot(y, y * scale((y - mu) / math.sqrt(sigma**2 + alpha)), label=shade.label, **shade.line())
                if counterpart:
                    axes.plot(y, y * scale(y), label=name_of(counterpart), **(look(counterpart).line() | {"color": "black"}))
                axes.set_title(f"{name_of(name)}, {'σ = 1' if by_mean else 'μ = 0'}")
                axes.legend(loc="upper left")
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
