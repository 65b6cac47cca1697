"""Calibration: sums by bin of confidence, kept as bytes, and the expected calibration error computed from them."""

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


_MOST_IMAGES = 2**53
"""Beyond, counts in float64 are no longer exact."""


def sums_by_bin(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> NDArray[np.float64]:
    """Per bin of confidence: the number of images, of correct ones, and the sum of their confidence.

    Bin m covers ((m - 1) / bins, m / bins], the first one also 0. The sums of disjoint sets of images add up.

    Args:
        confidence: (N,), the probability of the predicted class.
        correct: (N,) booleans.
        bins: Number of bins.

    Returns:
        float64 (3, bins).

    Raises:
        ValueError: If the shapes differ, or a confidence is not between 0 and 1.
    """
    import numpy as np

    values, hits = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    if values.ndim != 1 or values.shape != hits.shape:
        raise ValueError(f"expected one confidence per prediction, but the shapes are {values.shape} and {hits.shape}")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("confidences must be between 0 and 1")
    indices = np.searchsorted(np.arange(1, bins) / bins, values, side="left")
    return np.stack([np.bincount(indices, weights, bins) for weights in (None, hits, values)])


def pack(sums: NDArray[np.float64]) -> bytes:
    """The sums of BINS bins as bytes.

    >>> unpack(pack(sums_by_bin([0.05, 0.99, 1.0], [False, True, False])))[:, [0, 14]]
    array([[1.  , 2.  ],
           [0.  , 1.  ],
           [0.05, 1.99]])
    """
    return sums.astype("<f8").tobytes()


def unpack(packed: bytes) -> NDArray[np.float64]:
    """The sums that ``pack`` packed, float64 (3, BINS). Raises UserError for damaged or empty bytes."""
    import numpy as np

    if len(packed) != 3 * 8 * BINS:
        raise UserError(f"calibration cannot be read ({len(packed)} bytes instead of {3 * 8 * BINS})")
    sums = np.frombuffer(packed, dtype="<f8").reshape(3, BINS)
    possible = np.isfinite(sums).all() and sums.min() >= 0 and sums[0].any() and sums.max() <= _MOST_IMAGES
    if not (possible and (sums[1:] <= sums[0] * (1 + 1e-6)).all()):
        raise UserError("calibration cannot be read (not sums over images)")
    return sums


def expected_calibration_error(sums: NDArray[np.float64]) -> float:
    """ECE: the mean over images of |accuracy - confidence| of their bin (Naeini et al. 2015; Guo et al. 2017 with 15 bins).

    Args:
        sums: Of ``sums_by_bin``, float64 (3, bins).

    Returns:
        A fraction from 0 to 1.

    Raises:
        ValueError: If there are no images.

    >>> expected_calibration_error(sums_by_bin([0.875, 0.875, 0.875, 0.875], [True, True, True, False]))
    0.125
    """
    counts, correct, confidence = sums
    if not counts.any():
        raise ValueError("no predictions: the calibration error of zero images is undefined")
    return math.fsum(abs(correct - confidence)) / math.fsum(counts)
