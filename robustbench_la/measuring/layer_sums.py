"""What noise does at one activation call: sums over the elements of each image.

Definitions: LayerAct (Yoon & Lim, AAAI 2025, arXiv 2306.04940), 2.1 to 2.3 and 3.2. Where an activation is value x scale,
g(y)_i = y_i s_i, the scale of an element is read off as s_i = g(y)_i / y_i; where it is not, what needs a scale is NaN.
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
"""Elements handled at a time on a CPU, so that what one step writes is in the cache for the next."""
_SEGMENT = 4096
"""Elements added up in float32 before float64 takes over."""
GROUP = 16
"""Images added up in float32 before float64 takes over."""


Values = NDArray[np.float64]


class _Sums:
    """Sums over the D elements of each image, at one call or stacked for several: float64 (..., quantities, N)."""

    NAMES: ClassVar[tuple[str, ...]]

    def __init__(self, values: Values) -> None:
        self.values = values

    def __getattr__(self, name: str) -> Values:
        """One quantity, (..., N)."""
        if name not in self.NAMES:
            raise AttributeError(name)
        return self.values[..., self.NAMES.index(name), :]


class CleanSums(_Sums):
    """Of clean images.

    activation: ||g(y)||, L1 as all norms.  saturated: elements whose scale is below the threshold; NaN without a scale.
    squares: of g(y).
    sigma: unbiased standard deviation of y; 0 where D = 1.
    """

    NAMES = ("activation", "saturated", "squares", "sigma")


class NoisySums(_Sums):
    """Of noisy images beside the clean ones; y' is the noisy pre-activation, s' its scale.

    fluctuation: ||g(y') - g(y)||.  input_fluctuation: ||y' - y||.  scale_moved: sum |y_i| |s'_i - s_i|, the first part of the
    upper bound.  shift_passed: sum |y'_i - y_i| |s'_i|, the second; both NaN without a scale.  saturated, squares: as in
    CleanSums, of y'.
    squared_fluctuation: sum of squares of g(y') - g(y).
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
    """Places of those that are known without a scale."""

    @property
    def bound(self) -> Values:
        """What the fluctuation cannot exceed, by the triangle inequality; nor does it by rounding."""
        return np.maximum(self.scale_moved + self.shift_passed, self.fluctuation)


def flat(tensor: Tensor, images: int, axis: int) -> Tensor:
    """``tensor`` as float32 (images, D), channels last.

    images: how many went through the network together.  axis: theirs; where it holds several parts of each (windows, say), the
    parts of an image follow each other.
    """
    tensor = tensor.movedim(axis, 0)
    if tensor.dim() == 4:
        tensor = tensor.permute(0, 2, 3, 1)  # as channels_last tensors lie in memory: no copy
    return tensor.reshape(images, -1).float()


def axis_of_images(few: Sequence[int], many: Sequence[int], ratio: Fraction) -> int | None:
    """The axis that grows with the number of images, of a call's shapes for few and for ``ratio`` times as many; None without."""
    grown = [axis for axis, (one, other) in enumerate(zip(few, many, strict=False)) if one != other]
    return grown[0] if len(few) == len(many) and len(grown) == 1 and many[grown[0]] == few[grown[0]] * ratio else None


class _Rows:
    """Sums over the elements of each image: partial ones in float32, which float64 adds up at the end.

    A partial sum holds at most _SEGMENT elements, so the result depends on neither the number of images nor threads.
    """

    def __init__(self, sums: int, squares: int, like: Tensor) -> None:
        """For this many sums, followed by sums of squares, of the images of ``like``, (N, D)."""
        images, elements = like.shape
        self.whole = elements // _SEGMENT * _SEGMENT
        self.sums = sums
        self.found = like.new_empty(sums + squares, images, -(-elements // _SEGMENT))

    def add(self, place: int, block: slice, values: Tensor) -> None:
        """Of ``values``, float32 (N, D); sums of squares come as norms first, to be squared before they are added up."""
        found, whole = self.found[place, block], self.whole
        add_up = _sum if place < self.sums else _norm
        if whole:
            add_up(values[:, :whole].view(len(values), -1, _SEGMENT), found[:, : whole // _SEGMENT])
        if whole < values.shape[1]:
            add_up(values[:, whole:], found[:, -1])

    def totals(self) -> Tensor:
        """float64 (sums + squares, N)."""
        double = self.found.double()
        double[self.sums :].square_()
        return double.sum(2)


def _sum(values: Tensor, out: Tensor) -> None:
    torch.sum(values, -1, out=out)


def _norm(values: Tensor, out: Tensor) -> None:
    torch.linalg.vector_norm(values, dim=-1, out=out)


def _blocks(values: Tensor) -> list[slice]:
    """Slices of the images of (N, D)."""
    step = max(1, _BLOCK // values.shape[1]) if values.device.type == "cpu" else len(values)
    return [slice(start, start + step) for start in range(0, len(values), step)]


def fluctuations(clean: Tensor, noisy: Sequence[Tensor]) -> Tensor:
    """||g(y') - g(y)|| alone: activations (N, D), clean and for each of K noises; gives float64 (K, N)."""
    rows = _Rows(len(noisy), 0, clean)
    for block in _blocks(clean):
        difference = torch.empty_like(clean[block])
        for place, other in enumerate(noisy):
            rows.add(place, block, torch.sub(other[block], clean[block], out=difference).abs_())
    return rows.totals()


def sums(clean: tuple[Tensor, Tensor], noisy: Sequence[tuple[Tensor, Tensor]], threshold: float) -> tuple[Tensor, Tensor]:
    """Everything, for an activation that is value x scale.

    Args:
        clean: Pre-activation and activation, float32 (N, D), of clean images.
        noisy: The same for each of K noises.
        threshold: Of the scale, below which an element counts as saturated. Elements that are exactly 0 have no scale: NaN sums.

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
    saturated = saturated + 0 * scales  # NaN where a scale is
    whole = torch.stack([norm, saturated, squares, _spread(clean[0], total, squares_y)])
    return whole, torch.stack([rows.totals() for rows in noisy_rows])


def sums_without_scale(clean: tuple[Tensor, Tensor], noisy: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """As ``sums`` for an activation that has no scale: NaN for saturation and the parts of the bound."""
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
    found = [rows.totals() for rows in noisy_rows]
    return whole, torch.stack([torch.stack([*one[:2], missing, missing, missing, *one[2:]]) for one in found])


def _spread(y: Tensor, total: Tensor, squares: Tensor) -> Tensor:
    """Unbiased standard deviation of each row of (N, D) from its sum and sum of squares."""
    count = y.shape[1]
    rest = squares - total.square() / count
    # Where the mean is many times the spread, the difference of two large numbers tells little.
    lost = rest <= squares / 64
    spread = (rest / max(1, count - 1)).sqrt()
    if bool(lost.any()):
        spread[lost] = sigma(y[lost])
    return spread


def sums_over_images(values: Tensor) -> Tensor:
    """Sum over the images of (N, D), float32: float64 (D,). GROUP of them are added up in float32 at a time.

    Where the first of N images has a number that GROUP divides among all, it does not matter which go together.
    """
    whole = len(values) // GROUP * GROUP
    total = values[whole:].sum(0).double()
    return total + values[:whole].view(-1, GROUP, values.shape[1]).sum(1).double().sum(0) if whole else total


def sigma(y: Tensor) -> Tensor:
    """Unbiased standard deviation of each row of (N, D), float64 (N,); 0 where D = 1."""
    if y.shape[1] == 1:
        return y.new_zeros(len(y), dtype=torch.float64)
    return y.double().std(1)
