"""Judging: every verdict by the rule that README states, against scipy's and statsmodels' numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests

from robustbench_la.analysis.statistics.power import images_to_settle, images_to_settle_mean
from robustbench_la.errors import NotComparableError, NothingSelectedError, UserError
from robustbench_la.gate import baseline, judge
from robustbench_la.gate.subjects import MEAN, Subject
from robustbench_la.gate.tolerances import Rules, parse_rules
from robustbench_la.gate.verdict import Judgement
from robustbench_la.records.cells import CLEAN, Condition, ImageSetting, Pass
from robustbench_la.records.snapshot import Answers, Fluctuation, Snapshot, quantise

MNIST = Path(__file__).parent / "baselines" / "mnist-silu-11.json"
IMAGES = 1000


def condition(place: int, corruption: str = "gaussian_noise") -> Condition:
    return Condition(corruption=corruption, severity=None, parameters=(float(place),), profile=None)


def named(snapshot: Snapshot, **changes: object) -> Snapshot:
    """The snapshot of another network."""
    return dataclasses.replace(snapshot, network=dataclasses.replace(snapshot.network, **changes))


def side(*wrong: range | list[int], conditions: list[Condition] | None = None) -> Snapshot:
    """A snapshot of IMAGES images, all of them right but for those that are named for each condition (the first is clean)."""
    base = baseline.read_baseline(MNIST)
    labels = np.zeros(IMAGES, dtype=np.uint16)
    conditions = conditions or [CLEAN, *(condition(place) for place in range(1, len(wrong)))]
    answers = []
    for own, places in zip(conditions, wrong, strict=True):
        predictions = labels.copy()
        predictions[list(places)] = 1
        answers.append(Answers(pass_=Pass(own, None if own == CLEAN else 0), predictions=predictions))
    return dataclasses.replace(base, labels=labels, ids=np.arange(IMAGES), answers=tuple(answers))


def other(snapshot: Snapshot) -> Snapshot:
    """The snapshot as another network's."""
    return named(snapshot, sha256="e" * 64)


def judged(was: Snapshot, now: Snapshot, rules: Rules | None = None) -> dict[str, Judgement]:
    """The judgements on another network."""
    return {one.name: one for one in judge.judge(was, other(now), rules).judgements}


def test_a_fall_beyond_the_tolerance_that_is_significant_is_a_regression() -> None:
    found = judged(side([], []), side([], range(30)))["gaussian_noise=1"]

    assert found.outcome == "regression"
    assert (found.baseline, found.now, found.difference) == (1.0, 0.97, -0.03)
    assert (found.lost, found.gained, found.images) == (30, 0, IMAGES)


def test_a_fall_beyond_the_tolerance_that_chance_may_have_made_is_inconclusive_and_tells_how_many_images_would_settle_it() -> (
    None
):
    was, now = side(range(300), range(300)), side(range(300), range(40, 352))
    found = judged(was, now)["gaussian_noise=1"]

    assert found.outcome == "inconclusive"
    assert (found.lost, found.gained) == (52, 40)
    differ, fall = 0.092, 0.012
    z_level, z_power = scipy.stats.norm.isf(0.05 / 2), scipy.stats.norm.ppf(0.8)
    expected = (z_level * math.sqrt(differ) + z_power * math.sqrt(differ - fall**2)) ** 2 / fall**2
    assert found.images_to_settle == math.ceil(expected)


def test_so_many_images_do_settle_it_four_times_out_of_five() -> None:
    images = images_to_settle(52, 40, IMAGES, 0.025)
    assert images is not None
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(images, [0.052, 0.040, 0.908], size=4000)

    caught = np.mean([scipy.stats.binomtest(lost, lost + gained, 0.5, "greater").pvalue <= 0.025 for lost, gained, _ in drawn])
    assert caught == pytest.approx(0.8, abs=0.02)


def test_so_many_images_settle_a_mean_four_times_out_of_five() -> None:
    rng = np.random.default_rng(0)
    images = images_to_settle_mean(rng.normal(0.1, 1, 100_000), 0.05)
    assert images is not None
    means = rng.normal(0.1, 1, (4000, images)).mean(1)

    assert np.mean(means * math.sqrt(images) > scipy.stats.norm.isf(0.05)) == pytest.approx(0.8, abs=0.03)


