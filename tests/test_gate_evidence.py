"""What a number of images can prove: the gate says what it cannot see, and counts as one what is one piece of evidence."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from robustbench_la.analysis.statistics.power import smallest_fall, smallest_fall_given
from robustbench_la.analysis.statistics.sign_flip import sign_flip
from robustbench_la.api.checking import CheckResult
from robustbench_la.gate import baseline, github, judge, junit, report
from robustbench_la.gate.subjects import MEAN
from robustbench_la.gate.tolerances import Rules, parse_rules
from robustbench_la.gate.verdict import Judgement, Verdict
from robustbench_la.output import terminal
from robustbench_la.records.cells import CLEAN, Condition, Pass
from robustbench_la.records.snapshot import Answers, Snapshot

MNIST = baseline.read_baseline(Path(__file__).parent / "baselines" / "mnist-silu-11.json")
LEVELS = [
    Condition(corruption=name, severity=severity, parameters=(float(severity),), profile="cifar-c")
    for name in ("gaussian_noise", "shot_noise", "gaussian_blur")
    for severity in range(1, 6)
]
"""Fifteen conditions; with clean sixteen."""

Wrong = dict[Condition, Sequence[int]]


def network(
    images: int, wrong: Wrong, *, conditions: Sequence[Condition] = LEVELS, seeds: int = 1, sha256: str = "a"
) -> Snapshot:
    """A snapshot that is right except for the images named for each condition, with every noise seed."""
    labels = np.zeros(images, dtype=np.uint16)
    answers = []
    for condition in (CLEAN, *conditions):
        predictions = labels.copy()
        predictions[list(wrong.get(condition, ()))] = 1
        passes = [Pass(condition, None)] if condition == CLEAN else [Pass(condition, seed) for seed in range(seeds)]
        answers += [Answers(pass_=one, predictions=predictions) for one in passes]
    return dataclasses.replace(
        MNIST,
        labels=labels,
        ids=np.arange(images),
        dataset_images=images,
        noise_seeds=seeds,
        answers=tuple(answers),
        network=dataclasses.replace(MNIST.network, sha256=64 * sha256),
    )


def judged(was: Snapshot, now: Snapshot, rules: Rules | None = None) -> dict[str, Judgement]:
    return {one.name: one for one in judge.judge(was, now, rules).judgements}


@pytest.fixture
def few_images() -> Verdict:
    """Eight of a hundred images lost under one of sixteen conditions, none gained."""
    return judge.judge(network(100, {}), network(100, {LEVELS[4]: range(8)}, sha256="b"))


def test_eight_points_of_a_hundred_images_under_sixteen_conditions_do_not_read_pass(few_images: Verdict) -> None:
    row, mean = few_images.having("inconclusive")

    assert (mean.name, mean.difference) == ("gaussian_noise mean", -0.016)
    assert (row.name, row.difference, row.p) == ("gaussian_noise 5", -0.08, pytest.approx(19 * 0.5**8))
    assert report.headline(few_images).startswith(
        "INCONCLUSIVE: 2 of 20 cannot be decided by these images (gaussian_noise 5 -8.00, "
    )
    assert "PASS" not in report.headline(few_images)


def test_inconclusive_is_a_mark_of_its_own_in_every_output(few_images: Verdict) -> None:
    document = json.loads(json.dumps(report.verdict_document(few_images), allow_nan=False))
    case = next(
        case
        for case in ElementTree.fromstring(junit.junit(few_images)).iter("testcase")
        if case.get("name") == "gaussian_noise 5"
    )

    assert "gaussian_noise 5     inconclusive" in terminal.plain(report.verdict_tables(few_images), width=80)
    assert (document["verdict"], document["failed"], document["judgements"][0]["outcome"]) == (
        "inconclusive",
        False,
        "inconclusive",
    )
    assert [(each.tag, each.get("type")) for each in case] == [("skipped", "inconclusive")]
    assert github.verdict_markdown(few_images).startswith("### ⚠️ larobust: INCONCLUSIVE")
    assert "| inconclusive |" in github.verdict_markdown(few_images)
    assert github.github(few_images)[0].startswith("::warning title=larobust%3A inconclusive::gaussian_noise 5")


def test_python_tells_it_from_a_pass_as_well(few_images: Verdict) -> None:
    loose, strict = (CheckResult(verdict=few_images, strict=strict) for strict in (False, True))

    assert (loose.outcome, loose.passed) == ("inconclusive", True)
    assert (strict.outcome, strict.passed) == ("inconclusive", False)
    assert repr(loose).startswith("INCONCLUSIVE")


def test_strict_makes_it_red(few_images: Verdict) -> None:
    assert not few_images.failing()
    assert [one.name for one in few_images.failing(strict=True)] == ["gaussian_noise 5", "gaussian_noise mean"]
    assert github.verdict_markdown(few_images, strict=True).startswith("### ❌ larobust: INCONCLUSIVE")
    assert "--strict fails that" in report.headline(few_images, strict=True)


def test_a_loss_within_the_tolerance_is_no_pass_where_a_larger_one_could_not_be_seen() -> None:
    """One of a hundred images is lost: no more than the tolerance of one point, but only a fall of eleven would be found."""
    few = judged(network(100, {}), network(100, {LEVELS[0]: [3]}, sha256="b"))["gaussian_noise 1"]
    many = judged(network(5000, {}), network(5000, {LEVELS[0]: range(5)}, sha256="b"))["gaussian_noise 1"]

    assert (few.outcome, many.outcome) == ("inconclusive", "pass")
    assert few.smallest_fall is not None
    assert few.smallest_fall > 0.1
    assert few.images_to_settle is not None
    assert "a fall beyond the tolerance cannot be excluded, about" in report.explain(few)


def test_no_loss_at_all_passes_however_few_the_images() -> None:
    assert {one.outcome for one in judged(network(30, {}), network(30, {}, sha256="b")).values()} == {"pass"}


@pytest.mark.parametrize(("images", "lost", "gained"), [(300, 0, 0), (1000, 12, 4), (2000, 30, 28)])
def test_the_smallest_fall_is_found_in_four_of_five_runs(images: int, lost: int, gained: int) -> None:
    """McNemar's test on simulated losses and gains, as many in sum as were observed, or losses alone where none were."""
    changes = np.concatenate([-np.ones(lost), np.ones(gained), np.zeros(images - lost - gained)])
    level = 0.05 / 19
    fall = smallest_fall_given(changes, level)
    assert fall is not None

    changed = max((lost + gained) / images, fall)
    chances = [(changed + fall) / 2, (changed - fall) / 2, 1 - changed]
    runs = np.random.default_rng(0).multinomial(images, chances, size=4000)
    found = [stats.binom.cdf(up, up + down, 0.5) <= level for down, up, _ in runs]
    assert 0.75 < np.mean(found) < 0.87  # counts are whole, and of two formulas the safer holds


