"""Loops over pixels as machine code: numba compiles each on its first call, for the processor it runs on.

A loop belongs here if whole-array operations are too slow or cannot express it, for example if pixels change one after another.
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

LEVELS = np.arange(256) / 255
"""float64 (256,): grey levels on the [0, 1] scale. A lookup is faster than a division."""
LEVELS32 = np.arange(256, dtype=np.float32) / np.float32(255)
"""float32 (256,): the same; equal to LEVELS rounded to float32."""
LUMINANCE = (0.299, 0.587, 0.114)
"""What red, green and blue contribute to a grey level (ITU-R BT.601), as in OpenCV and Pillow."""
_BLOCK = 512
"""Sums accumulated together: 4 KiB, which stay in the L1 cache until the last weight has been added."""
_compiling = threading.RLock()
if hasattr(os, "register_at_fork"):
    # A process forked while another thread is compiling would wait for ever for a thread that it does not have.
    os.register_at_fork(before=_compiling.acquire, after_in_parent=_compiling.release, after_in_child=_compiling.release)


def kernel(signature: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Decorate a loop so that it is compiled on its first call and runs without holding the GIL.

    The compiled code is cached on disk for the next process if numba finds a writable folder (``NUMBA_CACHE_DIR``, the folder of
    the source file, the user's cache). The cache is invalidated only when the file of the loop changes, so any function that a
    loop calls belongs in the same file, and constants that it takes from elsewhere must never change.

    Args:
        signature: The argument types in numba's notation; arrays must have exactly the memory layout given there.

    Returns:
        A decorator. The decorated function raises TypeError for arguments of other types.
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
    """Compile without fastmath, so that each product and each sum is rounded separately: nothing is reordered or fused."""
    compiled: Callable[P, None]
    try:
        compiled = numba.njit(signature, nogil=True, error_model="numpy", fastmath=False, cache=True)(loop)
    except Exception:  # no folder for the cache, or it is damaged or not writable; an error in the loop itself shows up again
        compiled = numba.njit(signature, nogil=True, error_model="numpy", fastmath=False)(loop)
    return compiled


@kernel("void(uint8[:, :, ::1], float64[::1], uint8[:, :, ::1])")
def blur_planes(planes: NDArray[np.uint8], weights: NDArray[np.float64], result: NDArray[np.uint8]) -> None:
    """Write the blur of ``planes`` to ``result``; see ``filters.GaussianBlur`` for what is computed, and in which order.

    Args:
        planes: uint8 (P, H, W), at least one pixel per plane.
        weights: float64 (radius + 1,), the weights at distances 0, 1, ... pixels.
        result: uint8 (P, H, W); must not share memory with ``planes``.

    Raises:
        ValueError: If the shapes differ.
    """
    if result.shape != planes.shape:
        raise ValueError("planes and result have different shapes")
    count, height, width = planes.shape
    radius = len(weights) - 1
    tall = np.empty((height + 2 * radius) * width)
    columns = np.empty(height * width)
    wide = np.empty(width + 2 * radius)
    sums = np.empty(width)
    # Rows are taken as slices: indices into a slice are never negative, so the inner loops are vectorised.
    for plane in range(count):
        for row in range(height + 2 * radius):
            pixels = planes[plane, min(max(row - radius, 0), height - 1)]
            scaled = tall[row * width :]
            for column in range(width):
                scaled[column] = LEVELS[pixels[column]]
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


@register_jitable  # compiled as part of the kernels that call it
def _weighted_sums(source: NDArray[np.float64], step: int, weights: NDArray[np.float64], sums: NDArray[np.float64]) -> None:
    """Fill ``sums``: the centre first, then pairs from the outermost inwards; neighbours are ``step`` apart in ``source``."""
    radius = len(weights) - 1
    for start in range(0, len(sums), _BLOCK):
        block = sums[start : start + _BLOCK]
        centre = source[start + radius * step :]
        for index in range(len(block)):
            block[index] = centre[index] * weights[0]
        for distance in range(radius, 0, -1):
            weight = weights[distance]
            before = source[start + (radius - distance) * step :]
            after = source[start + (radius + distance) * step :]
            for index in range(len(block)):
                block[index] += (before[index] + after[index]) * weight
