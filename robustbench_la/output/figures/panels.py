"""Which records of a fluctuation measurement share a panel of a figure, and which share a line. Draws nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from robustbench_la.activations import counterparts, in_order
from robustbench_la.analysis.groups.variants import copies_of
from robustbench_la.errors import UserError
from robustbench_la.output.figures.style import Look, look
from robustbench_la.records.cells import Condition
from robustbench_la.records.layers import LayerStats, NetworkFluctuation
from robustbench_la.records.networks import NetworkId


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The checkpoints of one activation (with one alpha and one number of layers) under the conditions of a panel."""

    activation: str
    look: Look
    checkpoints: tuple[tuple[NetworkFluctuation, ...], ...]
    """For each checkpoint, one record per condition, all in the same order."""
    weights: tuple[float, ...]
    """Of the conditions: corruptions weigh the same, and so do the levels of each."""

    def over_layers(self, value: Callable[[LayerStats], float | None]) -> NDArray[np.float64]:
        """One number per checkpoint and layer: the mean over conditions. NaN where a condition has no such number.

        Returns: (checkpoints, layers).
        """
        found = [[[value(layer) for layer in record.layers] for record in records] for records in self.checkpoints]
        return np.asarray(np.average(np.array(found, dtype=np.float64), axis=1, weights=self.weights))

    def over_images(self, name: str) -> NDArray[np.float64]:
        """One number per checkpoint and image of the sample: the mean over layers and conditions. Without those that are NaN."""
        each = [[record.per_image[name] for record in records] for records in self.checkpoints]
        found = np.concatenate([np.average(values, axis=0, weights=self.weights) for values in each])
        return np.asarray(found[np.isfinite(found)])

    def over_elements(self) -> NDArray[np.float64]:
        """One number per checkpoint, layer and element: the activation averaged over clean images."""
        means = [mean for records in self.checkpoints for mean in records[0].activation_means]
        return np.concatenate(means) if means else np.empty(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One architecture under one condition, or under several that are averaged."""

    title: str
    series: tuple[Series, ...]
    layers: tuple[str, ...]
    """Of the deepest series, in the order of the calls."""


_MOST_BANDS = 4
"""Lines with bands in a panel; those of more would cover each other."""


class _OfActivation(Protocol):
    @property
    def activation(self) -> str: ...


Line = TypeVar("Line", bound=_OfActivation)


def banded(lines: Sequence[Line]) -> list[Line]:
    """Which lines of a panel get a band: all, or those at both levels if all are many; none if those are many too."""
    if len(lines) <= _MOST_BANDS:
        return list(lines)
    shown = {line.activation for line in lines}
    pairs = [line for line in lines if shown.intersection(counterparts(line.activation))]
    return pairs if len(pairs) <= _MOST_BANDS else []


def images_and_checkpoints(shown: Sequence[Panel]) -> str:
    """How many images and checkpoints the means are over."""
    images = shown[0].series[0].checkpoints[0][0].layers[0].images
    counts = sorted({len(one.checkpoints) for panel in shown for one in panel.series})
    some = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{images:,} images" + ("" if counts == [1] else f" and {some} checkpoints per activation")


def clean_panels(measured: Sequence[NetworkFluctuation]) -> list[Panel]:
    """One panel per architecture, for what does not depend on the condition: of each checkpoint the first record."""
    return _found(measured, [None])


def panels(measured: Sequence[NetworkFluctuation], *, most: int) -> list[Panel]:
    """One panel per architecture and condition; one per corruption if that makes more than ``most``; else one per architecture.

    A mean over corruptions is that of their means over levels, as in the tables. A checkpoint that was not measured under every
    condition of a panel is left out of it.

    Raises: UserError if nothing is there to draw, or checkpoints were measured on different images.
    """
    architectures = {record.layers[0].network.design for record in measured}
    conditions = list(dict.fromkeys(_condition(record) for record in measured))
    groups = [[one] for one in conditions]
    if len(groups) * len(architectures) > most:
        corruptions = dict.fromkeys(one.corruption for one in conditions)
        groups = [[one for one in conditions if one.corruption == corruption] for corruption in corruptions]
    if len(groups) * len(architectures) > most:
        groups = [conditions]
    return _found(measured, groups)


def _found(measured: Sequence[NetworkFluctuation], groups: Sequence[Sequence[Condition] | None]) -> list[Panel]:
    """A panel per architecture and group of conditions; None: one record per checkpoint, whatever its condition."""
    if not measured:
        raise UserError("nothing was measured, so there is nothing to draw")
    if any(not np.array_equal(record.sample, measured[0].sample) for record in measured):
        raise UserError("these networks were measured on different images, so they cannot be drawn together")
    copies = copies_of(record.layers[0].network for record in measured)
    measured = [record for record in measured if record.layers[0].network.id not in copies]
    looks = _looks(measured)
    architectures = list(dict.fromkeys(record.layers[0].network.design for record in measured))
    found = []
    for architecture in architectures:
        own = [record for record in measured if record.layers[0].network.design == architecture]
        for group in groups:
            if panel := _panel(own, group, looks, architecture if len(architectures) > 1 else ""):
                found.append(panel)
    if not found:
        raise UserError("no network was measured under every condition that a panel averages, so there is nothing to draw")
    return found


_Kind = tuple[str, float | None, int, str]
"""Activation, alpha, number of layers, training recipe: what the checkpoints of one line share."""


def _kind(record: NetworkFluctuation) -> _Kind:
    first = record.layers[0].network
    return first.activation, first.alpha, len(record.layers), first.recipe


def _condition(record: NetworkFluctuation) -> Condition:
    return record.layers[0].condition


def _looks(measured: Sequence[NetworkFluctuation]) -> dict[_Kind, Look]:
    """In the order of legends. The label says alpha or the number of layers where that tells lines of one panel apart."""
    kinds = {_kind(record): record.layers[0].network.design for record in measured}
    looks: dict[_Kind, Look] = {}
    for activation in in_order(kind[0] for kind in kinds):
        own = sorted((kind for kind in kinds if kind[0] == activation), key=lambda kind: (kind[1] or 0, *kind[2:]))
        variants = list(dict.fromkeys((kind[1], kind[3]) for kind in own))
        for kind in own:
            depths = {other[2] for other in own if kinds[other] == kinds[kind]}
            shade = look(activation, variant=variants.index((kind[1], kind[3])), variants=len(variants))
            words = [f"α = {kind[1]:g}"] if len({other[1] for other in own}) > 1 and kind[1] is not None else []
            words += [f"{kind[2]} layers"] if len(depths) > 1 else []
            words += [f"recipe {kind[3][:8] or 'unknown'}"] if len({other[3] for other in own}) > 1 else []
            looks[kind] = shade.named(", ".join([shade.label, *words]))
    return looks


def _panel(
    measured: Sequence[NetworkFluctuation], group: Sequence[Condition] | None, looks: dict[_Kind, Look], architecture: str
) -> Panel | None:
    """measured: of one architecture.  group: the conditions that are averaged; None: any one stands for all."""
    found: dict[_Kind, dict[NetworkId, dict[Condition | None, NetworkFluctuation]]] = {}
    for record in measured:
        if group is None or _condition(record) in group:
            own = found.setdefault(_kind(record), {}).setdefault(record.layers[0].network.id, {})
            own.setdefault(None if group is None else _condition(record), record)
    wanted = [None] if group is None else group
    names = [None if condition is None else condition.corruption for condition in wanted]
    weights = tuple(1 / names.count(name) / len(set(names)) for name in names)
    series = []
    for kind, shown in looks.items():
        complete = [own for own in found.get(kind, {}).values() if len(own) == len(wanted)]
        if complete:
            checkpoints = tuple(tuple(own[condition] for condition in wanted) for own in complete)
            series.append(Series(activation=kind[0], look=shown, checkpoints=checkpoints, weights=weights))
    if not series:
        return None
    deepest = max((one.checkpoints[0][0].layers for one in series), key=len)
    title = ": ".join(part for part in (architecture, _title(group) if group else "") if part)
    return Panel(title=title, series=tuple(series), layers=tuple(layer.layer for layer in deepest))


def _title(group: Sequence[Condition]) -> str:
    """What a panel's images went through."""
    names = list(dict.fromkeys(condition.corruption for condition in group))
    if len(names) > 1:
        return f"mean over {len(names)} corruptions"
    name = names[0].replace("_", " ")
    if len(group) > 1:
        levels = [condition.severity or condition.level_text for condition in group]
        what = "severities" if all(condition.severity for condition in group) else "levels"
        return f"{name}\nmean over {what} {', '.join(map(str, levels))}"
    condition = group[0]
    if condition.severity:
        return f"{name}, severity {condition.severity}"
    return f"{name} = {condition.level_text}" if condition.parameters else name
