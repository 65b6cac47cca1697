"""Judges the fluctuation of activations under each condition, by bootstrap over images."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from robustbench_la.analysis.statistics.bootstrap import paired_bootstrap
from robustbench_la.analysis.statistics.paired_tests import holm
from robustbench_la.analysis.statistics.power import images_to_settle_mean
from robustbench_la.gate.subjects import fluctuation_name
from robustbench_la.gate.tolerances import Rules
from robustbench_la.gate.verdict import POWER, Judgement, outcome_of
from robustbench_la.records.cells import Condition
from robustbench_la.records.snapshot import Fluctuation, Snapshot, unquantise

_RESAMPLES = 2000
_LEAST_MOVED = 40
"""Images with non-zero fluctuation needed for a ratio: the probability of a resample without any of them is 1e-17."""


def _p(changes: NDArray[np.float64], level: float) -> float:
    """One-sided bootstrap p-value of the mean of ``changes`` (one per image) being above 0.

    If there are too few resamples to distinguish a p-value of ``level`` from 0, the normal approximation is used.
    """
    drawn = paired_bootstrap(changes, np.zeros_like(changes), margin=0.0, resamples=_RESAMPLES).p_exceeds or 0.0
    error = float(changes.std(ddof=1)) / math.sqrt(len(changes))
    if drawn <= level or drawn * (_RESAMPLES + 1) > 1.5 or error == 0:
        return drawn
    from scipy.special import ndtr

    return min(drawn, max(float(ndtr(-changes.mean() / error)), sys.float_info.min))


def judge_fluctuations(
    now: Snapshot, wanted: Mapping[Condition, Sequence[Fluctuation]], rules: Rules, remarks: list[str]
) -> list[Judgement]:
    """Judge the relative fluctuation under each condition, the mean over its noise seeds.

    Args:
        now: The snapshot to judge.
        wanted: The fluctuations of the baseline, by condition.
        rules: Tolerance and significance level.
        remarks: Gets a sentence for each condition that cannot be judged.

    Returns:
        One judgement per condition.
    """
    measured = {one.pass_: one for one in now.fluctuations}
    tolerance = rules.rise / 100
    judged: list[Judgement] = []
    rises: list[float | None] = []
    for condition, several in wanted.items():
        whole = all(one.pass_ in measured for one in several)
        before = _per_image(several)
        after = _per_image([measured[one.pass_] for one in several]) if whole else np.full(len(before), np.nan)
        known = np.isfinite(before) & np.isfinite(after)
        row = Judgement(
            name=fluctuation_name(condition),
            subject="fluctuation",
            condition=condition,
            outcome="regression",
            baseline=float(np.mean(before[np.isfinite(before)])) if np.isfinite(before).any() else 0.0,
            tolerance=float(tolerance),
            images=int(known.sum()),
        )
        rises.append(None)  # what is missing is no test
        moved = min(np.count_nonzero(side[known]) for side in (before, after))
        if whole and moved < max(2, min(_LEAST_MOVED, int(known.sum()))):
            remarks.append(f"{row.name} is not judged: too few images move any activation")
            rises.pop()
            continue
        if whole:
            drawn = paired_bootstrap(after[known], before[known], "ratio", resamples=_RESAMPLES)
            level = rules.alpha / len(wanted)
            row = replace(
                row,
                images_to_settle=images_to_settle_mean(after[known] - before[known], level, POWER),
                baseline=float(before[known].mean()),
                now=float(after[known].mean()),
                difference=drawn.value - 1,
                low=drawn.low - 1,
                high=drawn.high - 1,
                p=_p(after[known] - before[known], level),
            )
            rises[-1] = _p(before[known] - after[known], level)
        judged.append(row)
    return _corrected(judged, rises, rules)


def _per_image(several: Sequence[Fluctuation]) -> NDArray[np.float64]:
    """The mean over noise seeds of the fluctuation of each image."""
    mean: NDArray[np.float64] = np.mean([unquantise(one.per_image) for one in several], axis=0)
    return mean


def _corrected(judged: Sequence[Judgement], rises: Sequence[float | None], rules: Rules) -> list[Judgement]:
    """With the outcomes by p-values that are corrected over the conditions."""
    p_worse, p_better = holm(row.p for row in judged), holm(rises)
    final = []
    for row, worse, better in zip(judged, p_worse, p_better, strict=True):
        if row.difference is None or worse is None or better is None:
            final.append(row)
            continue
        outcome = outcome_of(row.difference > row.tolerance, -row.difference > row.tolerance, worse, better, rules.alpha)
        final.append(
            replace(row, p=worse, outcome=outcome, images_to_settle=row.images_to_settle if outcome == "inconclusive" else None)
        )
    return final