def test_a_fall_within_the_tolerance_passes_however_significant() -> None:
    found = judged(side([], []), side([], range(10)))["gaussian_noise=1"]

    assert found.outcome == "pass"
    assert found.p is not None
    assert found.p < 0.01


@pytest.mark.parametrize("tolerance", ["0.1", "0.3", "0.7", "1", "2.3"])
def test_a_fall_of_exactly_the_tolerance_is_not_more_than_it(tolerance: str) -> None:
    lost = int(Fraction(tolerance) * IMAGES / 100)
    rules = parse_rules([tolerance], alpha=1)

    assert judged(side([], []), side([], range(lost)), rules)["gaussian_noise=1"].outcome == "pass"
    assert judged(side([], []), side([], range(lost + 1)), rules)["gaussian_noise=1"].outcome == "regression"


def test_a_condition_that_vanished_is_a_regression() -> None:
    was = side([], [], [])
    now = dataclasses.replace(was, answers=was.answers[:2])
    verdict = judge.judge(was, now)

    assert verdict.judgements[0].name == "gaussian_noise=2"
    assert (verdict.judgements[0].outcome, verdict.judgements[0].now) == ("regression", None)
    assert verdict.failing() == [verdict.judgements[0]]


def test_a_custom_level_that_was_stored_as_jpeg_is_not_one_that_vanished() -> None:
    was = side([], [])
    stored = dataclasses.replace(was.answers[1], pass_=Pass(dataclasses.replace(was.answers[1].condition, jpeg=85), 0))

    with pytest.raises(
        NotComparableError, match=r"level of gaussian_noise=1: 1 \(custom\) in the baseline, 1 \(custom\), JPEG 85 here"
    ):
        judge.judge(was, dataclasses.replace(was, answers=(was.answers[0], stored)))


def test_a_condition_that_is_new_changes_nothing() -> None:
    was = side([], [])

    assert judge.judge(was, side([], [], range(900))).judgements == judge.judge(was, side([], [])).judgements


def test_a_significant_rise_beyond_the_tolerance_is_an_improvement() -> None:
    assert judged(side([], range(40)), side([], []))["gaussian_noise=1"].outcome == "improved"
    assert judged(side([], range(10)), side([], []))["gaussian_noise=1"].outcome == "pass"


def test_the_p_values_are_binomial_tails_corrected_by_holm_over_the_conditions() -> None:
    was, now = side([], range(5), range(9), range(2)), side(range(3), range(3, 21), range(4, 17), [])
    by_scipy = []
    for one, other in zip(was.answers, now.answers, strict=True):
        lost = int(np.sum(was.correct(one) & ~now.correct(other)))
        gained = int(np.sum(~was.correct(one) & now.correct(other)))
        by_scipy.append(scipy.stats.binomtest(lost, lost + gained, 0.5, "greater").pvalue)
    expected = multipletests(by_scipy, method="holm")[1]

    found = judged(was, now)
    assert [found[str(one.condition)].p for one in was.answers] == pytest.approx(list(expected))


def test_with_alpha_one_the_tolerance_alone_decides() -> None:
    was, now = side(range(300), range(300)), side(range(300), range(40, 352))

    assert judged(was, now, parse_rules(alpha=1))["gaussian_noise=1"].outcome == "regression"


def test_more_conditions_ask_for_more_evidence() -> None:
    """14 of 14 images lost have p = 6e-5: significant among 16 conditions, not among a thousand."""
    few = [range(0)] * 16
    many = [range(0)] * 1000

    assert judged(side(*few), side(*few[:-1], range(14)))["gaussian_noise=15"].outcome == "regression"
    assert judged(side(*many), side(*many[:-1], range(14)))["gaussian_noise=999"].outcome == "inconclusive"


def test_the_mean_is_that_of_the_tables_over_corruptions_of_the_mean_over_levels() -> None:
    conditions = [CLEAN, condition(1), condition(2), condition(3, "shot_noise")]
    was = side([], [], [], [], conditions=conditions)
    now = side([], range(20), range(30), range(30, 70), conditions=conditions)
    found = judged(was, now)[MEAN]

    assert found.difference == pytest.approx(-(0.025 + 0.04) / 2)
    assert found.outcome == "regression"
    assert found.low is not None
    assert found.high is not None
    assert found.low < -0.0325 < found.high < 0


