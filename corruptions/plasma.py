"""Fog: a random map made by the diamond-square algorithm, laid over an image."""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from corruptions.kernels import LEVELS, kernel
from corruptions.whole_draws import uniforms

_ROUGHNESS = 100.0
"""The published ``wibble``: numbers are drawn from -w to w and then multiplied by w."""


def map_side(height: int, width: int) -> int:
    """The side of the map, the next power of two: 32, 64 and 256 px for images of 32, 64 and 224 px, as published."""
    return max(2, 1 << (max(height, width) - 1).bit_length())


def fog_images(
    images: NDArray[np.uint8], keys: NDArray[np.int64], weight: float, decay: float, result: NDArray[np.uint8]
) -> None:
    """Write images under fog to ``result``.

    Args:
        images: uint8 (N, C, H, W).
        keys: int64 (N,); the number for a point of the map is drawn at its position in the map, row by row.
        weight: How much of the map is added.
        decay: What the roughness is divided by at each halving of the distance between points.
        result: uint8 (N, C, H, W).
    """
    side = map_side(*images.shape[2:])
    for image, key, target in zip(images, keys[:, None], result, strict=True):
        draws = uniforms(key, side * side).reshape(side, side)
        fill_plasma(draws, decay)
        add_fog(image, draws, weight, target)


@kernel("void(float64[:, ::1], float64)")
def fill_plasma(values: NDArray[np.float64], decay: float) -> None:
    """Replace uniform numbers by a map of heights from 0 to 1, made with them.

    Args:
        values: float64 (side, side), from 0 to 1; side a power of two. The first number is not used.
        decay: What the roughness is divided by at each halving.
    """
    side = len(values)
    values[0, 0] = 0.0
    step, rough = side, _ROUGHNESS
    while step >= 2:
        half = step // 2
        for row in range(0, side, step):
            below = (row + step) % side
            for column in range(0, side, step):
                right = (column + step) % side
                left_sum, right_sum = values[row, column] + values[below, column], values[row, right] + values[below, right]
                values[row + half, column + half] = _raised(left_sum + right_sum, rough, values[row + half, column + half])
        for row in range(0, side, step):
            for column in range(0, side, step):
                centre, corner = values[row + half, column + half], values[row, column]
                across = (centre + values[(row - half) % side, column + half]) + (corner + values[row, (column + step) % side])
                down = (centre + values[row + half, (column - half) % side]) + (corner + values[(row + step) % side, column])
                values[row, column + half] = _raised(across, rough, values[row, column + half])
                values[row + half, column] = _raised(down, rough, values[row + half, column])
        step = half
        rough /= decay
    lowest, highest = np.inf, -np.inf
    for row in range(side):
        for column in range(side):
            lowest, highest = min(lowest, values[row, column]), max(highest, values[row, column])
    span = highest - lowest
    for row in range(side):
        for column in range(side):
            values[row, column] = (values[row, column] - lowest) / span


@register_jitable
def _raised(total: float, rough: float, draw: float) -> float:
    """The mean of four neighbours and a random height."""
    return total / 4.0 + rough * (-rough + 2.0 * rough * draw)


@kernel("void(uint8[:, :, ::1], float64[:, ::1], float64, uint8[:, :, ::1])")
def add_fog(image: NDArray[np.uint8], heights: NDArray[np.float64], weight: float, result: NDArray[np.uint8]) -> None:
    """Write an image, uint8 (C, H, W), with the map's upper left part added and scaled back to its own maximum, to ``result``."""
    channels, height, width = image.shape
    brightest = 0.0
    for channel in range(channels):
        for row in range(height):
            for column in range(width):
                brightest = max(brightest, LEVELS[image[channel, row, column]])
    whole = brightest + weight
    for channel in range(channels):
        for row in range(height):
            for column in range(width):
                value = (LEVELS[image[channel, row, column]] + weight * heights[row, column]) * brightest / whole
                result[channel, row, column] = np.uint8(min(max(value, 0.0), 1.0) * 255.0)
