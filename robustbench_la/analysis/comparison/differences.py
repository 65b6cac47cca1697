"""Differences between contenders, over shared training seeds or shared images, with their tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from robustbench_la.activations import ACTIVATIONS
from robustbench_la.analysis.comparison.contenders import BEST, Against, By, Contender
from robustbench_la.analysis.metrics.columns import MetricColumns
from robustbench_la.analysis.metrics.means import mean
from robustbench_la.analysis.statistics.max_t import best_of_rivals
from robustbench_la.analysis.statistics.paired_tests import holm
from robustbench_la.analysis.statistics.seed_tests import MIN_SEEDS, TestName, compare_seeds
from robustbench_la.analysis.tables.table import Column, Estimate, Evidence
from robustbench_la.records.cells import Condition

_Test = tuple[int, int, str | frozenset[tuple[Condition, float]], bool]
"""Two contenders, what is compared (weighted conditions, or a metric that is not a mean), and whether the other one was chosen as
the best. Several columns may share one."""
_Pair = tuple[Contender, str, list[Contender | None], Sequence[Contender]]
"""A contender, the name of what it is compared with, that of each column, and all that it was chosen from."""
OverImages = Callable[[Contender, Contender, Mapping[Condition, float]], Estimate | None]
"""Compares two single networks image by image, under weighted conditions."""
MAX_T: TestName = "max-t over rivals"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A row of differences."""

    contender: Contender
    """The one from which the other is subtracted."""
    against: str
    """Name of the other contender, or BEST."""
    estimates: tuple[Estimate | None, ...]
    """One per column."""
    tests: tuple[object, ...]
    """What identifies the test of each column: columns that share one are tested once; None where nothing is compared."""
    checkpoints: bool = False
    """Whether both are checkpoints of any kind, not a layer-level network and its rival."""


def contrast(
    contenders: Sequence[Contender],
    measured: MetricColumns,
    columns: Sequence[Column],
    against: Sequence[Against],
    over_images: OverImages | None = None,
    opponent: int | None = None,
    by: By = "activation",
) -> list[Contrast]:
    """Differences between contenders, corrected together by Holm's method; repeated tests count once.

    Args:
        contenders: All contenders of the group.
        measured: One number per network and column.
        columns: The columns to compare.
        against: The element-level contenders that each layer-level one is compared with.
        over_images: Compares single networks image by image; None compares over training seeds.
        opponent: Index of the contender that all others are compared with, in place of pairs of two levels; None for pairs.
        by: What contenders are; single networks are only paired if they share their training seed.

    Returns:
        One contrast per pair of contenders.
    """
    if opponent is not None:
        rival = contenders[opponent]
        pairs: list[_Pair] = [(one, rival.name, _same(rival, columns), ()) for one in contenders if one is not rival]
    else:
        pairs = [pair for one in contenders for pair in _rivals_of(one, contenders, measured, columns, against, by)]
    tested: dict[_Test, Estimate | None] = {}
    rows: list[tuple[Contender, str, list[_Test | None]]] = []
    for one, name, others, rivals in pairs:
        keys: list[_Test | None] = []
        for column, other in zip(columns, others, strict=True):
            weights = measured.members.get(column.name)
            value = column.name if weights is None else frozenset(weights.items())
            key = None if other is None else (contenders.index(one), contenders.index(other), value, len(rivals) > 1)
            keys.append(key)
            if key is not None and other is not None and key not in tested:
                tested[key] = _difference(one, other, rivals, measured, column.name, over_images)
        rows.append((one, name, keys))
    corrected = _corrected(tested)
    return [
        Contrast(
            contender=one,
            against=name,
            estimates=tuple(None if key is None else corrected[key] for key in keys),
            tests=tuple(keys),
            checkpoints=opponent is not None,
        )
        for one, name, keys in rows
    ]


def _same(other: Contender, columns: Sequence[Column]) -> list[Contender | None]:
    return [other for _ in columns]


def _rivals_of(
    one: Contender,
    contenders: Sequence[Contender],
    measured: MetricColumns,
    columns: Sequence[Column],
    against: Sequence[Against],
    by: By,
) -> list[_Pair]:
    """What a layer-level contender is compared with: its counterpart, and the best; built and trained as it was."""
    if one.level != "layer":
        return []
    element = [other for other in contenders if other.level == "element" and other.variant.setup == one.variant.setup]
    rivals = [other for other in element if by == "activation" or set(other.seeds) & set(one.seeds)]
    entry = ACTIVATIONS.get(one.variant.activation)
    partners = [other for other in rivals if entry and other.variant.activation == entry.counterpart]
    if not partners and entry and len(candidates := [o for o in element if o.variant.activation == entry.counterpart]) == 1:
        partners = [other for other in candidates if not (other.seeds and one.seeds)]  # a training seed is unknown
    pairs: list[_Pair] = []
    if "counterpart" in against and len(partners) == 1:
        pairs.append((one, partners[0].name, _same(partners[0], columns), ()))
    if "best" in against and rivals and not (pairs and rivals == partners):  # it would repeat the row above
        pairs.append((one, BEST, [_best(rivals, measured, column) for column in columns], rivals))
    return pairs


