"""Two networks compared over the same images and noise: from the answers of each to a difference with its test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from robustbench_la.analysis.comparison.contenders import Contender
from robustbench_la.analysis.groups.groups import Group, NetworkResults
from robustbench_la.analysis.statistics.paired_tests import paired_difference, paired_t
from robustbench_la.analysis.statistics.seed_tests import over_seeds
from robustbench_la.analysis.tables.table import Estimate, Evidence
from robustbench_la.records.cells import Condition

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robustbench_la.store.store import Stored

Answers = Callable[["Stored"], "NDArray[np.bool_]"]
"""From a cell to whether each image was right, (N,)."""


class ImageDifferences:
    """Right and wrong answers of a few networks at a time: those of one training seed are compared with each other."""

    def __init__(self, answers: Answers, group: Group) -> None:
        self._answers = answers
        self._group = group
        self._seed: object = None
        self._kept: dict[int, NDArray[np.bool_]] = {}

    def _right(self, network: NetworkResults, stored: Stored) -> NDArray[np.bool_]:
        if network.network.training_seed != self._seed:
            self._kept.clear()
            self._seed = network.network.training_seed
        if stored.id not in self._kept:
            self._kept[stored.id] = self._answers(stored)
        return self._kept[stored.id]

    def difference(self, one: Contender, other: Contender, weights: Mapping[Condition, float]) -> Estimate | None:
        """Of two networks, over the same images and noise.

        One condition: Newcombe's interval and McNemar's exact test. Several: each image's mean over conditions is one value, as
        answers to the same image are not independent; Student's interval and paired t-test over images.
        """
        networks = self._group.networks[one.indices[0]], self._group.networks[other.indices[0]]
        draws = [draw for draw in self._group.passes if draw.condition in weights]
        if any(draw not in network.cells for draw in draws for network in networks):
            return None
        pairs = [
            (self._right(networks[0], networks[0].cells[draw]), self._right(networks[1], networks[1].cells[draw]))
            for draw in draws
        ]
        names = one.variant.activation, other.variant.activation
        if len(pairs) == 1:
            found = paired_difference(*pairs[0])
            tested = Evidence(*names, test="McNemar, exact", p=found.p, gained=found.gained, lost=found.lost, answers=found.total)
            return Estimate(found.value, found.low, found.high, evidence=tested)
        drawn = Counter(condition for condition, _ in draws)
        values = np.zeros(len(pairs[0][0]))
        gained = lost = 0
        for (condition, _), (left, right) in zip(draws, pairs, strict=True):
            difference = left.view(np.int8) - right.view(np.int8)
            values += difference * (weights[condition] / drawn[condition])
            gained, lost = gained + int(np.count_nonzero(difference > 0)), lost + int(np.count_nonzero(difference < 0))
        spread = over_seeds(values)
        statistic, p = paired_t(values)
        tested = Evidence(
            *names, test="paired t-test over images", statistic=statistic, p=p, gained=gained, lost=lost,
            answers=len(pairs) * len(values),
        )  # fmt: skip
        return Estimate(spread.mean, spread.low, spread.high, evidence=tested)
