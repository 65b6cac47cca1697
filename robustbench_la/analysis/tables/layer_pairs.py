"""Fluctuation of layer-level activations against their element-level counterparts, with intervals over images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from robustbench_la.activations import ACTIVATIONS
from robustbench_la.analysis.groups.variants import Sort, sorts_in_order
from robustbench_la.analysis.statistics.bootstrap import paired_bootstrap
from robustbench_la.analysis.tables.layer_tables import by_network, in_common
from robustbench_la.analysis.tables.table import Column, Estimate, Row, Table, Value
from robustbench_la.records.layers import NetworkFluctuation


def pairs(measured: Sequence[NetworkFluctuation]) -> Table | None:
    """LayerAct against its element-level counterpart, for each architecture.

    The value of an image is the mean over layers, checkpoints (training seeds) of one activation, and the conditions that all of
    these were measured under. Intervals are
    bootstrapped over images, which both activations saw with the same noise.

    Args:
        measured: Records of any networks, measured on the same images.

    Returns:
        The table; None if no pair was measured.
    """
    rows: list[Row] = []
    counts: dict[str, int] = {}
    left_out: dict[str, None] = {}
    for architecture, groups in by_network(measured).items():
        for layer in sorts_in_order(groups):
            # Networks in memory may use activations that are not in the table.
            entry = ACTIVATIONS.get(layer.activation)
            counterpart = entry.counterpart if entry is not None and entry.level == "layer" else None
            for element in [sort for sort in sorts_in_order(groups) if sort.activation == counterpart]:
                counts |= {name.label: len({record.layers[0].network.id for record in groups[name]}) for name in (layer, element)}
                kept, missing = in_common([*groups[layer], *groups[element]])
                left_out |= dict.fromkeys(map(str, missing))
                sides = [[record for record in groups[name] if record.layers[0].pass_ in kept] for name in (layer, element)]
                rows += _pair(architecture, layer, element, *sides)
    if not rows:
        return None
    columns = (
        Column(name="network", grouped=True),
        Column(name="pair", grouped=True),
        Column(name="quantity", grouped=True),
        Column(name="over images"),
        Column(name="layer-level", kind="number"),
        Column(name="element-level", kind="number"),
        Column(name="difference", kind="number"),
        Column(name="ratio", kind="number"),
    )
    notes = [
        "Fluctuation and input: whole L1 norms, not per element; relative: a fraction. Value of an image: mean over layers, "
        "conditions and checkpoints ("
        + ", ".join(f"{count} of {name}" for name, count in counts.items())
        + "). Difference: layer-level minus element-level; ratio: layer-level / element-level; below each is its 95 % "
        "interval, by a paired bootstrap over images. Difference below 0 (ratio below 1): noise moves the layer-level activation "
        "less.",
    ]
    if left_out:
        notes.append(f"Left out, as not all of these networks were measured under it: {', '.join(left_out)}.")
    return Table(title="Layer-level against element-level", columns=columns, rows=tuple(rows), notes=tuple(notes))


def _pair(
    architecture: str,
    layer: Sort,
    element: Sort,
    one: Sequence[NetworkFluctuation],
    other: Sequence[NetworkFluctuation],
) -> Iterable[Row]:
    titles = {
        "fluctuation": "fluctuation",
        "relative": "relative",
        "input_fluctuation": "input",
    }
    for name, title in titles.items():
        if not one or name not in one[0].per_image or name not in other[0].per_image:
            continue
        values, others = _per_image(one, name), _per_image(other, name)
        if len(values) != len(others):
            continue
        finite = ~(np.isnan(values) | np.isnan(others))
        values, others = values[finite], others[finite]
        if not len(values):
            continue
        labels = (architecture, f"{layer.label} − {element.label}", title)
        means = float(values.mean()), float(others.mean())
        yield Row(values=(*labels, "mean", *means, *_compared(values, others)))
        if len(values) > 1:
            spreads = float(values.std(ddof=1)), float(others.std(ddof=1))
            ratio: Value = spreads[0] / spreads[1] if spreads[1] else None
            yield Row(values=(*labels, "std. dev.", *spreads, spreads[0] - spreads[1], ratio))


def _compared(values: NDArray[np.float64], others: NDArray[np.float64]) -> tuple[Value, Value]:
    """Difference and ratio of two means, with intervals for two or more images; no ratio if the denominator is 0."""
    one, other = float(values.mean()), float(others.mean())
    if len(values) < 2:
        return one - other, one / other if other else None
    interval = paired_bootstrap(values, others, "mean")
    difference = Estimate(interval.value, interval.low, interval.high)
    if (others <= 0).any():  # the denominator of some resample may be 0
        return difference, one / other if other else None
    interval = paired_bootstrap(values, others, "ratio")
    return difference, Estimate(interval.value, interval.low, interval.high)


def _per_image(measured: Sequence[NetworkFluctuation], name: str) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.mean([record.per_image[name] for record in measured], axis=0)
    return mean
