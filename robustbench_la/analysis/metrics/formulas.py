"""Formulas of robustness, each with its source: corruption errors, effective and relative robustness, area under severity.

Accuracies and errors are fractions, keyed by severity. A value that a definition asks for and that is missing raises ValueError
with its name. Means over corruptions are not here: see means.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from robustbench_la.analysis.metrics.imagenet_c import SEVERITIES

Curve = Mapping[int, float | None]
"""Severity -> accuracy or error."""

MIN_BASELINES = 3
"""Networks that effective robustness fits its line through: two would lie on any line."""


def corruption_error(
    corruption: str,
    errors: Curve,
    reference: Curve,
    *,
    clean_error: float = 0.0,
    reference_clean_error: float = 0.0,
    severities: Sequence[int] = SEVERITIES,
) -> float:
    """CE: sum over severities of the errors, over the same sum of the reference's (Hendrycks & Dietterich 2019).

    With the clean errors given, relative CE: these are subtracted from every error.

    Args:
        corruption: its name, for messages.
        errors: of the network, at least at the severities.
        reference: of the network that the error is relative to.
        clean_error: of the network on clean images, for relative CE.
        reference_clean_error: the same of the reference.
        severities: those to sum over.

    Raises:
        ValueError: if an error is missing, or the errors of the reference do not exceed its clean error.

    >>> from robustbench_la.analysis.metrics.imagenet_c import ALEXNET
    >>> corruption_error("fog", ALEXNET["fog"], ALEXNET["fog"])
    1.0
    """
    own = _complete(errors, severities, corruption)
    others = _complete(reference, severities, corruption, of=" of the reference")
    above = math.fsum(error - clean_error for error in own)
    below = math.fsum(error - reference_clean_error for error in others)
    if below <= 0:
        raise ValueError(f"the reference loses nothing under {corruption}: no error can be given relative to it")
    return above / below


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineLine:
    """logit(corrupted accuracy) = intercept + slope * logit(clean accuracy)."""

    slope: float
    intercept: float

    def predict(self, clean: float) -> float:
        """Corrupted accuracy that a baseline of this clean accuracy is expected to have."""
        return 1 / (1 + math.exp(-(self.intercept + self.slope * _logit(clean))))


def fit_baselines(clean: Sequence[float], corrupted: Sequence[float]) -> BaselineLine:
    """Least squares through the accuracies of the baseline networks on the logit scale (Taori et al. 2020).

    Raises:
        ValueError: for fewer than MIN_BASELINES networks, or if all have the same clean accuracy.
    """
    if len(clean) != len(corrupted) or len(clean) < MIN_BASELINES:
        raise ValueError(
            f"a line needs {MIN_BASELINES} baselines or more, clean and corrupted, not {len(clean)} and {len(corrupted)}"
        )
    across, up = [_logit(value) for value in clean], [_logit(value) for value in corrupted]
    if max(across) - min(across) < 1e-9:
        raise ValueError("the baselines all have the same clean accuracy: no line can be fitted")
    from scipy.stats import linregress

    found = linregress(across, up)
    return BaselineLine(slope=float(found.slope), intercept=float(found.intercept))


def effective_robustness(clean: float, corrupted: float, line: BaselineLine) -> float:
    """Corrupted accuracy beyond what the clean accuracy predicts (Taori et al. 2020): a fraction, 0 for a baseline on the line.

    >>> effective_robustness(0.9, 0.75, BaselineLine(slope=1, intercept=0)) < 0
    True
    """
    return corrupted - line.predict(clean)


def relative_robustness(corrupted: float, corrupted_without: float) -> float:
    """Corrupted accuracy minus that of the same network without the measure, e.g. with the counterpart (Taori et al. 2020)."""
    return corrupted - corrupted_without


def area_under_severity(clean: float, accuracies: Curve, severities: Sequence[int] = SEVERITIES) -> float:
    """Area under accuracy against severity, 0 (clean) included, by trapezoids; the axis scaled to [0, 1], so 1 is the best.

    Raises:
        ValueError: if an accuracy is missing.

    >>> area_under_severity(1.0, {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0, 5: 0.0})
    0.9
    """
    across = (0, *sorted(severities))
    up = (clean, *_complete(accuracies, across[1:], "the curve"))
    steps = range(len(across) - 1)
    return math.fsum((across[i + 1] - across[i]) * (up[i] + up[i + 1]) / 2 for i in steps) / across[-1]


def mean_nll(nll_sum: float, total: int) -> float:
    """Mean negative log-likelihood of the labels, in nats."""
    if total < 1:
        raise ValueError("no images to average over")
    return nll_sum / total


def _complete(curve: Curve, severities: Sequence[int], name: str, *, of: str = "") -> list[float]:
    """The values at the severities; a ValueError names those that are missing."""
    if not severities:
        raise ValueError("nothing to average over")
    values = [curve.get(severity) for severity in severities]
    known = [value for value in values if value is not None and not math.isnan(value)]
    if len(known) == len(values):
        return known
    gaps = [str(severity) for severity, value in zip(severities, values, strict=True) if value is None or math.isnan(value)]
    missing = name if len(gaps) == len(severities) else f"{name} {' '.join(gaps)}"
    raise ValueError(f"not all measured; missing cells{of}: {missing}")


def _logit(accuracy: float) -> float:
    if not 0 < accuracy < 1:
        raise ValueError(f"accuracies of 0 and 1 have no logit: {accuracy:g} cannot be compared on that scale")
    return math.log(accuracy / (1 - accuracy))
