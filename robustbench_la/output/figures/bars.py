"""Groups of corruptions as bars: one per activation for clean images, Noise, Blur ... and the mean over all.

Points take the place of bars on an axis that does not start at 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from robustbench_la.analysis.metrics.metrics import METRICS
from robustbench_la.errors import UserError, lookup
from robustbench_la.output.figures.cells import Kind, about_group, about_means, axis_label, columns_of, kinds_of, numbers
from robustbench_la.output.figures.style import GREY, WIDTHS, Columns, canvas, key, name_values, note, themed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from robustbench_la.analysis.groups.groups import Group

_BAR = 0.075
"""Inches that a bar is wide at the least."""
_ALIKE = 0.6
"""Bars of which the least is more than this share of the largest do not begin at 0."""


def group_bars(group: Group, *, metric: str = "top1", columns: Columns = 2) -> Figure:
    """Bars: one per activation for clean images, each group of corruptions that was measured whole, and the mean over all.

    Bars are means over training seeds, error bars one standard deviation (n - 1) to either side. They begin at 0; where that
    would make all look alike, there are points in their place on an axis that does not, as their lengths would mislead.

    Args:
        group: What to show.
        metric: One of METRICS that is a mean over conditions.
        columns: Of the page, which the figure spans.

    Raises:
        UserError: Where the metric is no such mean, or nothing is there to draw.
    """
    entry = lookup(METRICS, metric, kind="metric")
    if not entry.of_means:
        known = ", ".join(name for name, other in METRICS.items() if other.of_means)
        raise UserError(f"{metric} is not known of groups of corruptions; those that are: {known}")
    measured = columns_of(group, metric, "group")
    kinds = [kind for kind in kinds_of(group) if metric != "relative" or kind.look.solid]
    names = [column.name for column in measured.columns]
    values = numbers([[row[name] for name in names] for row in measured.rows])
    if not np.isfinite(values).any():
        raise UserError(f"{group.title}: {metric} was not measured, so there is nothing to draw")
    values = values * (100 if entry.kind == "percent" else 1)
    room = max(1, int((WIDTHS[columns] - 0.6) / (_BAR * 1.25 * len(kinds))))
    down = math.ceil(len(names) / room)
    across = math.ceil(len(names) / down)
    cut = _cut([values[list(kind.places)] for kind in kinds])
    with themed():
        figure = canvas(columns, down * (1.5 if down > 1 else 2.2))
        for line, axes in enumerate(figure.subplots(down, 1, squeeze=False, sharey=True)[:, 0]):
            own = slice(line * across, (line + 1) * across)
            _draw(axes, kinds, names[own], values[:, own], bars=cut is None)
            axes.set_xlim(-0.55, across - 0.45)
            if cut is not None:
                axes.set_ylim(*cut)
        name_values(figure, axis_label(metric))
        key(figure, [kind.look for kind in kinds], marks="areas" if cut is None else "points")
        note(figure, " ".join([about_group(group), *measured.notes, *_sentences(kinds, values, is_cut=cut is not None)]))
    return figure


def _draw(axes: Axes, kinds: Sequence[Kind], names: Sequence[str], values: NDArray[np.float64], *, bars: bool) -> None:
    """Bars, or points, for each of ``names``. values: (networks, names), in the unit of the axis."""
    width = min(0.8 / len(kinds), 0.18)
    for place, kind in enumerate(kinds):
        drawn = values[list(kind.places)]
        centres = np.arange(len(names)) + (place - (len(kinds) - 1) / 2) * width
        if bars:
            axes.bar(centres, drawn.mean(axis=0), 0.86 * width, label=kind.look.label, **kind.look.area())
        else:
            axes.plot(centres, drawn.mean(axis=0), linestyle="", label=kind.look.label, zorder=3, **kind.look.points())
        if len(drawn) > 1:
            axes.errorbar(centres, drawn.mean(axis=0), drawn.std(axis=0, ddof=1), fmt="none", ecolor="#222222", elinewidth=0.7)
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
    axes.axhline(0, color=GREY, linewidth=0.6)


def _cut(drawn: Sequence[NDArray[np.float64]]) -> tuple[float, float] | None:
    """Ends of an axis that does not begin at 0, to tell apart what is alike; None where it does.

    drawn: values of each kind's networks.
    """
    reaches = [values.std(axis=0, ddof=1) if len(values) > 1 else 0.0 for values in drawn]
    ends = [values.mean(axis=0) + sign * reach for values, reach in zip(drawn, reaches, strict=True) for sign in (-1, 1)]
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    return (low - 0.25 * (high - low), high + 0.08 * (high - low)) if high > low > _ALIKE * high else None


def _sentences(kinds: Sequence[Kind], values: NDArray[np.float64], *, is_cut: bool) -> list[str]:
    """Of the small print."""
    sentences = [about_means(kinds, "Points" if is_cut else "Bars")]
    if any(len(kind.places) > 1 for kind in kinds):
        sentences.append("Error bars: ± 1 standard deviation over them.")
    if is_cut:
        sentences.append("The vertical axis does not start at 0.")
    sentences.append("Filled: layer level; hollow: element level.")
    if any(np.isnan(values[list(kind.places)]).any() for kind in kinds):
        sentences.append("Gaps: missing cells.")
    return sentences
