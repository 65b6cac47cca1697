"""The test against the best of several rivals: corrected for the choice by the largest t over all of them, under sign flips."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robustbench_la.analysis.statistics.samples import NOISE

_EXACT = 13
"""Up to this many pairs all sign patterns are counted; beyond that, random ones are drawn."""
FLIPS = 9_999
"""Random sign patterns for more pairs."""
_BATCH = 2**21
"""Values in memory at once."""


def best_of_rivals(differences: ArrayLike, chosen: int, *, seed: int = 0) -> tuple[float | None, float]:
    """Test the difference to the one rival that was chosen among several on the same numbers (Westfall & Young 1993).

    Under the null hypothesis the two sides are exchangeable, so the signs of each pair's differences (to all rivals together) may
    be flipped. The p-value is the share of sign patterns under which the largest |t| over all rivals reaches the |t| of the
    chosen one. It is never smaller than the p-value of a sign-flip test of the chosen rival alone.

    Args:
        differences: Shape (n, rivals): one row per pair (a training seed, or an image), one column per rival.
        chosen: Index of the rival that is reported.
        seed: Seed of the random sign patterns, for more than 13 pairs.

    Returns:
        t of the chosen rival (None if its differences do not vary), and the two-sided p-value; 1 if they are all 0.

    Raises:
        ValueError: If there are fewer than two pairs, or values are not finite.

    >>> best_of_rivals([[1.0], [1.2], [0.9], [1.1], [1.3]], 0)[1]
    0.0625
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 2 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError("differences must be finite numbers of shape (n, rivals), with n at least 2")
    # For given squares, |t| grows with |mean| only: flips change the sums and nothing else.
    count, squares = len(values), (values**2).sum(axis=0)
    observed = float(_strength(values.sum(axis=0), squares, count)[chosen])
    reached = total = 0
    for signs in _patterns(count, seed):
        strongest = _strength(signs @ values, squares, count).max(axis=-1)
        reached += int(np.count_nonzero(strongest >= observed * (1 - NOISE) - NOISE))
        total += len(signs)
    own = values[:, chosen]
    spread = float(np.std(own, ddof=1))
    t = float(own.mean()) / (spread / count**0.5) if spread > 0 else None
    exact = count <= _EXACT
    return t, reached / total if exact else (reached + 1) / (total + 1)


def smallest_p(count: int) -> float:
    """The smallest two-sided p-value that sign flips, or signed ranks, of this many pairs can give."""
    return float(min(1.0, 2.0 ** (1 - count)))


def _strength(sums: NDArray[np.float64], squares: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The square of t divided by n - 1 + t squared: it grows with |t|, and is 1 where the differences do not vary."""
    with np.errstate(invalid="ignore", divide="ignore"):
        strength = sums**2 / (count * squares)
    return np.where(squares > 0, strength, 0.0)


def _patterns(count: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Patterns of signs, (patterns, count), in batches; one of each pair of opposites if all are counted."""
    if count <= _EXACT:
        bits = np.arange(2 ** (count - 1))[:, None] >> np.arange(count) & 1
        yield (1 - 2 * bits).astype(np.float64)
        return
    rng, batch = np.random.default_rng(seed), max(1, _BATCH // count)
    for done in range(0, FLIPS, batch):
        yield (1 - 2 * rng.integers(0, 2, (min(batch, FLIPS - done), count), dtype=np.int8)).astype(np.float64)
