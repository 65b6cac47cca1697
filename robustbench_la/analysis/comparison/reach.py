"""Whether the tests of a table could find anything at all: the smallest p-value that so few seeds allow, after correction."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_la.analysis.comparison.differences import MAX_T, Contrast
from robustbench_la.analysis.statistics.max_t import smallest_p

_LEVEL = 0.05
"""The largest p-value with a star."""
_BOUNDED = ("Wilcoxon signed-rank", MAX_T)
"""Tests whose p-value is a share of sign patterns, so that it has a smallest one."""


def out_of_reach(contrasts: Sequence[Contrast]) -> str:
    """A sentence for tests that cannot become significant, whatever the numbers are; empty if there are none.

    With m such tests, Holm's correction multiplies the smallest of their p-values by m or more.

    Args:
        contrasts: All differences of a table.
    """
    tests = {
        key: estimate.count
        for contrast in contrasts
        for key, estimate in zip(contrast.tests, contrast.estimates, strict=True)
        if estimate is not None and (test := estimate.evidence) is not None and test.p is not None and test.test in _BOUNDED
    }
    counts = [count for count in tests.values() if count is not None]
    if not counts:
        return ""
    seeds = max(counts)
    least = len(counts) * smallest_p(seeds)
    if least < _LEVEL:
        return ""
    needed = next(count for count in range(seeds, 64) if len(counts) * smallest_p(count) < _LEVEL)
    times = f"{len(counts)} such tests" if len(counts) > 1 else "the only such test"
    fewer = "show fewer columns, or train" if smallest_p(seeds) < _LEVEL else "train"
    return (
        f"With {seeds} seeds, a signed-rank or sign-flip test has p >= {smallest_p(seeds):.2g}, after correction for {times} "
        f">= {min(least, 1.0):.2g}: none of these tests (t-tests are others) can be significant, whatever the numbers; {fewer} "
        f"{needed} seeds."
    )
