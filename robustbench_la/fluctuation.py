"""What noise does at one activation call: sums over the elements of each image.

Definitions: LayerAct (Yoon & Lim, AAAI 2025, arXiv 2306.04940), 2.1 to 2.3 and 3.2. Every activation is value x scale,
g(y)_i = y_i s_i, so the scale of an element is read off as s_i = g(y)_i / y_i.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

Sums = TypeVar("Sums", "CleanSums", "NoisySums")

_BLOCK = 1 << 17
"""Elements handled at a time on a CPU, so that what one step writes is in the cache for the next."""
_SEGMENT = 1024
"""Elements added up in float32 before float64 takes over."""
_SURE = 1 - 1e-6
"""A scale read off by division is off by a rounding: one that stands at the threshold exactly is not below it."""


@dataclass(frozen=True, slots=True)
class CleanSums:
    """Of one call on clean images, for each image: float64 (N,), sums over its D elements."""

    activation: Tensor
    """||g(y)||, L1 as all norms."""
    saturated: Tensor
    """Elements whose scale is below the threshold."""
    sigma: Tensor
    """Unbiased standard deviation of y; 0 where D = 1."""


@dataclass(frozen=True, slots=True)
class NoisySums:
    """Of one call on noisy images beside the clean ones, for each image: float64 (N,), sums over its D elements."""

    fluctuation: Tensor
    """||g(y') - g(y)||, with y' the noisy pre-activation."""
    input_fluctuation: Tensor
    """||y' - y||."""
    scale_moved: Tensor
    """sum |y_i| |s'_i - s_i|: the first part of the upper bound."""
    shift_passed: Tensor
    """sum |y'_i - y_i| |s'_i|: the second part."""
    saturated: Tensor
    cosine: Tensor
    """Between g(y) and g(y'); NaN where one of them is 0 everywhere."""

    @property
    def bound(self) -> Tensor:
        """What the fluctuation cannot exceed, by the triangle inequality; nor does it by rounding."""
        return torch.maximum(self.scale_moved + self.shift_passed, self.fluctuation)


def flat(tensor: Tensor, images: int) -> Tensor | None:
    """``tensor`` as float32 (images, D), channels last; None where no axis belongs to the images.

    images: how many went through the network together. A first axis that holds several parts of each (windows, say) counts.
    """
    if tensor.dim() == 0:
        return None
    if tensor.shape[0] % images:
        axes = [axis for axis, size in enumerate(tensor.shape) if size == images]
        if len(axes) != 1:
            return None
        tensor = tensor.movedim(axes[0], 0)
    if tensor.dim() == 4:
        tensor = tensor.permute(0, 2, 3, 1)  # as channels_last tensors lie in memory: no copy
    return tensor.reshape(images, -1).float()


def sums_over_elements(values: Tensor) -> Tensor:
    """Sum over the last axis of (N, D), float32: float64 (N,), the same for every N and number of threads."""
    whole = values.shape[1] // _SEGMENT * _SEGMENT
    total = values[:, whole:].sum(1).double()
    return total + values[:, :whole].view(len(values), -1, _SEGMENT).sum(2).double().sum(1) if whole else total


def _squares(values: Tensor) -> Tensor:
    """Sum of squares over the last axis of (N, D), float32: float64 (N,), as exact as ``sums_over_elements``."""
    whole = values.shape[1] // _SEGMENT * _SEGMENT
    total: Tensor = torch.linalg.vector_norm(values[:, whole:], dim=1).double().square()
    if whole:
        parts: Tensor = torch.linalg.vector_norm(values[:, :whole].view(len(values), -1, _SEGMENT), dim=2)
        total += parts.double().square().sum(1)
    return total


def _blocks(values: Tensor) -> list[slice]:
    """Slices of the images of (N, D)."""
    step = max(1, _BLOCK // values.shape[1]) if values.device.type == "cpu" else len(values)
    return [slice(start, start + step) for start in range(0, len(values), step)]


def fluctuations(clean: Tensor, noisy: Sequence[Tensor]) -> list[Tensor]:
    """||g(y') - g(y)|| alone: activations (N, D), clean and for each noise; gives float64 (N,) for each noise."""
    parts: list[list[Tensor]] = [[] for _ in noisy]
    for block in _blocks(clean):
        difference = torch.empty_like(clean[block])
        for part, other in zip(parts, noisy, strict=True):
            part.append(sums_over_elements(torch.sub(other[block], clean[block], out=difference).abs_()))
    return [torch.cat(part) for part in parts]


def sums(
    clean: tuple[Tensor, Tensor], noisy: Sequence[tuple[Tensor, Tensor]], threshold: float
) -> tuple[CleanSums, list[NoisySums]]:
    """Everything: pre-activation and activation, float32 (N, D), of clean images and for each noise.

    threshold: of the scale, below which an element counts as saturated. Elements that are exactly 0 have no scale: NaN results.
    """
    cleans: list[CleanSums] = []
    noisies: list[list[NoisySums]] = [[] for _ in noisy]
    for block in _blocks(clean[0]):
        y, activation = (tensor[block] for tensor in clean)
        shift, scale, work, one = (torch.empty_like(y) for _ in range(4))
        torch.div(activation, y, out=scale)
        squares = _squares(activation)
        cleans.append(
            CleanSums(
                activation=sums_over_elements(torch.abs(activation, out=work)),
                saturated=sums_over_elements(torch.lt(scale, threshold * _SURE, out=work)),
                sigma=sigma(y, work),
            )
        )
        for part, (noisy_y, noisy_activation) in zip(noisies, noisy, strict=True):
            other_y, other = noisy_y[block], noisy_activation[block]
            torch.sub(other_y, y, out=shift).abs_()
            fluctuation = sums_over_elements(torch.sub(other, activation, out=work).abs_())
            dot = sums_over_elements(torch.mul(other, activation, out=work))
            torch.div(other, other_y, out=one)
            saturated = sums_over_elements(torch.lt(one, threshold * _SURE, out=work))
            moved = sums_over_elements(torch.sub(one, scale, out=work).mul_(y).abs_())
            part.append(
                NoisySums(
                    fluctuation=fluctuation,
                    input_fluctuation=sums_over_elements(shift),
                    scale_moved=moved,
                    shift_passed=sums_over_elements(one.mul_(shift).abs_()),
                    saturated=saturated,
                    cosine=dot / (squares * _squares(other)).sqrt(),
                )
            )
    return _joined(cleans), [_joined(part) for part in noisies]


def sigma(y: Tensor, work: Tensor | None = None) -> Tensor:
    """Unbiased standard deviation of each row of (N, D), float64 (N,); 0 where D = 1.  work: like ``y``, overwritten."""
    count = y.shape[1]
    if count == 1:
        return y.new_zeros(len(y), dtype=torch.float64)
    mean = (sums_over_elements(y) / count).float()
    # What rounding the mean to float32 leaves is taken off, so that a spread far below the mean stays right.
    centred = torch.sub(y, mean[:, None], out=work)
    rest = sums_over_elements(centred).square() / count
    return ((_squares(centred) - rest).clamp(min=0) / (count - 1)).sqrt()


def _joined(parts: Sequence[Sums]) -> Sums:
    kind = type(parts[0])
    return kind(*(torch.cat([getattr(part, name) for part in parts]) for name in kind.__slots__))
