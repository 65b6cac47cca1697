"""Activation fluctuation as tables: by layer, by activation, layer-level against element-level. No text is laid out here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from robustbench_la.activations import ACTIVATIONS, in_order
from robustbench_la.analysis.table import Column, Estimate, Row, Table, Value
from robustbench_la.records.layers import LayerStats, NetworkFluctuation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COLUMNS: Mapping[str, Column] = {
    "fluctuation_per_element_mean": Column(name="fluct. / element", kind="number", better="lower"),
    "fluctuation_per_element_std": Column(name="± over images", kind="number", better="lower"),
    "relative_mean": Column(name="relative", kind="percent", better="lower", bar=True),
    "input_per_element": Column(name="input / element", kind="number"),
    "gain": Column(name="gain", kind="number", better="lower"),
    "bound_per_element": Column(name="bound / element", kind="number"),
    "scale_share": Column(name="of it scale", kind="percent"),
    "tightness_mean": Column(name="tight", kind="percent"),
    "saturation_clean": Column(name="sat. clean", kind="percent"),
    "saturation_noisy": Column(name="sat. noisy", kind="percent"),
    "activation_mean_mean": Column(name="act. mean", kind="number"),
    "activation_mean_abs": Column(name="|act. mean|", kind="number", better="lower"),
    "sigma_q50": Column(name="σ_y", kind="number"),
    "normalizer_above_1": Column(name="√(σ²+α) > 1", kind="percent"),
    "cosine_mean": Column(name="cosine", kind="number", better="higher"),
}
_NOTES = (
    "All values: means over images. Fluctuation: L1 norm of g(noisy) − g(clean), per element; relative: over the norm of "
    "g(clean), in %. Input: the same norm of the pre-activation; gain: fluctuation / input. Bound: what the fluctuation cannot "
    "exceed; of it scale: the part by which the scale moved, in %, the rest is shift passed through; tight: fluctuation / bound.",
    "Sat.: elements whose scale is below the threshold, in %. Act. mean: over clean images for each element, then over elements; "
    "|act. mean|: of its absolute value. σ_y: median over images; √(σ²+α) > 1: images, in %. Cosine: clean and noisy activation.",
)


def layers(measured: Sequence[NetworkFluctuation], *, detail: bool = False, about: str = "") -> Table:
    """One row a layer of each checkpoint: means over conditions, or (``detail``) one row for each of them.

    about: a sentence on images, levels and precision, to stand under the table.
    """
    there = measured[0].layers[0].statistics.keys() if measured else ()
    shown = {name: column for name, column in _COLUMNS.items() if name in there or name in _DERIVED}
    if "gain" not in there:
        shown = {name: column for name, column in shown.items() if name not in _DERIVED}
    conditions = list(dict.fromkeys(layer.condition for one in measured for layer in one.layers))
    rows = []
    for checkpoint in _in_order(measured):
        own = [one for one in measured if one.layers[0].checkpoint == checkpoint]
        for group in [[one] for one in own] if detail else [own]:
            for same in zip(*(one.layers for one in group), strict=True):
                noise = str(same[0].condition) if detail or len(conditions) == 1 else f"mean of {len(conditions)}"
                labels = (checkpoint, same[0].activation, noise, same[0].layer, same[0].elements)
                rows.append(Row(values=(*labels, *(_mean([value(layer, name) for layer in same]) for name in shown))))
    columns = (
        Column(name="checkpoint", grouped=True),
        Column(name="activation", grouped=True),
        Column(name="noise", grouped=True),
        Column(name="layer"),
        Column(name="D", kind="count", label=True),
        *shown.values(),
    )
    over = "" if detail or len(conditions) == 1 else f"Means over {len(conditions)} conditions: {_named(conditions)}. "
    notes = (over + about, *(_NOTES if "gain" in there else _NOTES[:1]), *_remarks(measured))
    return Table(title="Fluctuation, layer by layer", columns=columns, rows=tuple(rows), notes=notes)


def _per_element(name: str) -> Callable[[LayerStats], float | None]:
    def divided(layer: LayerStats) -> float | None:
        number = layer.statistics.get(name)
        return None if number is None else number / layer.elements

    return divided


def _scale_share(layer: LayerStats) -> float | None:
    whole, part = layer.statistics.get("bound_mean"), layer.statistics.get("bound_scale_moved_mean")
    return part / whole if whole and part is not None else None


_DERIVED: Mapping[str, Callable[[LayerStats], float | None]] = {
    "input_per_element": _per_element("input_fluctuation_mean"),
    "bound_per_element": _per_element("bound_mean"),
    "scale_share": _scale_share,
}


def value(layer: LayerStats, name: str) -> float | None:
    """A statistic of a layer, or one that follows from its statistics."""
    return _DERIVED[name](layer) if name in _DERIVED else layer.statistics.get(name)


def largest_rise(layers: Sequence[LayerStats]) -> tuple[str, float, float] | None:
    """The layer at which the relative fluctuation grows most over the layer before: its name, before and after; None without."""
    rises = [
        (after - before, layer.layer, before, after)
        for previous, layer in itertools.pairwise(layers)
        if (before := previous.statistics.get("relative_mean")) is not None
        and (after := layer.statistics.get("relative_mean")) is not None
    ]
    return max(rises)[1:] if rises and max(rises)[0] > 0 else None


def _remarks(measured: Sequence[NetworkFluctuation]) -> Iterable[str]:
    for checkpoint in _in_order(measured):
        own = [one for one in measured if one.layers[0].checkpoint == checkpoint]
        said = []
        worst = max(own, key=lambda one: _mean([layer.statistics.get("relative_mean") for layer in one.layers]) or 0)
        rise = largest_rise(worst.layers)
        if rise is not None:
            name, before, after = rise
            of = f" ({worst.layers[0].condition})" if len(own) > 1 else ""
            said.append(f"relative fluctuation rises most at {name}, from {100 * before:.1f} to {100 * after:.1f} %{of}")
        others = [layer.layer for layer in own[0].layers if layer.function != own[0].layers[0].activation]
        if others:
            more = f" and {len(others) - 4} more" if len(others) > 4 else ""
            none = len(others) == len(own[0].layers)
            counted = "none of its calls is" if none else "its means hold calls of other functions than"
            said.append(f"{counted} {own[0].layers[0].activation}: {', '.join(others[:4])}{more}")
        scaleless = {layer.function for layer in own[0].layers if _lacks_scale(layer)}
        if scaleless:
            said.append(f"no bound and no saturation for {', '.join(sorted(scaleless))}, which is not value x scale")
        if own[0].unreached:
            said.append(f"never reached: {', '.join(own[0].unreached)}")
        if own[0].skipped:
            said.append(f"not of images, left out: {', '.join(own[0].skipped)}")
        if said:
            yield f"{checkpoint}: {'; '.join(said)}."


def _lacks_scale(layer: LayerStats) -> bool:
    return layer.function in ACTIVATIONS and not ACTIVATIONS[layer.function].has_scale and "gain" in layer.statistics


def activations(measured: Sequence[NetworkFluctuation]) -> Table:
    """One row an architecture and activation: means over its checkpoints, layers and conditions."""
    everything = bool(measured) and "gain" in measured[0].layers[0].statistics
    shown = _NETWORK if everything else _NETWORK[:2]
    rows: list[Row] = []
    for architecture, groups in _groups(measured).items():
        for activation in in_order(groups):
            own = groups[activation]
            calls = [layer for one in own for layer in one.layers]
            count = len({one.layers[0].checkpoint for one in own})
            means = [_mean([value(layer, name) for layer in calls]) for name in shown]
            rows.append(Row(values=(architecture, activation, calls[0].activation_level, count, len(own[0].layers), *means)))
    columns = (
        Column(name="network", grouped=True),
        Column(name="activation"),
        Column(name="level"),
        Column(name="n", kind="count", label=True),
        Column(name="layers", kind="count", label=True),
        *(_COLUMNS[name] for name in shown),
    )
    note = "Means over n checkpoints, layers and conditions; columns as above."
    return Table(title="Fluctuation by activation", columns=columns, rows=tuple(rows), notes=(note,))


def _groups(measured: Sequence[NetworkFluctuation]) -> dict[str, dict[str, list[NetworkFluctuation]]]:
    """By architecture, then activation."""
    found: dict[str, dict[str, list[NetworkFluctuation]]] = {}
    for one in measured:
        found.setdefault(one.layers[0].architecture, {}).setdefault(one.layers[0].activation, []).append(one)
    return found


_NETWORK = (
    "fluctuation_per_element_mean",
    "fluctuation_per_element_std",
    "relative_mean",
    "input_per_element",
    "gain",
    "saturation_noisy",
    "activation_mean_mean",
    "activation_mean_abs",
    "cosine_mean",
)


def pairs(measured: Sequence[NetworkFluctuation]) -> Table | None:
    """LayerAct against its element-level counterpart, for each architecture; None where no pair was measured.

    An image's value is the mean over layers, conditions and checkpoints (seeds) of one activation. Intervals resample images,
    which both activations saw with the same noise.
    """
    rows: list[Row] = []
    counts: dict[str, int] = {}
    for architecture, groups in _groups(measured).items():
        for layer in in_order(groups):
            element = ACTIVATIONS[layer].counterpart
            if ACTIVATIONS[layer].level == "layer" and element in groups:
                counts |= {name: len({one.layers[0].checkpoint for one in groups[name]}) for name in (layer, element)}
                rows += _pair(architecture, layer, element, groups[layer], groups[element])
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
    notes = (
        "Fluctuation and input are whole L1 norms here, relative is a fraction. An image's value: the mean over layers, "
        "conditions and checkpoints ("
        + ", ".join(f"{count} of {name}" for name, count in counts.items())
        + "). Difference: layer-level minus element-level; ratio: layer-level / element-level; below each its 95 % interval, "
        "a paired bootstrap over images. Below 0 (below 1) noise moves the layer-level activation less.",
    )
    return Table(title="Layer-level against element-level", columns=columns, rows=tuple(rows), notes=notes)


def _pair(
    architecture: str,
    layer: str,
    element: str,
    one: Sequence[NetworkFluctuation],
    other: Sequence[NetworkFluctuation],
) -> Iterable[Row]:
    titles = {
        "fluctuation": "fluctuation",
        "relative": "relative",
        "input_fluctuation": "input",
    }
    for name, title in titles.items():
        if name not in one[0].per_image or name not in other[0].per_image:
            continue
        values, others = _per_image(one, name), _per_image(other, name)
        if len(values) != len(others):
            continue
        known = ~(_isnan(values) | _isnan(others))
        values, others = values[known], others[known]
        if not len(values):
            continue
        labels = (architecture, f"{layer} − {element}", title)
        means = float(values.mean()), float(others.mean())
        yield Row(values=(*labels, "mean", *means, *_compared(values, others)))
        if len(values) > 1:
            spreads = float(values.std(ddof=1)), float(others.std(ddof=1))
            apart: Value = spreads[0] / spreads[1] if spreads[1] else None
            yield Row(values=(*labels, "std. dev.", *spreads, spreads[0] - spreads[1], apart))


def _compared(values: NDArray[np.float64], others: NDArray[np.float64]) -> tuple[Value, Value]:
    """Difference and ratio of two means, with intervals where there are two images and more; no ratio to nothing."""
    from robustbench_la.analysis.paired_tests import paired_bootstrap

    one, other = float(values.mean()), float(others.mean())
    if len(values) < 2:
        return one - other, one / other if other else None
    found = paired_bootstrap(values, others, "mean")
    difference = Estimate(found.value, found.low, found.high)
    if (others <= 0).any():  # some draw of images may have nothing to divide by
        return difference, one / other if other else None
    found = paired_bootstrap(values, others, "ratio")
    return difference, Estimate(found.value, found.low, found.high)


def _per_image(measured: Sequence[NetworkFluctuation], name: str) -> NDArray[np.float64]:
    import numpy as np

    mean: NDArray[np.float64] = np.mean([one.per_image[name] for one in measured], axis=0)
    return mean


def _isnan(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    import numpy as np

    return np.isnan(values)


def _in_order(measured: Sequence[NetworkFluctuation]) -> list[str]:
    """Checkpoints, those of layer-level activations first, each beside its counterpart."""
    ranks = in_order({one.layers[0].activation for one in measured})
    return sorted(
        dict.fromkeys(one.layers[0].checkpoint for one in measured),
        key=lambda checkpoint: next(
            ranks.index(one.layers[0].activation) for one in measured if one.layers[0].checkpoint == checkpoint
        ),
    )


def _named(conditions: Sequence[object]) -> str:
    return ", ".join(map(str, conditions))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
