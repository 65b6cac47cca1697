"""Confidence intervals, paired tests and corrections for multiple testing, built on scipy's distributions and tests.

A difference is always ``one - other``: positive if ``one`` is larger. Wilson's interval and McNemar's test are written out with
scipy.special, and every function imports what it needs: scipy.stats takes more than a second to import and a quarter of a
millisecond per call, and these are computed for every cell. The tests compare them with scipy.stats and statsmodels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robustbench_la.analysis.statistics.samples import check_pairs

Alternative = Literal["two-sided", "less", "greater"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Accuracy of ``one`` minus accuracy of ``other``, on the same images with the same noise."""

    value: float
    """A fraction: 0.01 is one point."""
    low: float
    high: float
    lost: int
    """Number of images that ``other`` classifies correctly and ``one`` does not."""
    gained: int
    """Number of images that ``one`` classifies correctly and ``other`` does not."""
    total: int
    p: float
    """McNemar's exact test, two-sided."""


def wilson(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a proportion (Wilson 1927).

    Args:
        correct: Number of successes.
        total: Number of trials, at least 1.
        confidence: Confidence level, between 0 and 1.

    Returns:
        Lower and upper end, as fractions.

    Raises:
        ValueError: If ``correct`` is not between 0 and ``total``, or ``total`` is below 1.

    >>> wilson(0, 10)[0], round(wilson(8, 10)[1], 4)
    (0.0, 0.9433)
    """
    if not 0 <= correct <= total or total < 1:
        raise ValueError(f"{correct} of {total} is not a proportion")
    from scipy.special import ndtri

    z = float(ndtri((1 + confidence) / 2))
    share, weight = correct / total, z * z / total
    centre = (share + weight / 2) / (1 + weight)
    reach = z * math.sqrt(share * (1 - share) / total + (weight / (2 * z)) ** 2) / (1 + weight)
    # 0 and 1 are reached exactly; rounding would miss them by 1e-17.
    return 0.0 if correct == 0 else centre - reach, 1.0 if correct == total else centre + reach


def mcnemar(lost: int, gained: int, alternative: Alternative = "two-sided") -> float:
    """p-value of McNemar's exact test: a binomial test on the images on which the two sides disagree (McNemar 1947).

    Args:
        lost: Number of images that only the other side classifies correctly.
        gained: Number of images that only this side classifies correctly.
        alternative: ``less`` tests whether this side is worse (more lost than gained), ``greater`` whether it is better.

    Returns:
        The p-value; 1 if the sides never disagree.

    Raises:
        ValueError: If a count is negative.

    >>> mcnemar(7, 1), mcnemar(7, 1, "less"), mcnemar(0, 0)
    (0.0703125, 0.03515625, 1.0)
    """
    if lost < 0 or gained < 0:
        raise ValueError(f"counts must not be negative, but lost is {lost} and gained {gained}")
    if lost + gained == 0:
        return 1.0
    from scipy.special import bdtr

    # By symmetry P(X >= gained) = P(X <= lost), and two-sided is twice the smaller tail.
    tail = {"less": gained, "greater": lost, "two-sided": min(lost, gained)}[alternative]
    return min(1.0, float(bdtr(tail, lost + gained, 0.5)) * (2 if alternative == "two-sided" else 1))


def paired_difference(correct_one: ArrayLike, correct_other: ArrayLike, confidence: float = 0.95) -> Difference:
    """Compare two checkpoints on the same images: difference of accuracies, its interval, flips and test.

    The interval is Newcombe's (1998, Statistics in Medicine 17:2635, method 10): two Wilson intervals combined through the
    correlation of the answers. It stays sensible with few or no flips, where the Wald interval shrinks to nothing. It is not the
    inversion of the test: in borderline cases one may be significant and the other not.

    Args:
        correct_one: Booleans of shape (N,): whether each image is classified correctly.
        correct_other: The same for the other checkpoint, for the same images in the same order.
        confidence: Confidence level of the interval, between 0 and 1.

    Returns:
        The difference ``one - other``, as a fraction.

    Raises:
        ValueError: If the arrays are not boolean, are empty, or differ in length.

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


def paired_t(differences: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Paired t-test: Student's t of the mean difference and its two-sided p-value, which is 1 if all differences are 0."""
    from scipy.stats import ttest_1samp

    if len(differences) < 2 or np.ptp(differences) == 0:
        return None, 1.0 if not differences.any() else None
    result = ttest_1samp(differences, 0.0)
    return float(result.statistic), float(result.pvalue)


def holm(p_values: Iterable[float | None]) -> list[float | None]:
    """Adjust p-values for multiple testing by Holm's step-down method (Holm 1979).

    Args:
        p_values: p-values in [0, 1]; None stays None and does not count as a test.

    Returns:
        The adjusted p-values, in the given order.

    Raises:
        ValueError: If a p-value is outside [0, 1].

    >>> holm([0.01, None, 0.04])
    [0.02, None, 0.04]
    """
    # By hand: scipy has no Holm, and statsmodels, which the tests compare this with, takes seconds to import.
    given = list(p_values)
    tests = sorted((p, index) for index, p in enumerate(given) if p is not None)
    adjusted: list[float | None] = [None] * len(given)
    reached = 0.0
    for step, (p, index) in enumerate(tests):
        if not 0 <= p <= 1:
            raise ValueError(f"p-values must be between 0 and 1, not {p}")
        reached = max(reached, min(1.0, (len(tests) - step) * p))
        adjusted[index] = reached
    return adjusted
