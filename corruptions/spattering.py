"""Spatter: drops of water, or stains of mud, on an image."""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from corruptions.edges import distance_to, find_edges
from corruptions.kernels import LEVELS32, LUMINANCE, kernel
from corruptions.smoothing import smooth_maps
from corruptions.whole_draws import normals

_WATER, _MUD = (175, 238, 238), (63, 42, 20)
_WEAK_EDGE, _STRONG_EDGE = 50, 150
_FARTHEST = 20
"""Pixels from the edge of a drop beyond which its height no longer grows."""
_SOLID = np.float32(0.8)
"""Mud thinner than this is left out."""


def spatter_images(
    images: NDArray[np.uint8],
    keys: NDArray[np.int64],
    level: tuple[float, float, float, float, bool],
    weights: NDArray[np.float64],
    edge_weights: NDArray[np.float64],
    result: NDArray[np.uint8],
) -> None:
    """Write spattered images to ``result``.

    Args:
        images: uint8 (N, 1 or 3, H, W). The liquid on a grey image has the luminance of its colour.
        keys: int64 (N,); the numbers for the map of liquid are drawn row by row.
        level: Mean and standard deviation of the map, threshold, intensity of water, and whether it is mud.
        weights: Those that smooth the map, at distances 0, 1, ... pixels.
        edge_weights: Those that smooth the edges of mud.
        result: uint8, of the same shape.
    """
    mean, deviation, threshold, intensity, mud = level
    channels, height, width = images.shape[1:]
    shades = np.array(_MUD if mud else _WATER) / 255
    colour = (np.array([np.dot(shades, LUMINANCE)]) if channels == 1 else shades).astype(np.float32)
    for image, key, target in zip(images, keys[:, None], result, strict=True):
        liquid = mean + deviation * normals(key, height * width).reshape(1, height, width)
        smooth_maps(liquid, weights, False)
        if mud:
            stains = (liquid > threshold).astype(np.float64)
            smooth_maps(stains, edge_weights, True)
            cover_with_mud(image, stains[0], colour, target)
        else:
            drops = np.where(liquid[0] < threshold, 0, liquid[0] * 255).astype(np.int64).astype(np.uint8)
            add_water(image, drops, heights_of(drops), np.float32(intensity), colour, target)


