"""Intervals, paired tests and corrections of plain numbers. The laws and tests are scipy's; this file puts them together.

Of two sides the difference is always ``one - other``: positive where ``one`` is larger. scipy.stats takes most of a second to
import and a quarter of a millisecond a call, so what is asked of every cell rests on scipy.special, and every function imports
what it needs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

NOISE = 1e-12
"""Relative: two differences nearer than this are the same number with other rounding errors."""
_KEPT = 2**25  # resampled values kept for the next comparison, a byte each
_BATCH = 2**20  # resampled values held at once: about 40 MB

Alternative = Literal["two-sided", "less", "greater"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Accuracy of ``one`` minus accuracy of ``other``, on the same images with the same noise."""

    value: float
    """A fraction: 0.01 is one point."""
    low: float
    high: float
    lost: int
    """Images that ``other`` has right and ``one`` wrong."""
    gained: int
    """Images that ``one`` has right and ``other`` wrong."""
    total: int
    p: float
    """McNemar's exact test, two-sided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """A difference or ratio of two means over the same images, with its percentile interval."""

    value: float
    low: float
    high: float
    p_exceeds: float | None
    """One-sided, of "not above the margin"; None without a margin. Never below 1 / (resamples + 1)."""


def wilson(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share (Wilson 1927): lower and upper end, as fractions.

    >>> wilson(0, 10)[0], round(wilson(8, 10)[1], 4)
    (0.0, 0.9433)
    """
    if not 0 <= correct <= total or total < 1:
        raise ValueError(f"{correct} of {total} is no share")
    from scipy.special import ndtri

    z = float(ndtri((1 + confidence) / 2))
    share, weight = correct / total, z * z / total
    centre = (share + weight / 2) / (1 + weight)
    reach = z * math.sqrt(share * (1 - share) / total + (weight / (2 * z)) ** 2) / (1 + weight)
    # The ends of the scale are reached exactly; rounding would miss them by 1e-17.
    return 0.0 if correct == 0 else centre - reach, 1.0 if correct == total else centre + reach


def mcnemar(lost: int, gained: int, alternative: Alternative = "two-sided") -> float:
    """p-value of McNemar's exact test: the binomial law of the images on which the two sides disagree (McNemar 1947).

    ``less`` asks whether ``one`` is worse (more lost than gained), ``greater`` whether it is better. 1 without disagreement.

    >>> mcnemar(7, 1), mcnemar(7, 1, "less"), mcnemar(0, 0)
    (0.0703125, 0.03515625, 1.0)
    """
    if lost < 0 or gained < 0:
        raise ValueError(f"counts must not be negative, but lost is {lost} and gained {gained}")
    if lost + gained == 0:
        return 1.0
    from scipy.special import bdtr

    # Heads and tails are alike: P(X >= gained) is P(X <= lost), and both tails are twice the smaller.
    tail = {"less": gained, "greater": lost, "two-sided": min(lost, gained)}[alternative]
    return min(1.0, float(bdtr(tail, lost + gained, 0.5)) * (2 if alternative == "two-sided" else 1))


def paired_difference(correct_one: ArrayLike, correct_other: ArrayLike, confidence: float = 0.95) -> Difference:
    """Compare two checkpoints on the same images: difference of accuracies, its interval, flips, test.

    correct_one, correct_other: (N,) booleans in the same order of images. The interval is Newcombe's (1998, Statistics in
    Medicine 17:2635, method 10): two Wilson intervals joined through the correlation of the answers. It stays sensible with few
    or no flips, where the textbook's interval shrinks to nothing. It is not the test turned round: close to the border one may
    exclude 0 and the other not.

    Raises ValueError when the arrays are not boolean, empty, or of different lengths.

    >>> difference = paired_difference([True, True, False, True], [True, False, False, False])
    >>> difference.value, difference.gained, difference.lost, difference.p
    (0.5, 2, 0, 0.5)
    """
    one, other = np.asarray(correct_one), np.asarray(correct_other)
    if one.dtype != np.bool_ or other.dtype != np.bool_:
        raise ValueError(f"answers must be booleans (right or wrong), not {one.dtype} and {other.dtype}")
    check_pairs(one, other, least=1)
    both, gained, lost = (int(np.count_nonzero(cases)) for cases in (one & other, one & ~other, ~one & other))
    low, high = _newcombe(both, gained, lost, one.size - both - gained - lost, confidence)
    value = (gained - lost) / one.size
    return Difference(value=value, low=low, high=high, lost=lost, gained=gained, total=one.size, p=mcnemar(lost, gained))


