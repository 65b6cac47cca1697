"""Stored cells as figures: accuracy against severity, groups as bars, clean against corrupted. How they look: see style.py.

Shows one group at a time (see subject.py), with the numbers of measures.py: nothing is averaged over cells that lack.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from robustbench_la.activations import ACTIVATIONS, counterparts
from robustbench_la.analysis.columns import MetricColumns, metric_columns
from robustbench_la.analysis.contenders import contenders_of
from robustbench_la.analysis.means import MEAN, Detail, mean
from robustbench_la.analysis.metrics import METRICS
from robustbench_la.analysis.paired_tests import wilson
from robustbench_la.analysis.robustness import BaselineLine, fit_baselines
from robustbench_la.errors import UserError, lookup
from robustbench_la.output.figures.style import GREY, WIDTHS, Columns, Look, canvas, key, look, note, themed
from robustbench_la.records.cells import CLEAN, Condition

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from robustbench_la.analysis.groups import Group

__all__ = ["group_bars", "scatter", "severity"]

_MOST_BANDS = 4
"""Lines with bands in a panel; those of more would cover each other."""
_BAR = 0.075
"""Inches that a bar is wide at the least."""
_ALIKE = 0.6
"""Bars of which the least is more than this share of the largest do not begin at 0."""
_LABELS: Mapping[str, str] = MappingProxyType({"nll": "NLL (nats)", "ece": "calibration error (%)"})
"""Of axes; other figures go by their title."""
_LEVELS = "Solid, filled: layer level; dashed, hollow: element level."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """The networks of an activation (with one alpha)."""

    activation: str
    look: Look
    places: tuple[int, ...]
    """Of its networks in the group."""


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
    """A figure of each cell against severity, clean images at 0: one line an activation, a panel a corruption, first their mean.

    Lines are means over training seeds, bands one standard deviation (n - 1) to either side; of single networks Wilson's interval
    of the accuracy. The mean over corruptions is there at the severities that all of them were measured at.

    metric: one of METRICS that is known of each cell.
    Raises: UserError where it is not, for levels of the user's own, or when there is nothing to draw.
    """
    entry = lookup(METRICS, metric, kind="metric")
    if entry.derived:
        known = ", ".join(name for name, other in METRICS.items() if not other.derived)
        raise UserError(f"{metric} is not known of each severity by itself; those that are: {known}")
    if not group.corruptions:
        raise UserError(f"{group.title}: only clean images were measured, so there is no severity to draw against")
    if any(condition.severity is None for condition in group.conditions):
        raise UserError(f"{group.title}: these are levels of your own, not severities; draw groups or scatter")
    kinds = _kinds(group)
    shown = _severity_panels(group, _measured(group, metric, "severity"))
    if not any(np.isfinite(panel.values).any() for panel in shown):
        raise UserError(f"{group.title}: {metric} was not measured, so there is nothing to draw")
    factor = 100 if entry.kind == "percent" else 1
    across = min(len(shown), _across(len(shown), columns))
    down = math.ceil(len(shown) / across)
    narrow = columns == 1 and across == 3
    banded = _banded(kinds)
    bands: set[str] = set()
    with themed():
        figure = canvas(columns, down * (1.05 if narrow else 1.25 if columns == 1 or across == 4 else 1.6) + 0.25)
        grid = list(figure.subplots(down, across, squeeze=False, sharey=True).flat)
        for unused in grid[len(shown) :]:
            unused.remove()
        for place, (axes, panel) in enumerate(zip(grid, shown, strict=False)):
            axes.set_title(panel.title.replace(" over ", " over\n") if narrow else panel.title, fontsize=7 if narrow else 8)
            for kind in kinds:
                middle, low, high, band = _curve(group, panel, kind, metric)
                if kind in banded and band:
                    bands.add(band)
                    shade = 0.16 if kind.look.solid else 0.1
                    axes.fill_between(
                        panel.severities, factor * low, factor * high, color=kind.look.colour, alpha=shade, linewidth=0
                    )
                axes.plot(panel.severities, factor * middle, label=kind.look.label, **kind.look.line(), **kind.look.points())
            axes.set_xticks(range(max(panel.severities) + 1))
            axes.set_xlabel("severity" if place + across >= len(shown) else "")
        _name_values(figure, _label(metric))
        key(figure, [kind.look for kind in kinds])
        some = " (LayerAct and counterparts)" if len(banded) < len(kinds) else ""
        said = [f"{_about(group)} {_over(kinds, 'Lines')}"]
        said += [f"Bands{some}: {' or '.join(sorted(bands))}."] * bool(bands) + [_LEVELS]
        if CLEAN in group.conditions:
            said.append("Severity\u00a00: clean images.")
        if any(np.isnan(panel.values).any() for panel in shown):
            said.append("Gaps: not all measured.")
        note(figure, " ".join(said))
    return figure


def _across(panels: int, columns: Columns) -> int:
    """How many panels stand side by side, so that twenty still fit a page."""
    if columns == 1:
        return 2 if panels <= 8 else 3
    return 2 if panels == 4 else 3 if panels <= 9 else 4


def _name_values(figure: Figure, label: str) -> None:
    """Name the vertical axis, once for all rows of panels: beside each row there may be no room for it."""
    figure.supylabel(label, fontsize=8)


def _severity_panels(group: Group, measurement: MetricColumns) -> list[_Panel]:
    clean = [CLEAN] if CLEAN in group.conditions else []
    by_name = {
        name: {condition.severity or 0: condition for condition in group.conditions if condition.corruption == name}
        for name in group.corruptions
    }
    shown = []
    for name, own in by_name.items():
        conditions = (*clean, *own.values())
        values = [[row[str(condition)] for condition in conditions] for row in measurement.rows]
        shown.append(
            _Panel(
                title=name.replace("_", " "),
                severities=tuple(condition.severity or 0 for condition in conditions),
                values=_numbers(values),
                conditions=conditions,
            )
        )
    common = sorted(set.intersection(*(set(own) for own in by_name.values())))
    if len(shown) > 1 and common:
        values = [
            [*(row[str(condition)] for condition in clean)]
            + [mean(row[str(own[level])] for own in by_name.values()) for level in common]
            for row in measurement.rows
        ]
        title = f"mean over {len(shown)} corruptions"
        over = _Panel(title=title, severities=(*(0 for _ in clean), *common), values=_numbers(values), conditions=())
        shown.insert(0, over)
    return shown


def _curve(
    group: Group, panel: _Panel, kind: _Kind, metric: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], str]:
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


def group_bars(group: Group, *, metric: str = "top1", columns: Columns = 2) -> Figure:
    """Bars: one an activation for clean images, each group of corruptions that was measured whole, and the mean over all.

    Bars are means over training seeds, error bars one standard deviation (n - 1) to either side. They begin at 0, but where that
    would make all look alike, the axis is cut, and the small print says so.

    metric: one of METRICS that is a mean over conditions.  Raises: UserError where it is not, or nothing is there to draw.
    """
    entry = lookup(METRICS, metric, kind="metric")
    if not entry.of_means:
        known = ", ".join(name for name, other in METRICS.items() if other.of_means)
        raise UserError(f"{metric} is not known of groups of corruptions; those that are: {known}")
    measurement = _measured(group, metric, "group")
    kinds = [kind for kind in _kinds(group) if metric != "relative" or kind.look.solid]
    names = [column.name for column in measurement.columns]
    values = _numbers([[row[name] for name in names] for row in measurement.rows])
    if not np.isfinite(values).any():
        raise UserError(f"{group.title}: {metric} was not measured, so there is nothing to draw")
    factor = 100 if entry.kind == "percent" else 1
    room = max(1, int((WIDTHS[columns] - 0.6) / (_BAR * 1.25 * len(kinds))))
    down = math.ceil(len(names) / room)
    across = math.ceil(len(names) / down)
    width = min(0.8 / len(kinds), 0.18)
    low, high = _span([factor * values[list(kind.places)] for kind in kinds])
    is_cut = high > low > _ALIKE * high
    with themed():
        figure = canvas(columns, down * (1.5 if down > 1 else 2.2))
        for line, axes in enumerate(figure.subplots(down, 1, squeeze=False, sharey=True)[:, 0]):
            own = range(line * across, min((line + 1) * across, len(names)))
            for place, kind in enumerate(kinds):
                drawn = factor * values[list(kind.places)][:, own]
                centres = np.arange(len(own)) + (place - (len(kinds) - 1) / 2) * width
                axes.bar(centres, drawn.mean(axis=0), 0.86 * width, label=kind.look.label, **kind.look.area())
                if len(drawn) > 1:
                    axes.errorbar(
                        centres, drawn.mean(axis=0), drawn.std(axis=0, ddof=1), fmt="none", ecolor="#222222", elinewidth=0.7
                    )
            axes.set_xticks(range(len(own)), [names[column] for column in own])
            axes.set_xlim(-0.55, across - 0.45)
            axes.tick_params(axis="x", length=0)
            axes.grid(visible=False, axis="x")
            axes.axhline(0, color=GREY, linewidth=0.6)
            if is_cut:
                axes.set_ylim(low - 0.25 * (high - low), high + 0.08 * (high - low))
        _name_values(figure, _label(metric))
        key(figure, [kind.look for kind in kinds], marks="areas")
        said = [_about(group), *measurement.notes, _over(kinds, "Bars")]
        if any(len(kind.places) > 1 for kind in kinds):
            said.append("Error bars: ± 1 standard deviation over them.")
        said += ["The axis is cut and does not begin at 0: ends of bars compare, lengths do not."] * is_cut
        said.append("Filled: layer level; hollow: element level.")
        if any(np.isnan(values[list(kind.places)]).any() for kind in kinds):
            said.append("Gaps: not all measured.")
        note(figure, " ".join(said))
    return figure


def _span(drawn: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """The lowest and the highest end of bars and error bars."""
    reaches = [values.std(axis=0, ddof=1) if len(values) > 1 else 0.0 for values in drawn]
    ends = [values.mean(axis=0) + sign * reach for values, reach in zip(drawn, reaches, strict=True) for sign in (-1, 1)]
    return float(np.nanmin(ends)), float(np.nanmax(ends))


def scatter(group: Group, *, columns: Columns = 2) -> Figure:
    """Mean corrupted against clean accuracy: one point a network, with the line of effective robustness (Taori et al. 2020).

    The line is straight on logits (aggregates.fit_baselines), and goes through the element-level networks; if they are too few,
    or alike, it is left out and the small print says why.

    Raises: UserError where clean or corrupted images were not measured.
    """
    if CLEAN not in group.conditions or not group.corruptions:
        raise UserError(f"{group.title}: clean and corrupted images are needed, and only one of them was measured")
    rows = _measured(group, "top1", "corruption").rows
    points = _numbers([[row[CLEAN.corruption], row[MEAN]] for row in rows])
    whole = np.asarray(np.isfinite(points).all(axis=1))
    if not whole.any():
        raise UserError(f"{group.title}: no network was measured under every condition, so there is nothing to draw")
    kinds = _kinds(group, by_seed=False)
    element = whole & np.array([one.network.activation_level == "element" for one in group.networks])
    line: BaselineLine | None = None
    try:
        line = fit_baselines(*(points[element, axis].tolist() for axis in (0, 1)))
        fitted = (
            f"Line: least squares through the {element.sum()} element-level networks, on logits; effective robustness is the "
        )
        fitted += "height above it (Taori et al. 2020)."
    except ValueError as error:
        fitted = f"No line of effective robustness: {error}."
    with themed():
        figure = canvas(columns, 2.6 if columns == 1 else 3.2)
        axes = figure.subplots()
        if line is not None:
            _draw_line(axes, line, points[whole, 0])
        for kind in kinds:
            own = 100 * points[list(kind.places)]
            axes.plot(own[:, 0], own[:, 1], label=kind.look.label, linestyle="", **kind.look.points())
        axes.set_xlabel("top-1 accuracy on clean images (%)")
        axes.set_ylabel("mean corrupted accuracy (%)")
        key(figure, [kind.look for kind in kinds], marks="points")
        names = ", ".join(group.corruptions) if len(group.corruptions) <= 6 else f"all {len(group.corruptions)} corruptions"
        said = [_about(group), f"A point: one network; its mean is over {names}, of each the mean over its levels.", fitted]
        said.append("Filled: layer level; hollow: element level.")
        if not whole.all():
            said.append(f"Left out, as not all was measured: {(~whole).sum()} of {len(whole)} networks.")
        note(figure, " ".join(said))
    return figure


def _draw_line(axes: Axes, line: BaselineLine, clean: NDArray[np.float64]) -> None:
    margin = 0.05 * (clean.max() - clean.min())
    across = np.clip(np.linspace(clean.min() - margin, clean.max() + margin, 101), 1e-6, 1 - 1e-6)
    up = [line.predict(float(value)) for value in across]
    axes.plot(100 * across, 100 * np.array(up), color=GREY, linewidth=0.9, label="_line", zorder=1.5)


def _measured(group: Group, metric: str, detail: Detail) -> MetricColumns:
    try:
        return metric_columns(group, metric, detail)
    except ValueError as error:
        raise UserError(f"{group.title}: {error}") from None


def _kinds(group: Group, *, by_seed: bool = True) -> list[_Kind]:
    """In the order of legends. by_seed: refuse two networks of one activation and training seed, as tables do."""
    places: dict[tuple[str, float | None], tuple[int, ...]] = {}
    for place, network in enumerate(group.networks):
        places[network.variant] = (*places.get(network.variant, ()), place)
    if by_seed:
        contenders_of(group, "activation")
    kinds = []
    for (activation, alpha), own in places.items():
        lookup(ACTIVATIONS, activation, kind="activation")
        alphas = [other for name, other in places if name == activation]
        shade = look(activation, variant=alphas.index(alpha), variants=len(alphas))
        label = f"{shade.label}, α = {alpha:g}" if len(alphas) > 1 and alpha is not None else shade.label
        kinds.append(_Kind(activation=activation, look=shade.named(label), places=own))
    return kinds


def _banded(kinds: Sequence[_Kind]) -> list[_Kind]:
    """All, or those at both levels if all are many; none if those are many too."""
    if len(kinds) <= _MOST_BANDS:
        return list(kinds)
    there = {kind.activation for kind in kinds}
    pairs = [kind for kind in kinds if there.intersection(counterparts(kind.activation))]
    return pairs if len(pairs) <= _MOST_BANDS else []


def _numbers(rows: Sequence[Sequence[float | None]]) -> NDArray[np.float64]:
    return np.array([[math.nan if value is None else value for value in row] for row in rows], dtype=np.float64)


def _label(metric: str) -> str:
    entry = METRICS[metric]
    unit = "points" if metric in ("effective", "relative") else "%"
    return _LABELS.get(metric, f"{entry.title[0].lower()}{entry.title[1:]} ({unit})")


def _about(group: Group) -> str:
    seeds = group.noise_seeds
    return f"{group.title}{f', mean over {len(seeds)} noise seeds' if len(seeds) > 1 else ''}."


def _over(kinds: Sequence[_Kind], what: str) -> str:
    counts = sorted({len(kind.places) for kind in kinds})
    if counts == [1]:
        return f"{what}: one network an activation."
    return f"{what}: mean over {counts[0] if len(counts) == 1 else f'{counts[0]} to {counts[-1]}'} training seeds."
