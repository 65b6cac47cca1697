"""npy files of images and labels, mapped instead of read: their headers are checked first, and nothing is unpickled."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_la.errors import UserError
from robustbench_la.files import open_regular
from robustbench_la.progress import Meter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STEP = 2**20
_MOST_LABELS = 2**24


def mapped_images(path: Path, sides: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A file of images.

    Args:
        path: The file.
        sides: Height, width and channels of each image.

    Returns:
        (N, H, W, C), mapped.

    Raises:
        UserError: If it holds anything else.
    """
    import numpy as np

    array = _mapped(path)
    if array.dtype != np.uint8:
        raise UserError(f"cannot read {path}: its values are {array.dtype}, and images are uint8; save it as published")
    if array.ndim == 3 and sides[2] == 1:
        array = array[..., None]
    if array.ndim != 4 or array.shape[1:] != sides or not len(array):
        wanted, given = (" x ".join(map(str, shape)) for shape in (("N", *sides), array.shape))
        raise UserError(f"cannot read {path}: its shape is {given}, and that of the set is {wanted}")
    return array.astype(np.uint8, copy=False)


def labels_in(path: Path, classes: int) -> NDArray[np.int64]:
    """A file of labels. Raises UserError if it holds anything but whole numbers below ``classes``."""
    import numpy as np

    if not path.exists():
        raise UserError(f"cannot read {path}: no such file; the labels of the set are missing")
    array = _mapped(path)
    if array.dtype.kind not in "iu" or array.ndim != 1 or not 0 < len(array) <= _MOST_LABELS:
        raise UserError(f"cannot read {path}: {array.dtype} of shape {array.shape}; labels are whole numbers, one for each image")
    if not 0 <= array.min() <= array.max() < classes:
        raise UserError(f"cannot read {path}: labels from {array.min()} to {array.max()}; the set has classes 0 to {classes - 1}")
    return array.astype(np.int64)


def md5_of(path: Path, meter: Meter) -> str:
    """The MD5 sum of a file, as sets publish it."""
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with open_regular(path) as file, meter(f"checking {path.stem}", math.ceil(path.stat().st_size / _STEP)) as advance:
            while part := file.read(_STEP):
                digest.update(part)
                advance(1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or 'it is no regular file'}") from None
    return digest.hexdigest()


def _mapped(path: Path) -> NDArray[np.generic]:
    """The array of a file, mapped. Raises UserError for what is not one whole array of numbers."""
    import numpy as np
    from numpy.lib import format as npy

    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if npy.read_magic(file) != (1, 0):  # the header of others may be as long as the file
                raise UserError(f"cannot read {path}: no npy file of version 1.0, as numpy.save writes it")
            shape, fortran, dtype = npy.read_array_header_1_0(file)
            if dtype.hasobject:
                raise UserError(f"cannot read {path}: it holds pickled objects, which are never read; save it as plain numbers")
            if fortran and len(shape) > 1:
                raise UserError(f"cannot read {path}: it is in Fortran order; save it in C order, as published")
            start, wanted = file.tell(), math.prod(shape) * dtype.itemsize
            if size != start + wanted:
                what = "truncated" if size < start + wanted else "followed by other data"
                raise UserError(f"cannot read {path}: it is {what}: {size - start:,} bytes instead of {wanted:,} in {shape}")
            if not wanted:
                raise UserError(f"cannot read {path}: it is empty")
            return np.memmap(file, dtype=dtype, mode="r", offset=start, shape=shape)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except UserError:
        raise
    except Exception:  # a header is a text that is parsed as Python, which fails in any way
        raise UserError(f"cannot read {path}: no npy file, or its header is damaged") from None
