"""One network shown clean and noisy images side by side in one forward pass, activation call by activation call."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robustbench_la.activations import DEFAULT_ALPHA
from robustbench_la.errors import RunError, UserError
from robustbench_la.measuring.forward import run_network
from robustbench_la.measuring.inject import Injection, layer_keys
from robustbench_la.measuring.layer_sums import (
    GROUP,
    CleanSums,
    NoisySums,
    axis_of_images,
    flat,
    fluctuations,
    sigma,
    sums,
    sums_over_images,
    sums_without_scale,
)
from robustbench_la.measuring.layer_totals import LayerTotals, Sample
from robustbench_la.measuring.probe import Apply, Probe, activation_paths, has_scale, watched_functions
from robustbench_la.measuring.session import Evaluation
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.records.cells import Condition, Pass
from robustbench_la.records.layers import LayerStats, NetworkFluctuation

THRESHOLD = 0.01
"""Of the scale: below it an element counts as saturated."""
ROWS = 32
"""Batches are filled up to multiples of this. Below 16 images torch takes other convolutions, and it computes what is left of a
vector (twice 16 float32) one by one: the last bits of either differ."""
_NEAR_ZERO = -1e-20
"""Takes the place of pre-activations that are exactly 0, whose scale cannot be read off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FluctuationOptions:
    """What is measured of every layer."""

    only: Literal["fluctuation"] | None = None
    """None: everything in records.layers.STATISTICS."""
    threshold: float = THRESHOLD
    """Of the scale, for saturation."""
    injections: tuple[Injection, ...] = ()
    """Noise on the pre-activations, in place of the conditions."""


@dataclass(slots=True)
class _Shape:
    """One activation call, as a few images showed it."""

    layer: str
    few: tuple[int, ...]
    ratio: Fraction
    """How many times as many images the first pass has."""
    axis: int | None = None
    """Of the images; None until the first pass, and where there is none."""


@dataclass(frozen=True, slots=True)
class _Call:
    """What one activation call of a batch gave."""

    layer: str
    function: str
    elements: int
    noisy: Tensor
    """NoisySums of each condition, (conditions, 7, N); where only the fluctuation is asked for that, (conditions, N)."""
    clean: Tensor | None = None
    """CleanSums, (4, N)."""
    activation: Tensor | None = None
    """Of clean images, summed over them: (D,)."""


