"""Canny's edges and the distance to them, with the integers of OpenCV."""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from corruptions.kernels import kernel

_TANGENT = 13573
"""tan(22.5 degrees) with 15 bits after the point."""
_STRAIGHT, _DIAGONAL, _KNIGHT = 65536, 91750, 143976
"""Lengths 1, 1.4 and 2.1969 of steps to neighbours, with 16 bits after the point."""
_FAR = 1 << 29


@kernel("void(uint8[:, ::1], int64, int64, boolean[:, ::1])")
def find_edges(layer: NDArray[np.uint8], low: int, high: int, edges: NDArray[np.bool_]) -> None:
    """Canny's edges: ridges of the Sobel gradient above ``low`` that touch, through others, one above ``high``.

    Args:
        layer: uint8 (H, W).
        low, high: Thresholds of |dx| + |dy|.
        edges: (H, W), overwritten.
    """
    height, width = layer.shape
    across, down = np.zeros((height, width), np.int64), np.zeros((height, width), np.int64)
    size = np.zeros((height + 2, width + 2), np.int64)
    _gradient(layer, across, down, size)
    candidates = np.zeros((height, width), np.bool_)
    stack = np.empty((height * width, 2), np.int64)
    waiting = 0
    for row in range(height):
        for column in range(width):
            edges[row, column] = False
            if size[row + 1, column + 1] > low and _is_ridge(size, row + 1, column + 1, across[row, column], down[row, column]):
                candidates[row, column] = True
                if size[row + 1, column + 1] > high:
                    edges[row, column] = True
                    stack[waiting, 0], stack[waiting, 1] = row, column
                    waiting += 1
    while waiting > 0:
        waiting -= 1
        row, column = stack[waiting, 0], stack[waiting, 1]
        for other_row in range(max(row - 1, 0), min(row + 2, height)):
            for other_column in range(max(column - 1, 0), min(column + 2, width)):
                if candidates[other_row, other_column] and not edges[other_row, other_column]:
                    edges[other_row, other_column] = True
                    stack[waiting, 0], stack[waiting, 1] = other_row, other_column
                    waiting += 1


@register_jitable
def _gradient(layer: NDArray[np.uint8], across: NDArray[np.int64], down: NDArray[np.int64], size: NDArray[np.int64]) -> None:
    """Sobel's derivatives with replicated borders, and their |dx| + |dy| in the middle of ``size``."""
    height, width = layer.shape
    for row in range(height):
        above, below = max(row - 1, 0), min(row + 1, height - 1)
        for column in range(width):
            left, right = max(column - 1, 0), min(column + 1, width - 1)
            a, b, c = np.int64(layer[above, left]), np.int64(layer[above, column]), np.int64(layer[above, right])
            d, e = np.int64(layer[row, left]), np.int64(layer[row, right])
            f, g, h = np.int64(layer[below, left]), np.int64(layer[below, column]), np.int64(layer[below, right])
            across[row, column] = (c + 2 * e + h) - (a + 2 * d + f)
            down[row, column] = (f + 2 * g + h) - (a + 2 * b + c)
            size[row + 1, column + 1] = abs(across[row, column]) + abs(down[row, column])


@register_jitable
def _is_ridge(size: NDArray[np.int64], row: int, column: int, across: int, down: int) -> bool:
    """Whether a gradient is at least as large as its two neighbours along its own direction."""
    here = size[row, column]
    x, y = abs(across), abs(down) << 15
    flat = x * _TANGENT
    if y < flat:
        return bool(here > size[row, column - 1] and here >= size[row, column + 1])
    if y > flat + (x << 16):
        return bool(here > size[row - 1, column] and here >= size[row + 1, column])
    side = -1 if (across ^ down) < 0 else 1
    return bool(here > size[row - 1, column - side] and here > size[row + 1, column + side])


@kernel("void(boolean[:, ::1], int64, float64[:, ::1])")
def distance_to(edges: NDArray[np.bool_], longest: int, distances: NDArray[np.float64]) -> None:
    """Write the distance of each pixel to the nearest edge, summed over steps to the 16 neighbours and capped, to ``distances``.

    Args:
        edges: (H, W).
        longest: The cap, in pixels.
        distances: float64 (H, W).
    """
    height, width = edges.shape
    steps = np.full((height + 4, width + 4), _FAR, np.int64)
    for row in range(2, height + 2):
        for column in range(2, width + 2):
            if edges[row - 2, column - 2]:
                steps[row, column] = 0
            else:
                steps[row, column] = _nearest(steps, row, column, -1)
    for row in range(height + 1, 1, -1):
        for column in range(width + 1, 1, -1):
            if steps[row, column] > _STRAIGHT:
                steps[row, column] = min(steps[row, column], _nearest(steps, row, column, 1))
            distances[row - 2, column - 2] = min(np.float64(steps[row, column]) / _STRAIGHT, np.float64(longest))


@register_jitable
def _nearest(steps: NDArray[np.int64], row: int, column: int, side: int) -> int:
    """The shortest way by way of a neighbour above and to the left (side -1), or below and to the right (side 1)."""
    near, far = row + side, row + 2 * side
    knight = min(steps[far, column - 1], steps[far, column + 1], steps[near, column - 2], steps[near, column + 2])
    diagonal = min(steps[near, column - 1], steps[near, column + 1])
    straight = min(steps[near, column], steps[row, column + side])
    return min(knight + _KNIGHT, diagonal + _DIAGONAL, straight + _STRAIGHT)  # type: ignore[no-any-return]
