"""Runs clean and noisy images through one network in a single forward pass, and compares them at each activation call."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robustbench_la.activations import DEFAULT_ALPHA
from robustbench_la.errors import RunError, UserError
from robustbench_la.measuring.layer_options import FluctuationOptions
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
from robustbench_la.measuring.probe import Probe, activation_paths
from robustbench_la.measuring.running import run_network
from robustbench_la.measuring.session import Evaluation
from robustbench_la.measuring.trial import far, why_apart
from robustbench_la.measuring.watch import Apply, Observe
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.other_activations import has_scale
from robustbench_la.records.cells import Condition, Pass
from robustbench_la.records.layers import LayerStats, NetworkFluctuation

ROWS = 32
"""Batches are padded to multiples of this. Below 16 images torch uses other convolutions, and it computes the remainder of a
vector (two of 16 float32) one by one: in both cases the last bits differ."""
_NEAR_ZERO = -1e-20
"""Replaces pre-activations that are exactly 0, for which g(y) / y does not give the scale."""


@dataclass(slots=True)
class _Shape:
    """The shape of one activation call, as seen with a few images."""

    layer: str
    few: tuple[int, ...]
    ratio: Fraction
    """Number of images in the first pass, divided by that of the few."""
    axis: int | None = None
    """The axis of the images; None until the first pass, and if there is none."""


@dataclass(frozen=True, slots=True)
class _Call:
    """The sums of one activation call for one batch."""

    layer: str
    function: str
    elements: int
    noisy: Tensor
    """NoisySums of each condition, (conditions, 7, N); if only the fluctuation is measured, just that, (conditions, N)."""
    clean: Tensor | None = None
    """CleanSums, (4, N)."""
    activation: Tensor | None = None
    """The activation summed over clean images, (D,)."""


class LayerPass:
    """One network and the conditions that share its clean pass; accumulates batch by batch."""

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
        self.probe = Probe(network.model, self._observe, network.composed)
        self.batch: list[_Call] = []
        """The calls of the current forward pass so far."""
        self.layers: list[tuple[str, str, int]] = []
        """Name, function and D of each call; known after the first batch."""
        self.totals: LayerTotals | None = None
        self.called: list[_Shape] = []
        """Every call of the first pass, including those left out, with the axis of the images."""
        self.skipped: dict[str, None] = {}
        self.where = slice(0, 0)
        self.parts = 0
        self.turn = 0
        """Number of calls in the current forward pass so far, including those left out."""

    @torch.inference_mode()
    def show(self, where: slice, versions: Sequence[Tensor]) -> None:
        """Add a batch.

        Args:
            where: Positions of its images.
            versions: uint8 (N, C, H, W), clean and then for each condition; clean only if noise is injected.

        Raises:
            UserError: If no activation is detected, or images in one batch influence each other.
            RunError: If activations are not finite, or the calls differ between batches.
        """
        network, count = self.network, len(versions[0])
        filled = torch.arange(padded(count, len(versions)), device=versions[0].device) % count
        inputs = network.normalization.apply(torch.cat([version[filled] for version in versions]))
        self.where, self.parts, self.turn = where, len(versions), 0
        self.batch.clear()
        first = self.totals is None
        few = self._look(inputs[:GROUP], len(inputs)) if first else None
        with self.probe.watching(None if first else [call.layer for call in self.called]):
            logits = run_network(network, inputs, amp=self.evaluation.amp)
        if few is not None:
            self._begin()
            self._check_apart(logits, few, inputs[:GROUP])
        self._take_in()

    def _look(self, few: Tensor, rows: int) -> Tensor:
        """Record the calls for a few images, whose shapes later reveal the axis of the images; returns their logits."""
        seen: list[tuple[str, tuple[int, ...]]] = []
        record: Observe = lambda layer, function, y, a, apply: seen.append((layer, tuple(y.shape)))  # noqa: E731
        probe = Probe(self.network.model, record, self.network.composed)
        with probe.watching():
            logits = run_network(self.network, few, amp=self.evaluation.amp)
        self.called = [_Shape(layer, shape, Fraction(rows, len(few))) for layer, shape in seen]
        return logits

    def _begin(self) -> None:
        """Set up the totals after the first forward pass; all others must make the same calls."""
        network = self.network
        if not self.batch:
            skipped = f" (calls on tensors without an axis for the images: {', '.join(self.skipped)})" if self.skipped else ""
            raise UserError(
                f"{network.name}: no activation detected in its forward pass{skipped}; write it as a function or module of "
                "torch, or put your own into a torch.nn.Module, which is recognised by what it computes"
            )
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
                f"{len(self.layers)} calls for the first batch, {len(called)} for another, or in another order"
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
        """Raise UserError if the logits of ``few`` images differ between ``alone`` and together with others."""
        amp = self.evaluation.amp
        if far(logits[: len(few)], alone, amp=amp):
            why = why_apart(run_network(self.network, few, amp=amp), alone, amp=amp)
            raise UserError(f"{self.network.name}: {why}, so noisy and clean images cannot be compared")

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
            # g(y) / y gives the scale up to rounding errors: a scale equal to the threshold must not count as below it.
            threshold = self.options.threshold * (1 - 4 * limits.eps)
            clean, noisy = sums(versions[0], versions[1:], threshold)
            if not bool(noisy.isfinite().all() & clean.isfinite().all()):  # a pre-activation of exactly 0, most likely
                pre_activation = pre_activation.masked_fill(pre_activation == 0, min(_NEAR_ZERO, -limits.tiny))
                versions = self._versions(axis, pre_activation, apply(pre_activation), apply)
                clean, noisy = sums(versions[0], versions[1:], threshold)
            call = _Call(*call_of, noisy, clean, sums_over_images(versions[0][1]))
        numbers = call.noisy if scaled or self.options.only is not None else call.noisy[:, NoisySums.WITHOUT_SCALE]
        if not bool(numbers.isfinite().all()):
            raise RunError(f"{self.network.name} has NaN or infinite activations at {layer}")
        self.batch.append(call)

    def _axis(self, layer: str, shape: tuple[int, ...]) -> int | None:
        """The axis of the images in the current call; None if the call is left out."""
        turn, self.turn = self.turn, self.turn + 1
        if turn >= len(self.called) or self.called[turn].layer != layer:
            raise RunError(f"{self.network.name} does not call the same activations for all images: unexpected call at {layer}")
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
        unpadded = slice(pre_activation.shape[axis] // rows * count)
        clean = pre_activation.movedim(axis, 0)[unpadded]
        y = clean.reshape(count, -1).float()  # logical order: the noise must not depend on the memory format
        ids = torch.from_numpy(self.evaluation.images.ids[self.where]).to(y.device)
        versions = [(y, activation.movedim(axis, 0)[unpadded].reshape(count, -1).float())]
        for injection in self.options.injections:
            keys = injection.keys(self.evaluation.seed, len(self.batch), ids)
            noisy = injection.on(y, sigma(y), keys).to(clean.dtype)
            result = apply(noisy.view(clean.shape).movedim(0, axis)).movedim(axis, 0)
            versions.append((noisy.float(), result.reshape(count, -1).float()))
        return versions

    def results(self) -> Iterator[NetworkFluctuation]:
        """One record per condition, after the last batch."""
        assert self.totals is not None
        reached = {layer for layer, _, _ in self.layers}
        unreached = tuple(path for path in activation_paths(self.network.model) if path not in reached)
        means = () if self.options.only else tuple(self.totals.activation_mean(layer) for layer in range(len(self.layers)))
        for noise, condition in enumerate(self.conditions):
            yield NetworkFluctuation(
                layers=tuple(self._layer(self.totals, index, noise, condition) for index in range(len(self.layers))),
                threshold=None if self.options.only else self.options.threshold,
                unreached=unreached,
                skipped=tuple(self.skipped),
                sample=self.sample.ids,
                per_image={name: _to_float32(values) for name, values in self.totals.per_image(noise).items()},
                activation_means=means,
            )

    def _layer(self, totals: LayerTotals, index: int, noise: int, condition: Condition) -> LayerStats:
        layer, function, elements = self.layers[index]
        return LayerStats(
            network=self.network.record,
            pass_=Pass(condition, self.evaluation.seed),
            layer=layer,
            index=index,
            function=function,
            elements=elements,
            images=totals.images,
            statistics=totals.statistics(index, noise),
        )


def padded(images: int, parts: int) -> int:
    """The smallest multiple of GROUP, at least ``images``, whose ``parts`` versions together are a multiple of ROWS."""
    step = max(GROUP, ROWS // math.gcd(ROWS, parts))
    return -(-images // step) * step


def _to_float32(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to float32, as the store does, so that stored and freshly measured values are equal."""
    return values.astype(np.float32).astype(np.float64)
