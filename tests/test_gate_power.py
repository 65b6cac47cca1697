"""How often the gate is wrong: real predictions of two MNIST networks, with a known share of answers changed."""

from __future__ import annotations

import dataclasses
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from robustbench_la.gate import baseline, judge
from robustbench_la.gate.tolerances import Rules
from robustbench_la.records.snapshot import Snapshot

HERE = Path(__file__).parent / "baselines"
"""2,000 test images under 16 conditions, answered by two networks that differ only in the seed of their training."""


def retrained(one: Snapshot, other: Snapshot, rng: np.random.Generator) -> tuple[Snapshot, Snapshot]:
    """Two networks of which neither is better: for each image it is drawn which of them gives which side's answers.

    So they disagree as two trainings do, in both directions and with an image's answers under all conditions hanging together.
    """
    swap = rng.random(one.images) < 0.5
    sides = []
    for left, right in ((one, other), (other, one)):
        pairs = zip(left.answers, right.answers, strict=True)
        answers = [
            dataclasses.replace(mine, predictions=np.where(swap, mine.predictions, theirs.predictions)) for mine, theirs in pairs
        ]
        sides.append(dataclasses.replace(left, answers=tuple(answers)))
    return sides[0], sides[1]


def spoilt(snapshot: Snapshot, points: float, rng: np.random.Generator) -> Snapshot:
    """Exactly so many points less accurate under every condition; mostly the same images under all."""
    order = rng.permutation(snapshot.images)
    answers = []
    for own in snapshot.answers:
        right = order[snapshot.correct(own)[order]]
        predictions = own.predictions.copy()
        gone = right[: round(points / 100 * snapshot.images)]
        predictions[gone] = (predictions[gone] + rng.integers(1, 10, len(gone))) % 10
        answers.append(dataclasses.replace(own, predictions=predictions))
    return dataclasses.replace(snapshot, answers=tuple(answers))


def some(snapshot: Snapshot, places: NDArray[np.int64]) -> Snapshot:
    """A part of the images."""
    answers = tuple(dataclasses.replace(own, predictions=own.predictions[places]) for own in snapshot.answers)
    return dataclasses.replace(snapshot, labels=snapshot.labels[places], ids=snapshot.ids[places], answers=answers)


def spoilt_by(snapshot: Snapshot, corruption: str, rng: np.random.Generator, *, same_images: bool) -> Snapshot:
    """Two points less accurate at every severity of one corruption: each time the same images, or others."""
    order = rng.permutation(snapshot.images)
    answers = []
    for own in snapshot.answers:
        predictions = own.predictions.copy()
        if own.condition.corruption == corruption:
            order = order if same_images else rng.permutation(snapshot.images)
            gone = order[snapshot.correct(own)[order]][: round(0.02 * snapshot.images)]
            predictions[gone] = (predictions[gone] + rng.integers(1, 10, len(gone))) % 10
        answers.append(dataclasses.replace(own, predictions=predictions))
    return dataclasses.replace(snapshot, answers=tuple(answers))


def found_by(images: int, runs: int, spoil: bool | None, rules: Rules, seed: int = 0) -> dict[str, float]:
    """Shares of runs in which the gate closed, and which tests did it.

    Args:
        images: How many of the 2,000, drawn anew in each run.
        runs: How many.
        spoil: Whether the images that are lost at the severities of one corruption are the same; None if none are lost.
        rules: Of the gate.
        seed: Of the draws.
    """
    one, other = (baseline.read_baseline(HERE / f"mnist-silu-{number}.json") for number in (11, 22))
    rng = np.random.default_rng(seed)
    seen: Counter[str] = Counter()
    for _ in range(runs):
        places = np.sort(rng.permutation(one.images)[:images])
        before, after = (some(side, places) for side in retrained(one, other, rng))
        if spoil is not None:
            after = spoilt_by(after, "gaussian_noise", rng, same_images=spoil)
        verdict = judge.judge(before, after, rules)
        seen["closed"] += bool(verdict.failing())
        seen["undecided"] += not verdict.failing() and bool(verdict.having("inconclusive"))
        for kind in ("accuracy", "corruption", "mean"):
            seen[kind] += any(row.subject == kind for row in verdict.failing())
    return {name: seen[name] / runs for name in ("closed", "accuracy", "corruption", "mean", "undecided")}


def rates(points: float, runs: int, seed: int = 0) -> dict[str, float]:
    """Shares of runs in which the gate closed, the mean corrupted accuracy regressed, something was inconclusive; and the share
    of conditions that regressed."""
    one, other = (baseline.read_baseline(HERE / f"mnist-silu-{number}.json") for number in (11, 22))
    rng = np.random.default_rng(seed)
    seen: Counter[str] = Counter()
    for _ in range(runs):
        before, after = retrained(one, other, rng)
        verdict = judge.judge(before, spoilt(after, points, rng), Rules())
        seen["closed"] += bool(verdict.failing())
        seen["mean"] += any(found.subject == "mean" for found in verdict.failing())
        seen["inconclusive"] += bool(verdict.having("inconclusive"))
        seen["conditions"] += sum(found.subject == "accuracy" for found in verdict.failing()) / len(one.answers)
    return {name: seen[name] / runs for name in ("closed", "mean", "inconclusive", "conditions")}


def test_sixty_retrained_networks_that_are_no_worse_pass() -> None:
    assert rates(0, runs=60)["closed"] == 0


def test_sixty_falls_of_two_points_are_caught() -> None:
    assert rates(2, runs=60)["closed"] == 1


@pytest.mark.slow
def test_five_hundred_runs_of_each_fall_are_judged_rightly(capsys: pytest.CaptureFixture[str]) -> None:
    """The table of the changelog; ``pytest --slow tests/test_gate_power.py`` prints it."""
    found = {points: rates(points, runs=500) for points in (0, 0.5, 1, 2)}
    with capsys.disabled():
        print("\n true fall   gate closed   mean regressed   something inconclusive   conditions regressed")
        for points, row in found.items():
            shares = "".join(f"{100 * share:{width}.1f} %" for share, width in zip(row.values(), (11, 14, 23, 21), strict=True))
            print(f" {points:4g} points{shares}")

    assert found[0]["closed"] <= 0.01
    assert found[2]["closed"] >= 0.95
    assert found[2]["conditions"] >= 0.95


def test_two_points_at_every_severity_of_one_corruption_are_found_with_three_hundred_images() -> None:
    assert found_by(300, 40, False, Rules())["corruption"] > 0.8


def test_the_gate_rarely_closes_without_a_reason_at_tolerance_zero() -> None:
    """Nominally in 5 % for the conditions and corruptions together, and in 5 % for the mean."""
    assert found_by(300, 100, None, Rules(drop=Fraction(0)))["mean"] <= 0.08


@pytest.mark.slow
def test_the_power_to_find_a_fall_under_one_corruption_and_the_false_alarms_at_tolerance_zero(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The tables of docs/guides/gate.md; ``pytest --slow tests/test_gate_power.py`` prints them."""
    cases = {
        "other images at each severity": (False, Rules()),
        "the same images": (True, Rules()),
        "no fall, tolerance 0": (None, Rules(drop=Fraction(0))),
    }
    for case, (spoil, rules) in cases.items():
        for images in (100, 300, 1000):
            row = found_by(images, 500, spoil, rules)
            with capsys.disabled():
                print(
                    f"\n{case}, {images} images:", ", ".join(f"{name} {100 * share:.1f} %" for name, share in row.items()), end=""
                )
            if spoil is None:
                assert row["mean"] <= 0.07
                assert row["closed"] <= 0.1