def test_a_mean_is_not_judged_over_what_happens_to_be_there() -> None:
    was = side([], [], [])

    assert MEAN in judged(was, was)
    assert MEAN not in judged(was, dataclasses.replace(was, answers=was.answers[:2]))
    assert MEAN not in judged(side([], []), side([], []))
    chosen = judge.judge(was, was, only=lambda one: one == CLEAN)
    assert [one.name for one in chosen.judgements] == ["clean"]


def test_the_names_are_those_of_the_judgements() -> None:
    was = moved(1.0)

    assert sorted(judge.names(was)) == sorted(judged(was, was))
    assert judge.names(side([], []))[-1] == "gaussian_noise=1"


def test_the_worst_stands_first() -> None:
    was = side([], [], [], range(300), range(50))
    now = side([], range(40), range(60), range(45, 360), [])

    outcomes = [(one.name, one.outcome) for one in judge.judge(was, other(now)).judgements if one.subject == "accuracy"]
    assert outcomes == [
        ("gaussian_noise=2", "regression"),
        ("gaussian_noise=1", "regression"),
        ("gaussian_noise=3", "inconclusive"),
        ("clean", "pass"),
        ("gaussian_noise=4", "improved"),
    ]


DIFFERENT: dict[str, tuple[Callable[[Snapshot], Snapshot], str]] = {
    "data": (lambda one: dataclasses.replace(one, fingerprint="a" * 64), "data (fingerprint): mnist:data"),
    "images": (lambda one: dataclasses.replace(one, labels=one.labels[:500]), "number of images: 1,000 in the baseline, 500"),
    "resize": (lambda one: dataclasses.replace(one, resize=32), "resize: None in the baseline, 32"),
    "crop": (lambda one: dataclasses.replace(one, crop=24), "crop: None in the baseline, 24"),
    "normalization": (lambda one: named(one, normalization="mnist"), "normalization: half in the baseline, mnist"),
    "precision": (lambda one: dataclasses.replace(one, precision="bfloat16 autocast"), "precision: float32 in the baseline, bfl"),
    "seed": (
        lambda one: dataclasses.replace(
            one, answers=(one.answers[0], dataclasses.replace(one.answers[1], pass_=one.answers[1].pass_._replace(noise_seed=7)))
        ),
        "noise seed of shot_noise 3: 0 in the baseline, 7 here",
    ),
    "level": (
        lambda one: dataclasses.replace(
            one,
            answers=(
                one.answers[0],
                dataclasses.replace(
                    one.answers[1],
                    pass_=Pass(dataclasses.replace(one.answers[1].condition, profile="tiny-c", parameters=(60.0,)), 0),
                ),
            ),
        ),
        "level of shot_noise 3: 100 (cifar-c) in the baseline, 60 (tiny-c) here",
    ),
    "jpeg": (
        lambda one: dataclasses.replace(
            one,
            answers=(
                one.answers[0],
                dataclasses.replace(
                    one.answers[1], pass_=Pass(dataclasses.replace(one.answers[1].condition, jpeg=85, noise_version=1), 0)
                ),
            ),
        ),
        "level of shot_noise 3: 100 (cifar-c) in the baseline, 100 (cifar-c), JPEG 85, noise version 1 here",
    ),
}


