"""What noise does at one activation call: sums over the elements of each image.

Definitions: LayerAct (Yoon & Lim, AAAI 2025, arXiv 2306.04940), 2.1 to 2.3 and 3.2. Every activation is value x scale,
g(y)_i = y_i s_i, so the scale of an element is read off as s_i = g(y)_i / y_i.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_BLOCK = 1 << 19
"""Elements handled at a time on a CPU, so that what one step writes is in the cache for the next."""
_SEGMENT = 4096
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


class _Rows:
    """Sums over the elements of each image: partial ones in float32, which float64 adds up at the end.

    An element's partial sum holds at most _SEGMENT elements, so the result depends on neither the number of images nor threads.
    """

    def __init__(self, names: Sequence[str], like: Tensor) -> None:
        images, elements = like.shape
        self.parts = _parts(elements)
        self.shape = (-1, self.parts, elements // self.parts)
        self.places = {name: place for place, name in enumerate(names)}
        self.found = like.new_empty(len(names), images, self.parts)

    def sum(self, name: str, block: slice, values: Tensor) -> None:
        """Of ``values``, float32 (N, D)."""
        torch.sum(values.view(self.shape), 2, out=self.found[self.places[name], block])

    def norm(self, name: str, block: slice, values: Tensor) -> None:
        """Square roots of sums of squares, to be squared before they are added up."""
        torch.linalg.vector_norm(values.view(self.shape), dim=2, out=self.found[self.places[name], block])

    def totals(self) -> dict[str, Tensor]:
        """float64 (N,) each; squares where norms were taken."""
        double = self.found.double()
        return {
            name: (double[place].square() if name.startswith("squares") else double[place]).sum(1)
            for name, place in self.places.items()
        }


def _parts(elements: int) -> int:
    """The least number of equal parts of D elements that hold at most _SEGMENT each."""
    least = -(-elements // _SEGMENT)
    return next(parts for parts in range(least, elements + 1) if elements % parts == 0)


def _blocks(values: Tensor) -> list[slice]:
    """Slices of the images of (N, D)."""
    step = max(1, _BLOCK // values.shape[1]) if values.device.type == "cpu" else len(values)
    return [slice(start, start + step) for start in range(0, len(values), step)]


def fluctuations(clean: Tensor, noisy: Sequence[Tensor]) -> list[Tensor]:
    """||g(y') - g(y)|| alone: activations (N, D), clean and for each noise; gives float64 (N,) for each noise."""
    rows = [_Rows(("fluctuation",), clean) for _ in noisy]
    for block in _blocks(clean):
        difference = torch.empty_like(clean[block])
        for own, other in zip(rows, noisy, strict=True):
            own.sum("fluctuation", block, torch.sub(other[block], clean[block], out=difference).abs_())
    return [own.totals()["fluctuation"] for own in rows]


_CLEAN = ("activation", "saturated", "squares", "sum_y", "squares_y")
_NOISY = ("fluctuation", "input_fluctuation", "scale_moved", "shift_passed", "saturated", "squares", "squares_difference")


def sums(
    clean: tuple[Tensor, Tensor], noisy: Sequence[tuple[Tensor, Tensor]], threshold: float
) -> tuple[CleanSums, list[NoisySums]]:
    """Everything: pre-activation and activation, float32 (N, D), of clean images and for each noise.

    threshold: of the scale, below which an element counts as saturated. Elements that are exactly 0 have no scale: NaN results.
    """
    clean_rows = _Rows(_CLEAN, clean[0])
    noisy_rows = [_Rows(_NOISY, clean[0]) for _ in noisy]
    for block in _blocks(clean[0]):
        y, activation = (tensor[block] for tensor in clean)
        work, scale = torch.empty_like(y), torch.empty_like(y)
        clean_rows.sum("activation", block, torch.abs(activation, out=work))
        clean_rows.norm("squares", block, activation)
        clean_rows.sum("sum_y", block, y)
        clean_rows.norm("squares_y", block, y)
        torch.div(activation, y, out=scale)
        clean_rows.sum("saturated", block, torch.lt(scale, threshold * _SURE, out=work))
        for rows, (noisy_y, noisy_activation) in zip(noisy_rows, noisy, strict=True):
            other_y, other = noisy_y[block], noisy_activation[block]
            torch.sub(other, activation, out=work)
            rows.norm("squares_difference", block, work)
            rows.norm("squares", block, other)
            rows.sum("fluctuation", block, work.abs_())
            torch.div(other, other_y, out=scale)
            rows.sum("saturated", block, torch.lt(scale, threshold * _SURE, out=work))
            # y s' - y s, with y s = g(y)
            rows.sum("scale_moved", block, torch.addcmul(activation, y, scale, value=-1, out=work).abs_())
            torch.sub(other_y, y, out=work).abs_()
            rows.sum("input_fluctuation", block, work)
            rows.sum("shift_passed", block, scale.mul_(work).abs_())
    own = clean_rows.totals()
    found = []
    for rows in noisy_rows:
        totals = rows.totals()
        # 2 a b = a^2 + b^2 - (a - b)^2
        dot = (own["squares"] + totals["squares"] - totals["squares_difference"]) / 2
        parts = {name: totals[name] for name in _NOISY if not name.startswith("squares")}
        found.append(NoisySums(**parts, cosine=dot / (own["squares"] * totals["squares"]).sqrt()))
    spread = _spread(clean[0], own["sum_y"], own["squares_y"])
    return CleanSums(activation=own["activation"], saturated=own["saturated"], sigma=spread), found


def _spread(y: Tensor, total: Tensor, squares: Tensor) -> Tensor:
    """Unbiased standard deviation of each row of (N, D) from its sum and sum of squares."""
    count = y.shape[1]
    rest = squares - total.square() / count
    # Where the mean is many times the spread, the difference of two large numbers tells little.
    if bool((rest < squares / 64).any()):
        return sigma(y)
    return (rest / (count - 1)).sqrt()


def sigma(y: Tensor) -> Tensor:
    """Unbiased standard deviation of each row of (N, D), float64 (N,); 0 where D = 1."""
    if y.shape[1] == 1:
        return y.new_zeros(len(y), dtype=torch.float64)
    return y.double().std(1)
