"""Images stored as JPEG and read back, as the published sets of corrupted images were. No torch."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def jpeg_bytes(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """One image as a JPEG file, as make_imagenet_c.py and make_tinyimagenet_c.py write it: Pillow's, with ``optimize=True``.

    Args:
        pixels: uint8 (1 or 3, H, W).
        quality: 1 to 95; the published sets have 85.
    """
    import PIL.Image

    file = io.BytesIO()
    array = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    PIL.Image.fromarray(array).save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def as_jpeg(images: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Compress images by ``jpeg_bytes``, and read them back.

    Args:
        images: uint8 (N, C, H, W).
        quality: 1 to 95; the published sets have 85.

    Returns:
        The images as a reader of the files gets them, of the same shape.
    """
    import numpy as np
    import PIL.Image

    def one(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        read = np.asarray(PIL.Image.open(io.BytesIO(jpeg_bytes(pixels, quality))))
        return read[None] if len(pixels) == 1 else read.transpose(2, 0, 1)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow's codecs release the GIL
        return np.ascontiguousarray(np.stack(list(pool.map(one, images))))
