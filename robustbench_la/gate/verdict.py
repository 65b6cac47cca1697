"""The result of a gate: one judgement per condition, mean and fluctuation, together a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from robustbench_la.gate.subjects import Kind
from robustbench_la.gate.tolerances import Rules
from robustbench_la.records.cells import Condition
from robustbench_la.records.snapshot import Snapshot

Outcome = Literal["regression", "inconclusive", "arithmetic", "pass", "improved"]
"""``inconclusive``: the images are too few to decide. ``arithmetic``: the same network answers differently on this machine."""
_WORST_FIRST: tuple[Outcome, ...] = ("regression", "inconclusive", "arithmetic", "pass", "improved")
POWER = 0.8
"""The probability with which the smallest fall, and the number of images needed, are found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The outcome for one condition, one corruption, the mean over corruptions, or the fluctuation under one condition."""

    name: str
    subject: Kind
    condition: Condition | None
    """None for a mean over conditions."""
    outcome: Outcome
    baseline: float
    """Accuracy as a fraction, or relative fluctuation; the mean over noise seeds."""
    now: float | None = None
    """None if it is no longer measured."""
    difference: float | None = None
    """Accuracy: now - baseline. Fluctuation: now / baseline - 1."""
    low: float | None = None
    """Lower end of the 95 % interval of the difference."""
    high: float | None = None
    tolerance: float
    """A fraction: 0.01 is one point, or a hundredth of the fluctuation."""
    p: float | None = None
    """One-sided p-value of having become worse, corrected by Holm over conditions and corruptions, or over fluctuations."""
    lost: int | None = None
    """Number of images that became worse: correct in the baseline and wrong now, or so in the mean over what is averaged."""
    gained: int | None = None
    images: int
    smallest_fall: float | None = None
    """The smallest fall that would have been found with 80 % power, a fraction; None if these images could show none."""
    images_to_settle: int | None = None
    """Number of images that would decide with 80 % power; None unless inconclusive."""


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
        """The judgements that fail the gate: regressions and, with ``strict``, what is inconclusive or of other arithmetic."""
        red = ("regression", "inconclusive", "arithmetic") if strict else ("regression",)
        return [one for one in self.judgements if one.outcome in red]


def badness(one: Judgement) -> tuple[int, bool, float]:
    worse = -math.inf if one.difference is None else -one.difference if one.subject == "fluctuation" else one.difference
    return _WORST_FIRST.index(one.outcome), one.subject == "fluctuation", worse


def outcome_of(worse: bool, better: bool, p_worse: float, p_better: float, alpha: float) -> Outcome:
    """The outcome of a change. worse, better: whether it exceeds the tolerance in that direction."""
    if worse:
        return "regression" if p_worse <= alpha else "inconclusive"
    return "improved" if better and p_better <= alpha else "pass"
