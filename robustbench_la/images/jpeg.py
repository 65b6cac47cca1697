"""Images stored as JPEG and read back, as the published sets of corrupted images were. No torch."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def as_jpeg(images: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Compress images as make_imagenet_c.py and make_tinyimagenet_c.py do: Pillow's JPEG, ``optimize=True``.

    Args:
        images: uint8 (N, C, H, W).
        quality: 1 to 95; the published sets have 85.

    Returns:
        The images as a reader of the files gets them, of the same shape.
    """
    import numpy as np
    import PIL.Image

    def one(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        file = io.BytesIO()
        grey = len(pixels) == 1
        PIL.Image.fromarray(pixels[0] if grey else pixels.transpose(1, 2, 0)).save(file, "JPEG", quality=quality, optimize=True)
        read = np.asarray(PIL.Image.open(file))
        return read[None] if grey else read.transpose(2, 0, 1)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow's codecs release the GIL
        return np.ascontiguousarray(np.stack(list(pool.map(one, images))))
