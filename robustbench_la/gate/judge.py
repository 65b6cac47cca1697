"""Two snapshots become a verdict: which conditions regressed. Pure judging: nothing is measured, read or printed here."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from robustbench_la.analysis.paired_tests import (
    Difference,
    holm,
    images_to_settle,
    images_to_settle_mean,
    mcnemar,
    paired_bootstrap,
    paired_difference,
)
from robustbench_la.errors import NotComparableError, NothingSelectedError
from robustbench_la.gate.rules import Rules
from robustbench_la.records.answers import Answers, Fluctuation, Pass, Snapshot, check_comparable, unquantise
from robustbench_la.records.cells import CLEAN, Condition

Outcome = Literal["regression", "inconclusive", "pass", "improved"]
_WORST_FIRST: tuple[Outcome, ...] = ("regression", "inconclusive", "pass", "improved")
_RESAMPLES = 2000
_LEAST_MOVED = 40
"""Of many images so many must have a fluctuation for a ratio: a resample without any of them then has a probability of 1e-17."""
_POWER = 0.8
MEAN = "mean corr."
"""The name of the mean corrupted accuracy, as in the tables; ``--max-drop mean:0.5`` sets its tolerance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What became of one condition, of the mean over the corruptions, or of the fluctuation under one condition."""

    name: str
    subject: Literal["accuracy", "mean", "fluctuation"]
    condition: Condition | None
    """None for the mean."""
    noise_seed: int | None
    outcome: Outcome
    baseline: float
    """Accuracy as a fraction, or relative fluctuation."""
    now: float | None
    """None where it was not measured any more."""
    difference: float | None
    """Accuracy: now - baseline. Fluctuation: now / baseline - 1."""
    low: float | None
    """95 % interval of the difference."""
    high: float | None
    tolerance: float
    """A fraction: 0.01 is one point, or a hundredth of the fluctuation."""
    p: float | None
    """One-sided, that it became worse; corrected by Holm among its likes."""
    lost: int | None = None
    """Images that the baseline has right and this measurement wrong."""
    gained: int | None = None
    images: int
    images_to_settle: int | None = None
    """How many images would make a fall like this one significant, four times out of five; where it is inconclusive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a gate says of a checkpoint."""

    judgements: tuple[Judgement, ...]
    """Worst first."""
    rules: Rules
    baseline: Snapshot | None
    """None where there is none yet, and that was allowed."""
    now: Snapshot | None
    flips: int = 0
    """Answers that are not the baseline's, over all conditions."""
    remarks: tuple[str, ...] = ()

    def having(self, outcome: Outcome) -> list[Judgement]:
        """The judgements of one outcome."""
        return [one for one in self.judgements if one.outcome == outcome]

    def failing(self, *, strict: bool = False) -> list[Judgement]:
        """What makes the gate close: regressions, and with ``strict`` also what is inconclusive."""
        return [one for one in self.judgements if one.outcome == "regression" or (strict and one.outcome == "inconclusive")]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What of a baseline is judged."""

    answers: tuple[Answers, ...]
    mean: bool
    fluctuations: tuple[Fluctuation, ...]


def _asked(baseline: Snapshot, only: Callable[[Condition], bool] | None) -> _Asked:
    answers = tuple(one for one in baseline.answers if only is None or only(one.condition))
    if not answers:
        raise NothingSelectedError("the baseline holds no condition" + ("" if only is None else " that matches"))
    corrupted = sum(one.condition != CLEAN for one in answers)
    return _Asked(
        answers=answers,
        mean=only is None and corrupted > 1 and baseline.images > 1,
        fluctuations=tuple(one for one in baseline.fluctuations if only is None or only(one.condition)),
    )


def _judged(asked: _Asked) -> list[str]:
    """What tolerances may be given for."""
    conditions = [one.condition for one in asked.answers]
    named = dict.fromkeys([*(condition.corruption for condition in conditions), *map(str, conditions)])
    return [*named, *["mean"] * asked.mean, *["fluctuation"] * bool(asked.fluctuations)]


def check_rules(baseline: Snapshot, rules: Rules, only: Callable[[Condition], bool] | None = None) -> None:
    """What ``judge`` will raise for the rules and the selection, before anything is measured."""
    rules.check_used(_judged(_asked(baseline, only)))


def names(baseline: Snapshot) -> list[str]:
    """What ``judge`` gives a judgement of, in the order of the baseline."""
    asked = _asked(baseline, None)
    return [
        *(_label(baseline, one.key) for one in asked.answers),
        *([MEAN] if asked.mean else []),
        *(f"fluctuation under {_label(baseline, one.key)}" for one in asked.fluctuations),
    ]


def judge(
    baseline: Snapshot, now: Snapshot, rules: Rules | None = None, *, only: Callable[[Condition], bool] | None = None
) -> Verdict:
    """Judge ``now`` by ``baseline``, condition by condition, on the same images with the same noise.

    A condition regressed when its accuracy fell by more than the tolerance (an effect that matters) and the fall is significant
    (the exact one-sided test of McNemar, against "no fall", corrected by Holm over all conditions); or when it is not there any
    more. A fall beyond the tolerance that chance may have made is inconclusive. Rises are judged by the mirror image of this.

    only: the conditions to judge; the mean is judged only where all are. Raises: NotComparableError naming all that differs,
    NothingSelectedError where nothing is left to judge.
    """
    rules = rules or Rules()
    check_comparable(baseline, now)
    asked = _asked(baseline, only)
    rules.check_used(_judged(asked))
    there = {one.key: one for one in now.answers}
    _check_noise(asked.answers, there)
    judged = _conditions(baseline, now, asked.answers, there, rules)
    remarks = _remarks(baseline, now)
    corrupted = [one for one in asked.answers if one.condition != CLEAN]
    if asked.mean and all(one.key in there for one in corrupted):
        judged.append(_mean(baseline, now, corrupted, there, rules))
    if asked.fluctuations and not now.fluctuations:
        remarks.append("fluctuation was not measured, so it is not judged")
    elif asked.fluctuations:
        judged += _fluctuations(baseline, now, asked.fluctuations, rules, remarks)
    pairs = [(one.predictions, there[one.key].predictions) for one in asked.answers if one.key in there]
    return Verdict(
        judgements=tuple(sorted(judged, key=_badness)),
        rules=rules,
        baseline=baseline,
        now=now,
        flips=sum(int(np.count_nonzero(one != other)) for one, other in pairs),
        remarks=tuple(remarks),
    )


def _badness(one: Judgement) -> tuple[int, bool, float]:
    worse = -math.inf if one.difference is None else -one.difference if one.subject == "fluctuation" else one.difference
    return _WORST_FIRST.index(one.outcome), one.subject == "fluctuation", worse


def _check_noise(asked: Sequence[Answers], there: Mapping[Pass, Answers]) -> None:
    """Raise NotComparableError where a condition was measured, but with other noise; what was not measured is no such case."""
    found = []
    for one in asked:
        if one.key in there:
            continue
        condition = one.condition
        seeds = sorted({seed for other, seed in there if other == condition and seed is not None})
        levels = [
            other for other, _ in there if (other.corruption, other.severity) == (condition.corruption, condition.severity or -1)
        ]
        if seeds:
            found.append(f"noise seed of {condition}: {one.noise_seed} in the baseline, {', '.join(map(str, seeds))} here")
        elif levels:
            left, right = (f"{level.level_text} ({level.profile})" for level in (condition, levels[0]))
            found.append(f"level of {condition}: {left} in the baseline, {right} here")
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise NotComparableError("not comparable; " + "; ".join(found[:3]) + more)


def _label(baseline: Snapshot, key: Pass) -> str:
    condition, seed = key
    return f"{condition}, seed {seed}" if baseline.noise_seeds > 1 and seed is not None else str(condition)


def _outcome(worse: bool, better: bool, p_worse: float, p_better: float, alpha: float) -> Outcome:
    """worse, better: by more than the tolerance."""
    if worse:
        return "regression" if p_worse <= alpha else "inconclusive"
    return "improved" if better and p_better <= alpha else "pass"


def _conditions(
    baseline: Snapshot, now: Snapshot, asked: Sequence[Answers], there: Mapping[Pass, Answers], rules: Rules
) -> list[Judgement]:
    compared: list[Difference | None] = [
        paired_difference(now.correct(there[one.key]), baseline.correct(one)) if one.key in there else None for one in asked
    ]
    fall, rise = (
        holm(None if found is None else mcnemar(found.lost, found.gained, side) for found in compared)
        for side in ("less", "greater")
    )
    level = rules.alpha / max(1, sum(found is not None for found in compared))
    judged = []
    for one, found, p, p_rise in zip(asked, compared, fall, rise, strict=True):
        tolerance, images = rules.drop_of(one.condition), baseline.images
        was = int(np.count_nonzero(baseline.correct(one)))
        row = Judgement(
            name=_label(baseline, one.key),
            subject="accuracy",
            condition=one.condition,
            noise_seed=one.noise_seed,
            outcome="regression",
            baseline=was / images,
            now=None,
            difference=None,
            low=None,
            high=None,
            tolerance=float(tolerance / 100),
            p=p,
            images=images,
        )
        if found is not None and p is not None and p_rise is not None:
            # In counts: 0.80 - 0.79 > 0.01 is true in floating point.
            net = 100 * (found.lost - found.gained)
            outcome = _outcome(net > tolerance * images, -net > tolerance * images, p, p_rise, rules.alpha)
            unclear = outcome == "inconclusive"
            row = replace(
                row,
                outcome=outcome,
                now=(was + found.gained - found.lost) / images,
                difference=found.value,
                low=found.low,
                high=found.high,
                lost=found.lost,
                gained=found.gained,
                images_to_settle=images_to_settle(found.lost, found.gained, images, level, _POWER) if unclear else None,
            )
        judged.append(row)
    return judged


def _mean(
    baseline: Snapshot, now: Snapshot, corrupted: Sequence[Answers], there: Mapping[Pass, Answers], rules: Rules
) -> Judgement:
    """The mean over corruptions of the mean over levels and seeds, judged by drawing images again."""
    names = [one.condition.corruption for one in corrupted]
    shares = [Fraction(1, len(set(names)) * names.count(name)) for name in names]
    images = baseline.images
    right = [(now.correct(there[one.key]), baseline.correct(one)) for one in corrupted]
    change = sum(
        (share * (int(one.sum()) - int(other.sum())) for share, (one, other) in zip(shares, right, strict=True)), Fraction(0)
    )
    after, before = (
        np.sum([float(share) * pair[side] for share, pair in zip(shares, right, strict=True)], axis=0) for side in (0, 1)
    )
    drawn = paired_bootstrap(before, after, margin=0.0, resamples=_RESAMPLES)
    tolerance = rules.drops.get("mean", rules.drop)
    p, p_rise = _p(before - after, rules.alpha), _p(after - before, rules.alpha)
    outcome = _outcome(-100 * change > tolerance * images, 100 * change > tolerance * images, p, p_rise, rules.alpha)
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
        images_to_settle=images_to_settle_mean(before - after, rules.alpha, _POWER) if outcome == "inconclusive" else None,
    )


def _p(changes: NDArray[np.float64], level: float) -> float:
    """One-sided, that the mean of ``changes`` (one an image) is above 0: by drawing images again.

    Where the resamples cannot tell a p-value of ``level`` from 0, it is the normal law's, which means of many images follow.
    """
    drawn = paired_bootstrap(changes, np.zeros_like(changes), margin=0.0, resamples=_RESAMPLES).p_exceeds or 0.0
    error = float(changes.std(ddof=1)) / math.sqrt(len(changes))
    if drawn <= level or drawn * (_RESAMPLES + 1) > 1.5 or error == 0:
        return drawn
    from scipy.special import ndtr

    return min(drawn, max(float(ndtr(-changes.mean() / error)), sys.float_info.min))


def _fluctuations(
    baseline: Snapshot, now: Snapshot, fluctuating: Sequence[Fluctuation], rules: Rules, remarks: list[str]
) -> list[Judgement]:
    there = {one.key: one for one in now.fluctuations}
    tolerance = rules.rise / 100
    judged: list[Judgement] = []
    rises: list[float] = []
    for one in fluctuating:
        before = unquantise(one.per_image)
        after = unquantise(there[one.key].per_image) if one.key in there else np.full(len(before), np.nan)
        known = np.isfinite(before) & np.isfinite(after)
        row = Judgement(
            name=f"fluctuation under {_label(baseline, one.key)}",
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
        if one.key in there and moved < max(2, min(_LEAST_MOVED, int(known.sum()))):
            remarks.append(f"{row.name} is not judged: too few images move any activation")
            rises.pop()
            continue
        if one.key in there:
            drawn = paired_bootstrap(after[known], before[known], "ratio", resamples=_RESAMPLES)
            level = rules.alpha / len(fluctuating)
            row = replace(
                row,
                images_to_settle=images_to_settle_mean(after[known] - before[known], level, _POWER),
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
    for place, (row, worse, better) in enumerate(zip(judged, p_worse, p_better, strict=True)):
        if row.difference is not None and worse is not None and better is not None:
            beyond = row.difference > tolerance, -row.difference > tolerance
            outcome = _outcome(*beyond, worse, better, rules.alpha)
            settle = row.images_to_settle if outcome == "inconclusive" else None
            judged[place] = replace(row, p=worse, outcome=outcome, images_to_settle=settle)
    return judged


def _remarks(baseline: Snapshot, now: Snapshot) -> list[str]:
    found = []
    if baseline.sha256 == now.sha256:
        found.append("the same checkpoint as the baseline's")
    for what, one, other in (
        ("architecture", baseline.architecture, now.architecture),
        ("activation", baseline.activation, now.activation),
        ("larobust", baseline.provenance.get("larobust"), now.provenance.get("larobust")),
    ):
        if one != other:
            found.append(f"{what}: {one} in the baseline, {other} now")
    return found
