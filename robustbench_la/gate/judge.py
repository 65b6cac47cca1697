"""Two snapshots become a verdict: which conditions regressed. Pure judging: nothing is measured, read or printed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from robustbench_la.analysis.statistics.paired_tests import Difference, holm, mcnemar, paired_difference
from robustbench_la.analysis.statistics.power import images_to_settle
from robustbench_la.errors import NotComparableError
from robustbench_la.gate.judge_means import judge_fluctuations, judge_mean
from robustbench_la.gate.selection import selected
from robustbench_la.gate.tolerances import Rules
from robustbench_la.gate.verdict import MEAN, POWER, Judgement, Verdict, badness, label_of, outcome_of
from robustbench_la.records.cells import CLEAN, Condition, Pass
from robustbench_la.records.snapshot import Answers, Fluctuation, Snapshot, check_comparable


@dataclass(frozen=True, slots=True)
class _Asked:
    """The part of a baseline that is judged."""

    answers: tuple[Answers, ...]
    mean: bool
    fluctuations: tuple[Fluctuation, ...]


def _asked(baseline: Snapshot, only: Callable[[Condition], bool] | None) -> _Asked:
    answers = selected(baseline, only)
    corrupted = sum(one.condition != CLEAN for one in answers)
    return _Asked(
        answers=answers,
        mean=only is None and corrupted > 1 and baseline.images > 1,
        fluctuations=tuple(one for one in baseline.fluctuations if only is None or only(one.condition)),
    )


def _judged(asked: _Asked) -> list[str]:
    """Names for which a tolerance may be given."""
    conditions = [one.condition for one in asked.answers]
    named = dict.fromkeys([*(condition.corruption for condition in conditions), *map(str, conditions)])
    return [*named, *["mean"] * asked.mean, *["fluctuation"] * bool(asked.fluctuations)]


def check_rules(baseline: Snapshot, rules: Rules, only: Callable[[Condition], bool] | None = None) -> None:
    """Raise what ``judge`` would raise for the rules and the selection, before anything is measured."""
    rules.check_used(_judged(_asked(baseline, only)))


def names(baseline: Snapshot) -> list[str]:
    """The names of the judgements that ``judge`` makes, in the order of the baseline."""
    asked = _asked(baseline, None)
    return [
        *(label_of(baseline, one.pass_) for one in asked.answers),
        *([MEAN] if asked.mean else []),
        *(f"fluctuation under {label_of(baseline, one.pass_)}" for one in asked.fluctuations),
    ]


def judge(
    baseline: Snapshot, now: Snapshot, rules: Rules | None = None, *, only: Callable[[Condition], bool] | None = None
) -> Verdict:
    """Judge ``now`` by ``baseline``, condition by condition, on the same images with the same noise.

    A condition regressed if its accuracy dropped by more than the tolerance (an effect that matters) and the drop is significant
    (McNemar's exact one-sided test, corrected by Holm over all conditions), or if it is no longer measured. A drop beyond the
    tolerance that is not significant is inconclusive. Improvements are judged in the same way, with the sign reversed.

    Args:
        baseline: The snapshot to judge by.
        now: The snapshot to judge.
        rules: Tolerances and significance level; the defaults if None.
        only: Selects the conditions to judge; the mean is judged only without a selection.

    Returns:
        The judgements, worst first, with remarks.

    Raises:
        NotComparableError: If the snapshots are not comparable; lists all differences.
        NothingSelectedError: If no condition is left to judge.
    """
    rules = rules or Rules()
    check_comparable(baseline, now)
    asked = _asked(baseline, only)
    rules.check_used(_judged(asked))
    measured = {one.pass_: one for one in now.answers}
    _check_noise(asked.answers, measured)
    judged = _conditions(baseline, now, asked.answers, measured, rules)
    remarks = _remarks(baseline, now)
    corrupted = [one for one in asked.answers if one.condition != CLEAN]
    if asked.mean and all(one.pass_ in measured for one in corrupted):
        judged.append(judge_mean(baseline, now, corrupted, measured, rules))
    if asked.fluctuations and not now.fluctuations:
        remarks.append("fluctuation was not measured, so it is not judged")
    elif asked.fluctuations:
        judged += judge_fluctuations(baseline, now, asked.fluctuations, rules, remarks)
    pairs = [(one.predictions, measured[one.pass_].predictions) for one in asked.answers if one.pass_ in measured]
    return Verdict(
        judgements=tuple(sorted(judged, key=badness)),
        rules=rules,
        baseline=baseline,
        now=now,
        flips=sum(int(np.count_nonzero(one != other)) for one, other in pairs),
        remarks=tuple(remarks),
    )


def _check_noise(asked: Sequence[Answers], measured: Mapping[Pass, Answers]) -> None:
    """Raise NotComparableError if a condition was measured with different noise; missing conditions are regressions instead."""
    mismatches = []
    for one in asked:
        if one.pass_ in measured:
            continue
        condition = one.condition
        seeds = sorted({seed for other, seed in measured if other == condition and seed is not None})
        levels = [
            other
            for other, _ in measured
            if (other.corruption, other.severity) == (condition.corruption, condition.severity or -1)
        ]
        if seeds:
            mismatches.append(f"noise seed of {condition}: {one.noise_seed} in the baseline, {', '.join(map(str, seeds))} here")
        elif levels:
            left, right = (f"{level.level_text} ({level.profile})" for level in (condition, levels[0]))
            mismatches.append(f"level of {condition}: {left} in the baseline, {right} here")
    if mismatches:
        more = f" and {len(mismatches) - 3} more" if len(mismatches) > 3 else ""
        raise NotComparableError("not comparable; " + "; ".join(mismatches[:3]) + more)


def _conditions(
    baseline: Snapshot, now: Snapshot, asked: Sequence[Answers], measured: Mapping[Pass, Answers], rules: Rules
) -> list[Judgement]:
    compared: list[Difference | None] = [
        paired_difference(now.correct(measured[one.pass_]), baseline.correct(one)) if one.pass_ in measured else None
        for one in asked
    ]
    fall, rise = (
        holm(None if difference is None else mcnemar(difference.lost, difference.gained, side) for difference in compared)
        for side in ("less", "greater")
    )
    level = rules.alpha / max(1, sum(difference is not None for difference in compared))
    judged = []
    for one, difference, p, p_rise in zip(asked, compared, fall, rise, strict=True):
        tolerance, images = rules.drop_of(one.condition), baseline.images
        was = int(np.count_nonzero(baseline.correct(one)))
        row = Judgement(
            name=label_of(baseline, one.pass_),
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
        if difference is not None and p is not None and p_rise is not None:
            # In counts: 0.80 - 0.79 > 0.01 is true in floating point.
            net = 100 * (difference.lost - difference.gained)
            outcome = outcome_of(net > tolerance * images, -net > tolerance * images, p, p_rise, rules.alpha)
            unclear = outcome == "inconclusive"
            row = replace(
                row,
                outcome=outcome,
                now=(was + difference.gained - difference.lost) / images,
                difference=difference.value,
                low=difference.low,
                high=difference.high,
                lost=difference.lost,
                gained=difference.gained,
                images_to_settle=images_to_settle(difference.lost, difference.gained, images, level, POWER) if unclear else None,
            )
        judged.append(row)
    return judged


def _remarks(baseline: Snapshot, now: Snapshot) -> list[str]:
    remarks = []
    if baseline.network.sha256 == now.network.sha256:
        remarks.append("the same checkpoint as the baseline's")
    for what, one, other in (
        ("architecture", baseline.network.architecture, now.network.architecture),
        ("activation", baseline.network.activation, now.network.activation),
        ("larobust", baseline.provenance.get("larobust"), now.provenance.get("larobust")),
    ):
        if one != other:
            remarks.append(f"{what}: {one} in the baseline, {other} now")
    return remarks
