"""Activation fluctuation as tables: by layer, and by activation. Produces data, not text."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

from robustbench_la.activations import in_order
from robustbench_la.analysis.groups.titles import named_apart
from robustbench_la.analysis.groups.variants import Sort, copies_note, copies_of, pools_of, sorts_in_order, sorts_of
from robustbench_la.analysis.metrics.means import mean
from robustbench_la.analysis.tables.table import Column, Row, Table
from robustbench_la.other_activations import has_scale
from robustbench_la.records.cells import Condition, Pass
from robustbench_la.records.layers import LayerStats, NetworkFluctuation
from robustbench_la.records.networks import NetworkId

COLUMNS: Mapping[str, Column] = {
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
    "sigma_q50": Column(name="σ(y)", kind="number"),
    "normalizer_above_1": Column(name="√(σ²+α) > 1", kind="percent"),
    "cosine_mean": Column(name="cosine", kind="number", better="higher"),
}
"""The columns that show statistics of layers, recorded or derived."""
_NOTES = (
    "All values are means over images. Fluctuation: L1 norm of g(noisy) − g(clean), per element; relative: divided by the norm "
    "of g(clean), in %. Input: the same norm of the pre-activation; gain: fluctuation / input. Bound: upper bound of the "
    "fluctuation; of it scale: the fraction due to the change of the scale, in %, the rest is shift passed "
    "through; tight: fluctuation / bound.",
    "Sat.: fraction of elements whose scale is below the threshold, in %. Act. mean: over clean images for each element, then"
    " over elements; |act. mean|: of its absolute value. σ(y): median over images; √(σ²+α) > 1: fraction of images, in %. "
    "Cosine: between clean and noisy activation.",
)


def layers(measured: Sequence[NetworkFluctuation], *, detail: bool = False, about: str = "") -> Table:
    """One row per layer of each checkpoint: means over conditions or, with ``detail``, one row per condition.

    Args:
        measured: Records of any number of checkpoints and conditions.
        detail: Whether to show one row per condition.
        about: A sentence on images, levels and precision, shown below the table.

    Returns:
        The table.
    """
    available = measured[0].layers[0].statistics.keys() if measured else ()
    shown = {name: column for name, column in COLUMNS.items() if name in available or name in _DERIVED}
    if "gain" not in available:
        shown = {name: column for name, column in shown.items() if name not in _DERIVED}
    networks = _by_checkpoint(measured)
    conditions = {name: _conditions(records) for name, records in networks.items()}
    rows = []
    for checkpoint, records in networks.items():
        own = conditions[checkpoint]
        for group in [[record] for record in records] if detail else [records]:
            for calls in zip(*(record.layers for record in group), strict=True):
                noise = str(calls[0].condition) if detail or len(own) == 1 else f"mean of {len(own)}"
                labels = (checkpoint, calls[0].network.activation, noise, calls[0].layer, calls[0].elements)
                rows.append(Row(values=(*labels, *(mean([value(layer, name) for layer in calls]) for name in shown))))
    columns = (
        Column(name="checkpoint", grouped=True),
        Column(name="activation", grouped=True),
        Column(name="noise", grouped=True),
        Column(name="layer"),
        Column(name="D", kind="count", label=True),
        *shown.values(),
    )
    notes = (("" if detail else _over(conditions)) + about, *(_NOTES if "gain" in available else _NOTES[:1]), *_remarks(measured))
    return Table(title="Fluctuation, layer by layer", columns=columns, rows=tuple(rows), notes=notes)


def _conditions(records: Sequence[NetworkFluctuation]) -> tuple[Condition, ...]:
    return tuple(dict.fromkeys(layer.condition for record in records for layer in record.layers))


def _over(conditions: Mapping[str, Sequence[Condition]]) -> str:
    """What the means of each network cover; empty if none is over several conditions."""
    every = list(dict.fromkeys(condition for own in conditions.values() for condition in own))
    if len(every) < 2:
        return ""
    over = f"Means over {len(every)} conditions: {_named(every)}. "
    partial = [f"{name} only under {_named(own)}" for name, own in conditions.items() if len(own) < len(every)]
    if not partial:
        return over
    return f"{over}Not all were measured under all of them, so their means do not compare: {'; '.join(partial)}. "


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
    """A statistic of a layer, recorded or derived from recorded ones; None if it was not measured."""
    return _DERIVED[name](layer) if name in _DERIVED else layer.statistics.get(name)


def largest_rise(layers: Sequence[LayerStats]) -> tuple[str, float, float] | None:
    """The layer at which the relative fluctuation rises most over the previous layer.

    Args:
        layers: The layers of one network, in forward order.

    Returns:
        Its name, the relative fluctuation before it and after it (fractions); None if it never rises.
    """
    rises = [
        (after - before, layer.layer, before, after)
        for previous, layer in itertools.pairwise(layers)
        if (before := previous.statistics.get("relative_mean")) is not None
        and (after := layer.statistics.get("relative_mean")) is not None
    ]
    return max(rises)[1:] if rises and max(rises)[0] > 0 else None


def _remarks(measured: Sequence[NetworkFluctuation]) -> Iterable[str]:
    for checkpoint, records in _by_checkpoint(measured).items():
        remarks = []
        worst = max(records, key=lambda one: mean([layer.statistics.get("relative_mean") for layer in one.layers]) or 0)
        rise = largest_rise(worst.layers)
        if rise is not None:
            name, before, after = rise
            condition = f" ({worst.layers[0].condition})" if len(records) > 1 else ""
            remarks.append(
                f"relative fluctuation rises most at {name}, from {100 * before:.1f} to {100 * after:.1f} %{condition}"
            )
        other_calls = [layer.layer for layer in records[0].layers if layer.function != records[0].layers[0].network.activation]
        if other_calls:
            more = f" and {len(other_calls) - 4} more" if len(other_calls) > 4 else ""
            no_call = len(other_calls) == len(records[0].layers)
            what = "none of its calls is" if no_call else "its means include calls of other functions than"
            remarks.append(f"{what} {records[0].layers[0].network.activation}: {', '.join(other_calls[:4])}{more}")
        scaleless = {layer.function for layer in records[0].layers if _has_no_scale(layer)}
        if scaleless:
            remarks.append(f"no bound and no saturation for {', '.join(sorted(scaleless))}, which is not value x scale")
        if records[0].unreached:
            remarks.append(f"never reached: {', '.join(records[0].unreached)}")
        if records[0].skipped:
            remarks.append(f"not of images, left out: {', '.join(records[0].skipped)}")
        if remarks:
            yield f"{checkpoint}: {'; '.join(remarks)}."


def _has_no_scale(layer: LayerStats) -> bool:
    return not has_scale(layer.function) and "gain" in layer.statistics


def activations(measured: Sequence[NetworkFluctuation]) -> Table:
    """One row per architecture and activation: means over its checkpoints, layers and conditions."""
    everything = bool(measured) and "gain" in measured[0].layers[0].statistics
    shown = _NETWORK if everything else _NETWORK[:2]
    rows: list[Row] = []
    left_out: dict[str, None] = {}
    apart: list[str] = []
    for architecture, groups in by_network(measured).items():
        kept, missing = in_common([record for records in groups.values() for record in records])
        if not kept:
            apart.append(architecture)
            continue
        left_out |= dict.fromkeys(map(str, missing))
        for sort in sorts_in_order(groups):
            records = [record for record in groups[sort] if record.layers[0].pass_ in kept]
            calls = [layer for record in records for layer in record.layers]
            count = len({record.layers[0].network.id for record in records})
            means = [mean([value(layer, name) for layer in calls]) for name in shown]
            level = calls[0].network.activation_level
            rows.append(Row(values=(architecture, sort.label, level, count, len(records[0].layers), *means)))
    columns = (
        Column(name="network", grouped=True),
        Column(name="activation"),
        Column(name="level"),
        Column(name="n", kind="count", label=True),
        Column(name="layers", kind="count", label=True),
        *(COLUMNS[name] for name in shown),
    )
    notes = ["Means over n checkpoints, layers and conditions; columns as above."]
    notes += copies_note(record.layers[0].network for record in measured)
    notes += [f"{architecture}: no row, as its networks have no condition in common." for architecture in apart]
    if left_out:
        notes.append(f"Left out where others have it, as not all networks were measured under it: {', '.join(left_out)}.")
    paths = tuple(dict.fromkeys(record.layers[0].network.checkpoint for record in measured))
    return Table(title="Fluctuation by activation", columns=columns, rows=tuple(rows), notes=tuple(notes), paths=paths)


def in_common(measured: Sequence[NetworkFluctuation]) -> tuple[set[Pass], list[Condition]]:
    """What every network of these was measured under, and the conditions that only some of them were."""
    passes: dict[NetworkId, set[Pass]] = {}
    for record in measured:
        passes.setdefault(record.layers[0].network.id, set()).add(record.layers[0].pass_)
    common = set.intersection(*passes.values())
    rest = (record.layers[0] for record in measured)
    return common, list(dict.fromkeys(layer.condition for layer in rest if layer.pass_ not in common))


def by_network(measured: Sequence[NetworkFluctuation]) -> dict[str, dict[Sort, list[NetworkFluctuation]]]:
    """Records by how networks were built and trained, then by activation and alpha; copies of the same weights count once."""
    records = [record.layers[0].network for record in measured]
    pools, sorts, copies = pools_of(records), sorts_of(records), copies_of(records)
    networks: dict[str, dict[Sort, list[NetworkFluctuation]]] = {}
    for record, network in zip(measured, records, strict=True):
        if network.id not in copies:
            networks.setdefault(pools[network.id], {}).setdefault(sorts[network.id], []).append(record)
    return networks


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


def _by_checkpoint(measured: Sequence[NetworkFluctuation]) -> dict[str, list[NetworkFluctuation]]:
    """Records of each network by a name that no other has: layer-level activations first, each next to its counterpart."""
    networks = [record.layers[0].network for record in measured]
    ranks = in_order({network.activation for network in networks})
    records: dict[str, list[NetworkFluctuation]] = {}
    for index, name in sorted(enumerate(named_apart(networks)), key=lambda pair: ranks.index(networks[pair[0]].activation)):
        records.setdefault(name, []).append(measured[index])
    return records


def _named(conditions: Sequence[object]) -> str:
    return ", ".join(map(str, conditions))
