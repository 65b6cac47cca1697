"""Paired bootstrap: compares two means over the same images by resampling images, without assuming a distribution."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robustbench_la.analysis.statistics.samples import NOISE, check_pairs, sample_of

_KEPT = 2**25  # resampled values kept for the next comparison, one byte each
_BATCH = 2**20  # resampled values in memory at once: about 40 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """A difference or ratio of two means over the same images, with its percentile interval."""

    value: float
    low: float
    high: float
    p_exceeds: float | None
    """One-sided p-value against "not above the margin", at least 1 / (resamples + 1); None without a margin."""


def paired_bootstrap(
    one: ArrayLike,
    other: ArrayLike,
    statistic: Literal["mean", "ratio"] = "mean",
    *,
    margin: float | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Bootstrap:
    """mean(one) - mean(other), or mean(one) / mean(other), by resampling images with replacement (Efron 1979).

    To test for a drop by more than a margin, swap the two. If many comparisons are corrected with ``holm``, ``resamples`` must be
    well above their number / alpha.

    Args:
        one: Values of shape (N,); non-negative for a ratio.
        other: Values of shape (N,), paired with ``one`` by image.
        statistic: What is compared: the difference of the means, or their ratio.
        margin: In the unit of the statistic (0.01 for one point, 1.1 for an increase by 10 %). If given, the p-value of
            "``one`` exceeds ``other`` by more than the margin" is computed as well: (k + 1) / (resamples + 1), where k resamples
            are at or below the margin.
        confidence: Confidence level of the interval, between 0 and 1.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling; the same seed gives the same numbers.

    Returns:
        The difference or ratio with its percentile interval and, with a margin, the p-value.

    Raises:
        ValueError: If there are fewer than two images, the lengths differ, values are not finite, or a ratio has denominator 0.

    >>> paired_bootstrap([0.2, 0.3, 0.4], [0.1, 0.2, 0.3], margin=0.05, resamples=99).p_exceeds
    0.01
    """
    first, second = sample_of(one), sample_of(other)
    check_pairs(first, second, least=2)
    if statistic == "ratio" and (min(first.min(), second.min()) < 0 or not second.any()):
        raise ValueError("a ratio needs non-negative values and a non-zero denominator")
    # The difference of two means over the same images is the mean of the differences.
    samples = np.stack([first, second] if statistic == "ratio" else [first - second], axis=1)
    draw = _kept_draws if resamples * first.size <= _KEPT else _draws
    sums = np.concatenate([counts.astype(np.float64) @ samples for counts in draw(first.size, resamples, seed)])
    if statistic == "ratio" and not sums[:, 1].all():
        raise ValueError("the denominator of a resample is zero: too few images are non-zero for a ratio")
    resampled = sums[:, 0] / (sums[:, 1] if statistic == "ratio" else first.size)
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    p_exceeds = None
    if margin is not None:
        # A resample that equals the margin up to rounding does not exceed it.
        tolerance = NOISE * max(float(np.max(np.abs(resampled))), abs(margin))
        p_exceeds = (int(np.count_nonzero(resampled <= margin + tolerance)) + 1) / (resamples + 1)
    means = samples.mean(axis=0)
    value = means[0] / means[1] if statistic == "ratio" else means[0]
    return Bootstrap(value=float(value), low=float(low), high=float(high), p_exceeds=p_exceeds)


def _draws(size: int, resamples: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """How often each of ``size`` values occurs in each resample: (resamples, size), in batches.

    The draws are identical to those of scipy.stats.bootstrap, whose import alone takes longer than judging a baseline should.
    """
    rng, batch = np.random.default_rng(seed), max(1, _BATCH // size)
    for done in range(0, resamples, batch):
        drawn = rng.integers(0, size, (min(batch, resamples - done), size))
        positions = drawn + np.arange(len(drawn))[:, None] * size
        # uint8 suffices: the probability that a value is drawn 256 times is below 1e-400.
        yield np.bincount(positions.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.uint8)


@functools.lru_cache(maxsize=1)
def _kept_draws(size: int, resamples: int, seed: int) -> tuple[NDArray[np.uint8], ...]:
    """The same, cached for further comparisons over the same images."""
    return tuple(_draws(size, resamples, seed))
