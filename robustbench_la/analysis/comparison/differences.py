"""Layer-level against element-level activations: differences over shared training seeds or shared images, with their tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from robustbench_la.activations import ACTIVATIONS
from robustbench_la.analysis.comparison.contenders import BEST, Against, Contender
from robustbench_la.analysis.comparison.image_differences import Answers, ImageDifferences
from robustbench_la.analysis.groups.groups import Group
from robustbench_la.analysis.metrics.columns import MetricColumns
from robustbench_la.analysis.metrics.means import mean
from robustbench_la.analysis.statistics.paired_tests import holm
from robustbench_la.analysis.statistics.seed_tests import compare_seeds
from robustbench_la.analysis.tables.table import Column, Estimate, Evidence
from robustbench_la.records.cells import Condition

_Test = tuple[int, int, str | frozenset[tuple[Condition, float]]]
"""Two contenders and what is compared: weighted conditions, or a metric that is not a mean. Several columns may share one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A row of differences."""

    contender: Contender
    """The layer-level contender, whose differences these are."""
    against: str
    """Name of the other contender, or BEST."""
    estimates: tuple[Estimate | None, ...]
    """One per column."""


def contrast(
    contenders: Sequence[Contender],
    group: Group,
    measured: MetricColumns,
    columns: Sequence[Column],
    against: Sequence[Against],
    answers: Answers | None = None,
) -> list[Contrast]:
    """Differences of every layer-level contender, corrected together by Holm's method; repeated tests count once.

    Args:
        contenders: All contenders of the group.
        group: The networks.
        measured: One number per network and column.
        columns: The columns to compare.
        against: The element-level contenders to compare with.
        answers: Reads the answers of a cell, to compare single networks image by image; None compares over training seeds.

    Returns:
        One contrast per layer-level contender and opponent.
    """
    image_differences = ImageDifferences(answers, group) if answers else None
    tested: dict[_Test, Estimate | None] = {}
    rows: list[tuple[Contender, str, list[_Test | None]]] = []
    element = [contender for contender in contenders if contender.level == "element"]
    for contender in (contender for contender in contenders if contender.level == "layer"):
        rivals = [other for other in element if not answers or set(other.seeds) & set(contender.seeds)]
        entry = ACTIVATIONS.get(contender.variant.activation)
        partners = [other for other in rivals if entry and other.variant.activation == entry.counterpart]
        if not partners and entry and len(candidates := [o for o in element if o.variant.activation == entry.counterpart]) == 1:
            partners = [other for other in candidates if not (other.seeds and contender.seeds)]  # a training seed is unknown
        chosen: list[tuple[str, list[Contender | None]]] = []
        if "counterpart" in against and len(partners) == 1:
            chosen.append((partners[0].variant.activation, [partners[0]] * len(columns)))
        if "best" in against and rivals and not (chosen and rivals == partners):  # it would repeat the row above
            chosen.append((BEST, [_best(rivals, measured, column) for column in columns]))
        for name, others in chosen:
            keys: list[_Test | None] = []
            for column, other in zip(columns, others, strict=True):
                weights = measured.members.get(column.name)
                value = column.name if weights is None else frozenset(weights.items())
                key = None if other is None else (contenders.index(contender), contenders.index(other), value)
                keys.append(key)
                if key is not None and other is not None and key not in tested:
                    if image_differences is not None and measured.members:
                        tested[key] = image_differences.difference(contender, other, measured.members[column.name])
                    else:
                        tested[key] = _over_seeds(contender, other, measured, column.name, tested=image_differences is None)
            rows.append((contender, name, keys))
    corrected = _corrected(tested)
    return [
        Contrast(contender=contender, against=name, estimates=tuple(None if key is None else corrected[key] for key in keys))
        for contender, name, keys in rows
    ]


def _best(contenders: Sequence[Contender], measured: MetricColumns, column: Column) -> Contender | None:
    """The contender with the best mean in a column; None if the column has no direction or no contender has a value."""
    means = [(mean(measured.rows[index].get(column.name) for index in contender.indices), contender) for contender in contenders]
    measured_means = [(value, contender) for value, contender in means if value is not None]
    if column.better is None or not measured_means:
        return None
    return (max if column.better == "higher" else min)(measured_means, key=lambda pair: pair[0])[1]


def _over_seeds(one: Contender, other: Contender, measured: MetricColumns, column: str, *, tested: bool) -> Estimate | None:
    """Difference over the shared training seeds; without shared seeds, the difference of the means without a test."""
    shared = sorted(set(one.seeds) & set(other.seeds))
    names = one.variant.activation, other.variant.activation
    if not shared:
        means = [mean(measured.rows[index].get(column) for index in contender.indices) for contender in (one, other)]
        if means[0] is None or means[1] is None:
            return None
        return Estimate(means[0] - means[1], evidence=Evidence(*names))
    pairs = [(measured.rows[one.seeds[seed]].get(column), measured.rows[other.seeds[seed]].get(column)) for seed in shared]
    complete = [(left, right) for left, right in pairs if left is not None and right is not None]
    if len(complete) < len(pairs):
        return None
    if not tested:
        return Estimate(complete[0][0] - complete[0][1], evidence=Evidence(*names))
    result = compare_seeds([left for left, _ in complete], [right for _, right in complete])
    evidence = Evidence(*names, test=result.test, statistic=result.statistic, p=result.p, effect=result.effect)
    return Estimate(result.difference, result.low, result.high, count=result.count, evidence=evidence)


def _corrected(found: Mapping[_Test, Estimate | None]) -> dict[_Test, Estimate | None]:
    p_values = holm(None if one is None or one.evidence is None else one.evidence.p for one in found.values())
    return {
        key: one if one is None or one.evidence is None else replace(one, evidence=replace(one.evidence, corrected=p))
        for (key, one), p in zip(found.items(), p_values, strict=True)
    }
