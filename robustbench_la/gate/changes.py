"""How the answers to each image changed, averaged over several passes: exact, in whole numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from robustbench_la.analysis.statistics.paired_tests import paired_difference
from robustbench_la.records.cells import Pass
from robustbench_la.records.snapshot import Answers, Snapshot


@dataclass(frozen=True, slots=True)
class Changes:
    """The mean of each image over passes (1: right in all of them), before and after, in a unit that makes it whole."""

    before: NDArray[np.int64]
    """(N,), from 0 to ``unit``."""
    after: NDArray[np.int64]
    unit: int

    @property
    def each(self) -> NDArray[np.int64]:
        """By how much each image became better, (N,)."""
        return self.after - self.before

    @property
    def difference(self) -> Fraction:
        """The change of the accuracy: exact, since a drop of one point does not exceed a tolerance of one."""
        return Fraction(int(self.each.sum()), self.unit * len(self.before))

    def accuracy(self, side: NDArray[np.int64]) -> float:
        """Of ``before`` or ``after``, as a fraction."""
        return float(Fraction(int(side.sum()), self.unit * len(side)))

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference: Newcombe's where every image is right or wrong, else Student's over images.

        A single image that is right with some noise seeds says nothing about others: everything is possible.
        """
        if all(np.isin(side, (0, self.unit)).all() for side in (self.before, self.after)):
            change = paired_difference(self.after > 0, self.before > 0)
            return change.low, change.high
        if len(self.before) < 2:
            return -1.0, 1.0
        from scipy.special import stdtrit

        values = self.each / self.unit
        reach = float(stdtrit(len(values) - 1, 0.975)) * float(values.std(ddof=1)) / math.sqrt(len(values))
        mean = float(self.difference)
        return max(-1.0, mean - reach), min(1.0, mean + reach)


def changes(baseline: Snapshot, now: Snapshot, passes: Sequence[Answers], measured: Mapping[Pass, Answers]) -> Changes:
    """The changes under some passes of a baseline: a mean over corruptions of the mean over their levels and noise seeds."""
    names = [one.condition.corruption for one in passes]
    common = math.lcm(*(names.count(name) for name in names))
    weights = [common // names.count(name) for name in names]
    before = sum(weight * baseline.correct(one).astype(np.int64) for weight, one in zip(weights, passes, strict=True))
    after = sum(weight * now.correct(measured[one.pass_]).astype(np.int64) for weight, one in zip(weights, passes, strict=True))
    return Changes(np.asarray(before), np.asarray(after), common * len(set(names)))