@pytest.mark.parametrize(("change", "words"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_was_measured_otherwise_is_not_comparable_and_the_difference_is_named(
    change: Callable[[Snapshot], Snapshot], words: str
) -> None:
    noise = Condition(corruption="shot_noise", severity=3, parameters=(100.0,), profile="cifar-c")
    was = side([], [], conditions=[CLEAN, noise])

    with pytest.raises(NotComparableError) as caught:
        judge.judge(was, change(was))
    assert words in str(caught.value)


def test_everything_that_differs_is_named_at_once() -> None:
    was = side([], [])

    with pytest.raises(NotComparableError, match=r"resize.*; normalization"):
        judge.judge(was, named(dataclasses.replace(was, resize=32), normalization="mnist"))


def test_a_filter_or_a_baseline_without_conditions_selects_nothing() -> None:
    was = side([], [])

    with pytest.raises(NothingSelectedError, match=r"that matches --noise and --severity, only clean, gaussian_noise=1$"):
        judge.judge(was, was, only=lambda one: one.corruption == "fog")
    with pytest.raises(NothingSelectedError, match="holds no condition"):
        judge.judge(dataclasses.replace(was, answers=()), was)


def test_another_activation_is_told_and_does_not_count_as_another_measurement() -> None:
    was = side([], [])

    assert "activation: silu in the baseline, la_silu now" in judge.judge(was, named(was, activation="la_silu")).remarks
    assert "the same checkpoint as the baseline's" in judge.judge(was, was).remarks


def moved(by: float, *, spread: float = 0.1, images: int = 400, places: tuple[int, ...] = (1, 2)) -> Snapshot:
    """Fluctuations of images around 0.2, times ``by``."""
    rng = np.random.default_rng(5)
    values = 0.2 * np.exp(rng.normal(0, 0.5, images))
    noise = np.exp(np.random.default_rng(int(1000 * by)).normal(0, spread, images))
    fluctuations = tuple(
        Fluctuation(
            pass_=Pass(condition(place), 0),
            absolute=(1.0,),
            relative=(0.2 * by,),
            per_image=quantise(values * noise * by),
        )
        for place in places
    )
    return dataclasses.replace(side([], [], []), layers=("act",), fluctuations=fluctuations)


@pytest.mark.parametrize(
    ("by", "outcome"), [(1.0, "pass"), (1.05, "pass"), (1.2, "regression"), (0.95, "pass"), (0.8, "improved")]
)
def test_fluctuation_is_judged_by_its_relative_rise(by: float, outcome: str) -> None:
    found = judged(moved(1.001), moved(by))["fluctuation under gaussian_noise=1"]

    assert found.outcome == outcome
    assert found.difference == pytest.approx(by - 1, abs=0.03)
    assert found.tolerance == 0.1


def test_a_rise_of_the_fluctuation_that_chance_may_have_made_is_inconclusive() -> None:
    was, now = moved(1.001, spread=0.8, images=60), moved(1.4, spread=0.8, images=60)
    found = judged(was, now, parse_rules(rises=["1%"], alpha=1e-3))

    row = found["fluctuation under gaussian_noise=1"]
    assert row.outcome == "inconclusive"
    assert row.images_to_settle is not None
    assert row.images_to_settle > 60


def test_a_large_change_is_significant_at_any_level() -> None:
    """Also where no number of resamples could tell its p-value from 0."""
    was, now = moved(1.001, places=tuple(range(1, 30))), moved(2.0, places=tuple(range(1, 30)))
    found = judged(was, now, parse_rules(alpha=1e-6))
    assert {row.outcome for name, row in found.items() if name.startswith("fluctuation")} == {"regression"}

    was, now = side([], [], []), side([], range(90), range(90))
    assert judged(was, now, parse_rules(alpha=1e-6))[MEAN].outcome == "regression"


def test_the_mean_of_a_single_image_is_not_judged() -> None:
    one = side([], [], [])
    first = tuple(dataclasses.replace(answers, predictions=answers.predictions[:1]) for answers in one.answers)
    one = dataclasses.replace(one, labels=one.labels[:1], ids=one.ids[:1], answers=first)

    assert MEAN not in judged(one, one)
    assert MEAN not in judge.names(one)


def test_a_ratio_of_fluctuations_that_are_nearly_all_zero_is_not_judged() -> None:
    was = moved(1.0)
    codes = was.fluctuations[0].per_image.copy()
    codes[39:] = 0
    was = dataclasses.replace(was, fluctuations=(dataclasses.replace(was.fluctuations[0], per_image=codes), was.fluctuations[1]))
    verdict = judge.judge(was, was)

    assert [one.name for one in verdict.judgements if one.subject == "fluctuation"] == ["fluctuation under gaussian_noise=2"]
    assert "fluctuation under gaussian_noise=1 is not judged: too few images move any activation" in verdict.remarks


def test_every_field_of_the_images_setting_is_compared() -> None:
    """Also those that are added: two measurements on differently prepared images are never judged."""
    was = side([], [])
    compared = {field.name for field in dataclasses.fields(ImageSetting)} - {"data", "dataset_images"}
    for name in compared:
        other = dataclasses.replace(was, **{name: "0" * 64 if name == "fingerprint" else 7})
        with pytest.raises(NotComparableError, match=name):
            judge.judge(was, other)


def test_other_labels_under_the_same_fingerprint_are_not_compared() -> None:
    was = side([], [])

    with pytest.raises(NotComparableError, match="do not match its fingerprint"):
        judge.judge(dataclasses.replace(was, labels=was.labels + np.uint16(1)), was)


def test_fluctuation_that_is_not_there_any_more_is_a_regression_and_one_that_was_never_measured_is_told() -> None:
    was = moved(1.0)

    assert judged(was, moved(1.0, places=(1,)))["fluctuation under gaussian_noise=2"].outcome == "regression"
    verdict = judge.judge(was, side([], [], []))
    assert verdict.failing() == []
    assert "fluctuation was not measured, so it is not judged" in verdict.remarks


@pytest.mark.parametrize(("by", "outcome"), [(0.8, "improved"), (1.2, "regression")])
def test_fluctuation_that_is_missing_is_no_test_in_either_direction(
    monkeypatch: pytest.MonkeyPatch, by: float, outcome: str
) -> None:
    """A p-value of 0.03 is below 0.05 as the only one, and would not be as one of two."""
    monkeypatch.setattr("robustbench_la.gate.judge_fluctuation._p", lambda *_: 0.03)
    found = judged(moved(1.001), moved(by, places=(1,)))

    assert found["fluctuation under gaussian_noise=1"].outcome == outcome


def test_images_whose_activation_is_all_zero_are_left_out() -> None:
    was, now = moved(1.0), moved(1.0)
    codes = now.fluctuations[0].per_image.copy()
    codes[:100] = quantise(np.full(100, np.nan))
    now = dataclasses.replace(now, fluctuations=(dataclasses.replace(now.fluctuations[0], per_image=codes), now.fluctuations[1]))

    found = judged(was, now)["fluctuation under gaussian_noise=1"]
    assert (found.images, found.outcome, found.difference) == (300, "pass", 0)


def test_tolerances_go_by_the_most_exact_name() -> None:
    rules = parse_rules(
        ["0.5", "noise:2", "gaussian_noise:1.5", "gaussian_noise 5:3", "clean:0.25", "mean:0.1"], ["fluctuation:20%"]
    )
    severe = Condition(corruption="gaussian_noise", severity=5, parameters=(0.1,), profile="cifar-c")

    def drop_of(condition: Condition) -> Fraction:
        return rules.drop_of(Subject(str(condition), "accuracy", condition, (), (str(condition), condition.corruption)))

    assert drop_of(severe) == 3
    assert drop_of(dataclasses.replace(severe, severity=4)) == Fraction(3, 2)
    assert drop_of(dataclasses.replace(severe, corruption="shot_noise")) == 2
    assert drop_of(dataclasses.replace(severe, corruption="gaussian_blur")) == Fraction(1, 2)
    assert drop_of(CLEAN) == Fraction(1, 4)
    assert parse_rules(["noise mean:0.25"]).drops["shot_noise mean"] == Fraction(1, 4)
    assert rules.drops["mean"] == Fraction(1, 10)
    assert rules.rise == 20


def test_a_level_is_a_number_however_it_is_written() -> None:
    assert parse_rules(["gaussian_noise=0.050:9"]).drops == {"gaussian_noise=0.05": 9}


@pytest.mark.parametrize("word", ["", "x", "-1", "nan", "inf", "1e9", "1/0", "gaussian_noise:", "gausian:1", "1%", "fog=:1"])
def test_a_tolerance_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(UserError, match=r"--max-drop|unknown corruption"):
        parse_rules([word])


def test_a_small_tolerance_is_read_exactly_as_python_writes_it() -> None:
    assert parse_rules([str(1e-5), "clean:0.000001", "mean:0"]).drop == Fraction(1, 100_000)
    assert parse_rules(["5e-324"]).drop > 0


def test_a_tolerance_in_percent_is_told_how_points_are_written() -> None:
    with pytest.raises(UserError, match=r"--max-drop clean:30%: a tolerance is in points .* write --max-drop clean:30$"):
        parse_rules(["clean:30%"])


@pytest.mark.parametrize("word", ["10", "fluctuation:10", "blur:10%", "fluctuation:-1%", "%"])
def test_a_rise_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(UserError, match="fluctuation:10%"):
        parse_rules(rises=[word])


@pytest.mark.parametrize("alpha", [0, -1, 1.01, math.nan])
def test_a_level_beyond_zero_and_one_is_refused(alpha: float) -> None:
    with pytest.raises(UserError, match="alpha must be above 0"):
        parse_rules(alpha=alpha)
