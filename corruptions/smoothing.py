"""Maps smoothed by a Gaussian in scipy's order of sums, with replicated borders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.kernels import kernel


@kernel("void(float64[:, :, ::1], float64[::1], boolean)")
def smooth_maps(maps: NDArray[np.float64], weights: NDArray[np.float64], single: bool) -> None:
    """Smooth each map in place, columns first, then rows: the centre first, then pairs from the outermost inwards.

    Args:
        maps: float64 (N, H, W).
        weights: float64 (radius + 1,), the weights at distances 0, 1, ... pixels.
        single: Whether each pass is rounded to float32, as scipy does with maps of that type.
    """
    count, height, width = maps.shape
    radius = len(weights) - 1
    columns = np.empty((height, width))
    wide, sums = np.empty(width + 2 * radius), np.empty(width)
    for image in range(count):
        pixels = maps[image]
        for row in range(height):
            target, middle = columns[row], pixels[row]
            for column in range(width):
                target[column] = middle[column] * weights[0]
            for distance in range(radius, 0, -1):
                weight = weights[distance]
                above, below = pixels[max(row - distance, 0)], pixels[min(row + distance, height - 1)]
                for column in range(width):
                    target[column] += (above[column] + below[column]) * weight
            if single:
                for column in range(width):
                    target[column] = np.float64(np.float32(target[column]))
        for row in range(height):
            wide[:radius] = columns[row, 0]
            wide[radius + width :] = columns[row, width - 1]
            middle = wide[radius:]
            for column in range(width):
                middle[column] = columns[row, column]
                sums[column] = columns[row, column] * weights[0]
            for distance in range(radius, 0, -1):
                weight = weights[distance]
                before, after = wide[radius - distance :], wide[radius + distance :]
                for column in range(width):
                    sums[column] += (before[column] + after[column]) * weight
            for column in range(width):
                pixels[row, column] = np.float64(np.float32(sums[column])) if single else sums[column]
