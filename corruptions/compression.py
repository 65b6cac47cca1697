"""JPEG by Pillow, whose libjpeg decides the bytes."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import features


def through_jpeg(images: NDArray[np.uint8], quality: int, result: NDArray[np.uint8]) -> None:
    """Write images, stored as JPEG and read back, to ``result``.

    Args:
        images: uint8 (N, 1 or 3, H, W).
        quality: 1 to 100, as Pillow counts it.
        result: uint8, of the same shape.
    """
    for pixels, target in zip(images, result, strict=True):
        file = io.BytesIO()
        grey = len(pixels) == 1
        PIL.Image.fromarray(pixels[0] if grey else pixels.transpose(1, 2, 0)).save(file, "JPEG", quality=quality)
        mode, size = ("L" if grey else "RGB"), (pixels.shape[2], pixels.shape[1])
        read = PIL.Image.frombytes(mode, size, file.getvalue(), "jpeg", mode, "")  # as PIL.Image.open, without parsing the header
        values = np.frombuffer(read.tobytes(), np.uint8).reshape(*pixels.shape[1:], len(pixels))
        target[...] = values.transpose(2, 0, 1)


def libjpeg_version() -> str:
    """The JPEG library that Pillow uses, such as ``libjpeg-turbo 3.1.2``; part of what decides the bytes."""
    turbo = features.version("libjpeg_turbo")
    return f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version('jpg')}"