def test_the_smallest_fall_of_a_mean_is_found_in_four_of_five_runs() -> None:
    """Changes by fifteenths, as of a mean over fifteen conditions, moved by the fall and tested as the gate tests them."""
    rng = np.random.default_rng(3)
    pool = rng.integers(-3, 4, 5000) * (rng.random(5000) < 0.2)
    fall = smallest_fall_given(pool[:300] / 15, 0.05)
    assert fall is not None

    found = 0
    for _ in range(600):
        changes = rng.choice(pool - round(pool.mean()), 300)
        turned = (changes > 0) & (rng.random(300) < fall * 15 / (2 * np.maximum(pool, 0).mean()))
        found += sign_flip(np.where(turned, -changes, changes))[0] <= 0.05
    assert 0.7 < found / 600 < 0.9


def test_check_prints_the_smallest_fall_of_each_condition_and_of_the_mean(few_images: Verdict) -> None:
    table = report.verdict_tables(few_images)[0]
    column = [one.name for one in table.columns].index("smallest_fall")
    shown = {str(row.values[0]): row.values[column] for row in table.rows}

    assert shown["clean"] == smallest_fall(100, 0.05 / 19)
    fewest = smallest_fall(100, 0.05)
    assert fewest is not None
    assert fewest / 15 < shown[MEAN] < 0.006  # of eight images that changed under one of fifteen conditions
    assert "smallest fall of mean corr., points" in junit.junit(few_images).decode()


def test_a_sign_flip_test_is_scipys_permutation_test() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        changes = rng.integers(-6, 7, 9)
        listed = [
            stats.permutation_test((changes,), np.sum, permutation_type="samples", alternative=side, n_resamples=np.inf).pvalue
            for side in ("less", "greater")
        ]
        assert sign_flip(changes) == pytest.approx(listed, abs=1e-12)


def test_a_sign_flip_test_of_losses_and_gains_is_mcnemars() -> None:
    assert sign_flip([-1] * 68 + [1] * 10 + [0] * 500)[0] == pytest.approx(stats.binom.cdf(10, 78, 0.5))
    assert sign_flip([-5] * 68 + [5] * 10) == sign_flip([-1] * 68 + [1] * 10)


def test_very_many_changes_are_normal_to_three_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = np.random.default_rng(2).integers(-30, 31, 3000) - (np.arange(3000) % 16 == 0)
    exact = sign_flip(changes)
    monkeypatch.setattr("robustbench_la.analysis.statistics.sign_flip._MOST_STEPS", 0)

    assert sign_flip(changes) == pytest.approx(exact, rel=2e-3)