def _newcombe(both: int, gained: int, lost: int, neither: int, confidence: float) -> tuple[float, float]:
    """Newcombe's method 10, from the four counts of a paired table."""
    total = both + gained + lost + neither
    one, other = both + gained, both + lost
    low_one, high_one = wilson(one, total, confidence)
    low_other, high_other = wilson(other, total, confidence)
    agreement: float = both * neither - gained * lost
    if agreement > 0:
        agreement = max(agreement - total / 2, 0)  # the method's continuity correction
    margins = one * (total - one) * other * (total - other)
    correlation = agreement / math.sqrt(margins) if margins else 0.0

    def reach(left: float, right: float) -> float:
        return math.sqrt(max(left**2 - 2 * correlation * left * right + right**2, 0.0))

    value = (gained - lost) / total
    low = value - reach(one / total - low_one, high_other - other / total)
    high = value + reach(other / total - low_other, high_one - one / total)
    return max(low, -1.0), min(high, 1.0)


def holm(p_values: Iterable[float | None]) -> list[float | None]:
    """p-values adjusted for their number by Holm's step-down method (Holm 1979), in the given order.

    None stays None and is not counted.

    >>> holm([0.01, None, 0.04])
    [0.02, None, 0.04]
    """
    given = list(p_values)
    tests = sorted((p, place) for place, p in enumerate(given) if p is not None)
    adjusted: list[float | None] = [None] * len(given)
    reached = 0.0
    for step, (p, place) in enumerate(tests):
        if not 0 <= p <= 1:
            raise ValueError(f"a p-value lies between 0 and 1, not at {p}")
        reached = max(reached, min(1.0, (len(tests) - step) * p))
        adjusted[place] = reached
    return adjusted


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

    one, other: (N,), paired by image; for a ratio none negative. With ``margin`` (in the unit of the statistic: 0.01 for one
    point, 1.1 for a rise by a tenth) also the p-value of "``one`` exceeds ``other`` by more than the margin": the share of
    resamples at or below it, (k + 1) / (resamples + 1). For a fall by more than a margin, exchange the two. The same seed gives
    the same numbers. Many comparisons corrected by holm need resamples well above their number / alpha.

    Raises ValueError for fewer than two images, different lengths, values that are not finite, or a ratio to zero.

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
        # A resample that is the margin but for rounding does not exceed it.
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


def images_to_settle(lost: int, gained: int, total: int, level: float, power: float = 0.8) -> int | None:
    """How many images would show a fall like this one: at ``level``, one-sided, with the probability ``power``.

    lost, gained: of ``total`` images. With shares d = (lost + gained) / total of answers that differ and
    f = (lost - gained) / total of the fall, McNemar's test needs (z(1 - level) sqrt(d) + z(power) sqrt(d - f^2))^2 / f^2 images
    (Connor 1987, Biometrics 43:207). None where nothing fell, or where any fall is significant (a level of one half or more).

    >>> images_to_settle(30, 10, 2000, 0.05), images_to_settle(10, 30, 2000, 0.05)
    (1235, None)
    """
    if lost <= gained or not 0 < level < 0.5:
        return None
    from scipy.special import ndtri

    differ, fall = (lost + gained) / total, (lost - gained) / total
    root = -float(ndtri(level)) * math.sqrt(differ) + float(ndtri(power)) * math.sqrt(max(differ - fall**2, 0.0))
    return math.ceil((root / fall) ** 2)


def images_to_settle_mean(changes: ArrayLike, level: float, power: float = 0.8) -> int | None:
    """The same for a mean of ``changes``, one an image, above 0 where it is worse: ((z(1 - level) + z(power)) s / mean)^2."""
    sample = sample_of(changes)
    mean, deviation = float(sample.mean()), float(sample.std())
    if mean <= 0 or not 0 < level < 0.5:
        return None
    from scipy.special import ndtri

    return math.ceil(((-float(ndtri(level)) + float(ndtri(power))) * deviation / mean) ** 2)


def sample_of(values: ArrayLike) -> NDArray[np.float64]:
    """Values as a float64 array of one axis, all finite."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not np.isfinite(sample).all():
        raise ValueError("values must be finite numbers along one axis")
    return sample


def check_pairs(one: NDArray[np.generic], other: NDArray[np.generic], *, least: int) -> None:
    """Raise ValueError unless two arrays line up, with at least so many values."""
    if one.ndim != 1 or one.shape != other.shape:
        raise ValueError(f"pairs must line up along one axis, but the shapes are {one.shape} and {other.shape}")
    if one.size < least:
        raise ValueError(f"too few pairs: {one.size}, where at least {least} are needed")
