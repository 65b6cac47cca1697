"""Linear filters over pixels, with the same bytes as the published float64 code."""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from torch import Tensor
from torch.nn.functional import softshrink

_TRUNCATE = 4.0
"""Standard deviations after which the kernel ends: the default of skimage and scipy, which the published code uses."""
_BLOCK = 196_608
"""Values blurred at a time on a CPU, so that the working set stays in the second-level cache."""
_WINDOWS = 1 << 21
"""Values summed again at a time, which bounds the memory."""


class GaussianBlur:
    """``scipy.ndimage.gaussian_filter`` on the [0, 1] image, truncated to 8 bits, as two matrix products.

    Truncation is a cliff: where the blurred value is a whole grey level (a flat area, say), the last bit of the sum decides. So
    the float32 products decide only the values that lie further from a whole number than their rounding can reach; the few
    others are summed again in float64, in scipy's own order. The bytes are then scipy's, whatever the device or batch size.
    """

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma
        self.radius = int(_TRUNCATE * sigma + 0.5)
        impulse = np.zeros(2 * self.radius + 1)
        impulse[self.radius] = 1
        kernel = gaussian_filter1d(impulse, sigma, mode="constant", truncate=_TRUNCATE)
        self.weights: list[float] = kernel[self.radius :].tolist()
        """Weight at distance 0, 1, ... radius pixels."""
        # Two dot products of n = 2 radius + 1 terms on values up to 255, each off by at most (n + 1) 2^-24, relative
        # (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1).
        self.doubt = 2 * (len(kernel) + 1) * 2.0**-24 * 255

    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Blur ``images``, uint8 (N, C, H, W). Nothing is random, so ``keys`` is not looked at."""
        planes = images.flatten(0, 1)
        high, low = torch.empty_like(planes), torch.empty_like(planes)
        step = max(1, _BLOCK // planes[0].numel()) if images.device.type == "cpu" else len(planes)
        for start in range(0, len(planes), step):
            block = slice(start, start + step)
            self._bracket(planes[block], high[block], low[block])
        self._settle(planes, high, low)
        return high.view_as(images)

    def _bracket(self, planes: Tensor, high: Tensor, low: Tensor) -> None:
        """Blur ``planes``, uint8 (P, H, W), into a highest and a lowest possible grey level of every pixel."""
        down = _filter_matrix(self.sigma, planes.shape[1]).to(planes.device)
        across = _filter_matrix(self.sigma, planes.shape[2]).to(planes.device)
        # The weights sum to 1, so a constant passes through: this is an upper bound, and twice the doubt below is a lower one.
        # Below 0 counts as 0, which keeps black out of doubt. Through int32, as torch turns float to uint8 one by one.
        # Where torch may round the products to fewer bits than float32 has, they are done in float64.
        full = planes.device.type == "cpu" and torch.get_float32_matmul_precision() == "highest"
        precision = torch.float32 if full else torch.float64
        with torch.autocast(planes.device.type, enabled=False):
            rows = planes.to(precision).add_(self.doubt) @ across.T.to(precision)
            bound = torch.matmul(down.to(precision), rows)
        high.copy_(bound.to(torch.int32))
        low.copy_(softshrink(bound, 2 * self.doubt).to(torch.int32))

    def _settle(self, planes: Tensor, high: Tensor, low: Tensor) -> None:
        """Write scipy's values to ``high`` where ``low`` differs; all are uint8 (P, H, W)."""
        places = _differences(high.cpu().numpy(), low.cpu().numpy())
        if places.size == 0:
            return
        pixels = planes.cpu().numpy()
        height, width = pixels.shape[1:]
        taps = 2 * self.radius + 1
        many = np.bincount(places // (height * width), minlength=len(pixels)) * taps > height * width
        if many.any():  # planes with large flat areas: cheaper whole
            image = pixels[many] / 255.0
            blurred = gaussian_filter(image, (0, self.sigma, self.sigma), mode="nearest", truncate=_TRUNCATE)
            high[torch.from_numpy(many)] = torch.from_numpy(_to_bytes(blurred)).to(high.device)
            places = places[~many[places // (height * width)]]
        reach = np.arange(-self.radius, self.radius + 1)
        for start in range(0, len(places), max(1, _WINDOWS // taps**2)):
            place = places[start : start + max(1, _WINDOWS // taps**2)]
            plane, row, column = np.unravel_index(place, pixels.shape)
            rows = (row[:, None] + reach).clip(0, height - 1)
            columns = (column[:, None] + reach).clip(0, width - 1)
            window = pixels[plane[:, None, None], rows[:, :, None], columns[:, None, :]] / 255.0
            exact = torch.from_numpy(_to_bytes(self._sum(self._sum(window))))
            high.view(-1)[torch.from_numpy(place).to(high.device)] = exact.to(high.device)

    def _sum(self, window: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted sum over axis 1 of (P, 2 radius + 1, ...), outermost pair first, as scipy.ndimage adds it."""
        total = window[:, self.radius] * self.weights[0]
        for distance in range(self.radius, 0, -1):
            pair = window[:, self.radius - distance] + window[:, self.radius + distance]
            total += pair * self.weights[distance]
        return total


def _to_bytes(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The published code's last step: clipped to [0, 1], times 255, truncated."""
    return (image.clip(0, 1) * 255).astype(np.uint8)


def _differences(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Flat indices at which two contiguous arrays differ; looks at eight bytes at a time where it can."""
    one, other = one.reshape(-1), other.reshape(-1)
    whole = one.size // 8 * 8
    eights = np.flatnonzero(one[:whole].view(np.int64) != other[:whole].view(np.int64))
    places = np.concatenate([(eights[:, None] * 8 + np.arange(8)).reshape(-1), np.arange(whole, one.size)])
    differing: NDArray[np.intp] = places[one[places] != other[places]]
    return differing


@functools.lru_cache(maxsize=64)
def _filter_matrix(sigma: float, size: int) -> Tensor:
    """The matrix, float32 (size, size), that filters a column of ``size`` pixels: its columns are the filtered unit impulses."""
    matrix = gaussian_filter1d(np.eye(size), sigma, axis=0, mode="nearest", truncate=_TRUNCATE)
    return torch.from_numpy(matrix).float()
