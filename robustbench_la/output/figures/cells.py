"""What the figures of stored cells share: networks of one activation as one kind, numbers, and sentences for the small print.

They show one group at a time (see analysis/one_group.py), and nothing is averaged over missing cells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from robustbench_la.analysis.comparison.contenders import contenders_of
from robustbench_la.analysis.groups.noise_seeds import seeds_in_words, unequal_seeds
from robustbench_la.analysis.groups.variants import Variant
from robustbench_la.analysis.metrics.columns import MetricColumns, metric_columns
from robustbench_la.analysis.metrics.metrics import METRICS
from robustbench_la.errors import UserError
from robustbench_la.output.figures.style import Look, look

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robustbench_la.analysis.groups.groups import Group
    from robustbench_la.analysis.metrics.means import Detail

_LABELS: Mapping[str, str] = MappingProxyType({"nll": "NLL (nats)", "ece": "calibration error (%)"})
"""Of axes; other metrics go by their title."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The networks of an activation (with one alpha)."""

    activation: str
    look: Look
    places: tuple[int, ...]
    """Of its networks in the group."""


def kinds_of(group: Group, *, by_seed: bool = True, by_setup: bool = True) -> list[Kind]:
    """The networks of a group by activation, in the order of legends.

    Args:
        group: What a figure shows.
        by_seed: Refuse two networks of one activation and training seed, and count identical weights once, as tables do.
        by_setup: Keep networks apart that were built or trained differently; otherwise only activations and alphas.

    Raises:
        UserError: For such two networks, or an activation that is not in the table.
    """
    places: dict[Variant, tuple[int, ...]] = {}
    if by_seed:
        remedy = "or draw each with: larobust plot scatter"
        places = {one.variant: one.indices for one in contenders_of(group, "activation", remedy=remedy)}
    else:
        for place, network in enumerate(group.networks):
            key = network.variant if by_setup else Variant(network.variant.activation, network.variant.alpha)
            places[key] = (*places.get(key, ()), place)
    kinds = []
    for variant, own in places.items():
        others = [other for other in places if other.activation == variant.activation]
        shade = look(variant.activation, variant=others.index(variant), variants=len(others))
        kinds.append(Kind(activation=variant.activation, look=shade.named(_label(shade.label, variant, others)), places=own))
    return kinds


def _label(name: str, variant: Variant, others: Sequence[Variant]) -> str:
    """The name of an activation with what tells it from others of the same activation."""
    words = [name]
    if len({other.alpha for other in others}) > 1 and variant.alpha is not None:
        words.append(f"α = {variant.alpha:g}")
    if len({other.exchange for other in others}) > 1:
        words.append(f"exchanged {variant.exchange}" if variant.exchange else "as built")
    if len({other.architecture for other in others}) > 1:
        words.append(variant.architecture)
    if len({other.recipe for other in others}) > 1:
        words.append(f"recipe {variant.recipe[:8] or 'unknown'}")
    return ", ".join(words)


def columns_of(group: Group, metric: str, detail: Detail) -> MetricColumns:
    """A metric of a group's networks. Raises: UserError where it cannot be computed."""
    try:
        return metric_columns(group, metric, detail)
    except ValueError as error:
        raise UserError(f"{group.title}: {error}") from None


def numbers(rows: Sequence[Sequence[float | None]]) -> NDArray[np.float64]:
    """Rows of equal length as an array; NaN where something was not measured."""
    return np.array([[math.nan if value is None else value for value in row] for row in rows], dtype=np.float64)


def axis_label(metric: str) -> str:
    """Of the axis that shows a metric, with its unit."""
    entry = METRICS[metric]
    unit = "points" if metric in ("effective", "relative") else "%"
    return _LABELS.get(metric, f"{entry.title[0].lower()}{entry.title[1:]} ({unit})")


def about_group(group: Group) -> str:
    """What was measured, as a sentence."""
    seeds = group.noise_seeds
    several = f", mean over noise seeds {seeds_in_words(seeds)}" if len(seeds) > 1 else ""
    return f"{group.title}{several}. {unequal_seeds(group)}".rstrip()


def about_means(kinds: Sequence[Kind], what: str) -> str:
    """What lines or bars are means over, as a sentence."""
    counts = sorted({len(kind.places) for kind in kinds})
    if counts == [1]:
        return f"{what}: one network per activation."
    return f"{what}: mean over {counts[0] if len(counts) == 1 else f'{counts[0]} to {counts[-1]}'} training seeds."
