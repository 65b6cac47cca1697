"""Judges means over images by bootstrap: the mean corrupted accuracy and the fluctuation."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from robustbench_la.analysis.statistics.bootstrap import paired_bootstrap
from robustbench_la.analysis.statistics.paired_tests import holm
from robustbench_la.analysis.statistics.power import images_to_settle_mean
from robustbench_la.gate.tolerances import Rules
from robustbench_la.gate.verdict import MEAN, POWER, Judgement, label_of, outcome_of
from robustbench_la.records.cells import Pass
from robustbench_la.records.snapshot import Answers, Fluctuation, Snapshot, unquantise

_RESAMPLES = 2000
_LEAST_MOVED = 40
"""Images with non-zero fluctuation needed for a ratio: the probability of a resample without any of them is 1e-17."""


def judge_mean(
    baseline: Snapshot, now: Snapshot, corrupted: Sequence[Answers], measured: Mapping[Pass, Answers], rules: Rules
) -> Judgement:
    """Judge the mean over corruptions of the mean over levels and noise seeds, by resampling images."""
    names = [one.condition.corruption for one in corrupted]
    shares = [Fraction(1, len(set(names)) * names.count(name)) for name in names]
    images = baseline.images
    right = [(now.correct(measured[one.pass_]), baseline.correct(one)) for one in corrupted]
    change = sum(
        (share * (int(one.sum()) - int(other.sum())) for share, (one, other) in zip(shares, right, strict=True)), Fraction(0)
    )
    after, before = (
        np.sum([float(share) * pair[side] for share, pair in zip(shares, right, strict=True)], axis=0) for side in (0, 1)
    )
    drawn = paired_bootstrap(before, after, margin=0.0, resamples=_RESAMPLES)
    tolerance = rules.drops.get("mean", rules.drop)
    p, p_rise = _p(before - after, rules.alpha), _p(after - before, rules.alpha)
    outcome = outcome_of(-100 * change > tolerance * images, 100 * change > tolerance * images, p, p_rise, rules.alpha)
    return Judgement(
        name=MEAN,
        subject="mean",
        condition=None,
        noise_seed=None,
        outcome=outcome,
        baseline=float(before.mean()),
        now=float(after.mean()),
        difference=float(change / images),
        low=0.0 - drawn.high,  # never -0.0
        high=0.0 - drawn.low,
        tolerance=float(tolerance / 100),
        p=p,
        images=images,
        images_to_settle=images_to_settle_mean(before - after, rules.alpha, POWER) if outcome == "inconclusive" else None,
    )


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
    baseline: Snapshot, now: Snapshot, fluctuating: Sequence[Fluctuation], rules: Rules, remarks: list[str]
) -> list[Judgement]:
    measured = {one.pass_: one for one in now.fluctuations}
    tolerance = rules.rise / 100
    judged: list[Judgement] = []
    rises: list[float] = []
    for one in fluctuating:
        before = unquantise(one.per_image)
        after = unquantise(measured[one.pass_].per_image) if one.pass_ in measured else np.full(len(before), np.nan)
        known = np.isfinite(before) & np.isfinite(after)
        row = Judgement(
            name=f"fluctuation under {label_of(baseline, one.pass_)}",
            subject="fluctuation",
            condition=one.condition,
            noise_seed=one.noise_seed,
            outcome="regression",
            baseline=float(np.mean(before[np.isfinite(before)])) if np.isfinite(before).any() else 0.0,
            now=None,
            difference=None,
            low=None,
            high=None,
            tolerance=float(tolerance),
            p=None,
            images=int(known.sum()),
        )
        rises.append(1.0)
        moved = min(np.count_nonzero(side[known]) for side in (before, after))
        if one.pass_ in measured and moved < max(2, min(_LEAST_MOVED, int(known.sum()))):
            remarks.append(f"{row.name} is not judged: too few images move any activation")
            rises.pop()
            continue
        if one.pass_ in measured:
            drawn = paired_bootstrap(after[known], before[known], "ratio", resamples=_RESAMPLES)
            level = rules.alpha / len(fluctuating)
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
    p_worse, p_better = holm(row.p for row in judged), holm(rises)
    for index, (row, worse, better) in enumerate(zip(judged, p_worse, p_better, strict=True)):
        if row.difference is not None and worse is not None and better is not None:
            beyond = row.difference > tolerance, -row.difference > tolerance
            outcome = outcome_of(*beyond, worse, better, rules.alpha)
            settle = row.images_to_settle if outcome == "inconclusive" else None
            judged[index] = replace(row, p=worse, outcome=outcome, images_to_settle=settle)
    return judged
