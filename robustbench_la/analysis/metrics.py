"""The figures that networks are compared by, with their definitions: from accuracies under each condition to columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from robustbench_la.analysis import robustness
from robustbench_la.analysis.groups import Group
from robustbench_la.analysis.robustness import COMMON, GROUP_MEMBERS, SEVERITIES
from robustbench_la.records import calibration
from robustbench_la.records.cells import CLEAN, Cell, Condition

Detail = Literal["group", "corruption", "severity"]
Values = dict[str, float | None]
MEAN = "mean corr."
PAPER_TOTAL = "paper Total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One kind of figure."""

    title: str
    kind: Literal["percent", "number"]
    better: Literal["higher", "lower"]
    of_cell: Callable[[Cell], float | None]
    definition: str
    derived: Callable[[ConditionValues, Detail], list[Values]] | None = None
    """From accuracies under each condition to columns; None where a column is the mean of its conditions."""
    of_means: bool = True
    """Whether its columns are those of means over conditions."""
    needs_reference: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Errors that corruption errors are relative to."""

    name: str
    errors: robustness.Cells
    clean_error: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionValues:
    """A group's networks with one value a condition each."""

    group: Group
    conditions: tuple[Condition, ...]
    rows: tuple[Mapping[Condition, float | None], ...]
    """In the order of the networks."""
    reference: Reference | None

    def by_severity(self, row: int, corruption: str) -> dict[int, float | None]:
        """The values of one network under one corruption. Raises: ValueError for levels of the user's own."""
        found = {}
        for condition in self.conditions:
            if condition.corruption == corruption:
                if condition.severity is None:
                    raise ValueError("this figure is defined over severities, and these are levels of your own")
                found[condition.severity] = self.rows[row][condition]
        return found


