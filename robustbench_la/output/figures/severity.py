"""A metric against severity: a line per activation, a panel per corruption and one for their mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from robustbench_la.analysis.metrics.means import mean
from robustbench_la.analysis.metrics.metrics import METRICS
from robustbench_la.analysis.statistics.paired_tests import wilson
from robustbench_la.errors import UserError, lookup
from robustbench_la.output.figures.cells import Kind, about_group, about_means, axis_label, columns_of, kinds_of, numbers
from robustbench_la.output.figures.panels import banded
from robustbench_la.output.figures.style import Columns, canvas, grid, key, name_values, note, shade, themed
from robustbench_la.records.cells import CLEAN, Condition

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from robustbench_la.analysis.groups.groups import Group
    from robustbench_la.analysis.metrics.columns import MetricColumns

    Curve = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """One corruption, or the mean over all."""

    title: str
    severities: tuple[int, ...]
    values: NDArray[np.float64]
    """(networks, severities), NaN where something was not measured."""
    conditions: tuple[Condition, ...]
    """Of each severity; empty for a mean over corruptions."""


def severity(group: Group, *, metric: str = "top1", columns: Columns = 2) -> Figure:
    """A metric of each cell against severity, clean images at 0.

    One line per activation, one panel per corruption, before them their mean. Lines are means over training seeds, bands one
    standard deviation (n - 1) to either side; of single networks Wilson's interval of the accuracy. The mean over corruptions is
    there at the severities that all of them were measured at.

    Args:
        group: What to show.
        metric: One of METRICS that is known of each cell.
        columns: Of the page, which the figure spans.

    Raises:
        UserError: Where the metric is not known of each cell, for custom levels, or when there is nothing to draw.
    """
    _check(group, metric)
    kinds = kinds_of(group)
    shown = _panels(group, columns_of(group, metric, "severity"))
    if not any(np.isfinite(panel.values).any() for panel in shown):
        raise UserError(f"{group.title}: {metric} was not measured, so there is nothing to draw")
    across = min(len(shown), _across(len(shown), columns))
    down = math.ceil(len(shown) / across)
    narrow = columns == 1 and across == 3
    bands: set[str] = set()
    with themed():
        figure = canvas(columns, down * (1.05 if narrow else 1.25 if columns == 1 or across == 4 else 1.6) + 0.25)
        for place, (axes, panel) in enumerate(zip(grid(figure, len(shown), across=across, sharey=True), shown, strict=True)):
            axes.set_title(panel.title.replace(" over ", " over\n") if narrow else panel.title, fontsize=7 if narrow else 8)
            bands |= _draw(axes, group, panel, kinds, metric)
            axes.set_xlabel("severity" if place + across >= len(shown) else "")
        name_values(figure, axis_label(metric))
        key(figure, [kind.look for kind in kinds])
        note(figure, _note(group, shown, kinds, bands))
    return figure


def _check(group: Group, metric: str) -> None:
    """Raise UserError unless the metric can be drawn against severity."""
    entry = lookup(METRICS, metric, kind="metric")
    if entry.derived or entry.named_mean:
        known = ", ".join(name for name, other in METRICS.items() if not (other.derived or other.named_mean))
        raise UserError(f"{metric} is not known of each severity on its own; those that are: {known}")
    if not group.corruptions:
        raise UserError(f"{group.title}: only clean images were measured, so there is no severity to draw against")
    if any(condition.severity is None for condition in group.conditions):
        levels = "these are custom levels, not severities" if group.source == "generated" else "the set has no severities"
        raise UserError(f"{group.title}: {levels}; draw groups or scatter")


def _across(panels: int, columns: Columns) -> int:
    """How many panels are side by side, so that twenty still fit a page."""
    if columns == 1:
        return 2 if panels <= 8 else 3
    return 2 if panels == 4 else 3 if panels <= 9 else 4


def _panels(group: Group, measured: MetricColumns) -> list[_Panel]:
    clean = [CLEAN] if CLEAN in group.conditions else []
    by_name = {
        name: {condition.severity or 0: condition for condition in group.conditions if condition.corruption == name}
        for name in group.corruptions
    }
    shown = []
    for name, own in by_name.items():
        conditions = (*clean, *own.values())
        shown.append(
            _Panel(
                title=name.replace("_", " "),
                severities=tuple(condition.severity or 0 for condition in conditions),
                values=numbers([[row[str(condition)] for condition in conditions] for row in measured.rows]),
                conditions=conditions,
            )
        )
    common = sorted(set.intersection(*(set(own) for own in by_name.values())))
    if len(shown) > 1 and common:
        values = [
            [*(row[str(condition)] for condition in clean)]
            + [mean(row[str(own[level])] for own in by_name.values()) for level in common]
            for row in measured.rows
        ]
        title = f"mean over {len(shown)} corruptions"
        over = _Panel(title=title, severities=(*(0 for _ in clean), *common), values=numbers(values), conditions=())
        shown.insert(0, over)
    return shown


def _draw(axes: Axes, group: Group, panel: _Panel, kinds: Sequence[Kind], metric: str) -> set[str]:
    """Lines and bands of one panel; says what the bands are."""
    factor = 100 if METRICS[metric].kind == "percent" else 1
    with_band = banded(kinds)
    bands = set()
    for kind in kinds:
        middle, low, high, band = _curve(group, panel, kind, metric)
        if kind in with_band and band:
            bands.add(band)
            axes.fill_between(panel.severities, factor * low, factor * high, **shade(kind.look))
        axes.plot(panel.severities, factor * middle, label=kind.look.label, **kind.look.line(), **kind.look.points())
    axes.set_xticks(range(max(panel.severities) + 1))
    return bands


def _curve(group: Group, panel: _Panel, kind: Kind, metric: str) -> Curve:
    """Line, ends of the band, and what the band is; the text is empty where there is none."""
    values = panel.values[list(kind.places)]
    middle = values.mean(axis=0)
    if len(values) > 1:
        deviation = values.std(axis=0, ddof=1)
        return middle, middle - deviation, middle + deviation, "± 1 standard deviation over them"
    cells = group.networks[kind.places[0]].cells
    found = [[stored.cell for (own, _), stored in cells.items() if own == condition] for condition in panel.conditions]
    if metric != "top1" or not found or any(len(draws) > 1 for draws in found):
        return middle, middle, middle, ""  # several draws of noise on the same images are no independent answers
    ends = [wilson(draws[0].correct, draws[0].total) if draws else (math.nan, math.nan) for draws in found]
    low, high = np.array(ends).T
    return middle, low, high, "95 % Wilson interval of a single network"


def _note(group: Group, shown: Sequence[_Panel], kinds: Sequence[Kind], bands: set[str]) -> str:
    some = " (LayerAct and counterparts)" if len(banded(kinds)) < len(kinds) else ""
    sentences = [about_group(group), about_means(kinds, "Lines")]
    if bands:
        sentences.append(f"Bands{some}: {' or '.join(sorted(bands))}.")
    sentences.append("Solid, filled: layer level; dashed, hollow, hatched: element level.")
    if CLEAN in group.conditions:
        sentences.append("Severity\u00a00: clean images.")
    if any(np.isnan(panel.values).any() for panel in shown):
        sentences.append("Gaps: missing cells.")
    return " ".join(sentences)
