"""Distributions, a row per activation: over images of the fluctuation, over elements of the mean activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from robustbench_la.errors import UserError
from robustbench_la.output.figures.panels import clean_panels, images_and_checkpoints, panels
from robustbench_la.output.figures.style import GREY, Columns, Look, canvas, level_key, logarithmic, name_rows, note, themed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from robustbench_la.records.layers import NetworkFluctuation

_BINS = 400
"""Of a distribution's outline."""
_ROW_NOTE = "Marker: mean; thick bar: middle half, with the median."
_CUT_NOTE = " The axis leaves out at most 0.1 % of a row on either side."


def distribution(
    measured: Sequence[NetworkFluctuation], *, relative: bool = False, log: bool = False, columns: Columns = 2
) -> Figure:
    """Distribution over images of the fluctuation (mean over layers), a row per activation; next to it that of the layers' input.

    As the paper's Figure 3, with its appendix Figure 4 next to it. One row of panels per architecture and condition, at most
    three; beyond that each image's values are averaged over conditions.

    Args:
        measured: Any networks that were measured on the same images.
        relative: Draw the fluctuation divided by the L1 norm of the clean activation.
        log: Whether the axes are logarithmic.
        columns: Of the page, which the figure spans.

    Raises:
        UserError: If nothing was measured, or only the fluctuation was and ``relative`` is True.
    """
    shown = panels(measured, most=3)
    names = ["relative" if relative else "fluctuation", "input_fluctuation"]
    names = [name for name in names if all(name in record.per_image for record in measured)]
    if not names or (relative and names[0] != "relative"):
        raise UserError("there is no relative fluctuation to draw: only the fluctuation was measured")
    line_end = "\n" if columns == 1 else " "
    labels = {
        "fluctuation": f"fluctuation{line_end}(L1 norm)",
        "relative": f"relative{line_end}fluctuation (%)",
        "input_fluctuation": f"input fluctuation{line_end}(L1 norm)",
    }
    rows = max(len(panel.series) for panel in shown)
    with themed():
        figure = canvas(columns, len(shown) * (0.5 + 0.27 * rows) + 0.3)
        grid = figure.subplots(len(shown), len(names), squeeze=False, sharex="col")
        drawn = {
            name: [
                [(one.look, (100 if name == "relative" else 1) * one.over_images(name)) for one in panel.series]
                for panel in shown
            ]
            for name in names
        }
        for place, (panel, line) in enumerate(zip(shown, grid, strict=True)):
            line[0].set_title(panel.title, loc="left")
            for name, axes in zip(names, line, strict=True):
                _distributions(axes, drawn[name][place], log=log)
                axes.tick_params(labelleft=name == names[0])
        cut = False
        for name, column in zip(names, grid.T, strict=True):
            column[-1].set_xlabel(labels[name])
            if not log:
                cut |= _cut(column[-1], [values for rows_of_panel in drawn[name] for _, values in rows_of_panel])
        level_key(figure, [one.look for panel in shown for one in panel.series])
        each = "" if all(len(panel.layers) == 1 for panel in shown) else ", each the mean over layers"
        note(figure, f"Distribution over images{each}. {_ROW_NOTE} {images_and_checkpoints(shown)}.{_CUT_NOTE if cut else ''}")
    return figure


def activation_means(measured: Sequence[NetworkFluctuation], *, columns: Columns = 2) -> Figure:
    """Distribution over elements of the activation averaged over clean images, a row per activation, with a line at zero.

    As the paper's Figure 2. The elements of all layers and checkpoints of an activation are in one distribution; one panel per
    architecture.

    Args:
        measured: Any networks that were measured on the same images.
        columns: Of the page, which the figure spans.

    Raises:
        UserError: If nothing was measured, or only the fluctuation.
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
        rest = f"{images_and_checkpoints(shown)}.{_CUT_NOTE if cut else ''}"
        note(figure, f"Distribution over the elements{over}. {_ROW_NOTE} {rest}")
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
    name_rows(axes, [shown for shown, _ in rows])
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
    from scipy.ndimage import gaussian_filter1d

    shown = np.log10(values) if log else values
    if len(shown) < 2 or shown.min() == shown.max():
        return np.empty(0), np.empty(0)
    counts, edges = np.histogram(shown, bins=_BINS)
    places = (edges[1:] + edges[:-1]) / 2
    quarters = np.subtract(*np.quantile(shown, [0.75, 0.25])) / 1.34
    spread = min(shown.std(ddof=1), quarters) if quarters > 0 else shown.std(ddof=1)
    width = max(0.9 * spread * len(shown) ** -0.2, edges[1] - edges[0])
    bin_width = edges[1] - edges[0]
    density = gaussian_filter1d(counts.astype(np.float64), width / bin_width, mode="constant", truncate=8)
    return 10**places if log else places, density / density.max()
