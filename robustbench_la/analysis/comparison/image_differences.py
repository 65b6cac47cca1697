"""Compares two networks over the same images and noise: from the answers of each to a difference with its test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from robustbench_la.analysis.comparison.contenders import Contender
from robustbench_la.analysis.groups.groups import Group
from robustbench_la.analysis.statistics.paired_tests import paired_difference, paired_t
from robustbench_la.analysis.statistics.seed_tests import over_seeds
from robustbench_la.analysis.tables.table import Estimate, Evidence
from robustbench_la.records.cells import Condition, Pass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robustbench_la.store.store import Stored

Answers = Callable[["Stored"], "NDArray[np.bool_]"]
"""Maps a cell to whether each image was classified correctly, (N,)."""


_KEPT = 4
"""Networks whose answers are kept in memory at a time."""


class ImageDifferences:
    """Compares two networks; keeps the answers of the last few in memory."""

    def __init__(self, answers: Answers, group: Group) -> None:
        self._answers = answers
        self._group = group
        self._kept: dict[int, dict[int, NDArray[np.bool_]]] = {}

    def _right(self, index: int, pass_: Pass) -> NDArray[np.bool_]:
        kept = self._kept.pop(index, {})
        self._kept[index] = kept  # last in the order
        if len(self._kept) > _KEPT:
            self._kept.pop(next(iter(self._kept)))
        stored = self._group.networks[index].cells[pass_]
        if stored.id not in kept:
            kept[stored.id] = self._answers(stored)
        return kept[stored.id]

    def __call__(self, one: Contender, other: Contender, weights: Mapping[Condition, float]) -> Estimate | None:
        """The difference in accuracy of two networks over the same images and noise.

        For one condition: Newcombe's interval and McNemar's exact test. For several: each image's mean over conditions is one
        value, since answers to the same image are not independent; t-interval and paired t-test over images.

        Args:
            one: A single network.
            other: The network to subtract.
            weights: Conditions and their weights in the mean.

        Returns:
            The difference, as a fraction; None if a cell is missing, or there is no condition.
        """
        indices = one.indices[0], other.indices[0]
        passes = [pass_ for pass_ in self._group.passes if pass_.condition in weights]
        if not passes or any(pass_ not in self._group.networks[index].cells for pass_ in passes for index in indices):
            return None
        pairs = [(self._right(indices[0], pass_), self._right(indices[1], pass_)) for pass_ in passes]
        names = one.name, other.name
        if len(pairs) == 1:
            result = paired_difference(*pairs[0])
            evidence = Evidence(
                *names, test="McNemar, exact", p=result.p, gained=result.gained, lost=result.lost, answers=result.total
            )
            return Estimate(result.value, result.low, result.high, evidence=evidence)
        drawn = Counter(condition for condition, _ in passes)
        values = np.zeros(len(pairs[0][0]))
        gained = lost = 0
        for (condition, _), (left, right) in zip(passes, pairs, strict=True):
            difference = left.view(np.int8) - right.view(np.int8)
            values += difference * (weights[condition] / drawn[condition])
            gained, lost = gained + int(np.count_nonzero(difference > 0)), lost + int(np.count_nonzero(difference < 0))
        spread = over_seeds(values)
        statistic, p = paired_t(values)
        evidence = Evidence(
            *names, test="paired t-test over images", statistic=statistic, p=p, gained=gained, lost=lost,
            answers=len(pairs) * len(values),
        )  # fmt: skip
        return Estimate(spread.mean, spread.low, spread.high, evidence=evidence)
