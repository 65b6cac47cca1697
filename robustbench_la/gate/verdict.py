"""The result of a gate: one judgement per condition, mean and fluctuation, together a verdict."""

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
    """The outcome for one condition, the mean over corruptions, or the fluctuation under one condition."""

    name: str
    subject: Literal["accuracy", "mean", "fluctuation"]
    condition: Condition | None
    """None for the mean."""
    noise_seed: int | None
    outcome: Outcome
    baseline: float
    """Accuracy as a fraction, or relative fluctuation."""
    now: float | None
    """None if it is no longer measured."""
    difference: float | None
    """Accuracy: now - baseline. Fluctuation: now / baseline - 1."""
    low: float | None
    """Lower end of the 95 % interval of the difference."""
    high: float | None
    tolerance: float
    """A fraction: 0.01 is one point, or a hundredth of the fluctuation."""
    p: float | None
    """One-sided p-value of having become worse, corrected by Holm over judgements of the same kind."""
    lost: int | None = None
    """Number of images that were correct in the baseline and are wrong now."""
    gained: int | None = None
    images: int
    images_to_settle: int | None = None
    """Number of images at which such a drop would be significant with 80 % power; None unless inconclusive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The verdict of a gate on a checkpoint."""

    judgements: tuple[Judgement, ...]
    """Worst first."""
    rules: Rules
    baseline: Snapshot | None
    """None if there is no baseline yet and that was allowed."""
    now: Snapshot | None
    flips: int = 0
    """Number of answers that differ from the baseline's, over all conditions."""
    remarks: tuple[str, ...] = ()

    def having(self, outcome: Outcome) -> list[Judgement]:
        """The judgements with this outcome."""
        return [one for one in self.judgements if one.outcome == outcome]

    def failing(self, *, strict: bool = False) -> list[Judgement]:
        """The judgements that fail the gate: regressions and, with ``strict``, inconclusive ones."""
        return [one for one in self.judgements if one.outcome == "regression" or (strict and one.outcome == "inconclusive")]


def badness(one: Judgement) -> tuple[int, bool, float]:
    worse = -math.inf if one.difference is None else -one.difference if one.subject == "fluctuation" else one.difference
    return _WORST_FIRST.index(one.outcome), one.subject == "fluctuation", worse


def label_of(baseline: Snapshot, key: Pass) -> str:
    condition, seed = key
    return f"{condition}, seed {seed}" if baseline.noise_seeds > 1 and seed is not None else str(condition)


def outcome_of(worse: bool, better: bool, p_worse: float, p_better: float, alpha: float) -> Outcome:
    """The outcome of a change. worse, better: whether it exceeds the tolerance in that direction."""
    if worse:
        return "regression" if p_worse <= alpha else "inconclusive"
    return "improved" if better and p_better <= alpha else "pass"
