"""Defocus: a smoothed disc, and the filter that blurs with it as OpenCV does."""

from __future__ import annotations

import functools

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from corruptions.kernels import LEVELS, kernel


@functools.lru_cache(maxsize=64)
def disc(radius: float, smoothing: float) -> NDArray[np.float64]:
    """The blur's weights: a disc of this radius smoothed by a Gaussian, in the float32 steps of OpenCV.

    Up to a radius of 8 pixels the weights are 17 by 17 and smoothed by 3 by 3 pixels, and above by 5 by 5; at the border of the
    weights they are mirrored, which makes discs that reach it brighten the image (by 1.3 % at a radius of 8).

    Args:
        radius: In pixels.
        smoothing: Standard deviation in pixels.

    Returns:
        Values of float32, as float64 (size, size).
    """
    axis, reach = (np.arange(-8, 9), 1) if radius <= 8 else (np.arange(-radius, radius + 1), 2)
    weights = (axis[:, None] ** 2 + axis**2 <= radius**2).astype(np.float32)
    weights /= weights.sum()
    distances = np.arange(-reach, reach + 1.0)
    gaussian = np.exp(-0.5 * distances**2 / smoothing**2)
    taps = (gaussian / gaussian.sum()).astype(np.float32)[reach:]
    smoothed = _smooth_rows(_smooth_rows(weights, taps).T, taps).T
    return np.ascontiguousarray(smoothed, dtype=np.float64)


def _smooth_rows(weights: NDArray[np.float32], taps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row smoothed, from the centre outwards; products are added before they are rounded, as OpenCV's vector units do."""
    reach, width = len(taps) - 1, weights.shape[1]
    padded = np.pad(weights, ((0, 0), (reach, reach)), mode="reflect")
    total: NDArray[np.float32] = weights * taps[0]
    for distance in range(1, reach + 1):
        pair = padded[:, reach - distance :][:, :width] + padded[:, reach + distance :][:, :width]
        total = (pair.astype(np.float64) * np.float64(taps[distance]) + total.astype(np.float64)).astype(np.float32)
    return total


@kernel("void(uint8[:, :, ::1], float64[:, ::1], uint8[:, :, ::1])")
def filter_planes(planes: NDArray[np.uint8], weights: NDArray[np.float64], result: NDArray[np.uint8]) -> None:
    """Write each plane, filtered in float64, to ``result``; borders are mirrored without repeating the edge.

    Args:
        planes: uint8 (P, H, W).
        weights: float64 (K, K).
        result: uint8 (P, H, W).
    """
    count, height, width = planes.shape
    size = len(weights)
    before = size // 2
    padded = np.empty((height + size - 1, width + size - 1))
    sums, pair = np.empty(width), np.empty(width + size - 1)
    symmetric = True
    for one in range(size):
        for other in range(size):
            weight = weights[one, other]
            if weights[size - 1 - one, other] != weight or weights[one, size - 1 - other] != weight:
                symmetric = False
    for plane in range(count):
        for row in range(height + size - 1):
            source = planes[plane, _mirrored(row - before, height)]
            target = padded[row]
            for column in range(before):
                target[column] = LEVELS[source[_mirrored(column - before, width)]]
            middle = target[before:]
            for column in range(width):
                middle[column] = LEVELS[source[column]]
            for column in range(before + width, width + size - 1):
                target[column] = LEVELS[source[_mirrored(column - before, width)]]
        for row in range(height):
            sums[:] = 0.0
            if symmetric:
                _add_mirrored(padded[row:], weights, pair, sums)
            else:
                _add_all(padded[row:], weights, sums)
            out = result[plane, row]
            for column in range(width):
                out[column] = np.uint8(min(max(sums[column], 0.0), 1.0) * 255.0)


@register_jitable
def _mirrored(position: int, size: int) -> int:
    """The position within 0 to size - 1 that mirroring at the outermost pixels leads to."""
    if size == 1:
        return 0
    while position < 0 or position >= size:
        position = -position if position < 0 else 2 * size - 2 - position
    return position


@register_jitable
def _add_all(rows: NDArray[np.float64], weights: NDArray[np.float64], sums: NDArray[np.float64]) -> None:
    """Add the weighted pixels of every row that the weights cover."""
    size = len(weights)
    for one in range(size):
        for other in range(size):
            weight = weights[one, other]
            if weight != 0.0:
                source = rows[one, other:]
                for column in range(len(sums)):
                    sums[column] += source[column] * weight


@register_jitable
def _add_mirrored(
    rows: NDArray[np.float64], weights: NDArray[np.float64], pair: NDArray[np.float64], sums: NDArray[np.float64]
) -> None:
    """The same for weights that are symmetric up and down, left and right: equal ones are multiplied once."""
    size = len(weights)
    half = (size + 1) // 2
    for one in range(half):
        used = False
        for other in range(half):
            used |= weights[one, other] != 0.0
        if not used:
            continue
        upper, lower = rows[one], rows[size - 1 - one]
        if one == size - 1 - one:
            for column in range(len(pair)):
                pair[column] = upper[column]
        else:
            for column in range(len(pair)):
                pair[column] = upper[column] + lower[column]
        for other in range(half):
            weight = weights[one, other]
            if weight == 0.0:
                continue
            left, right = pair[other:], pair[size - 1 - other :]
            if other == size - 1 - other:
                for column in range(len(sums)):
                    sums[column] += left[column] * weight
            else:
                for column in range(len(sums)):
                    sums[column] += (left[column] + right[column]) * weight
