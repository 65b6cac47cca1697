"""Two means over the same images compared by drawing the images again: interval and p-value without a law of the values."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robustbench_la.analysis.statistics.samples import NOISE, check_pairs, sample_of

_KEPT = 2**25  # resampled values kept for the next comparison, a byte each
_BATCH = 2**20  # resampled values held at once: about 40 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """A difference or ratio of two means over the same images, with its percentile interval."""

    value: float
    low: float
    high: float
    p_exceeds: float | None
    """One-sided, of "not above the margin"; None without a margin. Never below 1 / (resamples + 1)."""


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
    """mean(one) - mean(other), or mean(one) / mean(other), over images drawn again with replacement (Efron 1979).

    For a fall by more than a margin, exchange the two. Many comparisons corrected by holm need resamples well above their
    number / alpha.

    Args:
        one: (N,); for a ratio none negative.
        other: the same, paired with ``one`` by image.
        statistic: what is compared.
        margin: in the unit of the statistic (0.01 for one point, 1.1 for a rise by a tenth); with it, also the p-value of
            "``one`` exceeds ``other`` by more than the margin": the share of resamples at or below it, (k + 1) / (resamples + 1).
        confidence: of the interval.
        resamples: how often images are drawn again.
        seed: the same one gives the same numbers.

    Raises:
        ValueError: for fewer than two images, different lengths, values that are not finite, or a ratio to zero.

    >>> paired_bootstrap([0.2, 0.3, 0.4], [0.1, 0.2, 0.3], margin=0.05, resamples=99).p_exceeds
    0.01
    """
    first, second = sample_of(one), sample_of(other)
    check_pairs(first, second, least=2)
    if statistic == "ratio" and (min(first.min(), second.min()) < 0 or not second.any()):
        raise ValueError("a ratio needs values that are not negative, and a denominator that is not zero")
    # The difference of two means over the same images is the mean of the differences.
    samples = np.stack([first, second] if statistic == "ratio" else [first - second], axis=1)
    draw = _kept_draws if resamples * first.size <= _KEPT else _draws
    sums = np.concatenate([counts.astype(np.float64) @ samples for counts in draw(first.size, resamples, seed)])
    if statistic == "ratio" and not sums[:, 1].all():
        raise ValueError("a resample's denominator is zero: too few images differ from zero for a ratio")
    found = sums[:, 0] / (sums[:, 1] if statistic == "ratio" else first.size)
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    p_exceeds = None
    if margin is not None:
        # A resample that equals the margin except for rounding does not exceed it.
        tolerance = NOISE * max(float(np.max(np.abs(found))), abs(margin))
        p_exceeds = (int(np.count_nonzero(found <= margin + tolerance)) + 1) / (resamples + 1)
    means = samples.mean(axis=0)
    value = means[0] / means[1] if statistic == "ratio" else means[0]
    return Bootstrap(value=float(value), low=float(low), high=float(high), p_exceeds=p_exceeds)


def _draws(size: int, resamples: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """How often each of ``size`` values is in each resample: (resamples, size), in parts.

    Draw for draw what scipy.stats.bootstrap does, whose import alone takes longer than judging a baseline may.
    """
    rng, batch = np.random.default_rng(seed), max(1, _BATCH // size)
    for done in range(0, resamples, batch):
        drawn = rng.integers(0, size, (min(batch, resamples - done), size))
        places = drawn + np.arange(len(drawn))[:, None] * size
        # 256 times the same has a probability below 1e-400.
        yield np.bincount(places.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.uint8)


@functools.lru_cache(maxsize=1)
def _kept_draws(size: int, resamples: int, seed: int) -> tuple[NDArray[np.uint8], ...]:
    """The same, for all comparisons over the same images."""
    return tuple(_draws(size, resamples, seed))
