"""Images made larger or smaller: scipy's zoom of order 1 about the centre, and Pillow's BOX filter, to the byte."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from corruptions.kernels import LEVELS32, kernel

_PRECISION = 22
"""Bits after the point of Pillow's weights for 8-bit images."""


class ZoomAxis(NamedTuple):
    """Where each pixel of an enlarged axis comes from: two neighbours and their weights."""

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    weight_before: NDArray[np.float64]
    weight_after: NDArray[np.float64]


@functools.lru_cache(maxsize=4096)
def zoom_axis(size: int, factor: float) -> ZoomAxis:
    """The middle of an axis enlarged by ``factor``, cut to its old size: ``scipy.ndimage.zoom(order=1)`` of its middle part.

    Args:
        size: Pixels, before and after.
        factor: At least 1.
    """
    part = math.ceil(size / factor)
    enlarged = round(part * factor)
    position = np.arange(enlarged) * ((part - 1) / (enlarged - 1) if enlarged > 1 else 1.0)
    position = position[(enlarged - size) // 2 :][:size]
    floor = np.floor(position)
    weight = position - floor
    inside = position <= part - 1  # scipy takes 0 for a position that rounding puts outside
    before = np.minimum(floor.astype(np.int64), part - 1)
    first = (size - part) // 2
    after = np.minimum(before + 1, part - 1)
    return ZoomAxis(first + before, first + after, np.where(inside, 1 - weight, 0.0), np.where(inside, weight, 0.0))


class ZoomTables(NamedTuple):
    """The same for several factors: (F, size) each."""

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    weight_before: NDArray[np.float64]
    weight_after: NDArray[np.float64]


@functools.lru_cache(maxsize=64)
def zoom_tables(size: int, stop: float, step: float) -> ZoomTables:
    """``zoom_axis`` for each factor of ``numpy.arange(1, stop, step)``, which may or may not hold its end."""
    axes = [zoom_axis(size, float(factor)) for factor in np.arange(1, stop, step)]
    return ZoomTables(*(np.stack(part) for part in zip(*axes, strict=True)))


_TABLES = "int64[:, ::1], int64[:, ::1], float64[:, ::1], float64[:, ::1]"


@kernel(f"void(uint8[:, :, ::1], {_TABLES}, {_TABLES}, uint8[:, :, ::1])")
def mean_of_zooms(
    planes: NDArray[np.uint8],
    top: NDArray[np.int64],
    bottom: NDArray[np.int64],
    weight_top: NDArray[np.float64],
    weight_bottom: NDArray[np.float64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    weight_left: NDArray[np.float64],
    weight_right: NDArray[np.float64],
    result: NDArray[np.uint8],
) -> None:
    """Write the mean of each plane and all its zooms to ``result``, summed in float32 in the order of the factors.

    Args:
        planes: uint8 (P, H, W).
        top, bottom, weight_top, weight_bottom: ``ZoomTables`` of the height.
        left, right, weight_left, weight_right: ``ZoomTables`` of the width.
        result: uint8 (P, H, W).
    """
    count, height, width = planes.shape
    factors = len(top)
    upper, lower = np.empty(width), np.empty(width)
    total = np.empty(width, np.float32)
    for plane in range(count):
        for row in range(height):
            total[:] = np.float32(0)
            for factor in range(factors):
                above, below = planes[plane, top[factor, row]], planes[plane, bottom[factor, row]]
                for column in range(width):
                    upper[column] = np.float64(LEVELS32[above[column]]) * weight_top[factor, row]
                    lower[column] = np.float64(LEVELS32[below[column]]) * weight_bottom[factor, row]
                for column in range(width):
                    first, second = left[factor, column], right[factor, column]
                    one, other = weight_left[factor, column], weight_right[factor, column]
                    zoomed = upper[first] * one + upper[second] * other + lower[first] * one + lower[second] * other
                    total[column] += np.float32(zoomed)
            pixels, target = planes[plane, row], result[plane, row]
            for column in range(width):
                mean = (LEVELS32[pixels[column]] + total[column]) / np.float32(factors + 1)
                target[column] = np.uint8(min(max(mean, np.float32(0)), np.float32(1)) * np.float32(255))


class BoxAxis(NamedTuple):
    """Pillow's BOX filter along one axis: weighted sums of neighbouring pixels."""

    first: NDArray[np.int64]
    """(size after,): the first pixel of each sum."""
    weights: NDArray[np.int32]
    """(size after, most pixels): the weights, with ``_PRECISION`` bits after the point; 0 beyond the last pixel."""


@functools.lru_cache(maxsize=64)
def box_axis(before: int, after: int) -> BoxAxis:
    """The sums that turn an axis of ``before`` pixels into one of ``after``."""
    scale = before / after
    widening = max(scale, 1.0)
    support = 0.5 * widening
    rows = []
    for index in range(after):
        centre = (index + 0.5) * scale
        first, last = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), before)
        places = (np.arange(first, last) - centre + 0.5) * (1 / widening)
        weights = ((places > -0.5) & (places <= 0.5)).astype(np.float64)
        rows.append((first, np.trunc(weights / max(weights.sum(), 1.0) * (1 << _PRECISION) + 0.5).astype(np.int32)))
    widest = max(len(weights) for _, weights in rows)
    table = np.zeros((after, widest), np.int32)
    firsts = np.array([min(first, before - widest) for first, _ in rows])  # so that no sum runs over the end
    for index, (first, weights) in enumerate(rows):
        start = first - firsts[index]
        table[index, start : start + len(weights)] = weights
    return BoxAxis(firsts.astype(np.int64), table)


