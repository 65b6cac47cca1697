"""What a gate judges: conditions, corruptions over their levels, the mean over corruptions, and fluctuation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from robustbench_la.gate.selection import selected
from robustbench_la.records.cells import CLEAN, Condition
from robustbench_la.records.snapshot import Answers, Fluctuation, Snapshot

Kind = Literal["accuracy", "corruption", "mean", "fluctuation"]
MEAN = "mean corr."
"""The name of the mean corrupted accuracy, as in the tables; ``--max-drop mean:0.5`` sets its tolerance."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing that is judged by the accuracy in some passes."""

    name: str
    kind: Kind
    condition: Condition | None
    """None for a mean over conditions."""
    answers: tuple[Answers, ...]
    """Of the baseline: several if there are several noise seeds or levels."""
    tolerances: tuple[str, ...]
    """The names by which its tolerance may be given, the most specific first."""


@dataclass(frozen=True, slots=True)
class Subjects:
    """All that is judged."""

    accuracy: tuple[Subject, ...]
    fluctuations: dict[Condition, tuple[Fluctuation, ...]]
    """By condition: one for each noise seed."""

    @property
    def names(self) -> list[str]:
        """The names of the judgements, in the order of the baseline."""
        return [*(one.name for one in self.accuracy), *map(fluctuation_name, self.fluctuations)]

    @property
    def tolerable(self) -> list[str]:
        """Names for which a tolerance may be given."""
        named = dict.fromkeys(name for one in self.accuracy for name in reversed(one.tolerances))
        return [*named, *["fluctuation"] * bool(self.fluctuations)]


def fluctuation_name(condition: Condition) -> str:
    """The name of the judgement of the fluctuation under a condition."""
    return f"fluctuation under {condition}"


def _tolerances(condition: Condition) -> tuple[str, ...]:
    """By its name, also without the JPEG that all conditions of a baseline share, or by its corruption."""
    return str(condition), str(replace(condition, jpeg=None)), condition.corruption


def subjects_of(baseline: Snapshot, only: Callable[[Condition], bool] | None = None) -> Subjects:
    """What is judged by a baseline.

    Args:
        baseline: The baseline.
        only: Selects the conditions. The mean over corruptions is judged only without a selection, and a corruption only with all
            of its levels: another mean would not be the one of the tables.

    Returns:
        The subjects, conditions first.

    Raises:
        NothingSelectedError: If no condition is left.
    """
    by_condition: dict[Condition, list[Answers]] = {}
    for one in selected(baseline, only):
        by_condition.setdefault(one.condition, []).append(one)
    subjects = [
        Subject(str(condition), "accuracy", condition, tuple(answers), _tolerances(condition))
        for condition, answers in by_condition.items()
    ]
    corrupted = [one for one in by_condition if one != CLEAN]
    levels: dict[str, list[Condition]] = {}
    for condition in dict.fromkeys(one.condition for one in baseline.answers if one.condition != CLEAN):
        levels.setdefault(condition.corruption, []).append(condition)
    if baseline.images > 1:
        over_all = only is None and len(corrupted) > 1
        for corruption, conditions in levels.items():
            whole = len(conditions) > 1 and all(condition in by_condition for condition in conditions)
            if whole and not (over_all and len(levels) == 1):  # of a single corruption it is the mean over all
                answers = tuple(one for condition in conditions for one in by_condition[condition])
                name = f"{corruption} mean"
                subjects.append(Subject(name, "corruption", None, answers, (name, corruption)))
        if over_all:
            answers = tuple(one for condition in corrupted for one in by_condition[condition])
            same = (each for name in levels for each in (f"{name} mean", name)) if len(levels) == 1 else ()
            subjects.append(Subject(MEAN, "mean", None, answers, ("mean", *same)))
    moved: dict[Condition, list[Fluctuation]] = {}
    for each in baseline.fluctuations:
        if only is None or only(each.condition):
            moved.setdefault(each.condition, []).append(each)
    return Subjects(tuple(subjects), {condition: tuple(several) for condition, several in moved.items()})