def _best(contenders: Sequence[Contender], measured: MetricColumns, column: Column) -> Contender | None:
    """The contender with the best mean in a column; None if the column has no direction or no contender has a value."""
    means = [(_mean(contender, measured, column.name), contender) for contender in contenders]
    measured_means = [(value, contender) for value, contender in means if value is not None]
    if column.better is None or not measured_means:
        return None
    return (max if column.better == "higher" else min)(measured_means, key=lambda pair: pair[0])[1]


def _mean(contender: Contender, measured: MetricColumns, column: str) -> float | None:
    return mean(measured.rows[index].get(column) for index in contender.indices)


def _difference(
    one: Contender,
    other: Contender,
    rivals: Sequence[Contender],
    measured: MetricColumns,
    column: str,
    over_images: OverImages | None,
) -> Estimate | None:
    """The difference of two contenders in a column. rivals: all that ``other`` was chosen from as the best."""
    if over_images is None:
        return _over_seeds(one, other, measured, column, rivals=rivals)
    if not measured.members:
        return _over_seeds(one, other, measured, column, tested=False)
    estimate = over_images(one, other, measured.members[column])
    if estimate is None or estimate.evidence is None or len(rivals) < 2:
        return estimate
    return replace(estimate, evidence=replace(estimate.evidence, p=None))  # it was picked on the images it is compared on


def _over_seeds(
    one: Contender,
    other: Contender,
    measured: MetricColumns,
    column: str,
    *,
    tested: bool = True,
    rivals: Sequence[Contender] = (),
) -> Estimate | None:
    """Difference over the shared training seeds; without shared seeds, the difference of the means without a test."""
    shared = sorted(set(one.seeds) & set(other.seeds))
    # The best is chosen among rivals without gaps, and tested over the seeds that all of them have.
    complete_rivals = [rival for rival in rivals if _mean(rival, measured, column) is not None] if len(rivals) > 1 else []
    common = sorted(set(shared).intersection(*(rival.seeds for rival in complete_rivals)))
    shared = common if len(common) >= MIN_SEEDS else shared
    names = one.name, other.name
    if not shared or not tested:
        means = [_mean(contender, measured, column) for contender in (one, other)]
        if means[0] is None or means[1] is None:
            return None
        return Estimate(means[0] - means[1], evidence=Evidence(*names))
    pairs = [(measured.rows[one.seeds[seed]].get(column), measured.rows[other.seeds[seed]].get(column)) for seed in shared]
    complete = [(left, right) for left, right in pairs if left is not None and right is not None]
    if len(complete) < len(pairs):
        return None
    result = compare_seeds([left for left, _ in complete], [right for _, right in complete])
    evidence = Evidence(*names, test=result.test, statistic=result.statistic, p=result.p, effect=result.effect)
    if len(complete_rivals) > 1:
        evidence = _against_best(evidence, one, other, complete_rivals, measured, column, common)
    return Estimate(result.difference, result.low, result.high, count=result.count, evidence=evidence)


def _against_best(
    evidence: Evidence,
    one: Contender,
    other: Contender,
    rivals: Sequence[Contender],
    measured: MetricColumns,
    column: str,
    shared: Sequence[int],
) -> Evidence:
    """The test against the best, which was picked on the same numbers: corrected for the choice, over the seeds of all rivals."""
    table = [
        [(measured.rows[one.seeds[seed]].get(column), measured.rows[rival.seeds[seed]].get(column)) for rival in rivals]
        for seed in shared
    ]
    values = [[left - right for left, right in row if left is not None and right is not None] for row in table]
    if len(values) < MIN_SEEDS or any(len(row) < len(rivals) for row in values):
        return replace(evidence, test=None, statistic=None, p=None, effect=None)
    chosen = [rival is other for rival in rivals].index(True)
    t, p = best_of_rivals(values, chosen)
    return replace(evidence, test=MAX_T, statistic=t, p=p, effect=None if t is None else float(t / np.sqrt(len(values))))


def _corrected(differences: Mapping[_Test, Estimate | None]) -> dict[_Test, Estimate | None]:
    p_values = holm(None if one is None or one.evidence is None else one.evidence.p for one in differences.values())
    return {
        key: one if one is None or one.evidence is None else replace(one, evidence=replace(one.evidence, corrected=p))
        for (key, one), p in zip(differences.items(), p_values, strict=True)
    }
