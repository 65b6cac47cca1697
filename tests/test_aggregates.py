"""Aggregates against published numbers, formulas written here, and statsmodels."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import statsmodels.api
from hypothesis import given
from hypothesis import strategies as st

from corruptions import CORRUPTIONS
from robustbench_la.analysis.metrics.condition_values import ConditionValues, Reference
from robustbench_la.analysis.metrics.formulas import (
    BaselineLine,
    area_under_severity,
    corruption_error,
    effective_robustness,
    fit_baselines,
    mean_nll,
    relative_robustness,
)
from robustbench_la.analysis.metrics.imagenet_c import ALEXNET, ALEXNET_CLEAN_ERROR, COMMON, GROUP_MEMBERS, SEVERITIES
from robustbench_la.analysis.metrics.means import Detail, Values, mean_columns
from robustbench_la.analysis.metrics.metrics import METRICS
from robustbench_la.records.cells import CLEAN, Condition

# Mean over the severities of AlexNet's errors, as later code bases carry them.
ALEXNET_MEANS = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}
# torchvision's ResNet-50. CE in percent: Geirhos et al. 2019 (one decimal), the row that Hendrycks & Dietterich 2019 round.
RESNET50_CE = dict(
    zip(COMMON, (79.8, 81.6, 82.6, 74.7, 88.6, 78.0, 79.9, 77.8, 74.8, 66.1, 56.6, 71.4, 84.8, 76.9, 76.8), strict=True)
)
RESNET50_CE_ROUNDED = (80, 82, 83, 75, 89, 78, 80, 78, 75, 66, 57, 71, 85, 77, 77)
# Top-1 accuracy in percent, mean over the severities, where it is published beside the CE.
RESNET50_ACCURACY = {
    "gaussian_noise": 29.29,
    "impulse_noise": 23.81,
    "defocus_blur": 38.75,
    "glass_blur": 26.79,
    "frost": 38.14,
    "fog": 45.83,
    "brightness": 68.02,
    "contrast": 39.06,
    "elastic_transform": 45.25,
}
RESNET50_CLEAN_ERROR = 0.2387
NETWORKS = (  # clean and corrupted accuracy, made up
    (0.55, 0.20),
    (0.70, 0.34),
    (0.73, 0.41),
    (0.76, 0.40),
    (0.78, 0.47),
)


def even(errors: dict[str, float]) -> dict[str, dict[int, float]]:
    """The same value at every severity, so that means over severities are these."""
    return {name: dict.fromkeys(SEVERITIES, value) for name, value in errors.items()}


def resnet50() -> dict[str, dict[int, float]]:
    """ResNet-50's errors: published ones, and the six that are only published relative to AlexNet's."""
    found = {name: RESNET50_CE[name] / 100 * ALEXNET_MEANS[name] for name in COMMON}
    return even(found | {name: 1 - value / 100 for name, value in RESNET50_ACCURACY.items()})


def random_cells(names: tuple[str, ...], seed: int = 0) -> dict[str, dict[int, float]]:
    generator = np.random.default_rng(seed)
    return {name: {severity: float(generator.uniform(0.1, 0.9)) for severity in SEVERITIES} for name in names}


Cells = dict[str, dict[int, float]]


def columns(
    metric: str,
    accuracies: Cells,
    *,
    clean: float | None = None,
    reference: Cells | None = None,
    reference_clean_error: float | None = ALEXNET_CLEAN_ERROR,
    detail: Detail = "group",
) -> Values:
    """The columns that a comparison shows of one network with these accuracies."""
    row = {Condition(corruption=name, severity=severity, parameters=(float(severity),), profile="imagenet-c"): value
           for name, values in accuracies.items() for severity, value in values.items()}  # fmt: skip
    row |= {} if clean is None else {CLEAN: clean}
    values = ConditionValues(
        group=SimpleNamespace(corruptions=tuple(accuracies)),
        conditions=tuple(row),
        rows=(row,),
        reference=Reference(name="reference", errors=reference or ALEXNET, clean_error=reference_clean_error),
    )
    return (METRICS[metric].derived or mean_columns)(values, detail)[0]


def left_by(errors: Cells) -> Cells:
    return {name: {severity: 1 - error for severity, error in row.items()} for name, row in errors.items()}


def mce(errors: Cells, reference: Cells | None = None) -> float:
    return columns("mce", left_by(errors), reference=reference)["mCE"]


def relative_mce(errors: Cells, clean_error: float, reference: Cells | None = None, below: float = ALEXNET_CLEAN_ERROR) -> float:
    found = columns("relative-mce", left_by(errors), clean=1 - clean_error, reference=reference, reference_clean_error=below)
    return found["relative mCE"]


def test_the_groups_hold_hendrycks_nineteen_corruptions_once() -> None:
    names = [name for members in GROUP_MEMBERS.values() for name in members]

    assert len(names) == len(set(names)) == 19
    assert len(COMMON) == 15
    assert tuple(ALEXNET) == COMMON


@pytest.mark.parametrize("corruption", CORRUPTIONS.values(), ids=CORRUPTIONS)
def test_the_groups_are_those_of_the_corruptions(corruption) -> None:
    assert corruption.name in GROUP_MEMBERS[corruption.group]


@pytest.mark.parametrize("corruption", COMMON)
def test_alexnets_errors_have_the_means_that_others_use(corruption: str) -> None:
    assert np.mean(list(ALEXNET[corruption].values())) == pytest.approx(ALEXNET_MEANS[corruption], abs=1e-9)


def test_resnet50_has_an_mce_of_76_7() -> None:
    assert round(100 * mce(resnet50()), 1) == 76.7


@pytest.mark.parametrize("corruption", RESNET50_ACCURACY)
def test_resnet50s_published_errors_give_its_published_corruption_errors(corruption: str) -> None:
    found = 100 * columns("mce", left_by(resnet50()))[corruption]

    assert found == pytest.approx(RESNET50_CE[corruption], abs=0.06)  # both sides are rounded
    assert round(found) == RESNET50_CE_ROUNDED[COMMON.index(corruption)]


def test_a_reference_has_an_mce_of_one_against_itself() -> None:
    assert mce(ALEXNET) == pytest.approx(1)
    assert relative_mce(ALEXNET, ALEXNET_CLEAN_ERROR) == pytest.approx(1)


def test_corruption_errors_are_ratios_of_sums_over_severities() -> None:
    errors, reference = random_cells(COMMON, 1), random_cells(COMMON, 2)
    table, below = (np.array([[cells[c][s] for s in SEVERITIES] for c in COMMON]) for cells in (errors, reference))
    ratios = table.sum(axis=1) / below.sum(axis=1)
    relative = (table - 0.05).sum(axis=1) / (below - 0.08).sum(axis=1)

    each = columns("mce", left_by(errors), reference=reference)
    of_drop = columns("relative-mce", left_by(errors), clean=0.95, reference=reference, reference_clean_error=0.08)
    assert [each[name] for name in COMMON] == pytest.approx(ratios)
    assert each["mCE"] == pytest.approx(ratios.mean())
    assert [of_drop[name] for name in COMMON] == pytest.approx(relative)
    assert of_drop["relative mCE"] == pytest.approx(relative.mean())
    assert columns("unnormalised-mce", left_by(errors))["unnormalised mCE"] == pytest.approx(table.mean())


def test_a_network_that_loses_nothing_under_noise_has_a_relative_mce_of_zero() -> None:
    assert relative_mce(even(dict.fromkeys(COMMON, 0.3)), 0.3) == pytest.approx(0, abs=1e-12)


def test_a_reference_that_loses_nothing_is_refused() -> None:
    flat = even(dict.fromkeys(COMMON, 0.3))
    with pytest.raises(ValueError, match="the reference loses no accuracy under gaussian_noise"):
        relative_mce(flat, 0.1, flat, 0.3)
    with pytest.raises(ValueError, match="the reference loses no accuracy under fog"):
        columns("mce", left_by(flat), reference=even({"fog": 0.0}))


@pytest.mark.parametrize("group", [*GROUP_MEMBERS, "mean corr."])
def test_a_group_is_the_mean_over_its_corruptions_and_severities(group: str) -> None:
    everything = tuple(name for members in GROUP_MEMBERS.values() for name in members)
    accuracies = random_cells(everything)
    expected = np.mean([accuracies[c][s] for c in GROUP_MEMBERS.get(group, everything) for s in SEVERITIES])

    column = group.capitalize() if group in GROUP_MEMBERS else group
    assert columns("top1", accuracies)[column] == pytest.approx(expected)


# LayerAct paper, CIFAR10-C: clean, total, noise, blur, digital, weather, extra; percent.
PAPER = {
    "ResNet-32 relu": (92.03, 72.00, 53.07, 67.62, 74.75, 80.44, 74.41),
    "ResNet-32 silu": (92.17, 71.70, 52.37, 67.21, 74.08, 80.51, 74.38),
    "ResNet-32 hardsilu": (91.77, 71.32, 52.75, 66.75, 73.39, 79.66, 74.28),
    "ResNet-32 la_silu": (92.20, 72.80, 54.02, 68.42, 75.13, 81.36, 75.51),
    "ResNet-32 la_hardsilu": (91.68, 72.60, 55.36, 67.71, 74.70, 80.53, 75.62),
    "ResNet-44 relu": (92.03, 73.71, 56.39, 70.03, 76.05, 81.27, 75.92),
    "ResNet-44 silu": (92.18, 72.45, 53.12, 68.64, 74.80, 80.88, 75.06),
    "ResNet-44 hardsilu": (91.42, 72.63, 55.51, 68.72, 74.73, 79.86, 75.34),
    "ResNet-44 la_silu": (92.36, 73.50, 55.29, 69.14, 75.73, 81.91, 76.19),
    "ResNet-44 la_hardsilu": (91.36, 73.33, 57.45, 68.48, 75.30, 80.64, 76.30),
}


@pytest.mark.parametrize("row", PAPER.values(), ids=PAPER)
def test_the_papers_totals_follow_from_its_groups_and_the_clean_images(row: tuple[float, ...]) -> None:
    clean, total, *groups = row
    by_group = dict(zip(("noise", "blur", "digital", "weather", "extra"), groups, strict=True))
    accuracies = even({name: by_group[group] for group, members in GROUP_MEMBERS.items() for name in members})

    found = columns("top1", accuracies, clean=clean)
    assert found["paper Total"] == pytest.approx(total, abs=0.015)  # all published numbers are rounded to 0.01
    assert found["mean corr."] < total - 0.9


MEANS = {  # metric, column, clean accuracy
    "mean corrupted accuracy": ("top1", "mean corr.", None),
    "group": ("top1", "Weather", None),
    "paper total": ("top1", "paper Total", 0.9),
    "mCE": ("mce", "mCE", None),
    "CE": ("mce", "fog", None),
    "relative mCE": ("relative-mce", "relative mCE", 0.9),
    "relative CE": ("relative-mce", "fog", 0.9),
    "unnormalised mCE": ("unnormalised-mce", "unnormalised mCE", None),
    "area": ("area", "mean corr.", 0.9),
}


@pytest.mark.parametrize(("metric", "column", "clean"), MEANS.values(), ids=MEANS)
def test_no_mean_is_taken_over_cells_that_are_not_all_there(metric: str, column: str, clean: float | None) -> None:
    cells = random_cells((*COMMON, *GROUP_MEMBERS["extra"]))
    assert columns(metric, cells, clean=clean)[column] is not None
    cells["fog"][3] = None

    assert columns(metric, cells, clean=clean)[column] is None


def test_severities_that_nobody_was_measured_at_are_named_corruption_by_corruption() -> None:
    cells = random_cells(COMMON)
    del cells["fog"][3], cells["frost"][1], cells["frost"][5]

    with pytest.raises(ValueError, match=r"missing cells: frost 1 5, fog 3$"):
        columns("unnormalised-mce", cells)
    with pytest.raises(ValueError, match="over severities 1 to 5, but frost was measured at 2, 3, 4 only"):
        columns("mce", {"frost": cells["frost"]})


def test_corruptions_measured_at_some_severities_only_have_no_corruption_error_and_there_is_no_mce() -> None:
    cells = random_cells(COMMON)
    del cells["fog"][3]

    assert set(columns("mce", cells)) == set(COMMON) - {"fog"}


@pytest.mark.parametrize("gap", [None, math.nan, "absent"])
def test_a_corruption_error_names_what_is_missing_and_of_whom(gap) -> None:
    own, reference = random_cells(("fog",))["fog"], dict(ALEXNET["fog"])
    for row in (own, reference):
        del row[5]
        row |= {} if gap == "absent" else {5: gap}

    with pytest.raises(ValueError, match=r"^missing cells: fog 5$"):
        corruption_error("fog", own, ALEXNET["fog"])
    with pytest.raises(ValueError, match=r"missing cells of the reference: fog 5$"):
        corruption_error("fog", ALEXNET["fog"], reference)
    with pytest.raises(ValueError, match=r"missing cells of the reference: fog$"):
        corruption_error("fog", ALEXNET["fog"], {})


def test_an_error_over_no_severities_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to average over"):
        corruption_error("fog", {}, ALEXNET["fog"], severities=())


def test_errors_are_what_accuracies_leave_and_gaps_stay_gaps() -> None:
    row = {Condition(corruption="fog", severity=k, parameters=(1.0,), profile="cifar-c"): v for k, v in ((1, 0.75), (2, None))}
    values = ConditionValues(group=SimpleNamespace(corruptions=("fog",)), conditions=tuple(row), rows=(row,), reference=None)

    assert values.errors(0) == {"fog": {1: 0.25, 2: None}}


def test_the_baseline_line_agrees_with_statsmodels_on_the_logit_scale() -> None:
    clean, corrupted = np.array(NETWORKS).T
    logits = np.log(clean / (1 - clean)), np.log(corrupted / (1 - corrupted))
    intercept, slope = statsmodels.api.OLS(logits[1], statsmodels.api.add_constant(logits[0])).fit().params
    fitted = statsmodels.api.OLS(logits[1], statsmodels.api.add_constant(logits[0])).fit()
    line = fit_baselines(clean.tolist(), corrupted.tolist(), "abcde")

    assert (line.intercept, line.slope, line.standard_error) == pytest.approx((intercept, slope, fitted.bse[1]))
    assert line.predict(0.74) == pytest.approx(1 / (1 + math.exp(-intercept - slope * math.log(0.74 / 0.26))))
    assert effective_robustness(0.74, 0.5, line) == pytest.approx(0.5 - line.predict(0.74))


@given(st.floats(0.2, 2), st.floats(-2, 2), st.floats(0.05, 0.95))
def test_a_network_on_the_line_has_no_effective_robustness(slope: float, intercept: float, clean: float) -> None:
    line = BaselineLine(slope=slope, intercept=intercept)
    across = [0.3, 0.5, 0.6, 0.9, 0.7]
    fitted = fit_baselines(across, [line.predict(value) for value in across], "abcde")

    assert effective_robustness(clean, line.predict(clean), fitted) == pytest.approx(0, abs=1e-6)
    assert effective_robustness(clean, line.predict(clean) + 0.02, fitted) == pytest.approx(0.02, abs=1e-6)


@pytest.mark.parametrize(
    ("clean", "corrupted", "of", "message"),
    [
        (
            [0.5, 0.6, 0.7, 0.8],
            [0.3, 0.4, 0.5, 0.6],
            "abcd",
            "at least 5 .* of at least 3 .* here are 4 of 4",
        ),
        ([0.5, 0.6, 0.7, 0.8, 0.9], [0.3, 0.4, 0.5, 0.6, 0.7], "aabbb", "here are 5 of 2"),
        ([0.5, 0.6, 0.7, 0.8, 0.9], [0.3, 0.4], "abcde", "each baseline needs"),
        ([0.5] * 5, [0.3, 0.4, 0.5, 0.6, 0.7], "abcde", "same clean accuracy"),
        ([0.5, 0.6, 1.0, 0.8, 0.9], [0.3, 0.4, 0.5, 0.6, 0.7], "abcde", "have no logit, so 1 "),
        ([0.5, 0.6, 0.7, 0.8, 0.9], [0.3, 0.4, 0.0, 0.6, 0.7], "abcde", "have no logit, so 0 "),
    ],
)
def test_baselines_without_a_line_are_refused(clean: list[float], corrupted: list[float], of: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_baselines(clean, corrupted, of)


def test_relative_robustness_is_what_the_measure_adds() -> None:
    assert relative_robustness(0.75, 0.5) == 0.25


@given(st.floats(0, 1), st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_the_area_is_numpys_trapezoid_over_five(clean: float, row: list[float]) -> None:
    accuracies = dict(zip(SEVERITIES, row, strict=True))

    assert area_under_severity(clean, accuracies) == pytest.approx(np.trapezoid([clean, *row], dx=1) / 5)


def test_the_area_of_unevenly_spaced_severities_knows_the_gaps() -> None:
    assert area_under_severity(1.0, {5: 0.0, 1: 1.0}, (5, 1)) == pytest.approx(np.trapezoid([1, 1, 0], [0, 1, 5]) / 5)


def test_an_area_over_a_curve_with_a_gap_is_refused() -> None:
    with pytest.raises(ValueError, match="the curve 4"):
        area_under_severity(1.0, {1: 0.9, 2: 0.8, 3: 0.7, 4: None, 5: 0.5})


def test_nothing_measured_has_no_nll() -> None:
    with pytest.raises(ValueError, match="no images"):
        mean_nll(0.0, 0)


def test_nll_is_the_sum_over_the_images() -> None:
    assert mean_nll(3.0, 4) == 0.75
