"""Frost: a part of a photograph of frost, laid over an image."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from corruptions.kernels import LUMINANCE, kernel
from corruptions.textures import photographs
from corruptions.whole_draws import uniforms

_DRAWN = 3
"""Numbers per image: which photograph, and the row and column where its part begins."""


def published_scale(height: int, width: int) -> float:
    """How large photographs are for images of this size: as in the scripts for 32, 64 and 224 px."""
    side = max(height, width)
    return 0.2 if side <= 48 else 0.3 if side <= 128 else 1.0


def frost_images(images: NDArray[np.uint8], keys: NDArray[np.int64], own: float, other: float, result: NDArray[np.uint8]) -> None:
    """Write images under frost to ``result``.

    Args:
        images: uint8 (N, 1 or 3, H, W). On a grey image the frost is the luminance of the photograph.
        keys: int64 (N,); the first numbers of each choose photograph, row and column.
        own: The weight of the image.
        other: The weight of the frost.
        result: uint8, of the same shape.
    """
    channels, height, width = images.shape[1:]
    frosts = frosts_for(channels, height, width)
    for image, draws, target in zip(images, uniforms(keys, _DRAWN).tolist(), result, strict=True):
        frost = frosts[int(draws[0] * len(frosts))]
        top, left = int(draws[1] * (frost.shape[1] - height)), int(draws[2] * (frost.shape[2] - width))
        cover_with_frost(image, frost, top, left, own, other, target)


@functools.lru_cache(maxsize=8)
def frosts_for(channels: int, height: int, width: int) -> tuple[NDArray[np.float64], ...]:
    """The photographs at the size for such images, float64 (C, h, w), grey levels; enlarged where the image would not fit."""
    frosts = []
    for photograph in photographs():
        rows, columns = photograph.shape[:2]
        scale = published_scale(height, width)
        if round(rows * scale) <= height or round(columns * scale) <= width:
            scale = max((height + 1) / rows, (width + 1) / columns)
        scaled = resized(photograph, scale).astype(np.float64)
        planes = (scaled @ np.array(LUMINANCE))[None] if channels == 1 else scaled.transpose(2, 0, 1)
        frosts.append(np.ascontiguousarray(planes))
    return tuple(frosts)


def resized(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """A picture, uint8 (H, W, C), resized as by OpenCV's ``resize``: bilinear, with weights of 11 bits; nothing is averaged."""
    if scale == 1:
        return picture
    top, down = _linear_axis(picture.shape[0], scale)
    left, across = _linear_axis(picture.shape[1], scale)
    wide = picture.astype(np.int64)
    rows = wide[:, left] * (2048 - across[:, None]) + wide[:, np.minimum(left + 1, picture.shape[1] - 1)] * across[:, None]
    upper, lower = rows[top], rows[np.minimum(top + 1, picture.shape[0] - 1)]
    # OpenCV's vector units keep 16 bits of each product.
    total = ((upper >> 4) * (2048 - down[:, None, None]) >> 16) + ((lower >> 4) * down[:, None, None] >> 16)
    return np.asarray((total + 2) >> 2, dtype=np.uint8)


def _linear_axis(size: int, scale: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each pixel of a resized axis, the pixel before its position, and the next one's share in 2048ths."""
    position = ((np.arange(round(size * scale)) + 0.5) / scale - 0.5).astype(np.float32)
    before = np.floor(position).astype(np.int64)
    share = position - before.astype(np.float32)
    share[(before < 0) | (before >= size - 1)] = 0
    return before.clip(0, size - 1), np.rint(share * np.float32(2048)).astype(np.int64)


@kernel("void(uint8[:, :, ::1], float64[:, :, ::1], int64, int64, float64, float64, uint8[:, :, ::1])")
def cover_with_frost(
    image: NDArray[np.uint8],
    frost: NDArray[np.float64],
    top: int,
    left: int,
    own: float,
    other: float,
    result: NDArray[np.uint8],
) -> None:
    """Write the weighted sum of an image, uint8 (C, H, W), and the part of the frost that begins at ``top`` and ``left``."""
    channels, height, width = image.shape
    for channel in range(channels):
        for row in range(height):
            pixels, cover, target = image[channel, row], frost[channel, top + row, left:], result[channel, row]
            for column in range(width):
                target[column] = np.uint8(min(max(own * pixels[column] + other * cover[column], 0.0), 255.0))
