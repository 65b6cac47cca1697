"""The expected calibration error against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustbench_la.records.calibration import BINS, expected_calibration_error, sums_by_bin


def ece_by_loop(confidences: list[float], correct: list[bool], bins: int) -> float:
    """As Guo et al. 2017 define it."""
    total = 0.0
    for m in range(1, bins + 1):
        inside = [i for i, c in enumerate(confidences) if (m - 1) / bins < c <= m / bins or (m == 1 and c == 0)]
        if inside:
            accuracy = sum(correct[i] for i in inside) / len(inside)
            confidence = sum(confidences[i] for i in inside) / len(inside)
            total += len(inside) / len(confidences) * abs(accuracy - confidence)
    return total


scored = st.lists(st.tuples(st.one_of(st.floats(0, 1), st.integers(0, 15).map(lambda m: m / 15)), st.booleans()), min_size=1)


@given(scored, st.sampled_from([1, 10, 15]))
def test_ece_agrees_with_its_definition(answers: list[tuple[float, bool]], bins: int) -> None:
    confidences, correct = [c for c, _ in answers], [right for _, right in answers]
    sums = sums_by_bin(confidences, correct, bins)

    assert expected_calibration_error(sums) == pytest.approx(ece_by_loop(confidences, correct, bins), abs=1e-12)
    assert sums[0].sum() == len(answers)
    assert sums[1].sum() == sum(correct)


@given(scored, scored)
def test_sums_of_parts_are_the_sums_of_the_whole(first: list[tuple[float, bool]], second: list[tuple[float, bool]]) -> None:
    parts = [sums_by_bin([c for c, _ in part], [right for _, right in part]) for part in (first, second, first + second)]
    together = parts[0] + parts[1]

    np.testing.assert_array_equal(together[:2], parts[2][:2])
    assert together[2] == pytest.approx(parts[2][2])


def test_a_network_as_good_as_it_thinks_is_calibrated() -> None:
    assert expected_calibration_error(sums_by_bin([0.5] * 4, [True, True, False, False])) == 0
    assert expected_calibration_error(sums_by_bin([1.0] * 4, [False] * 4)) == 1
    assert sums_by_bin([], []).shape == (3, BINS) == (3, 15)


@pytest.mark.parametrize(
    ("confidences", "correct", "message"),
    [
        ([1.1], [True], "between 0 and 1"),
        ([math.nan], [True], "between 0 and 1"),
        ([0.5], [True, False], "expected one confidence per prediction"),
    ],
)
def test_confidences_that_are_none_are_refused(confidences: list[float], correct: list[bool], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sums_by_bin(confidences, correct)


def test_nothing_measured_has_no_ece() -> None:
    with pytest.raises(ValueError, match="no predictions"):
        expected_calibration_error(np.zeros((3, 1)))
