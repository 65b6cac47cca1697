"""Compression of the classes of many images."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from robustbench_la.errors import UserError, first_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


def pack_classes(classes: ArrayLike) -> bytes:
    """Compress classes to at most one or two bytes each.

    The first byte is the number of bytes per class; the zlib stream after it holds all low bytes, then all high bytes, which
    compresses better than pairs.

    Args:
        classes: Predicted classes or labels, (N,), each below 65,536.

    Returns:
        The compressed bytes.

    >>> unpack_classes(pack_classes([3, 1, 999]))
    array([  3,   1, 999], dtype=uint16)
    """
    import numpy as np

    array = np.asarray(classes, dtype="<u2")
    planes = array.view(np.uint8).reshape(-1, 2).T
    width = 2 if planes[1].any() else 1
    return bytes([width]) + zlib.compress(planes[:width].tobytes(), level=6)


def unpack_classes(packed: bytes, count: int | None = None) -> NDArray[np.uint16]:
    """Decompress what ``pack_classes`` compressed.

    Args:
        packed: The compressed bytes.
        count: The expected number of images; nothing beyond is decompressed. None if it is not known.

    Returns:
        The classes, (N,).

    Raises:
        UserError: If the bytes are damaged or empty, or hold another number of classes.
    """
    import numpy as np

    try:
        width = packed[0]
        if width not in (1, 2):
            raise ValueError(f"{width} bytes per class")
        stream = zlib.decompressobj()
        content = stream.decompress(packed[1:], 0 if count is None else width * count + 1)
        if not stream.eof or (count is not None and len(content) != width * count):
            raise ValueError("incomplete, or for another number of images")
        planes = np.frombuffer(content, dtype=np.uint8).reshape(width, -1).astype(np.uint16)
        array: NDArray[np.uint16] = planes[0] if width == 1 else planes[0] + 256 * planes[1]
        return array
    except (IndexError, ValueError, zlib.error) as error:
        raise UserError(f"classes cannot be read ({first_line(error)})") from None