class LayerPass:
    """One network and the conditions that share its clean pass; grows batch by batch."""

    def __init__(
        self,
        evaluation: Evaluation,
        network: Network,
        conditions: Sequence[Condition],
        options: FluctuationOptions,
        sample: Sample,
    ) -> None:
        self.evaluation, self.network, self.conditions = evaluation, network, conditions
        self.options, self.sample = options, sample
        self.probe = Probe(network.model, self._observe)
        self.batch: list[_Call] = []
        """What those of the forward pass that is being made gave."""
        self.layers: list[tuple[str, str, int]] = []
        """Name, function and D of each call; known after the first batch."""
        self.totals: LayerTotals | None = None
        self.called: list[_Shape] = []
        """Every call of the first pass, also those that are left out, with the axis of the images."""
        self.skipped: dict[str, None] = {}
        self.where = slice(0, 0)
        self.parts = 0
        self.turn = 0
        """Calls of the forward pass that is being made."""

    @torch.inference_mode()
    def show(self, where: slice, versions: Sequence[Tensor]) -> None:
        """Take in the images at ``where``: uint8 (N, C, H, W), clean and for each condition."""
        network, count = self.network, len(versions[0])
        filled = torch.arange(padded(count, len(versions)), device=versions[0].device) % count
        inputs = network.normalization.apply(torch.cat([version[filled] for version in versions]))
        self.where, self.parts, self.turn = where, len(versions), 0
        self.batch.clear()
        first = self.totals is None
        few = self._look(inputs[:GROUP], len(inputs)) if first else None
        with self.probe.watching(None if first else [call.layer for call in self.called]):
            logits = run_network(network, inputs, self.evaluation)
        if few is not None:
            self._begin()
            self._check_apart(logits, few, inputs[:GROUP])
        self._take_in()

    def _look(self, few: Tensor, rows: int) -> Tensor:
        """Note the calls for a few images: the axis that is longer for more of them is that of the images. Gives their logits."""
        seen: list[tuple[str, tuple[int, ...]]] = []
        probe = Probe(self.network.model, lambda layer, function, y, a, apply: seen.append((layer, tuple(y.shape))))
        with probe.watching():
            logits = run_network(self.network, few, self.evaluation)
        self.called = [_Shape(layer, shape, Fraction(rows, len(few))) for layer, shape in seen]
        return logits

    def _begin(self) -> None:
        """After the first forward pass: what it called is what all have to call."""
        network = self.network
        if not self.batch:
            found = f" (calls on tensors without an axis for the images: {', '.join(self.skipped)})" if self.skipped else ""
            names = ", ".join(dict.fromkeys(watched_functions().values()))
            raise UserError(f"{network.name}: no activation was seen in its forward pass{found}; looked for {names}")
        self.layers = [(call.layer, call.function, call.elements) for call in self.batch]
        self.totals = LayerTotals(
            [call.elements for call in self.batch],
            len(self.conditions),
            self.sample,
            len(self.evaluation.images.ids),
            DEFAULT_ALPHA if network.alpha is None else network.alpha,
            only=self.options.only is not None,
        )

    def _take_in(self) -> None:
        """Add the calls of one forward pass to the totals."""
        assert self.totals is not None
        called = [(call.layer, call.function, call.elements) for call in self.batch]
        if called != self.layers:
            raise RunError(
                f"{self.network.name} does not call the same activations for all images: "
                f"{len(self.layers)} for the first ones, {len(called)} for others, or others in their places"
            )
        noisy = torch.stack([call.noisy for call in self.batch]).cpu().numpy()
        if self.options.only is not None:
            self.totals.update_fluctuation(self.where, noisy)
            return
        for layer, call in enumerate(self.batch):
            assert call.activation is not None
            self.totals.activations[layer] += call.activation
        clean = torch.stack([call.clean for call in self.batch if call.clean is not None]).cpu().numpy()
        self.totals.update(self.where, CleanSums(clean), NoisySums(noisy))

    def _check_apart(self, logits: Tensor, alone: Tensor, few: Tensor) -> None:
        """Raise UserError if ``few`` images give other logits ``alone`` than together with others."""
        tolerance = (0.05 if self.evaluation.amp else 1e-3) * float(alone.float().abs().max())

        def far(one: Tensor, other: Tensor) -> bool:
            return float((one.float() - other.float()).abs().max()) > tolerance

        if not far(logits[: len(few)], alone):
            return
        if far(run_network(self.network, few, self.evaluation), alone):
            raise UserError(f"{self.network.name} gives other outputs for the same images (dropout that is never off does that)")
        raise UserError(
            f"{self.network.name}: images that go through the network together change each other's outputs "
            "(a BatchNorm without running statistics does that), so noisy and clean ones cannot be compared"
        )

    def _observe(self, layer: str, function: str, pre_activation: Tensor, activation: Tensor, apply: Apply) -> None:
        axis = self._axis(layer, tuple(pre_activation.shape))
        if axis is None:
            self.skipped[layer] = None
            return
        versions = self._versions(axis, pre_activation, activation, apply)
        call_of = (layer, function, versions[0][0].shape[1])
        scaled = has_scale(function)
        if self.options.only is not None:
            call = _Call(*call_of, fluctuations(versions[0][1], [other for _, other in versions[1:]]))
        elif not scaled:
            clean, noisy = sums_without_scale(versions[0], versions[1:])
            call = _Call(*call_of, noisy, clean, sums_over_images(versions[0][1]))
        else:
            limits = torch.finfo(pre_activation.dtype)
            # A scale that is read off is off by roundings: one that is at the threshold is not below it.
            threshold = self.options.threshold * (1 - 4 * limits.eps)
            clean, noisy = sums(versions[0], versions[1:], threshold)
            if not bool(noisy.isfinite().all() & clean.isfinite().all()):  # a pre-activation of exactly 0, most likely
                pre_activation = pre_activation.masked_fill(pre_activation == 0, min(_NEAR_ZERO, -limits.tiny))
                versions = self._versions(axis, pre_activation, apply(pre_activation), apply)
                clean, noisy = sums(versions[0], versions[1:], threshold)
            call = _Call(*call_of, noisy, clean, sums_over_images(versions[0][1]))
        numbers = call.noisy if scaled or self.options.only is not None else call.noisy[:, NoisySums.WITHOUT_SCALE]
        if not bool(numbers.isfinite().all()):
            raise RunError(f"{self.network.name} gives NaN or infinite activations at {layer}")
        self.batch.append(call)

    def _axis(self, layer: str, shape: tuple[int, ...]) -> int | None:
        """The axis of the images of the call that is being made; None where it is left out."""
        turn, self.turn = self.turn, self.turn + 1
        if turn >= len(self.called) or self.called[turn].layer != layer:
            raise RunError(f"{self.network.name} does not call the same activations for all images: {layer} comes unexpectedly")
        call = self.called[turn]
        if self.totals is None:
            call.axis = axis_of_images(call.few, shape, call.ratio)
        return call.axis

    def _versions(self, axis: int, pre_activation: Tensor, activation: Tensor, apply: Apply) -> list[tuple[Tensor, Tensor]]:
        """Pre-activation and activation, float32 (N, D), clean and for each condition."""
        count = self.where.stop - self.where.start
        rows = padded(count, self.parts) * self.parts
        if not self.options.injections:
            parts = (flat(tensor, rows, axis).chunk(self.parts) for tensor in (pre_activation, activation))
            return [(y[:count], a[:count]) for y, a in zip(*parts, strict=True)]
        own = slice(pre_activation.shape[axis] // rows * count)
        clean = pre_activation.movedim(axis, 0)[own]
        y = clean.reshape(count, -1).float()  # the noise belongs to places, however they lie in memory
        ids = torch.from_numpy(self.evaluation.images.ids[self.where]).to(y.device)
        keys = layer_keys(self.evaluation.seed, len(self.batch), ids)
        versions = [(y, activation.movedim(axis, 0)[own].reshape(count, -1).float())]
        for injection in self.options.injections:
            noisy = injection.on(y, sigma(y), keys).to(clean.dtype)
            answer = apply(noisy.view(clean.shape).movedim(0, axis)).movedim(axis, 0)
            versions.append((noisy.float(), answer.reshape(count, -1).float()))
        return versions

    def results(self) -> Iterator[NetworkFluctuation]:
        """One per condition, after the last image."""
        assert self.totals is not None
        reached = {layer for layer, _, _ in self.layers}
        unreached = tuple(path for path in activation_paths(self.network.model) if path not in reached)
        means = () if self.options.only else tuple(self.totals.activation_mean(layer) for layer in range(len(self.layers)))
        for place, condition in enumerate(self.conditions):
            yield NetworkFluctuation(
                layers=tuple(self._layer(self.totals, index, place, condition) for index in range(len(self.layers))),
                threshold=None if self.options.only else self.options.threshold,
                unreached=unreached,
                skipped=tuple(self.skipped),
                sample=self.sample.ids,
                per_image={name: _to_float32(values) for name, values in self.totals.per_image(place).items()},
                activation_means=means,
            )

    def _layer(self, totals: LayerTotals, index: int, place: int, condition: Condition) -> LayerStats:
        layer, function, elements = self.layers[index]
        return LayerStats(
            network=self.network.record,
            pass_=Pass(condition, self.evaluation.seed),
            layer=layer,
            index=index,
            function=function,
            elements=elements,
            images=totals.images,
            statistics=totals.statistics(index, place),
        )


def padded(images: int, parts: int) -> int:
    """The least number of images, at least ``images``, of which ``parts`` versions make a multiple of ROWS; one of GROUP."""
    step = max(GROUP, ROWS // math.gcd(ROWS, parts))
    return -(-images // step) * step


def _to_float32(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """As the store keeps them, so that what is read from it and what was just measured are the same."""
    return values.astype(np.float32).astype(np.float64)
