"""Classes of many images in few bytes, and back."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from robustbench_la.errors import UserError, first_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


def pack_classes(classes: ArrayLike) -> bytes:
    """Compress classes (predicted ones or labels), each below 65,536: at most one or two bytes each.

    The first byte says how many bytes a class takes; the zlib stream behind it holds all low bytes, then all high ones, which
    compresses better than pairs.

    >>> unpack_classes(pack_classes([3, 1, 999]))
    array([  3,   1, 999], dtype=uint16)
    """
    import numpy as np

    array = np.asarray(classes, dtype="<u2")
    planes = array.view(np.uint8).reshape(-1, 2).T
    width = 2 if planes[1].any() else 1
    return bytes([width]) + zlib.compress(planes[:width].tobytes(), level=6)


def unpack_classes(packed: bytes, count: int | None = None) -> NDArray[np.uint16]:
    """What ``pack_classes`` packed, (N,). count: of classes that there must be; nothing beyond them is decompressed.

    Raises: UserError for bytes that are damaged or empty, or hold another number of classes.
    """
    import numpy as np

    try:
        width = packed[0]
        if width not in (1, 2):
            raise ValueError(f"{width} bytes a class")
        stream = zlib.decompressobj()
        content = stream.decompress(packed[1:], 0 if count is None else width * count + 1)
        if not stream.eof or (count is not None and len(content) != width * count):
            raise ValueError("incomplete, or of another number of images")
        planes = np.frombuffer(content, dtype=np.uint8).reshape(width, -1).astype(np.uint16)
        array: NDArray[np.uint16] = planes[0] if width == 1 else planes[0] + 256 * planes[1]
        return array
    except (IndexError, ValueError, zlib.error) as error:
        raise UserError(f"predictions that cannot be read ({first_line(error)})") from None
