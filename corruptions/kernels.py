"""Loops over pixels as machine code: numba compiles each for the processor at hand when it is first called.

A loop belongs here where whole-array operations are too slow or cannot say it, as where pixels change one after another.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import ParamSpec

import numba
import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

P = ParamSpec("P")

_LEVELS = np.arange(256) / 255
"""Grey levels on the [0, 1] scale. Looking up is faster than dividing."""
_BLOCK = 512
"""Sums that are added to in turn: 4 KiB, which stay in the nearest cache until their last weight."""
_compiling = threading.RLock()
if hasattr(os, "register_at_fork"):
    # A process forked while another thread compiles would wait for that thread, which it does not have.
    os.register_at_fork(before=_compiling.acquire, after_in_parent=_compiling.release, after_in_child=_compiling.release)


def kernel(signature: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Decorate a loop to be compiled on its first call, without holding the interpreter's lock when it runs.

    Compiled code is kept on disk for the next process, where numba finds a place for it (``NUMBA_CACHE_DIR``, the folder of the
    source, the user's cache) and can write there. It is made anew when the file of the loop changes, so that what a loop calls
    belongs in the same file.

    Args:
        signature: The argument types as numba writes them; arrays must have exactly the layout they name.

    Returns:
        The decorator. What it gives raises TypeError for arguments of other types.
    """

    def decorate(loop: Callable[P, None]) -> Callable[P, None]:
        @functools.cache
        def compiled() -> Callable[P, None]:
            return _compile(loop, signature)

        @functools.wraps(loop)
        def call(*args: P.args, **kwargs: P.kwargs) -> None:
            with _compiling:
                code = compiled()
            code(*args, **kwargs)

        return call

    return decorate


def _compile(loop: Callable[P, None], signature: str) -> Callable[P, None]:
    """Compile without fastmath, so that each product and each sum is rounded by itself: nothing is reordered or fused."""
    compiled: Callable[P, None]
    try:
        compiled = numba.njit(signature, nogil=True, error_model="numpy", fastmath=False, cache=True)(loop)
    except Exception:  # a cache that has no place, cannot be written or is damaged; what is wrong with the loop shows up again
        compiled = numba.njit(signature, nogil=True, error_model="numpy", fastmath=False)(loop)
    return compiled


@kernel("void(uint8[:, :, ::1], float64[::1], uint8[:, :, ::1])")
def blur_planes(planes: NDArray[np.uint8], weights: NDArray[np.float64], result: NDArray[np.uint8]) -> None:
    """Write the blur of ``planes`` to ``result``; see ``filters.GaussianBlur`` for what is computed, and in which order.

    Args:
        planes: uint8 (P, H, W), at least one pixel each.
        weights: float64 (radius + 1,), at distance 0, 1, ... pixels.
        result: uint8 (P, H, W), another array.

    Raises:
        ValueError: The shapes differ.
    """
    if result.shape != planes.shape:
        raise ValueError("planes and result have different shapes")
    count, height, width = planes.shape
    radius = len(weights) - 1
    tall = np.empty((height + 2 * radius) * width)
    columns = np.empty(height * width)
    wide = np.empty(width + 2 * radius)
    sums = np.empty(width)
    # Rows are taken as slices: with a slice's own index, which is never negative, the loops become vector instructions.
    for plane in range(count):
        for row in range(height + 2 * radius):
            pixels = planes[plane, min(max(row - radius, 0), height - 1)]
            scaled = tall[row * width :]
            for column in range(width):
                scaled[column] = _LEVELS[pixels[column]]
        _weighted_sums(tall, width, weights, columns)
        for row in range(height):
            blurred = columns[row * width : (row + 1) * width]
            wide[:radius] = blurred[0]
            wide[radius + width :] = blurred[width - 1]
            middle = wide[radius:]
            for column in range(width):
                middle[column] = blurred[column]
            _weighted_sums(wide, 1, weights, sums)
            target = result[plane, row]
            for column in range(width):
                target[column] = np.uint8(min(sums[column], 1.0) * 255.0)


@register_jitable  # compiled as a part of the kernels that call it
def _weighted_sums(source: NDArray[np.float64], step: int, weights: NDArray[np.float64], sums: NDArray[np.float64]) -> None:
    """Fill ``sums``: the centre first, then pairs from the outermost to the innermost, which lie ``step`` apart in ``source``."""
    radius = len(weights) - 1
    for start in range(0, len(sums), _BLOCK):
        block = sums[start : start + _BLOCK]
        centre = source[start + radius * step :]
        for index in range(len(block)):
            block[index] = centre[index] * weights[0]
        for distance in range(radius, 0, -1):
            weight = weights[distance]
            before = source[start + (radius - distance) * step :]
            behind = source[start + (radius + distance) * step :]
            for index in range(len(block)):
                block[index] += (before[index] + behind[index]) * weight
