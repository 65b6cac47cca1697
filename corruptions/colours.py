"""Contrast about the mean, and brightness and saturation through HSV, with the bytes of numpy and skimage in float64."""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from corruptions.kernels import LEVELS, kernel


@kernel("void(uint8[:, :, ::1], float64, uint8[:, :, ::1])")
def scale_about_mean(planes: NDArray[np.uint8], factor: float, result: NDArray[np.uint8]) -> None:
    """Write (x - mean) factor + mean of each plane to ``result``; the mean is summed row by row, as numpy sums colour images.

    Args:
        planes: uint8 (P, H, W).
        factor: What the differences from the mean are multiplied by.
        result: uint8 (P, H, W).
    """
    count, height, width = planes.shape
    table = np.empty(256, np.uint8)
    for plane in range(count):
        total = 0.0
        for row in range(height):
            for column in range(width):
                total += LEVELS[planes[plane, row, column]]
        mean = total / (height * width)
        for value in range(256):
            scaled = (LEVELS[value] - mean) * factor + mean
            table[value] = np.uint8(min(max(scaled, 0.0), 1.0) * 255.0)
        for row in range(height):
            for column in range(width):
                result[plane, row, column] = table[planes[plane, row, column]]


@kernel("void(uint8[:, :, :, ::1], float64, float64, float64, uint8[:, :, :, ::1])")
def change_hsv(images: NDArray[np.uint8], added: float, factor: float, offset: float, result: NDArray[np.uint8]) -> None:
    """Write images with another value and saturation to ``result``: V + added, S factor + offset, both clipped to [0, 1].

    The steps are those of skimage's rgb2hsv and hsv2rgb. Of a pixel whose channels are equal the hue is 0, red.

    Args:
        images: uint8 (N, 3, H, W).
        added: What is added to the value.
        factor: What the saturation is multiplied by.
        offset: What is then added to it.
        result: uint8 (N, 3, H, W).
    """
    count, _, height, width = images.shape
    for image in range(count):
        for row in range(height):
            for column in range(width):
                red = LEVELS[images[image, 0, row, column]]
                green = LEVELS[images[image, 1, row, column]]
                blue = LEVELS[images[image, 2, row, column]]
                hue, saturation, value = _to_hsv(red, green, blue)
                saturation = min(max(saturation * factor + offset, 0.0), 1.0)
                value = min(max(value + added, 0.0), 1.0)
                red, green, blue = _to_rgb(hue, saturation, value)
                result[image, 0, row, column] = np.uint8(min(max(red, 0.0), 1.0) * 255.0)
                result[image, 1, row, column] = np.uint8(min(max(green, 0.0), 1.0) * 255.0)
                result[image, 2, row, column] = np.uint8(min(max(blue, 0.0), 1.0) * 255.0)


@register_jitable
def _to_hsv(red: float, green: float, blue: float) -> tuple[float, float, float]:
    """Hue in turns, saturation and value of a pixel, all on the [0, 1] scale."""
    value = max(red, green, blue)
    spread = value - min(red, green, blue)
    if spread == 0.0:
        return 0.0, 0.0, value
    if blue == value:
        hue = 4.0 + (red - green) / spread
    elif green == value:
        hue = 2.0 + (blue - red) / spread
    else:
        hue = (green - blue) / spread
    hue /= 6.0
    return (hue + 1.0 if hue < 0.0 else hue), spread / value, value


@register_jitable
def _to_rgb(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    """Red, green and blue of hue, saturation and value."""
    sixth = np.floor(hue * 6.0)
    fraction = hue * 6.0 - sixth
    low = value * (1.0 - saturation)
    falling = value * (1.0 - fraction * saturation)
    rising = value * (1.0 - (1.0 - fraction) * saturation)
    if sixth == 1.0:
        return falling, value, low
    if sixth == 2.0:
        return low, value, rising
    if sixth == 3.0:
        return low, falling, value
    if sixth == 4.0:
        return rising, low, value
    if sixth == 5.0:
        return value, low, falling
    return value, rising, low  # 0, or 6: a hue just below 0 is rounded to a whole turn
