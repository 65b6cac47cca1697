"""Input checks of the statistics: finite numbers along one axis, in pairs of equal length."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

NOISE = 1e-12
"""Relative tolerance: differences closer than this are equal up to rounding errors."""


def sample_of(values: ArrayLike) -> NDArray[np.float64]:
    """Values as a float64 array of shape (N,), all finite."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not np.isfinite(sample).all():
        raise ValueError("values must be finite numbers along one axis")
    return sample


def check_pairs(one: NDArray[np.generic], other: NDArray[np.generic], *, least: int) -> None:
    """Raise ValueError unless both arrays have the same shape (N,), with N at least ``least``."""
    if one.ndim != 1 or one.shape != other.shape:
        raise ValueError(
            f"pairs need two arrays of the same length along one axis, but the shapes are {one.shape} and {other.shape}"
        )
    if one.size < least:
        raise ValueError(f"too few pairs: {one.size}, but at least {least} are needed")
