"""Fluctuation layer by layer: a line per activation, or a row where networks have one layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from robustbench_la.errors import UserError
from robustbench_la.output.figures.panels import Panel, Series, banded, images_and_checkpoints, panels
from robustbench_la.output.figures.style import (
    Columns,
    canvas,
    grid,
    key,
    level_key,
    logarithmic,
    name_rows,
    note,
    shade,
    themed,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from robustbench_la.records.layers import LayerStats, NetworkFluctuation

_MOST_PANELS: Mapping[Columns, int] = MappingProxyType({1: 3, 2: 6})


def layers(
    measured: Sequence[NetworkFluctuation],
    *,
    per_element: bool = False,
    log: bool = False,
    about: str = "",
    columns: Columns = 2,
) -> Figure:
    """Fluctuation layer by layer: one line per activation, with a band from the 25 % to the 75 % quantile over images.

    Means and quantiles are averaged over the checkpoints of an activation. Networks of one layer have a row for each activation
    in place of a line, with a tick for each checkpoint's mean. One panel per architecture and condition, at most six;
    beyond that conditions are averaged.

    Args:
        measured: Any networks that were measured on the same images.
        per_element: Draw the fluctuation divided by the layer's D, in place of the fluctuation relative to the clean activation.
        log: Whether its axis is logarithmic.
        about: What was measured, to stand before the rest of the small print.
        columns: Of the page, which the figure spans.

    Raises:
        UserError: If nothing was measured, or only the fluctuation was and ``per_element`` is False.
    """
    shown = panels(measured, most=_MOST_PANELS[columns])
    if not any(np.isfinite(_by_layer(one, per_element)).any() for panel in shown for one in panel.series):
        raise UserError("there is no relative fluctuation to draw (only the fluctuation was measured): draw it per element")
    flat = [len(panel.layers) == 1 for panel in shown]
    across = 1 if columns == 1 else min(len(shown), 2 if len(shown) == 4 else 3)
    down = math.ceil(len(shown) / across)
    rows = max(len(panel.series) for panel in shown)
    looks = list(dict.fromkeys(one.look for panel in shown for one in panel.series))
    with themed():
        figure = canvas(columns, down * (0.55 + 0.2 * rows if all(flat) else 1.9) + 0.35)
        _draw(grid(figure, len(shown), across=across), shown, across, per_element=per_element, log=log)
        if all(flat):
            level_key(figure, looks)
        else:
            key(figure, looks)
        note(figure, f"{about} {_note(shown, per_element)}".lstrip())
    return figure


def _draw(axes_of: Sequence[Axes], shown: Sequence[Panel], across: int, *, per_element: bool, log: bool) -> None:
    """Each panel in its axes, of which ``across`` are side by side."""
    what = "fluctuation per element" if per_element else "relative fluctuation (%)"
    flat = [len(panel.layers) == 1 for panel in shown]
    for place, (axes, panel) in enumerate(zip(axes_of, shown, strict=True)):
        axes.set_title(panel.title)
        first = axes_of[flat.index(flat[place])]
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
    for axes, one in zip(axes_of, flat, strict=True):
        if log:
            logarithmic(axes, "x" if one else "y")
        else:
            (axes.set_xlim if one else axes.set_ylim)(0)


def _value(per_element: bool, part: str) -> Callable[[LayerStats], float | None]:
    """What is drawn of a layer, relative values in %. part: ``mean`` or a quantile such as ``q25``."""

    def value(layer: LayerStats) -> float | None:
        known = layer.statistics.get(f"{'fluctuation' if per_element else 'relative'}_{part}")
        return None if known is None else known / layer.elements if per_element else 100 * known

    return value


def _by_layer(series: Series, per_element: bool) -> NDArray[np.float64]:
    """Mean, and ends of the band, over checkpoints and conditions: (3, layers)."""
    parts = [series.over_layers(_value(per_element, part)).mean(axis=0) for part in ("mean", "q25", "q75")]
    return np.array(parts)


def _lines(axes: Axes, panel: Panel, per_element: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    with_band = banded(panel.series)
    for one in panel.series:
        mean, low, high = _by_layer(one, per_element)
        calls = np.arange(len(mean))
        if one in with_band:
            axes.fill_between(calls, low, high, **shade(one.look))
        axes.plot(calls, mean, label=one.look.label, **one.look.line(), **one.look.points())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(panel.layers) <= 5 and sum(map(len, panel.layers)) <= 40:
        axes.set_xticks(range(len(panel.layers)), panel.layers)


def _points(axes: Axes, panel: Panel, per_element: bool) -> None:
    for row, one in enumerate(panel.series):
        mean, low, high = _by_layer(one, per_element)[:, 0]
        axes.hlines(row, low, high, color=one.look.colour, linewidth=1.2, linestyle="-" if one.look.solid else (0, (3, 1.2)))
        each = one.over_layers(_value(per_element, "mean"))[:, 0]
        if len(each) > 1:
            axes.plot(each, np.full(len(each), row + 0.27), "|", color=one.look.colour, markersize=3.5, markeredgewidth=0.7)
        axes.plot([mean], [row], label=one.look.label, linestyle="", **one.look.points())
    name_rows(axes, [one.look for one in panel.series])


def _note(shown: Sequence[Panel], per_element: bool) -> str:
    definition = (
        "Fluctuation per element: L1 norm of noisy minus clean activation, divided by the layer's elements."
        if per_element
        else "Relative fluctuation: L1 norm of noisy minus clean activation / L1 norm of the clean one, in %."
    )
    flat = all(len(panel.layers) == 1 for panel in shown)
    some = "" if flat or all(banded(panel.series) == list(panel.series) for panel in shown) else " (LayerAct and counterparts)"
    band = ""
    if flat or any(banded(panel.series) for panel in shown):
        band = f"; {'bar' if flat else 'band'}{some}: middle half of the images, 25 % to 75 % quantile"
    if flat and any(len(one.checkpoints) > 1 for panel in shown for one in panel.series):
        band += "; ticks below it: each checkpoint's mean"
    levels = "" if flat else " Solid, filled: layer level; dashed, hollow, hatched: element level."
    return f"{definition} {images_and_checkpoints(shown)}{band}.{levels}"
