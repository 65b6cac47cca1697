"""Elastic transform: an image moved by a random affine map in OpenCV's 1/32 pixels, then by a smooth random field."""

from __future__ import annotations

import functools

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from corruptions.kernels import LEVELS32, kernel
from corruptions.whole_draws import uniforms

Whole = int | np.int64
_TRUNCATE = 3.0
_CORNERS = 6
"""Random numbers for the corners of the affine map; those of the field follow."""


def elastic_images(
    images: NDArray[np.uint8], keys: NDArray[np.int64], level: tuple[float, float, float], result: NDArray[np.uint8]
) -> None:
    """Write warped images to ``result``.

    Args:
        images: uint8 (N, C, H, W).
        keys: int64 (N,); the first 6 numbers of each move the corners, the next H W are the field to the right, then down.
        level: Size of the field in pixels, standard deviation of its smoothing, and how far a corner moves, all in pixels.
        result: uint8 (N, C, H, W).
    """
    size, sigma, jitter = level
    height, width = images.shape[2:]
    fields = np.zeros((2, height, width))
    down, across = reflecting_gaussian(height, sigma), reflecting_gaussian(width, sigma)
    for image, key, target in zip(images, keys[:, None], result, strict=True):
        matrix = inverse_affine(height, width, jitter * (2 * uniforms(key, _CORNERS)[0] - 1))
        if size:
            fields[:] = 2 * uniforms(key, 2 * height * width, _CORNERS).reshape(fields.shape) - 1
            smooth_field(fields, *down, *across, size)
        warp(image, matrix, fields, target)


