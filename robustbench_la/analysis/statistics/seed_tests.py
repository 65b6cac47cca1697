"""Statistics over training seeds: means with their spread, and the paper's protocol for comparing two activations.

A difference is always ``one - other``: positive if ``one`` is larger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robustbench_la.analysis.statistics.paired_tests import paired_t
from robustbench_la.analysis.statistics.samples import NOISE, check_pairs, sample_of

MIN_SEEDS = 5
"""With fewer seeds no p-value is given: with four pairs the signed-rank test cannot go below 0.125 (two-sided)."""
NORMALITY_LEVEL = 0.05
"""A sample counts as normal if its Shapiro-Wilk p-value is not below this (the LayerAct paper's protocol)."""
_EXACT_PATTERNS = 13  # up to this many pairs all 2**n sign patterns are counted; scipy's exact test does not handle ties

TestName = Literal["paired t-test", "Wilcoxon signed-rank", "max-t over rivals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The same metric over several seeds."""

    mean: float
    deviation: float | None
    """Sample standard deviation (n - 1); None for a single value."""
    count: int
    low: float | None
    """Lower end of the t-interval of the mean; None for a single value."""
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedTest:
    """Two sides over the same seeds. With fewer than MIN_SEEDS seeds there is a difference but no test."""

    count: int
    difference: float
    """Mean over seeds of ``one - other``, in the unit of the values."""
    low: float | None
    """Lower end of the t-interval of the mean difference; None for a single seed."""
    high: float | None
    test: TestName | None
    statistic: float | None
    """t, or the smaller of the two rank sums."""
    p: float | None
    """Two-sided, not corrected for multiple testing: see ``holm``."""
    effect: float | None
    """Cohen's d_z (mean difference / its standard deviation) for t; rank-biserial correlation, in [-1, 1], for Wilcoxon."""


def over_seeds(values: ArrayLike, confidence: float = 0.95) -> Spread:
    """Mean, standard deviation (n - 1) and t-interval of the mean.

    Args:
        values: One value per seed, shape (n,).
        confidence: Confidence level of the interval, between 0 and 1.

    Returns:
        The mean with its spread, in the unit of the values.

    Raises:
        ValueError: If there are no values, or one is not finite.

    >>> over_seeds([0.5]).low is None, over_seeds([1, 2, 3]).deviation
    (True, 1.0)
    """
    sample = sample_of(values)
    if sample.size == 0:
        raise ValueError("no values to summarise")
    mean = math.fsum(sample) / sample.size
    if sample.size < 2:
        return Spread(mean=mean, deviation=None, count=1, low=None, high=None)
    # scipy.stats.t.interval in two lines: every table needs it, but scipy.stats takes more than a second to import.
    from scipy.special import stdtrit

    deviation = float(np.std(sample, ddof=1))
    reach = float(stdtrit(sample.size - 1, (1 + confidence) / 2)) * deviation / math.sqrt(sample.size)
    return Spread(mean=mean, deviation=deviation, count=sample.size, low=mean - reach, high=mean + reach)


def compare_seeds(one: ArrayLike, other: ArrayLike, confidence: float = 0.95) -> SeedTest:
    """The LayerAct paper's protocol for two activations: t-test if both samples look normal, else Wilcoxon signed-rank.

    The samples are paired by training seed. Both are tested by Shapiro-Wilk at NORMALITY_LEVEL. Constant samples and constant
    differences give no evidence of normality, so they go to the signed-rank test. Pairs without a difference are not ranked; if
    no pair differs, p is 1. The signed-rank test is exact up to 50 pairs (13 with tied differences) and uses the tie-corrected
    normal approximation beyond that.

    Args:
        one: Values of shape (n,), one per seed.
        other: Values of shape (n,), for the same seeds in the same order.
        confidence: Confidence level of the interval, between 0 and 1.

    Returns:
        The mean difference with its interval and test; no test for fewer than MIN_SEEDS seeds.

    Raises:
        ValueError: If the lengths differ, there are no values, or one is not finite.

    >>> compare_seeds([0.91, 0.92, 0.93, 0.94, 0.95], [0.90, 0.91, 0.92, 0.93, 0.94]).test
    'Wilcoxon signed-rank'
    """
    first, second = sample_of(one), sample_of(other)
    check_pairs(first, second, least=1)
    scale = float(np.max(np.abs([first, second]))) or 1.0
    # 0.92 - 0.91 and 0.93 - 0.92 differ in the last digit; without rounding they would not count as tied.
    relative = np.round((first - second) / scale, round(-math.log10(NOISE)))
    differences = first - second
    spread = over_seeds(differences, confidence)
    test: TestName | None = None
    statistic = p = effect = None
    if first.size >= MIN_SEEDS:
        if np.ptp(relative) > 0 and _looks_normal(first) and _looks_normal(second):
            test, (statistic, p) = "paired t-test", paired_t(differences)
            effect = float(np.mean(differences) / np.std(differences, ddof=1))  # Cohen's d_z (Lakens 2013)
        else:
            test, (statistic, p, effect) = "Wilcoxon signed-rank", _signed_rank(relative[relative != 0])
    return SeedTest(
        count=first.size,
        difference=spread.mean,
        low=spread.low,
        high=spread.high,
        test=test,
        statistic=statistic,
        p=p,
        effect=effect,
    )


def _looks_normal(values: NDArray[np.float64]) -> bool:
    from scipy.stats import shapiro

    if np.ptp(values) <= NOISE * np.max(np.abs(values)):
        return False
    return bool(shapiro(values).pvalue >= NORMALITY_LEVEL)


def _signed_rank(differences: NDArray[np.float64]) -> tuple[float, float, float]:
    """Statistic, two-sided p, matched-pairs rank-biserial correlation (Kerby 2014), of differences none of which is 0."""
    if differences.size == 0:
        return 0.0, 1.0, 0.0
    from scipy.stats import rankdata, wilcoxon

    ranks = rankdata(np.abs(differences))
    above, below = float(ranks[differences > 0].sum()), float(ranks[differences < 0].sum())
    if differences.size <= _EXACT_PATTERNS:
        # All sign patterns are equally likely; ranks are multiples of 0.5, so sums are exact and ties cause no trouble.
        patterns = np.arange(2**differences.size)[:, None] >> np.arange(differences.size) & 1
        p = min(1.0, 2 * float(np.mean(patterns @ ranks <= min(above, below))))
    else:
        p = float(wilcoxon(differences).pvalue)
    return min(above, below), p, (above - below) / (above + below)
