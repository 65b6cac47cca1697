"""Many cells as one number, each with its formula and source. A mean over cells that are not all there is refused.

Accuracies and errors are fractions, keyed by corruption and severity: ``{"fog": {1: 0.93, 2: 0.91}}``. Every function raises
ValueError naming what lacks when a cell that its definition asks for is absent, None or NaN. No text, no records.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

Cells = Mapping[str, Mapping[int, float | None]]

SEVERITIES = (1, 2, 3, 4, 5)
MIN_BASELINES = 3
"""Networks that effective robustness fits its line through: two would lie on any line."""

GROUP_MEMBERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
        "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
        "weather": ("snow", "frost", "fog", "brightness"),
        "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
        "extra": ("speckle_noise", "gaussian_blur", "spatter", "saturate"),
    }
)
"""Hendrycks & Dietterich 2019. Written out, so that a group stays whole where a corruption cannot be made here yet."""
COMMON = tuple(name for group in ("noise", "blur", "weather", "digital") for name in GROUP_MEMBERS[group])
"""The 15 of mCE."""

ALEXNET: Mapping[str, Mapping[int, float]] = MappingProxyType(
    {
        name: MappingProxyType(dict(zip(SEVERITIES, errors, strict=True)))
        for name, errors in {
            "gaussian_noise": (0.69528, 0.82542, 0.93554, 0.98138, 0.99452),
            "shot_noise": (0.71224, 0.85108, 0.93574, 0.98182, 0.99146),
            "impulse_noise": (0.78374, 0.89808, 0.94870, 0.98720, 0.99548),
            "defocus_blur": (0.65624, 0.73202, 0.85036, 0.91364, 0.94714),
            "glass_blur": (0.64308, 0.75054, 0.88806, 0.91622, 0.93344),
            "motion_blur": (0.58430, 0.70048, 0.82108, 0.89750, 0.92638),
            "zoom_blur": (0.70008, 0.76992, 0.80784, 0.84198, 0.87198),
            "snow": (0.71726, 0.88392, 0.86468, 0.91870, 0.94952),
            "frost": (0.61390, 0.79734, 0.88790, 0.89942, 0.93430),
            "fog": (0.67474, 0.76050, 0.84378, 0.87260, 0.94500),
            "brightness": (0.45140, 0.48502, 0.54048, 0.62166, 0.72440),
            "contrast": (0.64548, 0.76150, 0.88874, 0.97760, 0.99270),
            "elastic_transform": (0.52596, 0.70116, 0.55686, 0.64076, 0.80554),
            "pixelate": (0.52218, 0.54620, 0.73728, 0.87092, 0.91262),
            "jpeg_compression": (0.51002, 0.54718, 0.57294, 0.65458, 0.74778),
        }.items()
    }
)
"""AlexNet's top-1 errors on ImageNet-C (Hendrycks & Dietterich 2019), the usual reference of mCE; none is published for Extra."""
ALEXNET_CLEAN_ERROR = 1 - 0.56522
"""torchvision's AlexNet on the clean validation images."""


def mean_corrupted_accuracy(
    accuracies: Cells, corruptions: Iterable[str] | None = None, severities: Sequence[int] = SEVERITIES
) -> float:
    """Mean over corruptions of the mean over severities.

    corruptions: those that must be there; None for all that ``accuracies`` holds.

    >>> mean_corrupted_accuracy({"fog": {1: 0.75, 2: 0.25}, "snow": {1: 0.5, 2: 0.5}}, severities=(1, 2))
    0.5
    """
    asked = tuple(accuracies if corruptions is None else corruptions)
    _require(accuracies, asked, severities)
    return _mean(_mean(_row(accuracies, name, severities)) for name in asked)


def group_accuracy(accuracies: Cells, group: str, severities: Sequence[int] = SEVERITIES) -> float:
    """Mean accuracy of one of Hendrycks' groups (GROUP_MEMBERS), whole or not at all; ``total``: of all corruptions given.

    A total of fewer corruptions is another figure; the LayerAct paper's Total is yet another: see paper_total.
    """
    if group != "total" and group not in GROUP_MEMBERS:
        raise ValueError(f"unknown group {group!r}: one of {', '.join(GROUP_MEMBERS)}, total")
    return mean_corrupted_accuracy(accuracies, GROUP_MEMBERS.get(group), severities)


def paper_total(accuracies: Cells, clean: float, severities: Sequence[int] = SEVERITIES) -> float:
    """The column Total of the LayerAct paper: the mean over all 19 corruptions and, as a twentieth, the clean images.

    The paper calls it the mean over all corruptions, but its printed totals follow from its printed groups (to 0.01 point in ten
    rows of ten) only with the clean accuracy among them, which lifts them by about one point.
    """
    everything = tuple(name for members in GROUP_MEMBERS.values() for name in members)
    corrupted = mean_corrupted_accuracy(accuracies, everything, severities)
    return (len(everything) * corrupted + clean) / (len(everything) + 1)


