"""Motion blur as ImageMagick computes it, with 16 bits a channel: a one-sided Gaussian along a line."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from corruptions.kernels import kernel
from corruptions.whole_draws import uniforms


@functools.lru_cache(maxsize=64)
def motion_weights(radius: float, sigma: float) -> NDArray[np.float64]:
    """The weights at 0, 1, ... pixels along the line: 2 ceil(radius) + 1 of a Gaussian's right half, whose sum is 1."""
    distances = np.arange(2 * math.ceil(radius) + 1)
    weights = np.exp(-(distances**2) / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma)
    total = 0.0
    for weight in weights.tolist():
        total += weight
    return np.asarray(weights / total)


def line(count: int, angle: float) -> NDArray[np.int64]:
    """Where the pixels of a line are: int64 (count, 2), pixels down and to the right.

    Args:
        count: How many pixels.
        angle: In degrees, clockwise from the right.
    """
    across, down = count * math.cos(math.radians(angle)), count * math.sin(math.radians(angle))
    length = math.hypot(across, down)
    return np.array([(math.ceil(i * down / length - 0.5), math.ceil(i * across / length - 0.5)) for i in range(count)], np.int64)


def motion_images(
    images: NDArray[np.uint8], keys: NDArray[np.int64], weights: NDArray[np.float64], result: NDArray[np.uint8]
) -> None:
    """Write images, each blurred along a line at an angle of its own from -45 to 45 degrees, to ``result``.

    Args:
        images: uint8 (N, C, H, W).
        keys: int64 (N,); the first number of each gives the angle.
        weights: See ``motion_weights``.
        result: uint8 (N, C, H, W).
    """
    for image, draw, target in zip(images, uniforms(keys, 1)[:, 0], result, strict=True):
        blur_along(image, line(len(weights), -45 + 90 * float(draw)), weights, target)


@kernel("void(uint8[:, :, ::1], int64[:, ::1], float64[::1], uint8[:, :, ::1])")
def blur_along(
    planes: NDArray[np.uint8], places: NDArray[np.int64], weights: NDArray[np.float64], result: NDArray[np.uint8]
) -> None:
    """Write planes, blurred along a line, to ``result``; borders are replicated, values rounded to 16 bits, then cut to 8.

    Args:
        planes: uint8 (P, H, W).
        places: See ``line``.
        weights: One for each place.
        result: uint8 (P, H, W).
    """
    count, height, width = planes.shape
    reach = len(weights)
    wide = np.empty((height, width + 2 * reach))
    sums = np.empty(width)
    for plane in range(count):
        for row in range(height):
            target, pixels = wide[row], planes[plane, row]
            for column in range(reach):
                target[column] = 257.0 * pixels[0]
                target[reach + width + column] = 257.0 * pixels[width - 1]
            middle = target[reach:]
            for column in range(width):
                middle[column] = 257.0 * pixels[column]
        for row in range(height):
            sums[:] = 0.0
            for tap in range(len(weights)):
                source = wide[min(max(row + places[tap, 0], 0), height - 1), reach + places[tap, 1] :]
                weight = weights[tap]
                for column in range(width):
                    sums[column] += weight * source[column]
            out = result[plane, row]
            for column in range(width):
                value = np.int64(min(max(sums[column], 0.0), 65535.0) + 0.5)
                out[column] = np.uint8(value // 257)
