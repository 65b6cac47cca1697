"""Layer-level against element-level: differences over the same training seeds, or over the same images, with their tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from robustbench_la.activations import ACTIVATIONS
from robustbench_la.analysis.columns import MetricColumns
from robustbench_la.analysis.groups import Group, NetworkResults, Variant
from robustbench_la.analysis.metrics import mean
from robustbench_la.analysis.paired_tests import holm, paired_difference
from robustbench_la.analysis.seed_tests import compare_seeds, over_seeds
from robustbench_la.analysis.table import Column, Estimate, Evidence
from robustbench_la.records.cells import Condition

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robustbench_la.store.store import Stored

Against = Literal["counterpart", "best"]
Answers = Callable[["Stored"], "NDArray[np.bool_]"]
"""From a cell to whether each image was right, (N,)."""
BEST = "best element-level"
_Test = tuple[int, int, str | frozenset[tuple[Condition, float]]]
"""Two contenders, and what is compared: conditions with their weights, or a figure that is no mean. Columns may show the same."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contender:
    """What a row of the table holds: the networks of an activation, or one network."""

    variant: Variant
    level: str
    places: tuple[int, ...]
    """Of its networks in the group."""
    seeds: Mapping[int, int] = field(repr=False)
    """Training seed -> place in the group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A row of differences."""

    contender: Contender
    """The layer-level one, which they are of."""
    against: str
    """Name of the other contender, or BEST."""
    estimates: tuple[Estimate | None, ...]
    """One a column."""


def contrast(
    contenders: Sequence[Contender],
    group: Group,
    measurement: MetricColumns,
    columns: Sequence[Column],
    against: Sequence[Against],
    answers: Answers | None = None,
) -> list[Contrast]:
    """Differences of every layer-level contender, corrected together by Holm's method; a test that occurs twice counts once.

    answers: to compare single networks image by image; None to compare over seeds.
    """
    compared = _Cached(answers, group) if answers else None
    found: dict[_Test, Estimate | None] = {}
    rows: list[tuple[Contender, str, list[_Test | None]]] = []
    element = [contender for contender in contenders if contender.level == "element"]
    for contender in (contender for contender in contenders if contender.level == "layer"):
        rivals = [other for other in element if not answers or set(other.seeds) & set(contender.seeds)]
        known = ACTIVATIONS.get(contender.variant.activation)
        partners = [other for other in rivals if known and other.variant.activation == known.counterpart]
        if not partners and known and len(alone := [o for o in element if o.variant.activation == known.counterpart]) == 1:
            partners = [other for other in alone if not (other.seeds and contender.seeds)]  # a training seed that is not known
        chosen: list[tuple[str, list[Contender | None]]] = []
        if "counterpart" in against and len(partners) == 1:
            chosen.append((partners[0].variant.activation, [partners[0]] * len(columns)))
        if "best" in against and rivals:
            chosen.append((BEST, [_best(rivals, measurement, column) for column in columns]))
        for name, others in chosen:
            keys: list[_Test | None] = []
            for column, other in zip(columns, others, strict=True):
                weights = measurement.members.get(column.name)
                value = column.name if weights is None else frozenset(weights.items())
                key = None if other is None else (contenders.index(contender), contenders.index(other), value)
                keys.append(key)
                if key is not None and other is not None and key not in found:
                    if compared is not None and measurement.members:
                        found[key] = compared.difference(contender, other, measurement.members[column.name])
                    else:
                        found[key] = _over_seeds(contender, other, measurement, column.name, tested=compared is None)
            rows.append((contender, name, keys))
    corrected = _corrected(found)
    return [
        Contrast(contender=contender, against=name, estimates=tuple(None if key is None else corrected[key] for key in keys))
        for contender, name, keys in rows
    ]


def _best(contenders: Sequence[Contender], measurement: MetricColumns, column: Column) -> Contender | None:
    """The contender with the best mean of a column; None where the direction or a value is not known."""
    means = [
        (mean(measurement.rows[place].get(column.name) for place in contender.places), contender) for contender in contenders
    ]
    known = [(value, contender) for value, contender in means if value is not None]
    if column.better is None or not known:
        return None
    return (max if column.better == "higher" else min)(known, key=lambda pair: pair[0])[1]


def _over_seeds(one: Contender, other: Contender, measurement: MetricColumns, column: str, *, tested: bool) -> Estimate | None:
    """Difference over the training seeds that both contenders have; of means, without a test, where they share none."""
    shared = sorted(set(one.seeds) & set(other.seeds))
    names = one.variant.activation, other.variant.activation
    if not shared:
        means = [mean(measurement.rows[place].get(column) for place in contender.places) for contender in (one, other)]
        if means[0] is None or means[1] is None:
            return None
        return Estimate(means[0] - means[1], evidence=Evidence(*names))
    pairs = [(measurement.rows[one.seeds[seed]].get(column), measurement.rows[other.seeds[seed]].get(column)) for seed in shared]
    known = [(left, right) for left, right in pairs if left is not None and right is not None]
    if len(known) < len(pairs):
        return None
    if not tested:
        return Estimate(known[0][0] - known[0][1], evidence=Evidence(*names))
    found = compare_seeds([left for left, _ in known], [right for _, right in known])
    evidence = Evidence(*names, test=found.test, statistic=found.statistic, p=found.p, effect=found.effect)
    return Estimate(found.difference, found.low, found.high, count=found.count, evidence=evidence)


class _Cached:
    """Right and wrong answers of a few networks at a time: those of one training seed are compared with each other."""

    def __init__(self, answers: Answers, group: Group) -> None:
        self._answers = answers
        self._group = group
        self._seed: object = None
        self._kept: dict[int, NDArray[np.bool_]] = {}

    def _right(self, network: NetworkResults, stored: Stored) -> NDArray[np.bool_]:
        if network.seed != self._seed:
            self._kept.clear()
            self._seed = network.seed
        if stored.id not in self._kept:
            self._kept[stored.id] = self._answers(stored)
        return self._kept[stored.id]

    def difference(self, one: Contender, other: Contender, weights: Mapping[Condition, float]) -> Estimate | None:
        """Of two networks, over the same images and noise.

        One condition: Newcombe's interval and McNemar's exact test. Several: each image's mean over conditions is one value, as
        answers to the same image are not independent; Student's interval and paired t-test over images.
        """
        networks = self._group.networks[one.places[0]], self._group.networks[other.places[0]]
        draws = [draw for draw in self._group.draws if draw[0] in weights]
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
        statistic, p = _paired_t(values)
        tested = Evidence(
            *names, test="paired t-test over images", statistic=statistic, p=p, gained=gained, lost=lost,
            answers=len(pairs) * len(values),
        )  # fmt: skip
        return Estimate(spread.mean, spread.low, spread.high, evidence=tested)


def _paired_t(values: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Student's t of the mean against 0, and its two-sided p; p is 1 where no value differs from 0."""
    from scipy.stats import ttest_1samp

    if len(values) < 2 or np.ptp(values) == 0:
        return None, 1.0 if not values.any() else None
    found = ttest_1samp(values, 0.0)
    return float(found.statistic), float(found.pvalue)


def _corrected(found: Mapping[_Test, Estimate | None]) -> dict[_Test, Estimate | None]:
    p_values = holm(None if one is None or one.evidence is None else one.evidence.p for one in found.values())
    return {
        key: one if one is None or one.evidence is None else replace(one, evidence=replace(one.evidence, corrected=p))
        for (key, one), p in zip(found.items(), p_values, strict=True)
    }
