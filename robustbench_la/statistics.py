"""Intervals of what was measured. Formulas are scipy's; this file puts them together."""

from __future__ import annotations


def wilson(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share (Wilson 1927): lower and upper end, as fractions.

    >>> wilson(0, 10)[0], round(wilson(8, 10)[1], 4)
    (0.0, 0.9433)
    """
    from scipy.stats import binomtest

    interval = binomtest(correct, total).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)
