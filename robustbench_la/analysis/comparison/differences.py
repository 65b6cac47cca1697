"""Layer-level against element-level: differences over the same training seeds, or over the same images, with their tests."""

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
"""Two contenders, and what is compared: conditions with their weights, or a metric that is no mean. Columns may show the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A row of differences."""

    contender: Contender
    """The layer-level one, which they are of."""
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
    """Differences of every layer-level contender, corrected together by Holm's method; a test that occurs twice counts once.

    Args:
        contenders: all of the group.
        group: the networks.
        measured: their numbers.
        columns: those to compare.
        against: which element-level contenders.
        answers: to compare single networks image by image; None to compare over seeds.
    """
    compared = ImageDifferences(answers, group) if answers else None
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
            chosen.append((BEST, [_best(rivals, measured, column) for column in columns]))
        for name, others in chosen:
            keys: list[_Test | None] = []
            for column, other in zip(columns, others, strict=True):
                weights = measured.members.get(column.name)
                value = column.name if weights is None else frozenset(weights.items())
                key = None if other is None else (contenders.index(contender), contenders.index(other), value)
                keys.append(key)
                if key is not None and other is not None and key not in found:
                    if compared is not None and measured.members:
                        found[key] = compared.difference(contender, other, measured.members[column.name])
                    else:
                        found[key] = _over_seeds(contender, other, measured, column.name, tested=compared is None)
            rows.append((contender, name, keys))
    corrected = _corrected(found)
    return [
        Contrast(contender=contender, against=name, estimates=tuple(None if key is None else corrected[key] for key in keys))
        for contender, name, keys in rows
    ]


def _best(contenders: Sequence[Contender], measured: MetricColumns, column: Column) -> Contender | None:
    """The contender with the best mean of a column; None where the direction or a value is not known."""
    means = [(mean(measured.rows[index].get(column.name) for index in contender.indices), contender) for contender in contenders]
    known = [(value, contender) for value, contender in means if value is not None]
    if column.better is None or not known:
        return None
    return (max if column.better == "higher" else min)(known, key=lambda pair: pair[0])[1]


def _over_seeds(one: Contender, other: Contender, measured: MetricColumns, column: str, *, tested: bool) -> Estimate | None:
    """Difference over the training seeds that both contenders have; of means, without a test, where they share none."""
    shared = sorted(set(one.seeds) & set(other.seeds))
    names = one.variant.activation, other.variant.activation
    if not shared:
        means = [mean(measured.rows[index].get(column) for index in contender.indices) for contender in (one, other)]
        if means[0] is None or means[1] is None:
            return None
        return Estimate(means[0] - means[1], evidence=Evidence(*names))
    pairs = [(measured.rows[one.seeds[seed]].get(column), measured.rows[other.seeds[seed]].get(column)) for seed in shared]
    known = [(left, right) for left, right in pairs if left is not None and right is not None]
    if len(known) < len(pairs):
        return None
    if not tested:
        return Estimate(known[0][0] - known[0][1], evidence=Evidence(*names))
    found = compare_seeds([left for left, _ in known], [right for _, right in known])
    evidence = Evidence(*names, test=found.test, statistic=found.statistic, p=found.p, effect=found.effect)
    return Estimate(found.difference, found.low, found.high, count=found.count, evidence=evidence)


def _corrected(found: Mapping[_Test, Estimate | None]) -> dict[_Test, Estimate | None]:
    p_values = holm(None if one is None or one.evidence is None else one.evidence.p for one in found.values())
    return {
        key: one if one is None or one.evidence is None else replace(one, evidence=replace(one.evidence, corrected=p))
        for (key, one), p in zip(found.items(), p_values, strict=True)
    }
