"""Judges accuracy under conditions, over the levels of a corruption, and over corruptions, by sign-flip tests over images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from robustbench_la.analysis.statistics.paired_tests import holm
from robustbench_la.analysis.statistics.power import images_to_find, smallest_fall_given
from robustbench_la.analysis.statistics.sign_flip import sign_flip
from robustbench_la.gate.changes import Changes, changes
from robustbench_la.gate.subjects import Subject
from robustbench_la.gate.tolerances import Rules
from robustbench_la.gate.verdict import POWER, Judgement, outcome_of
from robustbench_la.records.cells import Pass
from robustbench_la.records.snapshot import Answers, Snapshot


@dataclass(frozen=True, slots=True)
class _Test:
    """The evidence on one subject."""

    subject: Subject
    changes: Changes
    p_worse: float
    """Corrected for the other tests of its family."""
    p_better: float
    level: float
    """Of significance, for a single test of the family."""


def judge_accuracy(
    baseline: Snapshot, now: Snapshot, subjects: Sequence[Subject], measured: Mapping[Pass, Answers], rules: Rules
) -> list[Judgement]:
    """Judge what a gate judges of accuracy.

    The conditions and the corruptions are one family, corrected by Holm; the mean over corruptions is tested on its own. Noise
    seeds are repeated measurements of one network on one image: they are averaged per image, and are one test.

    Args:
        baseline: The snapshot to judge by.
        now: The snapshot to judge.
        subjects: What is judged.
        measured: The answers of ``now``, by pass. A condition of which one is missing is a regression, a mean is left out.
        rules: Tolerances and significance level.

    Returns:
        The judgements, in the order of the subjects.
    """
    whole = [one for one in subjects if all(answers.pass_ in measured for answers in one.answers)]
    judged = {}
    for family in ([one for one in whole if one.kind != "mean"], [one for one in whole if one.kind == "mean"]):
        each = [changes(baseline, now, one.answers, measured) for one in family]
        p = [sign_flip(one.each) for one in each]
        worse, better = (holm(pair[side] for pair in p) for side in (0, 1))
        for subject, change, p_worse, p_better in zip(family, each, worse, better, strict=True):
            assert p_worse is not None and p_better is not None  # noqa: PT018
            judged[subject.name] = _judgement(_Test(subject, change, p_worse, p_better, rules.alpha / len(family)), rules)
    wanted = (one for one in subjects if one.name in judged or one.kind == "accuracy")
    return [judged[one.name] if one.name in judged else _missing(one, baseline, rules) for one in wanted]


def _missing(subject: Subject, baseline: Snapshot, rules: Rules) -> Judgement:
    """A condition that is no longer measured."""
    right = sum(int(np.count_nonzero(baseline.correct(one))) for one in subject.answers)
    return Judgement(
        name=subject.name,
        subject=subject.kind,
        condition=subject.condition,
        outcome="regression",
        baseline=right / (baseline.images * len(subject.answers)),
        tolerance=float(rules.drop_of(subject) / 100),
        images=baseline.images,
    )


def _judgement(test: _Test, rules: Rules) -> Judgement:
    subject, each, images = test.subject, test.changes.each, len(test.changes.each)
    tolerance, change = rules.drop_of(subject) / 100, test.changes.difference
    low, high = test.changes.interval()
    least = smallest_fall_given(each / test.changes.unit, test.level, POWER)
    outcome = outcome_of(change < -tolerance, change > tolerance, test.p_worse, test.p_better, rules.alpha)
    # Without a smallest fall, not even the loss of all images would be significant.
    if outcome == "pass" and (least is None or (change < 0 and low < -tolerance and least > tolerance)):
        outcome = "inconclusive"
    row = Judgement(
        name=subject.name,
        subject=subject.kind,
        condition=subject.condition,
        outcome=outcome,
        baseline=test.changes.accuracy(test.changes.before),
        now=test.changes.accuracy(test.changes.after),
        difference=float(change),
        low=low,
        high=high,
        tolerance=float(tolerance),
        p=test.p_worse,
        lost=int(np.count_nonzero(each < 0)),
        gained=int(np.count_nonzero(each > 0)),
        images=images,
        smallest_fall=least,
    )
    fall = max(-change, Fraction(tolerance))
    if outcome != "inconclusive" or fall == 0:
        return row
    values = each / test.changes.unit
    moved = np.abs(values[values != 0])
    # A fall f, of images that change by m on average, takes f / m of them: their mean square is at least f m.
    least_square = float(fall) * (float(moved.mean()) if len(moved) else 1.0)
    square = max(float(np.mean(values**2)), least_square)
    return replace(row, images_to_settle=images_to_find(float(fall), square, test.level, POWER))
