"""Remarks on clean accuracy near chance: the outputs of a network may stand for the classes in another order than is assumed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from robustbench_la.images.decoding import ImageSet
from robustbench_la.records.cells import CLEAN, Cell
from robustbench_la.records.packing import unpack_classes
from robustbench_la.text import some

_NEAR_CHANCE = 2.5
"""Accuracy up to this multiple of chance is near chance."""
_CONVINCING = 0.5
"""The share of right answers that another order must reach."""
_IMAGES_PER_CLASS = 5
"""With fewer images the best of all orders looks good by chance."""
_SHOWN = 8


def order_remarks(images: ImageSet, cells: Sequence[Cell]) -> list[str]:
    """What to say about networks whose clean accuracy is near chance.

    Args:
        images: What they were measured on.
        cells: Of any condition; only clean ones with predictions count.

    Returns:
        A sentence for each such network, or for all of which the same can be said.
    """
    alike: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.condition == CLEAN and cell.correct <= _NEAR_CHANCE * cell.total / len(images.classes):
            alike.setdefault(_another_order(images, cell) or _sorted_as_text(images.classes), []).append(cell)
    return [f"{some([cell.network.checkpoint for cell in found])}: {_near_chance(found)}{hint}" for hint, found in alike.items()]


def _near_chance(cells: Sequence[Cell]) -> str:
    if len(cells) > 1:
        return "clean accuracy is near chance"
    return f"{cells[0].correct:,} of {cells[0].total:,} clean images are right, which is near chance"


def _another_order(images: ImageSet, cell: Cell) -> str:
    """The order of classes in which most answers would be right; empty where there is none."""
    if not cell.predictions or cell.total < _IMAGES_PER_CLASS * len(images.classes):
        return ""
    order, right = _best_order(unpack_classes(cell.predictions, cell.total), images.labels, len(images.classes))
    if right <= _CONVINCING * cell.total:
        return ""
    names = ", ".join(images.classes[place] for place in order[:_SHOWN]) + (", ..." if len(order) > _SHOWN else "")
    return (
        f"; the outputs seem to be in another order, in which {right:,} are right: {names} (give it with --labels FILE, "
        "line i: the folder of output i)"
    )


def _best_order(predicted: NDArray[np.uint16], labels: NDArray[np.int64], classes: int) -> tuple[list[int], int]:
    """The class for each output with which most answers are right, and how many are."""
    from scipy.optimize import linear_sum_assignment

    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (predicted, labels), 1)
    outputs, chosen = linear_sum_assignment(confusion, maximize=True)
    return [int(place) for place in chosen], int(confusion[outputs, chosen].sum())


def _sorted_as_text(classes: Sequence[str]) -> str:
    """A hint for class folders named by numbers, which sort as 0, 1, 10, 11, 2."""
    if not all(name.isdecimal() for name in classes) or list(classes) == sorted(classes, key=int):
        return ""
    first = ", ".join(classes[:5])
    return f"; its class folders are sorted as text ({first} ...): if output i is folder i, say so with --labels FILE"