def heights_of(drops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """How high drops are: the distance to their edges, equalised and sharpened from the upper left, all in 8 bits."""
    edges, distances = np.empty(drops.shape, np.bool_), np.empty(drops.shape)
    find_edges(drops, _WEAK_EDGE, _STRONG_EDGE, edges)
    distance_to(edges, _FARTHEST, distances)
    heights = np.empty_like(drops)
    shape_drops(distances, heights)
    return heights


@kernel("void(float64[:, ::1], uint8[:, ::1])")
def shape_drops(distances: NDArray[np.float64], heights: NDArray[np.uint8]) -> None:
    """Write a map of distances, averaged over 3 by 3 pixels, equalised, sharpened and averaged again, to ``heights``."""
    height, width = distances.shape
    even, sharp = np.empty((height, width), np.uint8), np.empty((height, width), np.uint8)
    before, after = np.empty(width, np.int64), np.empty(width, np.int64)
    for column in range(width):
        before[column], after[column] = _mirrored(column - 1, width), _mirrored(column + 1, width)
    counts = np.zeros(256, np.int64)
    for row in range(height):
        above, here, below = distances[_mirrored(row - 1, height)], distances[row], distances[_mirrored(row + 1, height)]
        for column in range(width):
            left, right = before[column], after[column]
            total = above[left] + above[column] + above[right] + here[left] + here[column] + here[right]
            total += below[left] + below[column] + below[right]
            even[row, column] = np.uint8(np.float32(total * (1.0 / 9.0)))
            counts[even[row, column]] += 1
    table = _equalised(counts, height * width)
    for row in range(height):
        for column in range(width):
            even[row, column] = table[even[row, column]]
    for row in range(height):
        up, middle, down = even[_mirrored(row - 1, height)], even[row], even[_mirrored(row + 1, height)]
        for column in range(width):
            left, right = before[column], after[column]
            darker = 2 * np.int64(up[left]) + up[column] + middle[left]
            lighter = np.int64(middle[column]) + middle[right] + down[column] + 2 * np.int64(down[right])
            sharp[row, column] = np.uint8(min(max(lighter - darker, 0), 255))
    for row in range(height):
        up, middle, down = sharp[_mirrored(row - 1, height)], sharp[row], sharp[_mirrored(row + 1, height)]
        for column in range(width):
            left, right = before[column], after[column]
            whole = np.int64(up[left]) + up[column] + up[right] + middle[left] + middle[column] + middle[right]
            whole += np.int64(down[left]) + down[column] + down[right]
            heights[row, column] = np.uint8((2 * whole + 9) // 18)


@register_jitable
def _mirrored(position: int, size: int) -> int:
    """Mirrored at the centres of the outermost pixels, for positions at most one outside."""
    if size == 1:
        return 0
    return 1 if position < 0 else size - 2 if position >= size else position


@register_jitable
def _equalised(counts: NDArray[np.int64], pixels: int) -> NDArray[np.uint8]:
    """OpenCV's table that spreads a histogram evenly over 0 to 255; a map of one value stays as it is."""
    table = np.zeros(256, np.uint8)
    lowest = 0
    while counts[lowest] == 0:
        lowest += 1
    if counts[lowest] == pixels:
        table[lowest] = np.uint8(lowest)
        return table
    scale = np.float32(255) / np.float32(pixels - counts[lowest])
    total = 0
    for value in range(lowest + 1, 256):
        total += counts[value]
        table[value] = np.uint8(min(np.rint(np.float32(total) * scale), np.float32(255)))
    return table


@kernel("void(uint8[:, :, ::1], uint8[:, ::1], uint8[:, ::1], float32, float32[::1], uint8[:, :, ::1])")
def add_water(
    image: NDArray[np.uint8],
    drops: NDArray[np.uint8],
    heights: NDArray[np.uint8],
    intensity: np.float32,
    colour: NDArray[np.float32],
    result: NDArray[np.uint8],
) -> None:
    """Write an image, uint8 (C, H, W), with the light of drops added in float32, to ``result``; without drops it is unchanged."""
    channels, height, width = image.shape
    brightest = np.float32(0)
    for row in range(height):
        for column in range(width):
            brightest = max(brightest, np.float32(drops[row, column]) * np.float32(heights[row, column]))
    if brightest == np.float32(0):
        brightest = np.float32(1)
    for row in range(height):
        for column in range(width):
            light = np.float32(drops[row, column]) * np.float32(heights[row, column]) / brightest * intensity
            for channel in range(channels):
                value = LEVELS32[image[channel, row, column]] + light * colour[channel]
                result[channel, row, column] = np.uint8(min(max(value, np.float32(0)), np.float32(1)) * np.float32(255))


@kernel("void(uint8[:, :, ::1], float64[:, ::1], float32[::1], uint8[:, :, ::1])")
def cover_with_mud(
    image: NDArray[np.uint8], stains: NDArray[np.float64], colour: NDArray[np.float32], result: NDArray[np.uint8]
) -> None:
    """Write an image, uint8 (C, H, W), with stains of a colour in its place, to ``result``; ``stains`` holds float32 values."""
    channels, height, width = image.shape
    for row in range(height):
        for column in range(width):
            share = np.float32(stains[row, column])
            if share < _SOLID:
                share = np.float32(0)
            rest = np.float32(1) - share
            for channel in range(channels):
                value = LEVELS32[image[channel, row, column]] * rest + colour[channel] * share
                result[channel, row, column] = np.uint8(min(max(value, np.float32(0)), np.float32(1)) * np.float32(255))