def test_three_lost_images_of_two_hundred_do_not_close_the_gate() -> None:
    """They are lost under every condition; the exact p-value of the mean is one eighth."""
    wrong = dict.fromkeys(LEVELS, range(3))
    verdict = judge.judge(network(200, {}), network(200, wrong, sha256="b"), Rules(drop=parse_rules(["0"]).drop))
    mean = next(one for one in verdict.judgements if one.name == MEAN)

    assert (mean.p, mean.outcome, mean.difference) == (0.125, "inconclusive", -0.015)
    assert not verdict.failing()


def test_the_same_answers_under_five_noise_seeds_are_the_same_evidence_as_under_one() -> None:
    """58 lost and 28 gained of 2,000: a regression with one seed; corrected for five times as many tests it would pass."""
    was, now = range(28), range(28, 86)
    verdicts = [
        judged(
            network(2000, {LEVELS[0]: was}, conditions=LEVELS[:2], seeds=seeds),
            network(2000, {LEVELS[0]: now}, conditions=LEVELS[:2], seeds=seeds, sha256="b"),
        )
        for seeds in (1, 5)
    ]

    assert verdicts[0] == verdicts[1]
    row = verdicts[1]["gaussian_noise 1"]
    assert (row.outcome, row.lost, row.gained) == ("regression", 58, 28)


def test_noise_seeds_that_differ_are_averaged_per_image() -> None:
    """An image that is lost with one of two seeds is lost by half: 12 half losses have the p-value of 12 losses, not of 6."""
    was = network(400, {}, conditions=LEVELS[:1], seeds=2)
    answers = list(was.answers)
    for number, lost in ((1, range(6)), (2, range(6, 12))):
        predictions = answers[number].predictions.copy()
        predictions[list(lost)] = 1
        answers[number] = dataclasses.replace(answers[number], predictions=predictions)
    now = dataclasses.replace(was, answers=tuple(answers), network=dataclasses.replace(was.network, sha256="b" * 64))

    row = judged(was, now)["gaussian_noise 1"]
    assert (row.difference, row.lost) == (-0.015, 12)
    assert row.p == pytest.approx(2 * 0.5**12)


def test_a_corruption_is_judged_over_its_levels() -> None:
    """Six other images are lost under each of five severities: 2 points, which no severity alone can show."""
    wrong = {condition: range(6 * place, 6 * place + 6) for place, condition in enumerate(LEVELS[:5])}
    found = judged(network(300, {}), network(300, wrong, sha256="b"))

    assert {found[f"gaussian_noise {severity}"].outcome for severity in range(1, 6)} == {"inconclusive"}
    assert found["gaussian_noise mean"].outcome == "regression"
    assert found["gaussian_noise mean"].p == pytest.approx(19 * 0.5**30, rel=1e-3)
    assert found["shot_noise mean"].outcome == "pass"


def test_a_corruption_with_one_level_is_not_judged_twice() -> None:
    assert judge.names(network(50, {}, conditions=[LEVELS[0], LEVELS[5]])) == ["clean", "gaussian_noise 1", "shot_noise 1", MEAN]


def test_a_tolerance_names_a_condition_with_or_without_its_jpeg() -> None:
    stored = [dataclasses.replace(condition, jpeg=85) for condition in LEVELS]
    was, now = network(2000, {}, conditions=stored), network(2000, {stored[0]: range(60)}, conditions=stored, sha256="b")

    assert judged(was, now)["gaussian_noise 1, JPEG 85"].outcome == "regression"
    assert judged(was, now, parse_rules(["gaussian_noise 1:4"]))["gaussian_noise 1, JPEG 85"].outcome == "pass"


def test_the_only_corruption_is_judged_as_the_mean_over_corruptions() -> None:
    was = network(50, {}, conditions=LEVELS[:5])

    assert judge.names(was)[-2:] == ["gaussian_noise 5", MEAN]
    assert judge.names(was, lambda condition: condition != CLEAN)[-1] == "gaussian_noise mean"
    judge.check_rules(was, parse_rules(["gaussian_noise mean:0.5"]))


def test_the_tolerance_of_a_corruption_holds_for_its_mean_unless_that_has_its_own() -> None:
    was, now = network(2000, {}), network(2000, dict.fromkeys(LEVELS[:5], range(30)), sha256="b")

    assert judged(was, now, parse_rules(["gaussian_noise:2"]))["gaussian_noise mean"].outcome == "pass"
    assert judged(was, now, parse_rules(["2", "gaussian_noise mean:1"]))["gaussian_noise mean"].outcome == "regression"


