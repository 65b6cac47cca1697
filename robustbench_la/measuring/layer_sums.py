"""The effect of noise at one activation call: sums over the elements of each image.

Definitions: LayerAct (Yoon & Lim, AAAI 2025, arXiv 2306.04940), 2.1 to 2.3 and 3.2. If an activation is value x scale,
g(y)_i = y_i s_i, the scale of an element is computed as s_i = g(y)_i / y_i; otherwise quantities that need a scale are NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_BLOCK = 1 << 19
"""Elements processed at a time on a CPU, so that the output of one step is still in the cache for the next."""
_SEGMENT = 4096
"""Number of elements summed in float32; the partial sums are added in float64."""
GROUP = 16
"""Number of images summed in float32; the partial sums are added in float64."""


Values = NDArray[np.float64]


class _Sums:
    """Sums over the D elements of each image, at one call or stacked for several: float64 (..., quantities, N)."""

    # Subclasses name the quantities, which are then attributes.

    NAMES: ClassVar[tuple[str, ...]]

    def __init__(self, values: Values) -> None:
        self.values = values

    def __getattr__(self, name: str) -> Values:
        """One quantity, (..., N)."""
        if name not in self.NAMES:
            raise AttributeError(name)
        return self.values[..., self.NAMES.index(name), :]


class CleanSums(_Sums):
    """Sums for clean images. All norms are L1 norms.

    Attributes:
        activation: ||g(y)||.
        saturated: Number of elements whose scale is below the threshold; NaN without a scale.
        squares: Sum of squares of g(y).
        sigma: Unbiased standard deviation of y; 0 if D = 1.
    """

    NAMES = ("activation", "saturated", "squares", "sigma")


class NoisySums(_Sums):
    """Sums for noisy images, compared with the clean ones; y' is the noisy pre-activation, s' its scale.

    Attributes:
        fluctuation: ||g(y') - g(y)||.
        input_fluctuation: ||y' - y||.
        scale_moved: Sum of |y_i| |s'_i - s_i|, the first part of the upper bound; NaN without a scale.
        shift_passed: Sum of |y'_i - y_i| |s'_i|, the second part; NaN without a scale.
        saturated: As in CleanSums, for y'.
        squares: As in CleanSums, for y'.
        squared_fluctuation: Sum of squares of g(y') - g(y).
    """

    NAMES = (
        "fluctuation",
        "input_fluctuation",
        "scale_moved",
        "shift_passed",
        "saturated",
        "squares",
        "squared_fluctuation",
    )
    WITHOUT_SCALE: ClassVar[list[int]] = [0, 1, 5, 6]
    """Indices of the quantities that are defined without a scale."""

    @property
    def bound(self) -> Values:
        """Upper bound of the fluctuation by the triangle inequality; never below the fluctuation, despite rounding."""
        return np.maximum(self.scale_moved + self.shift_passed, self.fluctuation)


def flat(tensor: Tensor, images: int, axis: int) -> Tensor:
    """Flatten a tensor to float32 (images, D), channels last.

    Args:
        tensor: Of one activation call.
        images: Number of images in the batch.
        axis: The axis of the images; if it holds several parts of each (such as windows), those of an image are consecutive.

    Returns:
        float32 (images, D).
    """
    tensor = tensor.movedim(axis, 0)
    if tensor.dim() == 4:
        tensor = tensor.permute(0, 2, 3, 1)  # the memory order of channels_last tensors: no copy
    return tensor.reshape(images, -1).float()


def axis_of_images(few: Sequence[int], many: Sequence[int], ratio: Fraction) -> int | None:
    """The axis of a call that grows with the number of images.

    Args:
        few: Shape of the call for a few images.
        many: Its shape for ``ratio`` times as many.
        ratio: Ratio of the numbers of images.

    Returns:
        The axis; None if there is none, or it is ambiguous.
    """
    grown = [axis for axis, (before, after) in enumerate(zip(few, many, strict=False)) if before != after]
    return grown[0] if len(few) == len(many) and len(grown) == 1 and many[grown[0]] == few[grown[0]] * ratio else None


class _Rows:
    """Sums over the elements of each image: partial sums in float32, added in float64 at the end.

    A partial sum covers at most _SEGMENT elements, so the result depends on neither the number of images nor threads.
    """

    def __init__(self, sums: int, squares: int, like: Tensor) -> None:
        """Make room for this many sums, followed by sums of squares, for the images of ``like``, (N, D)."""
        images, elements = like.shape
        self.whole = elements // _SEGMENT * _SEGMENT
        self.sums = sums
        self.partial = like.new_empty(sums + squares, images, -(-elements // _SEGMENT))

    def add(self, index: int, block: slice, values: Tensor) -> None:
        """Set sum number ``index`` of a block from ``values``, float32 (N, D); squares are kept as norms until ``totals``."""
        partial, whole = self.partial[index, block], self.whole
        reduce = _sum if index < self.sums else _norm
        if whole:
            reduce(values[:, :whole].view(len(values), -1, _SEGMENT), partial[:, : whole // _SEGMENT])
        if whole < values.shape[1]:
            reduce(values[:, whole:], partial[:, -1])

    def totals(self) -> Tensor:
        """All sums, float64 (sums + squares, N)."""
        double = self.partial.double()
        double[self.sums :].square_()
        return double.sum(2)


def _sum(values: Tensor, out: Tensor) -> None:
    torch.sum(values, -1, out=out)


def _norm(values: Tensor, out: Tensor) -> None:
    torch.linalg.vector_norm(values, dim=-1, out=out)


def _blocks(values: Tensor) -> list[slice]:
    """Slices of the images of ``values``, (N, D), each of about _BLOCK elements; all images at once off the CPU."""
    step = max(1, _BLOCK // values.shape[1]) if values.device.type == "cpu" else len(values)
    return [slice(start, start + step) for start in range(0, len(values), step)]


def fluctuations(clean: Tensor, noisy: Sequence[Tensor]) -> Tensor:
    """The fluctuation ||g(y') - g(y)|| only.

    Args:
        clean: Activations of clean images, float32 (N, D).
        noisy: The same for each of K noises.

    Returns:
        float64 (K, N).
    """
    rows = _Rows(len(noisy), 0, clean)
    for block in _blocks(clean):
        difference = torch.empty_like(clean[block])
        for index, other in enumerate(noisy):
            rows.add(index, block, torch.sub(other[block], clean[block], out=difference).abs_())
    return rows.totals()


def sums(clean: tuple[Tensor, Tensor], noisy: Sequence[tuple[Tensor, Tensor]], threshold: float) -> tuple[Tensor, Tensor]:
    """All sums, for an activation that is value x scale. An element that is exactly 0 has no scale and makes its sums NaN.

    Args:
        clean: Pre-activation and activation of clean images, float32 (N, D).
        noisy: The same for each of K noises.
        threshold: Of the scale; below it an element counts as saturated.

    Returns:
        float64 (4, N) and (K, 7, N), with quantities as in CleanSums and NoisySums.
    """
    clean_rows = _Rows(4, 2, clean[0])
    noisy_rows = [_Rows(5, 2, clean[0]) for _ in noisy]
    for block in _blocks(clean[0]):
        y, activation = (tensor[block] for tensor in clean)
        work, scale = torch.empty_like(y), torch.empty_like(y)
        clean_rows.add(0, block, torch.abs(activation, out=work))
        torch.div(activation, y, out=scale)
        clean_rows.add(1, block, torch.lt(scale, threshold, out=work))
        clean_rows.add(2, block, scale)
        clean_rows.add(3, block, y)
        clean_rows.add(4, block, activation)
        clean_rows.add(5, block, y)
        for rows, (noisy_y, noisy_activation) in zip(noisy_rows, noisy, strict=True):
            other_y, other = noisy_y[block], noisy_activation[block]
            rows.add(5, block, other)
            rows.add(6, block, torch.sub(other, activation, out=work))
            rows.add(0, block, work.abs_())
            torch.div(other, other_y, out=scale)
            rows.add(4, block, torch.lt(scale, threshold, out=work))
            # y s' - y s, with y s = g(y)
            rows.add(2, block, torch.addcmul(activation, y, scale, value=-1, out=work).abs_())
            rows.add(1, block, torch.sub(other_y, y, out=work).abs_())
            rows.add(3, block, scale.mul_(work).abs_())
    norm, saturated, scales, total, squares, squares_y = clean_rows.totals()
    saturated = saturated + 0 * scales  # NaN if any scale is NaN
    whole = torch.stack([norm, saturated, squares, _spread(clean[0], total, squares_y)])
    return whole, torch.stack([rows.totals() for rows in noisy_rows])


def sums_without_scale(clean: tuple[Tensor, Tensor], noisy: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Like ``sums``, for an activation without a scale: saturation and the parts of the bound are NaN."""
    (y, activation), missing = clean, clean[0].new_full((len(clean[0]),), math.nan, dtype=torch.float64)
    clean_rows = _Rows(2, 2, y)
    noisy_rows = [_Rows(2, 2, y) for _ in noisy]
    for block in _blocks(y):
        clean_rows.add(0, block, activation[block].abs())
        clean_rows.add(1, block, y[block])
        clean_rows.add(2, block, activation[block])
        clean_rows.add(3, block, y[block])
        for rows, (noisy_y, noisy_activation) in zip(noisy_rows, noisy, strict=True):
            moved = noisy_activation[block] - activation[block]
            rows.add(2, block, noisy_activation[block])
            rows.add(3, block, moved)
            rows.add(0, block, moved.abs_())
            rows.add(1, block, (noisy_y[block] - y[block]).abs_())
    norm, total, squares, squares_y = clean_rows.totals()
    whole = torch.stack([norm, missing, squares, _spread(y, total, squares_y)])
    totals = [rows.totals() for rows in noisy_rows]
    return whole, torch.stack([torch.stack([*values[:2], missing, missing, missing, *values[2:]]) for values in totals])


def _spread(y: Tensor, total: Tensor, squares: Tensor) -> Tensor:
    """Unbiased standard deviation of each row of ``y``, (N, D), from its sum and its sum of squares."""
    count = y.shape[1]
    centred = squares - total.square() / count
    # If the mean is many times the spread, the difference of two large numbers loses its precision.
    cancelled = centred <= squares / 64
    spread = (centred / max(1, count - 1)).sqrt()
    if bool(cancelled.any()):
        spread[cancelled] = sigma(y[cancelled])
    return spread


def sums_over_images(values: Tensor) -> Tensor:
    """Sum over images, GROUP at a time in float32, then in float64.

    The result does not depend on how the images are split into batches, if every batch but the last is a multiple of GROUP.

    Args:
        values: float32 (N, D).

    Returns:
        float64 (D,).
    """
    whole = len(values) // GROUP * GROUP
    total = values[whole:].sum(0).double()
    return total + values[:whole].view(-1, GROUP, values.shape[1]).sum(1).double().sum(0) if whole else total


def sigma(y: Tensor) -> Tensor:
    """Unbiased standard deviation of each row of ``y``, (N, D): float64 (N,); 0 if D = 1."""
    if y.shape[1] == 1:
        return y.new_zeros(len(y), dtype=torch.float64)
    return y.double().std(1)
