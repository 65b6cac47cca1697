"""How far confidence is from accuracy: sums by bin of confidence, kept as bytes, and the error that is made of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from robustbench_la.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

BINS = 15
"""Of equal width over [0, 1], as usual for the expected calibration error (Guo et al. 2017, "On calibration of modern neural
networks", section 2)."""


def sums_by_bin(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> NDArray[np.float64]:
    """Images, correct ones, and the sum of their confidence, float64 (3, bins). Sums of parts of the images add up.

    confidence: (N,), the probability of the predicted class.  correct: (N,) booleans. Bin m holds ((m - 1) / bins, m / bins], the
    first also 0.  Raises: ValueError for other shapes, or confidences that are not between 0 and 1.
    """
    import numpy as np

    values, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    if values.ndim != 1 or values.shape != right.shape:
        raise ValueError(f"one confidence an answer is needed, but the shapes are {values.shape} and {right.shape}")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("confidences lie between 0 and 1")
    places = np.searchsorted(np.arange(1, bins) / bins, values, side="left")
    return np.stack([np.bincount(places, weights, bins) for weights in (None, right, values)])


def pack(sums: NDArray[np.float64]) -> bytes:
    """The sums of BINS bins.

    >>> unpack(pack(sums_by_bin([0.05, 0.99, 1.0], [False, True, False])))[:, [0, 14]]
    array([[1.  , 2.  ],
           [0.  , 1.  ],
           [0.05, 1.99]])
    """
    return sums.astype("<f8").tobytes()


def unpack(packed: bytes) -> NDArray[np.float64]:
    """What was packed, (3, BINS). Raises: UserError for bytes that are damaged or empty."""
    import numpy as np

    if len(packed) != 3 * 8 * BINS:
        raise UserError(f"calibration that cannot be read ({len(packed)} bytes)")
    sums = np.frombuffer(packed, dtype="<f8").reshape(3, BINS)
    if not (np.isfinite(sums).all() and sums.min() >= 0 and sums[0].any()):
        raise UserError("calibration that cannot be read (not sums over images)")
    return sums


def expected_calibration_error(sums: NDArray[np.float64]) -> float:
    """ECE: mean over images of |accuracy - confidence| of their bin (Naeini et al. 2015; Guo et al. 2017 with 15 bins).

    >>> expected_calibration_error(sums_by_bin([0.875, 0.875, 0.875, 0.875], [True, True, True, False]))
    0.125
    """
    counts, correct, confidence = sums
    if not counts.any():
        raise ValueError("no answers to calibrate")
    return math.fsum(abs(correct - confidence)) / math.fsum(counts)
