"""What a baseline has recorded, in words: accuracies, and the falls that its number of images can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from robustbench_la.analysis.statistics.power import smallest_fall, smallest_fall_among_changes
from robustbench_la.gate.subjects import MEAN, subjects_of
from robustbench_la.gate.verdict import POWER
from robustbench_la.records.cells import CLEAN, Condition
from robustbench_la.records.snapshot import Snapshot
from robustbench_la.text import counted, percent

ALPHA = 0.05
"""The level of significance of ``larobust check`` unless another is given."""


def mean_corrupted_accuracy(snapshot: Snapshot) -> float | None:
    """The mean over corruptions of the mean over levels and noise seeds; None if clean images alone were measured."""
    by_corruption: dict[str, list[float]] = {}
    for one in snapshot.answers:
        if one.condition != CLEAN:
            by_corruption.setdefault(one.condition.corruption, []).append(float(np.mean(snapshot.correct(one))))
    return float(np.mean([np.mean(values) for values in by_corruption.values()])) if by_corruption else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallestFalls:
    """The smallest falls that the images of a baseline can show, as fractions; None for those that they cannot show at all."""

    conditions: Mapping[Condition, tuple[float | None, float | None]]
    """If answers only get worse, and if they change as between unrelated networks."""
    mean: float | None
    """Of the mean over corruptions, if the images that are lost are lost under every condition."""


def smallest_falls(snapshot: Snapshot) -> SmallestFalls:
    """The smallest falls that ``larobust check`` finds with a power of 80 %, at its usual level of significance."""
    subjects, images = subjects_of(snapshot).accuracy, snapshot.images
    level = ALPHA / sum(one.kind != "mean" for one in subjects)
    best = smallest_fall(images, level, POWER)
    falls = {}
    for one in subjects:
        if one.condition is not None:
            accuracy = float(np.mean([np.mean(snapshot.correct(answers)) for answers in one.answers]))
            # Two unrelated networks of one accuracy a differ in 2 a (1 - a) of their answers, right against wrong.
            changed = smallest_fall_among_changes(images, 2 * accuracy * (1 - accuracy), level, POWER)
            falls[one.condition] = (best, None if best is None else max(best, changed or 0.0))
    return SmallestFalls(conditions=falls, mean=smallest_fall(images, ALPHA, POWER))


def recorded(snapshot: Snapshot) -> list[str]:
    """Lines about a new baseline: its accuracies, and the smallest falls that ``larobust check`` can show with it."""
    clean = next((float(np.mean(snapshot.correct(one))) for one in snapshot.answers if one.condition == CLEAN), None)
    mean = mean_corrupted_accuracy(snapshot)
    names = {one.condition.corruption for one in snapshot.answers} - {CLEAN.corruption}
    accuracies = [
        *([] if clean is None else [f"{percent(clean)} on clean images"]),
        *([] if mean is None else [f"{percent(mean)} in the mean over {counted(len(names), 'corruption')}"]),
    ]
    return [f"Accuracy of {snapshot.network.checkpoint}: {', '.join(accuracies)}.", _power(snapshot)]


def _power(snapshot: Snapshot) -> str:
    """The smallest falls in words: between the best case and unrelated answers."""
    falls = smallest_falls(snapshot)
    conditions = falls.conditions.values()
    tests = counted(sum(one.kind != "mean" for one in subjects_of(snapshot).accuracy), "test")
    setting = f"power {100 * POWER:.0f} %, alpha {ALPHA:g} over {tests}"
    best = max((least for least, _ in conditions if least is not None), default=None)
    if best is None:
        return f"{snapshot.images:,} images are too few to show any fall of one condition ({setting})."
    images = f"Smallest fall that {snapshot.images:,} images can show"
    text = f"{images}: {100 * best:.2g} points under one condition if answers only get worse"
    worst = max(unrelated for _, unrelated in conditions if unrelated is not None)
    if worst > best:
        text += f", up to {100 * worst:.2g} if they change as between unrelated networks"
    if falls.mean is not None and MEAN in subjects_of(snapshot).names:
        text += f"; {100 * falls.mean:.2g} points of the mean if images are lost under every condition"
    return f"{text} ({setting}). larobust check --strict also fails what the images leave undecided."