def inverse_affine(height: int, width: int, moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where each pixel of the moved image comes from: float64 (2, 3), for column and row, from (column, row, 1).

    Args:
        height, width: Of the image. As published, the corners' first coordinate, a column, is counted from half the height.
        moves: float64 (6,), how far the three corners move, rounded to float32 as published.
    """
    centre = np.array([height // 2, width // 2], np.float32)
    reach = max(1, min(height, width) // 3)
    corners = np.array([centre + reach, [centre[0] + reach, centre[1] - reach], centre - reach], np.float32)
    first, second, third = (corners + moves.reshape(3, 2).astype(np.float32)).astype(np.float64)
    along_columns, along_rows = (second - third) / (2 * reach), (first - second) / (2 * reach)
    start = third - along_columns * float(corners[2, 0]) - along_rows * float(corners[2, 1])
    (a, b, c), (d, e, f) = np.column_stack([along_columns, along_rows, start]).tolist()
    determinant = a * e - b * d
    scale = 1 / determinant if determinant != 0 else 0.0
    a, b, d, e = e * scale, -b * scale, -d * scale, a * scale
    return np.array([[a, b, -a * c - b * f], [d, e, -d * c - e * f]])


@functools.lru_cache(maxsize=64)
def reflecting_gaussian(size: int, sigma: float) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """A Gaussian filter with mirrored borders, cut off at 3 sigma: a symmetric matrix, and the columns that each row uses."""
    radius = int(_TRUNCATE * sigma + 0.5)
    if radius == 0:
        return np.eye(size), np.arange(size), np.arange(1, size + 1)
    impulse = np.zeros(2 * radius + 1)
    impulse[radius] = 1
    weights = gaussian_filter1d(impulse, sigma, mode="constant", truncate=_TRUNCATE)
    places = np.arange(size)[:, None] + np.arange(-radius, radius + 1)
    places = places % (2 * size)
    places = np.where(places < size, places, 2 * size - 1 - places)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size)[:, None], places), weights)
    return matrix, places.min(axis=1), places.max(axis=1) + 1


_FILTER = "float64[:, ::1], int64[::1], int64[::1]"


@kernel(f"void(float64[:, :, ::1], {_FILTER}, {_FILTER}, float64)")
def smooth_field(
    fields: NDArray[np.float64],
    down: NDArray[np.float64],
    first_row: NDArray[np.int64],
    last_row: NDArray[np.int64],
    across: NDArray[np.float64],
    first_column: NDArray[np.int64],
    last_column: NDArray[np.int64],
    size: float,
) -> None:
    """Smooth fields, float64 (2, H, W), in place by the filters of their columns and rows, and multiply them by ``size``."""
    count, height, width = fields.shape
    columns = np.empty((width, height))  # with rows and columns exchanged, so that both loops add whole lines
    sums, tall = np.empty(width), np.empty(height)
    for field in range(count):
        values = fields[field]
        for row in range(height):
            sums[:] = 0.0
            for source in range(first_row[row], last_row[row]):
                weight, line = down[row, source], values[source]
                for column in range(width):
                    sums[column] += weight * line[column]
            for column in range(width):
                columns[column, row] = sums[column]
        for column in range(width):
            tall[:] = 0.0
            for source in range(first_column[column], last_column[column]):
                weight, line = across[source, column], columns[source]
                for row in range(height):
                    tall[row] += weight * line[row]
            for row in range(height):
                values[row, column] = np.float64(np.float32(tall[row] * size))


@kernel("void(uint8[:, :, ::1], float64[:, ::1], float64[:, :, ::1], uint8[:, :, ::1])")
def warp(image: NDArray[np.uint8], matrix: NDArray[np.float64], fields: NDArray[np.float64], result: NDArray[np.uint8]) -> None:
    """Write an image, moved by an affine map and then by a field, to ``result``; both interpolate between four pixels.

    Args:
        image: uint8 (C, H, W).
        matrix: See ``inverse_affine``.
        fields: float64 (2, H, W), pixels to the right and down.
        result: uint8 (C, H, W).
    """
    channels, height, width = image.shape
    moved = np.empty((channels, height, width), np.float32)
    steps_x, steps_y = np.empty(width, np.int64), np.empty(width, np.int64)
    for column in range(width):
        steps_x[column] = np.int64(np.rint(matrix[0, 0] * column * 1024.0))
        steps_y[column] = np.int64(np.rint(matrix[1, 0] * column * 1024.0))
    for row in range(height):
        start_x = np.int64(np.rint((matrix[0, 1] * row + matrix[0, 2]) * 1024.0)) + 16
        start_y = np.int64(np.rint((matrix[1, 1] * row + matrix[1, 2]) * 1024.0)) + 16
        for column in range(width):
            x, y = (start_x + steps_x[column]) >> 5, (start_y + steps_y[column]) >> 5
            right, down = np.float32((x & 31) / 32.0), np.float32((y & 31) / 32.0)
            left, top = _inside(x >> 5, width), _inside(y >> 5, height)
            other, bottom = _inside((x >> 5) + 1, width), _inside((y >> 5) + 1, height)
            one = np.float32(1)
            for channel in range(channels):
                moved[channel, row, column] = (
                    LEVELS32[image[channel, top, left]] * ((one - down) * (one - right))
                    + LEVELS32[image[channel, top, other]] * ((one - down) * right)
                    + LEVELS32[image[channel, bottom, left]] * (down * (one - right))
                    + LEVELS32[image[channel, bottom, other]] * (down * right)
                )
    for row in range(height):
        for column in range(width):
            x_place, y_place = column + fields[0, row, column], row + fields[1, row, column]
            x_floor, y_floor = np.floor(x_place), np.floor(y_place)
            right_share, down_share = x_place - x_floor, y_place - y_floor
            left, other = _folded(np.int64(x_floor), width), _folded(np.int64(x_floor) + 1, width)
            top, bottom = _folded(np.int64(y_floor), height), _folded(np.int64(y_floor) + 1, height)
            for channel in range(channels):
                value = np.float64(moved[channel, top, left]) * (1.0 - down_share) * (1.0 - right_share)
                value += np.float64(moved[channel, top, other]) * (1.0 - down_share) * right_share
                value += np.float64(moved[channel, bottom, left]) * down_share * (1.0 - right_share)
                value += np.float64(moved[channel, bottom, other]) * down_share * right_share
                scaled = min(max(np.float32(value), np.float32(0)), np.float32(1)) * np.float32(255)
                result[channel, row, column] = np.uint8(scaled)


@register_jitable
def _inside(position: Whole, size: int) -> Whole:
    """Mirrored at the centres of the outermost pixels, which are not repeated."""
    if 0 <= position < size:  # nearly always, and a division would take ten times as long
        return position
    if size == 1:
        return 0
    position = position % (2 * size - 2)
    return position if position < size else 2 * size - 2 - position


@register_jitable
def _folded(position: Whole, size: int) -> Whole:
    """Mirrored at the edges of the outermost pixels, which are repeated."""
    if 0 <= position < size:
        return position
    position = position % (2 * size)
    return position if position < size else 2 * size - 1 - position
