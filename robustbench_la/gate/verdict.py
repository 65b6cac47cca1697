"""What a gate says: one judgement per condition, mean and fluctuation, and the verdict that they make."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from robustbench_la.gate.tolerances import Rules
from robustbench_la.records.cells import Condition, Pass
from robustbench_la.records.snapshot import Snapshot

Outcome = Literal["regression", "inconclusive", "pass", "improved"]
MEAN = "mean corr."
"""The name of the mean corrupted accuracy, as in the tables; ``--max-drop mean:0.5`` sets its tolerance."""
_WORST_FIRST: tuple[Outcome, ...] = ("regression", "inconclusive", "pass", "improved")
POWER = 0.8


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


def badness(one: Judgement) -> tuple[int, bool, float]:
    worse = -math.inf if one.difference is None else -one.difference if one.subject == "fluctuation" else one.difference
    return _WORST_FIRST.index(one.outcome), one.subject == "fluctuation", worse


def label_of(baseline: Snapshot, key: Pass) -> str:
    condition, seed = key
    return f"{condition}, seed {seed}" if baseline.noise_seeds > 1 and seed is not None else str(condition)


def outcome_of(worse: bool, better: bool, p_worse: float, p_better: float, alpha: float) -> Outcome:
    """worse, better: by more than the tolerance."""
    if worse:
        return "regression" if p_worse <= alpha else "inconclusive"
    return "improved" if better and p_better <= alpha else "pass"