def mean(values: Iterable[float | None]) -> float | None:
    """The mean; None where one is None, or none is there."""
    found = list(values)
    known = [value for value in found if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(found) else None


def weights_of(conditions: Sequence[Condition], detail: Detail) -> dict[str, dict[Condition, float]]:
    """Column -> conditions with weights, for columns that are means: over corruptions, of means over severities."""
    by_name: dict[str, list[Condition]] = {}
    for condition in conditions:
        by_name.setdefault(condition.corruption, []).append(condition)
    corrupted = {name: own for name, own in by_name.items() if name != CLEAN.corruption}
    columns: dict[str, list[str]] = {}
    single = {str(condition): {condition: 1.0} for condition in conditions if condition == CLEAN or detail == "severity"}
    if detail == "corruption":
        columns = {name: [name] for name in corrupted}
    elif detail == "group":
        whole = {group: names for group, names in GROUP_MEMBERS.items() if set(names) <= set(corrupted)}
        columns = {group.capitalize(): list(names) for group, names in whole.items()}
    if corrupted:
        columns[MEAN] = list(corrupted)
    if detail == "group" and set(corrupted) == {name for names in GROUP_MEMBERS.values() for name in names}:
        columns[PAPER_TOTAL] = [*corrupted, *([CLEAN.corruption] if CLEAN in conditions else [])]
    means = {
        column: {condition: 1 / len(names) / len(by_name[name]) for name in names for condition in by_name[name]}
        for column, names in columns.items()
    }
    if PAPER_TOTAL in means and CLEAN not in conditions:
        del means[PAPER_TOTAL]
    return single | means


def mean_columns(frames: ConditionValues, detail: Detail) -> list[Values]:
    members = weights_of(frames.conditions, detail)
    return [{column: _weighted(row, weights) for column, weights in members.items()} for row in frames.rows]


def _weighted(row: Mapping[Condition, float | None], weights: Mapping[Condition, float]) -> float | None:
    terms = [None if (value := row[condition]) is None else weight * value for condition, weight in weights.items()]
    known = [term for term in terms if term is not None]
    return math.fsum(known) if len(known) == len(terms) else None


def errors_by_severity(frames: ConditionValues, row: int) -> dict[str, dict[int, float | None]]:
    return robustness.errors_of({name: frames.by_severity(row, name) for name in frames.group.corruptions})


def _corruption_errors(frames: ConditionValues, detail: Detail) -> list[Values]:
    return _relative_to_reference(frames, relative=False)


def _relative_corruption_errors(frames: ConditionValues, detail: Detail) -> list[Values]:
    return _relative_to_reference(frames, relative=True)


def _relative_to_reference(frames: ConditionValues, *, relative: bool) -> list[Values]:
    """CE of each corruption that the reference has, and mCE where all of COMMON were measured."""
    reference = frames.reference
    if reference is None:
        raise ValueError("a corruption error is relative to a reference: give --reference, a checkpoint of the store or alexnet")
    if relative and (reference.clean_error is None or CLEAN not in frames.conditions):
        raise ValueError("a relative corruption error needs clean images, of the networks and of the reference")
    clean_reference = reference.clean_error if relative and reference.clean_error is not None else 0.0
    names = [name for name in frames.group.corruptions if name in reference.errors]
    if not names:
        raise ValueError(f"{reference.name} was measured under none of these corruptions")
    rows: list[Values] = []
    for place, row in enumerate(frames.rows):
        errors = errors_by_severity(frames, place)
        clean = row[CLEAN] if relative else 1.0
        values: Values = {}
        for name in names:
            severities = tuple(sorted(errors[name]))
            gap = clean is None or None in errors[name].values()
            values[name] = (
                None
                if gap or clean is None
                else robustness.relative_corruption_error(
                    errors, 1 - clean, name, reference.errors, clean_reference, severities=severities
                )
            )
        if all(name in names and sorted(errors[name]) == list(SEVERITIES) for name in COMMON):
            values["relative mCE" if relative else "mCE"] = mean(values[name] for name in COMMON)
        rows.append(values)
    return rows


def _unnormalised(frames: ConditionValues, detail: Detail) -> list[Values]:
    lacking = [name for name in COMMON if name not in frames.group.corruptions]
    if lacking:
        raise ValueError(f"an unnormalised mCE needs all 15 common corruptions; {', '.join(lacking)} were not measured")
    rows: list[Values] = []
    for place in range(len(frames.rows)):
        errors = errors_by_severity(frames, place)
        gap = any(errors[name].get(severity, 0.0) is None for name in COMMON for severity in SEVERITIES)
        rows.append({"unnormalised mCE": None if gap else robustness.unnormalised_mean_corruption_error(errors)})
    return rows


def _effective(frames: ConditionValues, detail: Detail) -> list[Values]:
    """Beyond the line through the element-level networks, each training seed one point."""
    if CLEAN not in frames.conditions:
        raise ValueError("effective robustness needs clean images")
    plain = mean_columns(frames, detail)
    element = [row for row, network in zip(plain, frames.group.networks, strict=True) if network.level == "element"]
    rows: list[Values] = [{} for _ in plain]
    for column in plain[0]:
        if column == CLEAN.corruption:
            continue
        points = [(clean, value) for row in element if (clean := row["clean"]) is not None and (value := row[column]) is not None]
        line = robustness.fit_baselines([clean for clean, _ in points], [value for _, value in points])
        for row, values in zip(plain, rows, strict=True):
            clean, value = row["clean"], row[column]
            gap = clean is None or value is None
            values[column] = None if gap else robustness.effective_robustness(clean or 0.0, value or 0.0, line)
    return rows


def _relative(frames: ConditionValues, detail: Detail) -> list[Values]:
    """Of layer-level networks: beyond the counterpart that was trained from the same seed."""
    from robustbench_la.activations import ACTIVATIONS

    plain = mean_columns(frames, detail)
    networks = frames.group.networks
    partner = {(network.activation, network.seed): place for place, network in enumerate(networks) if network.seed is not None}
    rows: list[Values] = []
    for network, own in zip(networks, plain, strict=True):
        known = ACTIVATIONS.get(network.activation)
        place = (
            partner.get((known.counterpart or "", network.seed))
            if known and network.seed is not None and network.level == "layer"
            else None
        )
        other: Mapping[str, float | None] = {} if place is None else plain[place]
        values: Values = {}
        for column, value in own.items():
            without = other.get(column)
            if column != CLEAN.corruption:
                gap = value is None or without is None
                values[column] = None if gap else robustness.relative_robustness(value or 0.0, without or 0.0)
        rows.append(values)
    if not any(value is not None for row in rows for value in row.values()):
        raise ValueError("relative robustness needs a layer-level network and its counterpart of the same training seed")
    return rows


def _area(frames: ConditionValues, detail: Detail) -> list[Values]:
    if CLEAN not in frames.conditions:
        raise ValueError("the area under the severity curve begins at clean images")
    rows: list[Values] = []
    for place, row in enumerate(frames.rows):
        values: Values = {}
        clean = row[CLEAN]
        for name in frames.group.corruptions:
            curve = frames.by_severity(place, name)
            gap = clean is None or None in curve.values()
            values[name] = None if gap else robustness.area_under_severity(clean or 0.0, curve, tuple(sorted(curve)))
        values[MEAN] = mean(values.values())
        rows.append(values)
    return rows


def top1(cell: Cell) -> float:
    return cell.correct / cell.total


def _top5(cell: Cell) -> float | None:
    return None if cell.correct_top5 is None else cell.correct_top5 / cell.total


def _nll(cell: Cell) -> float:
    return robustness.mean_nll(cell.nll_sum, cell.total)


def _ece(cell: Cell) -> float | None:
    if not cell.calibration:
        return None
    return calibration.expected_calibration_error(calibration.unpack(cell.calibration))


_CE = "CE: sum of errors over severities, over the same sum of the reference; mCE: its mean over the 15 common corruptions"
METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "top1": Metric(
            title="Top-1 accuracy",
            kind="percent",
            better="higher",
            of_cell=top1,
            definition="Top-1 accuracy in %.",
        ),
        "top5": Metric(
            title="Top-5 accuracy",
            kind="percent",
            better="higher",
            of_cell=_top5,
            definition="Top-5 accuracy in %.",
        ),
        "nll": Metric(
            title="Negative log-likelihood",
            kind="number",
            better="lower",
            of_cell=_nll,
            definition="Mean negative log-likelihood of the labels, in nats.",
        ),
        "ece": Metric(
            title="Calibration error",
            kind="percent",
            better="lower",
            of_cell=_ece,
            definition="Expected calibration error in %: mean over images of |accuracy − confidence| of their bin, 15 bins "
            "(Guo et al. 2017).",
        ),
        "mce": Metric(
            title="Corruption error",
            kind="percent",
            better="lower",
            of_cell=top1,
            derived=_corruption_errors,
            of_means=False,
            needs_reference=True,
            definition=f"{_CE}; in % (Hendrycks & Dietterich 2019).",
        ),
        "relative-mce": Metric(
            title="Relative corruption error",
            kind="percent",
            better="lower",
            of_cell=top1,
            derived=_relative_corruption_errors,
            of_means=False,
            needs_reference=True,
            definition=f"{_CE}; the clean error taken off every error on both sides; in % (Hendrycks & Dietterich 2019).",
        ),
        "unnormalised-mce": Metric(
            title="Unnormalised corruption error",
            kind="percent",
            better="lower",
            of_cell=top1,
            derived=_unnormalised,
            of_means=False,
            definition="Mean error over the 15 common corruptions and five severities, in % (Hendrycks et al. 2020).",
        ),
        "effective": Metric(
            title="Effective robustness",
            kind="percent",
            better="higher",
            of_cell=top1,
            derived=_effective,
            definition="Effective robustness in points: accuracy beyond what a line through the element-level networks (logit of "
            "corrupted against logit of clean accuracy, each seed a point) predicts from the clean one (Taori et al. 2020).",
        ),
        "relative": Metric(
            title="Relative robustness",
            kind="percent",
            better="higher",
            of_cell=top1,
            derived=_relative,
            definition="Relative robustness in points: accuracy minus that of the element-level counterpart of the same training "
            "seed (Taori et al. 2020).",
        ),
        "area": Metric(
            title="Area under the severity curve",
            kind="percent",
            better="higher",
            of_cell=top1,
            derived=_area,
            of_means=False,
            definition="Area under accuracy against severity, by trapezoids from clean images on, the axis scaled to 1; in %. "
            f"{MEAN.capitalize()}: mean over the corruptions.",
        ),
    }
)
"""What `larobust compare --metric` takes."""
