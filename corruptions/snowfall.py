"""Snow: a layer of flakes drawn out by the wind, over an image made paler."""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from corruptions.kernels import LEVELS, LEVELS32, LUMINANCE, kernel
from corruptions.motion import blur_along, line
from corruptions.resizing import zoom_axis
from corruptions.whole_draws import normals, uniforms

_AXIS = "int64[::1], int64[::1], float64[::1], float64[::1]"
_RED, _GREEN, _BLUE = (np.float64(np.float32(share)) for share in LUMINANCE)


def snow_images(
    images: NDArray[np.uint8],
    keys: NDArray[np.int64],
    level: tuple[float, float, float, float, float],
    weights: NDArray[np.float64],
    result: NDArray[np.uint8],
) -> None:
    """Write images under snow to ``result``.

    Args:
        images: uint8 (N, 1 or 3, H, W).
        keys: int64 (N,); the first H W numbers of each make the flakes, row by row, the next one gives the angle.
        level: Mean and standard deviation of the flakes, zoom, threshold, and the image's share.
        weights: Those of the motion blur.
        result: uint8, of the same shape.
    """
    mean, deviation, zoom, threshold, share = level
    height, width = images.shape[2:]
    flakes, layer = np.empty((1, height, width), np.uint8), np.empty((1, height, width), np.uint8)
    axes = (*zoom_axis(height, zoom), *zoom_axis(width, zoom))
    for image, key, target in zip(images, keys[:, None], result, strict=True):
        draws = normals(key, height * width).reshape(height, width)
        draw_flakes(draws, mean, deviation, threshold, *axes, flakes[0])
        angle = -135 + 90 * float(uniforms(key, 1, height * width)[0, 0])
        blur_along(flakes, line(len(weights), angle), weights, layer)
        add_snow(image, layer[0], share, target)


@kernel(f"void(float64[:, ::1], float64, float64, float64, {_AXIS}, {_AXIS}, uint8[:, ::1])")
def draw_flakes(
    draws: NDArray[np.float64],
    mean: float,
    deviation: float,
    threshold: float,
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
    """Write normal numbers, zoomed, and 0 where they are below the threshold, as grey levels to ``result``."""
    height, width = result.shape
    for row in range(height):
        above, below = draws[top[row]], draws[bottom[row]]
        for column in range(width):
            first, second = left[column], right[column]
            value = (mean + deviation * above[first]) * weight_top[row] * weight_left[column]
            value += (mean + deviation * above[second]) * weight_top[row] * weight_right[column]
            value += (mean + deviation * below[first]) * weight_bottom[row] * weight_left[column]
            value += (mean + deviation * below[second]) * weight_bottom[row] * weight_right[column]
            if value < threshold:
                value = 0.0
            result[row, column] = np.uint8(min(max(value, 0.0), 1.0) * 255.0)


@kernel("void(uint8[:, :, ::1], uint8[:, ::1], float64, uint8[:, :, ::1])")
def add_snow(image: NDArray[np.uint8], layer: NDArray[np.uint8], share: float, result: NDArray[np.uint8]) -> None:
    """Write an image made paler, with the layer and the layer turned by 180 degrees added, to ``result``.

    Args:
        image: uint8 (1 or 3, H, W); paler by its luminance, in float32.
        layer: uint8 (H, W).
        share: What the image is multiplied by; the rest is its paler version.
        result: uint8, of the shape of the image.
    """
    channels, height, width = image.shape
    kept, other = np.float32(share), np.float32(1.0 - share)
    last = channels - 1
    for row in range(height):
        for column in range(width):
            red, green, blue = image[0, row, column], image[last // 2, row, column], image[last, row, column]
            pale = _luminance(LEVELS32[red], LEVELS32[green], LEVELS32[blue]) * np.float32(1.5) + np.float32(0.5)
            one, two = LEVELS[layer[row, column]], LEVELS[layer[height - 1 - row, width - 1 - column]]
            for channel in range(channels):
                value = LEVELS32[image[channel, row, column]]
                mixed = kept * value + other * max(value, pale)
                result[channel, row, column] = np.uint8(min(max(np.float64(mixed) + one + two, 0.0), 1.0) * 255.0)


@register_jitable
def _luminance(red: np.float32, green: np.float32, blue: np.float32) -> np.float32:
    """As by OpenCV in float32: green is rounded, then red and blue are added by a fused multiplication, which rounds once."""
    total = np.float32(np.float64(green) * _GREEN)
    total = np.float32(np.float64(red) * _RED + np.float64(total))
    return np.float32(np.float64(blue) * _BLUE + np.float64(total))
