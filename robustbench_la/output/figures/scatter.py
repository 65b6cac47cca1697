"""Mean corrupted against clean accuracy: a point per network, with the line of effective robustness."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from robustbench_la.analysis.groups.variants import pools_of
from robustbench_la.analysis.metrics.definitions import in_words, levels, mean_over
from robustbench_la.analysis.metrics.formulas import BaselineLine, fit_baselines
from robustbench_la.analysis.metrics.means import MEAN
from robustbench_la.errors import UserError
from robustbench_la.output.figures.cells import about_group, columns_of, kinds_of, numbers
from robustbench_la.output.figures.style import GREY, MARKERS, Columns, Look, canvas, key, note, themed
from robustbench_la.records.cells import CLEAN
from robustbench_la.records.level_words import shared_severities

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from robustbench_la.analysis.groups.groups import Group


def scatter(group: Group, *, columns: Columns = 2) -> Figure:
    """Mean corrupted against clean accuracy: one point per network, with the line of effective robustness (Taori et al. 2020).

    Where there are several architectures, or setups of one, each has its marker.
    The line is straight on logits (robustness.fit_baselines), and goes through the element-level networks; if they are too few,
    or alike, it is left out and the small print says why.

    Args:
        group: What to show.
        columns: Of the page, which the figure spans.

    Raises:
        UserError: Where clean or corrupted images were not measured.
    """
    if CLEAN not in group.conditions or not group.corruptions:
        raise UserError(f"{group.title}: clean and corrupted images are needed, and only one of them was measured")
    over = _mean(group)
    rows = columns_of(group, "top1", "corruption").rows
    points = numbers([[row[CLEAN.corruption], row[MEAN]] for row in rows])
    whole = np.asarray(np.isfinite(points).all(axis=1))
    if not whole.any():
        raise UserError(f"{group.title}: no network was measured under every condition, so there is nothing to draw")
    kinds = kinds_of(group, by_seed=False, by_setup=False)
    element = np.array([one.network.activation_level == "element" for one in group.networks])
    architectures = np.array([one.variant.architecture for one in group.networks])
    names_of = pools_of(one.network for one in group.networks)
    pools = [names_of[one.network.id] for one in group.networks]
    markers = dict(zip(dict.fromkeys(pools), itertools.cycle(MARKERS), strict=False))
    line, about_line = _line(points[whole & element], architectures[whole & element].tolist())
    with themed():
        figure = canvas(columns, 2.6 if columns == 1 else 3.2)
        axes = figure.subplots()
        if line is not None:
            _draw_line(axes, line, points[whole, 0])
        for kind in kinds:
            for pool, marker in markers.items():
                own = 100 * points[[place for place in kind.places if pools[place] == pool]]
                shown = kind.look.points() | ({"marker": marker} if len(markers) > 1 else {})
                axes.plot(own[:, 0], own[:, 1], label=kind.look.label, linestyle="", **shown)
        axes.set_xlabel("top-1 accuracy on clean images (%)")
        axes.set_ylabel("mean corrupted accuracy (%)")
        key(figure, _legend([kind.look for kind in kinds], markers), marks="points")
        sentences = [
            about_group(group),
            f"Each point is one network. Vertical axis: {over}.",
            about_line,
            "Filled: layer level; hollow: element level.",
        ]
        if not whole.all():
            sentences.append(f"Left out: {(~whole).sum()} of {len(whole)} networks, with missing cells.")
        note(figure, " ".join(sentences))
    return figure


def _mean(group: Group) -> str:
    """What the mean over corruptions covers. Raises: UserError if there is none."""
    over = mean_over(group.conditions, group.corruptions, in_words(group.corruptions))
    if not over:
        raise UserError(f"{group.title}: the corruptions share no severity, so they have no mean; select some with --noise")
    alike = shared_severities(group.conditions) or group.profile is None
    return f"{over}; each corruption: mean over {levels(group)}" if alike else over


def _legend(looks: Sequence[Look], markers: Mapping[str, str]) -> list[Look]:
    """Activations and, where there are several, architectures: then colour and filling tell activations, and the marker those."""
    if len(markers) < 2:
        return list(looks)
    grey = [Look(label=pool, colour=GREY, marker=marker, solid=True) for pool, marker in markers.items()]
    return [*(replace(look, marker="o") for look in looks), *grey]


def _line(points: NDArray[np.float64], architectures: Sequence[str]) -> tuple[BaselineLine | None, str]:
    """The line through clean and corrupted accuracies, (networks, 2), and a sentence about it."""
    try:
        line = fit_baselines(points[:, 0].tolist(), points[:, 1].tolist(), architectures)
    except ValueError as error:
        return None, f"No line: {error}."
    return line, (
        f"Line: least-squares fit through the {len(points)} element-level networks, on logit axes (slope "
        f"{line.slope:.2f} ± {line.standard_error:.2f}, standard error); effective robustness is the vertical distance "
        "from it (Taori et al. 2020)."
    )


def _draw_line(axes: Axes, line: BaselineLine, clean: NDArray[np.float64]) -> None:
    margin = 0.05 * (clean.max() - clean.min())
    across = np.clip(np.linspace(clean.min() - margin, clean.max() + margin, 101), 1e-6, 1 - 1e-6)
    up = [line.predict(float(value)) for value in across]
    axes.plot(100 * across, 100 * np.array(up), color=GREY, linewidth=0.9, label="_line", zorder=1.5)
