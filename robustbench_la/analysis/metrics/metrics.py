"""The metrics that networks are compared by, with their definitions; means.py and derived.py compute them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from robustbench_la.analysis.metrics import derived, formulas
from robustbench_la.analysis.metrics.condition_values import ConditionValues
from robustbench_la.analysis.metrics.means import MEAN, Detail, Values
from robustbench_la.analysis.metrics.named_means import NAMED_MEANS, NamedMean
from robustbench_la.records import calibration
from robustbench_la.records.cells import Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric that networks are compared by."""

    title: str
    kind: Literal["percent", "number"]
    better: Literal["higher", "lower"]
    of_cell: Callable[[Cell], float | None]
    definition: str
    derived: Callable[[ConditionValues, Detail], list[Values]] | None = None
    """Computes the columns from the accuracies under each condition; None if a column is the mean over its conditions."""
    of_means: bool = True
    """Whether it has the columns of means over conditions."""
    needs_reference: bool = False
    across: bool = False
    """Whether it is defined over networks of several architectures, which then share a table."""
    named_mean: NamedMean | None = None
    """The one mean that is shown, if the metric is a mean known by name."""
    remarks: Callable[[ConditionValues, Detail], list[str]] | None = None
    """What readers must know of the numbers at hand, a sentence each."""


def top1(cell: Cell) -> float:
    return cell.correct / cell.total


def _top5(cell: Cell) -> float | None:
    return None if cell.correct_top5 is None else cell.correct_top5 / cell.total


def _nll(cell: Cell) -> float:
    return formulas.mean_nll(cell.nll_sum, cell.total)


def _ece(cell: Cell) -> float | None:
    if not cell.calibration:
        return None
    return calibration.expected_calibration_error(calibration.unpack(cell.calibration))


def _mean_accuracy(one: NamedMean) -> Metric:
    return Metric(
        title="Mean accuracy",
        kind="percent",
        better="higher",
        of_cell=top1,
        of_means=False,
        named_mean=one,
        definition=f"Top-1 accuracy in %. {one.column}: {one.definition}.",
    )


_CE = "CE: sum of errors over severities, divided by that of the reference; mCE: mean over the 15 common corruptions"
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
            definition="Expected calibration error in %: mean over images of |accuracy − confidence| of their bin, with 15 bins "
            "(Guo et al. 2017).",
        ),
        "mce": Metric(
            title="Corruption error",
            kind="percent",
            better="lower",
            of_cell=top1,
            derived=derived.corruption_errors,
            of_means=False,
            needs_reference=True,
            definition=f"{_CE}; in % (Hendrycks & Dietterich 2019).",
        ),
        "relative-mce": Metric(
            title="Relative corruption error",
            kind="percent",
            better="lower",
            of_cell=top1,
            derived=derived.relative_corruption_errors,
            of_means=False,
            needs_reference=True,
            definition=f"{_CE}; the clean error subtracted from every error on both sides; in % (Hendrycks & Dietterich 2019).",
        ),
        "unnormalised-mce": Metric(
            title="Unnormalised corruption error",
            kind="percent",
            better="lower",
            of_cell=top1,
            derived=derived.unnormalised,
            of_means=False,
            definition="Mean error over the 15 common corruptions and five severities, in % (Hendrycks et al. 2020).",
        ),
        "effective": Metric(
            title="Effective robustness",
            kind="percent",
            better="higher",
            of_cell=top1,
            derived=derived.effective,
            across=True,
            remarks=derived.about_lines,
            definition="Effective robustness in points: accuracy beyond the prediction from clean accuracy by a line through the "
            "element-level networks of several architectures (logit of corrupted against logit of clean accuracy, one point per "
            "network; Taori et al. 2020).",
        ),
        "relative": Metric(
            title="Relative robustness",
            kind="percent",
            better="higher",
            of_cell=top1,
            derived=derived.relative,
            definition="Relative robustness in points: accuracy minus that of the element-level counterpart with the same "
            "training seed (Taori et al. 2020).",
        ),
        "area": Metric(
            title="Area under the severity curve",
            kind="percent",
            better="higher",
            of_cell=top1,
            derived=derived.area,
            of_means=False,
            definition="Area under the accuracy-severity curve from clean images on, by the trapezoidal rule, with the "
            "severity axis scaled to 1; in %. "
            f"{MEAN.capitalize()}: mean over corruptions.",
        ),
        **{name: _mean_accuracy(one) for name, one in NAMED_MEANS.items()},
    }
)
"""The values of `larobust compare --metric`."""