def test_the_same_checkpoint_that_answers_differently_is_a_difference_of_arithmetic() -> None:
    was = network(1000, {LEVELS[4]: range(14)})
    now = dataclasses.replace(
        network(1000, {LEVELS[4]: range(14, 40)}), provenance={**was.provenance, "torch": "9.9", "device": "cuda"}
    )
    verdict = judge.judge(was, now)

    assert [one.name for one in verdict.having("arithmetic")] == ["gaussian_noise 5"]
    assert not verdict.having("regression")
    assert not verdict.failing()
    assert [one.name for one in verdict.failing(strict=True)] == ["gaussian_noise 5"]
    assert report.headline(verdict).startswith(
        "ARITHMETIC: 1 of 20 differ by the arithmetic of this machine, for the same checkpoint"
    )
    (remark,) = verdict.remarks
    assert remark.startswith(
        "the same checkpoint as the baseline's: 40 of 16,000 answers differ by the arithmetic of this machine ("
    )
    assert "torch: 2.15.0+cu132 in the baseline, 9.9 now; device: cpu in the baseline, cuda now" in remark


def test_the_same_checkpoint_that_loses_half_of_all_answers_is_a_regression() -> None:
    """Rounding does not explain that; one image that differs stays arithmetic even where the tolerance alone decides."""
    was = network(1000, {})
    verdict = judge.judge(was, network(1000, dict.fromkeys([CLEAN, *LEVELS], range(500))))
    few = judge.judge(was, network(1000, {LEVELS[4]: [7]}), parse_rules(["0"], alpha=1))

    assert len(verdict.failing()) == 20
    assert verdict.remarks[0].startswith(
        "the same checkpoint as the baseline's: 8,000 of 16,000 answers differ by the arithmetic"
    )
    assert "more than rounding" in verdict.remarks[1]
    assert [few.failing(), {one.name for one in few.having("arithmetic")}] == [
        [],
        {"gaussian_noise 5", "gaussian_noise mean", MEAN},
    ]


def test_images_too_few_to_show_any_fall_decide_nothing() -> None:
    verdict = judge.judge(network(5, {}), network(5, {}, sha256="b"))

    assert report.headline(verdict).startswith("INCONCLUSIVE: 19 of 20 cannot be decided by these images (")
    assert (len(verdict.failing()), len(verdict.failing(strict=True))) == (0, 19)
    assert github.verdict_markdown(verdict).startswith("### ⚠️ larobust: INCONCLUSIVE")
    assert github.github(verdict)[0].startswith("::warning title=larobust%3A inconclusive::")


def test_a_pass_that_may_hide_a_fall_beyond_the_tolerance_is_remarked() -> None:
    few, many = (judge.judge(network(images, {}), network(images, {}, sha256="b")) for images in (300, 5000))

    assert "exceeds the tolerance of everything that passed (up to 3.77 points)" in few.remarks[-1]
    assert not any("tolerance" in remark for remark in many.remarks)


def test_the_number_of_images_that_decides_a_mean_is_that_of_its_fractions() -> None:
    """5 of 100 images lose one of five severities; with that many, the test finds such a fall four times out of five."""
    wrong = {condition: [place] for place, condition in enumerate(LEVELS[:5])}
    was, now = network(100, {}, conditions=LEVELS[:6]), network(100, wrong, conditions=LEVELS[:6], sha256="b")
    row = judged(was, now)["gaussian_noise mean"]

    assert row.images_to_settle is not None
    lost = np.random.default_rng(0).binomial(row.images_to_settle, 0.05, 4000)
    assert 0.75 < np.mean(0.5**lost <= 0.05 / 8) < 0.92


def test_the_tolerance_of_the_only_corruption_holds_for_the_mean() -> None:
    wrong = dict.fromkeys(LEVELS[:5], range(40))
    was, now = network(2000, {}, conditions=LEVELS[:5]), network(2000, wrong, conditions=LEVELS[:5], sha256="b")

    assert judged(was, now)[MEAN].outcome == "regression"
    assert judged(was, now, parse_rules(["gaussian_noise:3"]))[MEAN].outcome == "pass"


@pytest.mark.filterwarnings("error")
def test_a_single_image_with_several_noise_seeds_leaves_everything_possible() -> None:
    was = network(1, {}, conditions=LEVELS[:1], seeds=2)
    answers = [*was.answers[:2], dataclasses.replace(was.answers[2], predictions=was.labels + np.uint16(1))]
    now = dataclasses.replace(was, answers=tuple(answers), network=dataclasses.replace(was.network, sha256="b" * 64))

    row = judged(was, now)["gaussian_noise 1"]
    assert (row.difference, row.low, row.high) == (-0.5, -1, 1)


def test_another_checkpoint_with_the_same_answers_is_a_regression_all_the_same() -> None:
    now = network(1000, {LEVELS[4]: range(40)}, sha256="b")

    assert judged(network(1000, {}), now)["gaussian_noise 5"].outcome == "regression"
