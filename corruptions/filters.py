"""Linear filters over pixels that reproduce the bytes of the published float64 code.

That code truncates to integer grey levels, so wherever a blurred value is exactly an integer (in any flat area, for example) the
last bit of a sum decides the byte. That bit depends on the order of summation, so everything here is float64 and summed in the
order of scipy.ndimage: the centre first, then pairs of pixels from the outermost to the innermost; columns first, then rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from corruptions.kernels import blur_planes
from corruptions.threads import in_pieces

_TRUNCATE = 4.0
"""Where the kernel ends, in standard deviations: the default of skimage and scipy, which the published code uses."""
_BLOCK = 1 << 24
"""Values blurred at a time with torch, to bound memory."""


class GaussianBlur:
    """``scipy.ndimage.gaussian_filter`` on the [0, 1] image, clipped and truncated to 8 bits.

    The bytes equal those of scipy on any device, and for any batch size and number of threads.
    """

    def __init__(self, sigma: float) -> None:
        """Compute the weights. sigma: the standard deviation in pixels."""
        self.radius = int(_TRUNCATE * sigma + 0.5)
        impulse = np.zeros(2 * self.radius + 1)
        impulse[self.radius] = 1
        kernel = gaussian_filter1d(impulse, sigma, mode="constant", truncate=_TRUNCATE)
        self.weights = kernel[self.radius :].copy()
        """float64 (radius + 1,): the weights at distances 0, 1, ..., radius pixels."""

    def __call__(self, images: Tensor, keys: Callable[[], Tensor]) -> Tensor:
        """Blur ``images``, uint8 (N, C, H, W), into the same shape. Nothing is random, so ``keys`` is never called."""
        planes = images.contiguous().flatten(0, 1)
        if images.device.type == "cpu":
            return self._on_cpu(planes).view_as(images)
        height, width = planes.shape[1:]
        step = max(1, _BLOCK // ((height + 2 * self.radius) * (width + 2 * self.radius)))
        blocks = [blur_in_order(planes[at : at + step], self.weights.tolist()) for at in range(0, len(planes), step)]
        return torch.cat(blocks).view_as(images)

    def _on_cpu(self, planes: Tensor) -> Tensor:
        """Blur ``planes``, uint8 (P, H, W) on the CPU, with as many threads as torch uses."""
        result = torch.empty_like(planes)
        if planes.numel() == 0:
            return result
        pixels, blurred = planes.numpy(), result.numpy()
        in_pieces(len(planes), planes[0].numel(), lambda part: blur_planes(pixels[part], self.weights, blurred[part]))
        return result


def blur_in_order(planes: Tensor, weights: list[float]) -> Tensor:
    """Blur with torch, on any device that supports float64.

    Args:
        planes: uint8 (P, H, W).
        weights: The weights at distances 0, 1, ... pixels.

    Returns:
        uint8 (P, H, W).
    """
    # A lookup table, because a GPU would multiply by a rounded 1 / 255 instead of dividing.
    levels = (torch.arange(256, dtype=torch.float64) / 255).to(planes.device)
    image = levels[planes.to(torch.int32)]
    for axis in (1, 2):
        image = _sum(image, weights, axis)
    return image.clamp_(max=1).mul_(255).to(torch.uint8)


def _sum(image: Tensor, weights: list[float], axis: int) -> Tensor:
    """Weighted sum along an axis, outermost pair first, as in scipy.ndimage. Each product and each sum is rounded separately."""
    size, radius = image.shape[axis], len(weights) - 1
    positions = torch.arange(-radius, size + radius, device=image.device).clamp_(0, size - 1)
    padded = image.index_select(axis, positions)
    total = image * weights[0]
    for distance in range(radius, 0, -1):
        pair = padded.narrow(axis, radius - distance, size) + padded.narrow(axis, radius + distance, size)
        total += pair.mul_(weights[distance])
    return total
