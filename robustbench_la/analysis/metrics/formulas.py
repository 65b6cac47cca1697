"""Robustness formulas, each with its source: corruption errors, effective and relative robustness, area under the curve.

Accuracies and errors are fractions, keyed by severity. If a value that a definition needs is missing, a ValueError names it.
Means over corruptions are in means.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from robustbench_la.analysis.metrics.imagenet_c import SEVERITIES

Curve = Mapping[int, float | None]
"""Severity -> accuracy or error."""

MIN_BASELINES = 5
"""The smallest number of networks to fit the line of effective robustness through."""
MIN_ARCHITECTURES = 3
"""The smallest number of their architectures: the seeds of one are a cloud without a direction, and two clouds always lie on a
line."""


def corruption_error(
    corruption: str,
    errors: Curve,
    reference: Curve,
    *,
    clean_error: float = 0.0,
    reference_clean_error: float = 0.0,
    severities: Sequence[int] = SEVERITIES,
) -> float:
    """CE: sum of errors over severities, divided by the same sum of the reference (Hendrycks & Dietterich 2019).

    If clean errors are given, relative CE: they are subtracted from every error.

    Args:
        corruption: Name of the corruption, for messages.
        errors: Errors of the network, as fractions by severity.
        reference: Errors of the reference network, as fractions by severity.
        clean_error: Error of the network on clean images, for relative CE.
        reference_clean_error: Error of the reference on clean images, for relative CE.
        severities: The severities to sum over.

    Returns:
        The (relative) corruption error; 1 for the reference itself.

    Raises:
        ValueError: If an error is missing, or the errors of the reference do not exceed its clean error.

    >>> from robustbench_la.analysis.metrics.imagenet_c import ALEXNET
    >>> corruption_error("fog", ALEXNET["fog"], ALEXNET["fog"])
    1.0
    """
    network_errors = _complete(errors, severities, corruption)
    reference_errors = _complete(reference, severities, corruption, of=" of the reference")
    above = math.fsum(error - clean_error for error in network_errors)
    below = math.fsum(error - reference_clean_error for error in reference_errors)
    if below <= 0:
        raise ValueError(f"the reference loses no accuracy under {corruption}, so nothing can be given relative to it")
    return above / below


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineLine:
    """logit(corrupted accuracy) = intercept + slope * logit(clean accuracy)."""

    slope: float
    intercept: float
    standard_error: float = 0.0
    """Of the slope."""
    networks: int = 0
    """Number of points that it was fitted through."""

    def predict(self, clean: float) -> float:
        """The corrupted accuracy expected of a baseline with this clean accuracy; both are fractions."""
        return 1 / (1 + math.exp(-(self.intercept + self.slope * _logit(clean))))


def fit_baselines(clean: Sequence[float], corrupted: Sequence[float], architectures: Sequence[str]) -> BaselineLine:
    """Fit a line through the accuracies of the baseline networks by least squares on the logit scale (Taori et al. 2020).

    Args:
        clean: Clean accuracy of each network, a fraction between 0 and 1.
        corrupted: Corrupted accuracy of each network, a fraction between 0 and 1.
        architectures: Architecture of each network.

    Returns:
        The line.

    Raises:
        ValueError: If there are fewer than MIN_BASELINES networks, or fewer than MIN_ARCHITECTURES architectures, or all have the
            same clean accuracy.
    """
    if not len(clean) == len(corrupted) == len(architectures):
        raise ValueError("each baseline needs a clean accuracy, a corrupted accuracy and an architecture")
    several = len(set(architectures))
    if len(clean) < MIN_BASELINES or several < MIN_ARCHITECTURES:
        raise ValueError(
            f"effective robustness needs a line through at least {MIN_BASELINES} element-level networks of at least "
            f"{MIN_ARCHITECTURES} architectures, measured alike; here are {len(clean)} of {several} (training seeds of one "
            "architecture show no trend)"
        )
    across, up = [_logit(value) for value in clean], [_logit(value) for value in corrupted]
    if max(across) - min(across) < 1e-9:
        raise ValueError("all baselines have the same clean accuracy, so no line can be fitted")
    from scipy.stats import linregress

    fit = linregress(across, up)
    return BaselineLine(
        slope=float(fit.slope), intercept=float(fit.intercept), standard_error=float(fit.stderr), networks=len(clean)
    )


def effective_robustness(clean: float, corrupted: float, line: BaselineLine) -> float:
    """Corrupted accuracy beyond what the clean accuracy predicts (Taori et al. 2020): a fraction, 0 for a baseline on the line.

    >>> effective_robustness(0.9, 0.75, BaselineLine(slope=1, intercept=0)) < 0
    True
    """
    return corrupted - line.predict(clean)


def relative_robustness(corrupted: float, corrupted_without: float) -> float:
    """Corrupted accuracy minus that of the same network without the intervention, here its counterpart (Taori et al. 2020)."""
    return corrupted - corrupted_without


def area_under_severity(clean: float, accuracies: Curve, severities: Sequence[int] = SEVERITIES) -> float:
    """Area under the accuracy-severity curve by the trapezoidal rule; clean images are severity 0.

    Args:
        clean: Accuracy on clean images, a fraction.
        accuracies: Accuracies by severity, as fractions.
        severities: The severities to include.

    Returns:
        The area with the severity axis scaled to [0, 1]: 1 is perfect.

    Raises:
        ValueError: If an accuracy is missing.

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
    """The values at the severities; raises a ValueError that names missing ones."""
    if not severities:
        raise ValueError("nothing to average over")
    values = [curve.get(severity) for severity in severities]
    present = [value for value in values if value is not None and not math.isnan(value)]
    if len(present) == len(values):
        return present
    gaps = [str(severity) for severity, value in zip(severities, values, strict=True) if value is None or math.isnan(value)]
    missing = name if len(gaps) == len(severities) else f"{name} {' '.join(gaps)}"
    raise ValueError(f"missing cells{of}: {missing}")


def _logit(accuracy: float) -> float:
    if not 0 < accuracy < 1:
        raise ValueError(f"accuracies of 0 and 1 have no logit, so {accuracy:g} cannot be compared on the logit scale")
    return math.log(accuracy / (1 - accuracy))
