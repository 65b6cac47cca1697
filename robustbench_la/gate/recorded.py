"""What a baseline has recorded, in words: accuracies, and the falls that its number of images can show."""

from __future__ import annotations

import numpy as np

from robustbench_la.analysis.statistics.power import smallest_fall, smallest_fall_among_changes
from robustbench_la.gate.verdict import POWER
from robustbench_la.records.cells import CLEAN
from robustbench_la.records.snapshot import Snapshot
from robustbench_la.text import percent

ALPHA = 0.05
"""The level of significance of ``larobust check`` unless another is given."""


def mean_corrupted_accuracy(snapshot: Snapshot) -> float | None:
    """The mean over corruptions of the mean over levels and noise seeds; None if clean images alone were measured."""
    by_corruption: dict[str, list[float]] = {}
    for one in snapshot.answers:
        if one.condition != CLEAN:
            by_corruption.setdefault(one.condition.corruption, []).append(float(np.mean(snapshot.correct(one))))
    return float(np.mean([np.mean(values) for values in by_corruption.values()])) if by_corruption else None


def recorded(snapshot: Snapshot) -> list[str]:
    """Lines about a new baseline: its accuracies, and the smallest falls that ``larobust check`` can show with it."""
    clean = next((float(np.mean(snapshot.correct(one))) for one in snapshot.answers if one.condition == CLEAN), None)
    mean = mean_corrupted_accuracy(snapshot)
    names = {one.condition.corruption for one in snapshot.answers} - {CLEAN.corruption}
    accuracies = [
        *([] if clean is None else [f"{percent(clean)} on clean images"]),
        *([] if mean is None else [f"{percent(mean)} in the mean over {len(names)} corruption{'s' * (len(names) != 1)}"]),
    ]
    return [f"Accuracy of {snapshot.network.checkpoint}: {', '.join(accuracies)}.", _power(snapshot, clean)]


def _power(snapshot: Snapshot, clean: float | None) -> str:
    """The smallest fall of one condition that its images can show: between the best case and unrelated answers."""
    images, count = snapshot.images, len(snapshot.answers)
    level = ALPHA / count
    setting = f"power {100 * POWER:.0f} %, alpha {ALPHA:g}" + (f" over {count} conditions" if count > 1 else "")
    best = smallest_fall(images, level, POWER)
    if best is None:
        return f"{images:,} images are too few to show any fall of one condition ({setting})."
    text = f"Smallest fall of one condition that {images:,} images can show: {100 * best:.2g} points if answers only get worse"
    # Two unrelated networks of one accuracy a differ in 2 a (1 - a) of their answers, right against wrong.
    unrelated = None if clean is None else smallest_fall_among_changes(images, 2 * clean * (1 - clean), level, POWER)
    if unrelated is not None and unrelated > best:
        text += f", {100 * unrelated:.2g} points on clean images if they change as between unrelated networks"
    return f"{text} ({setting})."