_AXIS = "int64[::1], int32[:, ::1]"


@kernel(f"void(uint8[:, :, ::1], {_AXIS}, {_AXIS}, {_AXIS}, {_AXIS}, uint8[:, :, ::1])")
def shrink_and_enlarge(
    planes: NDArray[np.uint8],
    left: NDArray[np.int64],
    across: NDArray[np.int32],
    top: NDArray[np.int64],
    down: NDArray[np.int32],
    left_back: NDArray[np.int64],
    across_back: NDArray[np.int32],
    top_back: NDArray[np.int64],
    down_back: NDArray[np.int32],
    result: NDArray[np.uint8],
) -> None:
    """Write each plane, resized to a smaller size and back, to ``result``: rows first, then columns, rounded each time.

    Args:
        planes: uint8 (P, H, W).
        left, across: ``BoxAxis`` of the width, to the smaller size.
        top, down: ``BoxAxis`` of the height, to the smaller size.
        left_back, across_back, top_back, down_back: The same back to the size of the planes.
        result: uint8 (P, H, W).
    """
    count, height, width = planes.shape
    narrow, low = len(left), len(top)
    first, small, wide = (
        np.empty((height, narrow), np.uint8),
        np.empty((low, narrow), np.uint8),
        np.empty((low, width), np.uint8),
    )
    sums = np.empty(width, np.int32)
    for plane in range(count):
        _resize_rows(planes[plane], left, across, first)
        _resize_columns(first, top, down, sums, small)
        _resize_rows(small, left_back, across_back, wide)
        _resize_columns(wide, top_back, down_back, sums, result[plane])


_HALF = np.int32(1 << (_PRECISION - 1))


@register_jitable
def _resize_rows(
    source: NDArray[np.uint8], starts: NDArray[np.int64], weights: NDArray[np.int32], target: NDArray[np.uint8]
) -> None:
    """Write the weighted sums of each row, rounded."""
    for row in range(len(source)):
        pixels, out = source[row], target[row]
        if weights.shape[1] == 1:
            for column in range(len(starts)):
                out[column] = pixels[starts[column]]
            continue
        for column in range(len(starts)):
            total = _HALF
            for tap in range(weights.shape[1]):
                total += np.int32(pixels[starts[column] + tap]) * weights[column, tap]
            out[column] = total >> _PRECISION


@register_jitable
def _resize_columns(
    source: NDArray[np.uint8],
    starts: NDArray[np.int64],
    weights: NDArray[np.int32],
    sums: NDArray[np.int32],
    target: NDArray[np.uint8],
) -> None:
    """Write the weighted sums of each column, rounded."""
    width = source.shape[1]
    for row in range(len(starts)):
        out = target[row]
        if weights.shape[1] == 1:
            pixels = source[starts[row]]
            for column in range(width):
                out[column] = pixels[column]
            continue
        sums[:] = _HALF
        for tap in range(weights.shape[1]):
            weight = weights[row, tap]
            if weight != 0:
                pixels = source[starts[row] + tap]
                for column in range(width):
                    sums[column] += np.int32(pixels[column]) * weight
        for column in range(width):
            out[column] = sums[column] >> _PRECISION
