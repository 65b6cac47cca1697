"""Intervals, paired tests and corrections of plain numbers. The laws and tests are scipy's; this file puts them together.

Of two sides the difference is always ``one - other``: positive where ``one`` is larger. Wilson's interval and McNemar's test are
written out over scipy.special, and every function imports what it needs: scipy.stats takes more than a second to import and a
quarter of a millisecond a call, and these are asked of every cell. The tests compare them with scipy.stats and statsmodels.
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
    """Images that ``other`` has right and ``one`` wrong."""
    gained: int
    """Images that ``one`` has right and ``other`` wrong."""
    total: int
    p: float
    """McNemar's exact test, two-sided."""


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

    Both are (N,) booleans in the same order of images. The interval is Newcombe's (1998, Statistics in
    Medicine 17:2635, method 10): two Wilson intervals joined through the correlation of the answers. It stays sensible with few
    or no flips, where the textbook's interval shrinks to nothing. It is not the test turned round: close to the border one may
    exclude 0 and the other not.

    Raises:
        ValueError: if the arrays are not boolean, empty, or of different lengths.

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
    """Student's t of the mean of paired differences against 0, and its two-sided p; p is 1 where no value differs from 0."""
    from scipy.stats import ttest_1samp

    if len(differences) < 2 or np.ptp(differences) == 0:
        return None, 1.0 if not differences.any() else None
    found = ttest_1samp(differences, 0.0)
    return float(found.statistic), float(found.pvalue)


def holm(p_values: Iterable[float | None]) -> list[float | None]:
    """p-values adjusted for their number by Holm's step-down method (Holm 1979), in the given order.

    None stays None and is not counted.

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
            raise ValueError(f"a p-value lies between 0 and 1, not at {p}")
        reached = max(reached, min(1.0, (len(tests) - step) * p))
        adjusted[index] = reached
    return adjusted
