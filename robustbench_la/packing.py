"""Predictions and confidence of many images in few bytes, and back."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from robustbench_la.errors import UserError, first_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

CALIBRATION_BINS = 15
"""Of equal width over [0, 1], as usual for the expected calibration error (Guo et al. 2017, "On calibration of modern neural
networks", section 2)."""


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


def pack_calibration(confidence: ArrayLike, correct: ArrayLike) -> bytes:
    """Sums by bin of confidence, of which the expected calibration error is made.

    confidence: the largest softmax probability, (N,).  correct: whether the prediction is the label, bool (N,).
    A bin holds (lower, upper], as in Guo et al. 2017; 0 belongs to the first.

    >>> unpack_calibration(pack_calibration([0.05, 0.99, 1.0], [False, True, False]))[:, [0, 14]]
    array([[1.  , 2.  ],
           [0.  , 1.  ],
           [0.05, 1.99]])
    """
    import numpy as np

    values = np.asarray(confidence, dtype=np.float64)
    bins = np.clip(np.ceil(values * CALIBRATION_BINS) - 1, 0, CALIBRATION_BINS - 1).astype(np.int64)
    sums = [np.bincount(bins, weights, CALIBRATION_BINS) for weights in (None, np.asarray(correct, dtype=np.float64), values)]
    return np.stack(sums).astype("<f8").tobytes()


def unpack_calibration(packed: bytes) -> NDArray[np.float64]:
    """Images, correct ones, and the sum of their confidence: (3, CALIBRATION_BINS).

    Raises: UserError for bytes that are damaged or empty.
    """
    import numpy as np

    if len(packed) != 3 * 8 * CALIBRATION_BINS:
        raise UserError(f"calibration that cannot be read ({len(packed)} bytes)")
    return np.frombuffer(packed, dtype="<f8").reshape(3, CALIBRATION_BINS)
