"""The metrics that networks are compared by, with their definitions; how they are computed is in means.py and derived.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from robustbench_la.analysis.metrics import derived, formulas
from robustbench_la.analysis.metrics.condition_values import ConditionValues
from robustbench_la.analysis.metrics.means import MEAN, Detail, Values
from robustbench_la.records import calibration
from robustbench_la.records.cells import Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One kind of number that networks are compared by."""

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
            definition=f"{_CE}; the clean error taken off every error on both sides; in % (Hendrycks & Dietterich 2019).",
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
            definition="Effective robustness in points: accuracy beyond what a line through the element-level networks (logit of "
            "corrupted against logit of clean accuracy, each seed a point) predicts from the clean one (Taori et al. 2020).",
        ),
        "relative": Metric(
            title="Relative robustness",
            kind="percent",
            better="higher",
            of_cell=top1,
            derived=derived.relative,
            definition="Relative robustness in points: accuracy minus that of the element-level counterpart of the same training "
            "seed (Taori et al. 2020).",
        ),
        "area": Metric(
            title="Area under the severity curve",
            kind="percent",
            better="higher",
            of_cell=top1,
            derived=derived.area,
            of_means=False,
            definition="Area under accuracy against severity, by trapezoids from clean images on, the axis scaled to 1; in %. "
            f"{MEAN.capitalize()}: mean over the corruptions.",
        ),
    }
)
"""What `larobust compare --metric` takes."""
