"""JPEG as Pillow writes and reads it with libjpeg-turbo, to the byte, but without the file."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from PIL import features

from corruptions.jpeg_loops import STRIP, join_colours, round_coefficients, split_colours

_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8 for _ in range(4)),
)
"""The tables of the JPEG standard (ITU-T T.81, annex K.1), for a quality of 50."""
_TOGETHER = 1 << 14
"""Pixels worked on together, whose float64 values stay in the L2 cache."""


def through_jpeg(images: NDArray[np.uint8], quality: int, result: NDArray[np.uint8]) -> None:
    """Write images, as they are after being stored as JPEG and read back, to ``result``.

    Args:
        images: uint8 (N, 1 or 3, H, W).
        quality: 1 to 100, as Pillow counts it.
        result: uint8, of the same shape.
    """
    height, width = images.shape[2:]
    luminance, chrominance = _divisors(quality)
    step = max(1, _TOGETHER // (height * width))
    lumas = np.empty((step, _whole_blocks(height), _whole_blocks(width)))
    halves = np.empty((step, 2, _whole_blocks((height + 1) // 2), _whole_blocks((width + 1) // 2)))
    for start in range(0, len(images), step):
        part = images[start : start + step]
        luma, colours = lumas[: len(part)], halves[: len(part)]
        split_colours(part, luma, colours)
        round_coefficients(luma, luminance)
        if images.shape[1] == 3:
            round_coefficients(colours.reshape(-1, *colours.shape[2:]), chrominance)
        join_colours(luma, colours, result[start : start + step])


def _whole_blocks(size: int) -> int:
    """The next multiple of 8."""
    return -(-size // 8) * 8


@functools.lru_cache(maxsize=100)
def _divisors(quality: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What coefficients of luminance and colour are divided by: float64 (8, STRIP), 8 by 8 side by side."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    luminance, chrominance = (((np.array(table) * percent + 50) // 100).clip(1, 255) for table in (_LUMINANCE, _CHROMINANCE))
    return np.tile(luminance.astype(np.float64), STRIP // 8), np.tile(chrominance.astype(np.float64), STRIP // 8)


def libjpeg_version() -> str:
    """The JPEG library that Pillow uses, such as ``libjpeg-turbo 3.1.2``; part of what decides the bytes."""
    turbo = features.version("libjpeg_turbo")
    return f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version('jpg')}"
