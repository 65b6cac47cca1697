"""Arrays of numbers as the statistics take them: finite, along one axis, and in pairs that line up."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

NOISE = 1e-12
"""Relative: two differences nearer than this are the same number with other rounding errors."""


def sample_of(values: ArrayLike) -> NDArray[np.float64]:
    """Values as a float64 array of one axis, all finite."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not np.isfinite(sample).all():
        raise ValueError("values must be finite numbers along one axis")
    return sample


def check_pairs(one: NDArray[np.generic], other: NDArray[np.generic], *, least: int) -> None:
    """Raise ValueError unless two arrays line up, with at least ``least`` values."""
    if one.ndim != 1 or one.shape != other.shape:
        raise ValueError(f"pairs must line up along one axis, but the shapes are {one.shape} and {other.shape}")
    if one.size < least:
        raise ValueError(f"too few pairs: {one.size}, where at least {least} are needed")