def errors_of(accuracies: Cells) -> dict[str, dict[int, float | None]]:
    """1 - accuracy in every cell; gaps stay gaps."""
    return {
        name: {severity: None if value is None else 1 - value for severity, value in row.items()}
        for name, row in accuracies.items()
    }


def corruption_error(errors: Cells, corruption: str, reference: Cells = ALEXNET, severities: Sequence[int] = SEVERITIES) -> float:
    """CE: sum over severities of the errors, over the same sum of the reference's (Hendrycks & Dietterich 2019).

    >>> corruption_error(ALEXNET, "fog")
    1.0
    """
    return relative_corruption_error(errors, 0.0, corruption, reference, 0.0, severities)


def mean_corruption_error(
    errors: Cells,
    reference: Cells = ALEXNET,
    corruptions: Sequence[str] = COMMON,
    severities: Sequence[int] = SEVERITIES,
) -> float:
    """mCE: the mean of CE over the 15 common corruptions (Hendrycks & Dietterich 2019). 1.0 is as bad as the reference."""
    return relative_mean_corruption_error(errors, 0.0, reference, 0.0, corruptions, severities)


def relative_corruption_error(
    errors: Cells,
    clean_error: float,
    corruption: str,
    reference: Cells = ALEXNET,
    reference_clean_error: float = ALEXNET_CLEAN_ERROR,
    severities: Sequence[int] = SEVERITIES,
) -> float:
    """Relative CE: as CE, with the clean error taken off every error on both sides (Hendrycks & Dietterich 2019).

    Raises ValueError when the reference's errors do not exceed its clean error.
    """
    _require(errors, (corruption,), severities)
    _require(reference, (corruption,), severities, whose="the reference's ")
    above = math.fsum(error - clean_error for error in _row(errors, corruption, severities))
    below = math.fsum(error - reference_clean_error for error in _row(reference, corruption, severities))
    if below <= 0:
        raise ValueError(f"the reference loses nothing under {corruption}: no error can be given relative to it")
    return above / below


def relative_mean_corruption_error(
    errors: Cells,
    clean_error: float,
    reference: Cells = ALEXNET,
    reference_clean_error: float = ALEXNET_CLEAN_ERROR,
    corruptions: Sequence[str] = COMMON,
    severities: Sequence[int] = SEVERITIES,
) -> float:
    """Relative mCE: the mean of relative CE over the 15 common corruptions (Hendrycks & Dietterich 2019)."""
    _require(errors, corruptions, severities)
    _require(reference, corruptions, severities, whose="the reference's ")
    return _mean(
        relative_corruption_error(errors, clean_error, name, reference, reference_clean_error, severities) for name in corruptions
    )


def unnormalised_mean_corruption_error(
    errors: Cells, corruptions: Sequence[str] = COMMON, severities: Sequence[int] = SEVERITIES
) -> float:
    """Mean error over the 15 common corruptions and their severities, without a reference (Hendrycks et al. 2020, AugMix)."""
    return mean_corrupted_accuracy(errors, corruptions, severities)


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

    Raises ValueError for fewer than MIN_BASELINES networks, or when all have the same clean accuracy.
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


def area_under_severity(clean: float, accuracies: Mapping[int, float | None], severities: Sequence[int] = SEVERITIES) -> float:
    """Area under accuracy against severity, 0 (clean) included, by trapezoids; the axis scaled to [0, 1], so 1 is the best.

    >>> area_under_severity(1.0, {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0, 5: 0.0})
    0.9
    """
    _require({"the curve": accuracies}, ("the curve",), severities)
    across = (0, *sorted(severities))
    up = (clean, *_row({"the curve": accuracies}, "the curve", across[1:]))
    steps = range(len(across) - 1)
    return math.fsum((across[i + 1] - across[i]) * (up[i] + up[i + 1]) / 2 for i in steps) / across[-1]


def mean_nll(nll_sum: float, total: int) -> float:
    """Mean negative log-likelihood of the labels, in nats."""
    if total < 1:
        raise ValueError("no images to average over")
    return nll_sum / total


def _require(cells: Cells, corruptions: Iterable[str], severities: Sequence[int], *, whose: str = "") -> None:
    """Raise ValueError naming the cells that lack."""
    asked = tuple(corruptions)
    if not asked or not severities:
        raise ValueError("nothing to average over")
    lacking = []
    for name in asked:
        row = cells.get(name, {})
        gaps = [str(severity) for severity in severities if not _is_number(row.get(severity))]
        if gaps:
            lacking.append(name if len(gaps) == len(severities) else f"{name} {' '.join(gaps)}")
    if lacking:
        raise ValueError(f"not all measured; {whose}cells that lack: {', '.join(lacking)}")


def _is_number(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _row(cells: Cells, corruption: str, severities: Sequence[int]) -> list[float]:
    """Values of one corruption; _require has made sure of them."""
    return [value for severity in severities if (value := cells[corruption][severity]) is not None]


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return math.fsum(found) / len(found)


def _logit(accuracy: float) -> float:
    if not 0 < accuracy < 1:
        raise ValueError(f"accuracies of 0 and 1 have no logit: {accuracy:g} cannot be compared on that scale")
    return math.log(accuracy / (1 - accuracy))
