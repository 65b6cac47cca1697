"""The falls that a number of images can show, against simulated tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from robustbench_la.analysis.statistics.paired_tests import mcnemar
from robustbench_la.analysis.statistics.power import images_to_settle, smallest_fall, smallest_fall_among_changes
from robustbench_la.gate import baseline
from robustbench_la.gate.recorded import recorded

RUNS = 20_000


def power(images: int, lost: float, gained: float, level: float) -> float:
    """Share of simulated comparisons, with these probabilities per image, in which McNemar's exact test shows the fall."""
    rng = np.random.default_rng(0)
    draws = rng.multinomial(images, [lost, gained, 1 - lost - gained], size=RUNS)
    pairs, counts = np.unique(draws[:, :2], axis=0, return_counts=True)
    shown = [mcnemar(int(pair[0]), int(pair[1]), "less") <= level for pair in pairs]
    return float(np.sum(counts[shown]) / RUNS)


@pytest.mark.parametrize("images", [30, 200, 2000, 50_000])
@pytest.mark.parametrize("level", [0.05, 0.05 / 16])
def test_the_smallest_fall_without_gains_is_shown_in_four_of_five_runs(images: int, level: float) -> None:
    fall = smallest_fall(images, level)

    assert fall is not None
    assert power(images, fall, 0, level) == pytest.approx(0.8, abs=0.015)
    needed = next(count for count in range(1, 100) if mcnemar(count, 0, "less") <= level)
    assert stats.binom.sf(needed - 1, images, fall) == pytest.approx(0.8, abs=1e-9)


@pytest.mark.parametrize(("images", "changed"), [(2000, 0.1), (10_000, 0.05), (10_000, 0.4)])
@pytest.mark.parametrize("level", [0.05, 0.05 / 16])
def test_the_smallest_fall_among_changes_is_shown_in_about_four_of_five_runs(images: int, changed: float, level: float) -> None:
    fall = smallest_fall_among_changes(images, changed, level)

    assert fall is not None
    # The formula is of the normal law; the exact test is a little more careful.
    assert 0.76 < power(images, (changed + fall) / 2, (changed - fall) / 2, level) < 0.82


@pytest.mark.parametrize(("images", "changed"), [(500, 0.3), (2000, 0.1), (100_000, 0.02)])
def test_a_fall_that_can_just_be_shown_needs_just_as_many_images(images: int, changed: float) -> None:
    fall = smallest_fall_among_changes(images, changed, 0.05)
    assert fall is not None

    total = 10**9
    lost, gained = (round(total * (changed + sign * fall) / 2) for sign in (1, -1))
    assert images_to_settle(lost, gained, total, 0.05) == pytest.approx(images, abs=1)


def test_too_few_images_show_no_fall() -> None:
    assert smallest_fall(4, 0.05) is None
    assert smallest_fall(5, 0.05) == pytest.approx(0.8 ** (1 / 5))
    assert smallest_fall_among_changes(20, 0.05, 0.05) is None


def test_a_new_baseline_says_what_it_holds_and_what_it_can_show() -> None:
    known = baseline.read_baseline(Path(__file__).parent / "baselines" / "mnist-silu-11.json")
    accuracies, falls = recorded(known)

    clean, *noisy = (float(np.mean(known.correct(one))) for one in known.answers)
    assert accuracies == (
        "Accuracy of runs/mnist-silu-11.pt: "
        f"{100 * clean:.2f} % on clean images, {100 * np.mean(noisy):.2f} % in the mean over 3 corruptions."
    )
    best, mean = smallest_fall(2000, 0.05 / 19), smallest_fall(2000, 0.05)
    assert best is not None
    assert mean is not None
    assert f"2,000 images can show: {100 * best:.2g} points under one condition if answers only get worse, up to 2 if" in falls
    assert f"; {100 * mean:.2g} points of the mean if images are lost under every condition (power 80 %, " in falls
    assert "alpha 0.05 over 19 tests)" in falls


def test_a_baseline_records_the_smallest_falls_of_each_condition_and_of_the_mean() -> None:
    known = baseline.read_baseline(Path(__file__).parent / "baselines" / "mnist-silu-11.json")
    document = json.loads(baseline.encode(known))

    assert document["smallest_falls"] == {"mean": pytest.approx(smallest_fall(2000, 0.05), rel=1e-5), "power": 0.8, "alpha": 0.05}
    blur = next(row for row in document["conditions"] if (row["corruption"], row["severity"]) == ("gaussian_blur", 5))
    accuracy = blur["correct"] / 2000
    expected = (smallest_fall(2000, 0.05 / 19), smallest_fall_among_changes(2000, 2 * accuracy * (1 - accuracy), 0.05 / 19))
    assert blur["smallest_fall"] == pytest.approx(expected, rel=1e-5)
    assert all(len(row["smallest_fall"]) == 2 for row in document["conditions"])
