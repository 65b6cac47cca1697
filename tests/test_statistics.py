"""Intervals and tests against published examples, statsmodels, scipy and formulas written here."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from robustbench_la.analysis.statistics.bootstrap import paired_bootstrap
from robustbench_la.analysis.statistics.paired_tests import holm, mcnemar, paired_difference, paired_t, wilson
from robustbench_la.analysis.statistics.seed_tests import MIN_SEEDS, SeedTest, compare_seeds, over_seeds

NORMAL_ONE = [0.9143, 0.9151, 0.9149, 0.9160, 0.9138, 0.9155, 0.9147]
NORMAL_OTHER = [0.9121, 0.9148, 0.9139, 0.9133, 0.9135, 0.9140, 0.9142]
SKEWED = [0.10, 0.11, 0.12, 0.13, 0.14, 0.15, 0.99]  # Shapiro-Wilk: p = 0.0001


def answers(both: int, gained: int, lost: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong, image by image, with these counts."""
    counts = [both, gained, lost, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@given(st.integers(1, 20_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))), st.floats(0.5, 0.999))
def test_wilson_agrees_with_statsmodels_and_holds_the_share(counts: tuple[int, int], confidence: float) -> None:
    correct, total = counts
    low, high = wilson(correct, total, confidence)

    assert (low, high) == pytest.approx(proportion_confint(correct, total, 1 - confidence, "wilson"), abs=1e-12)
    assert 0 <= low <= correct / total <= high <= 1


@pytest.mark.parametrize(("correct", "total"), [(0, 0), (-1, 5), (6, 5)])
def test_a_share_that_is_none_is_refused(correct: int, total: int) -> None:
    with pytest.raises(ValueError, match=f"{correct} of {total} is not a proportion"):
        wilson(correct, total)


def test_mcnemar_gives_the_published_p_values() -> None:
    """Fagerland, Lydersen & Laake 2013, BMC Medical Research Methodology 13:91: 1 against 7, and 6 against 16."""
    assert mcnemar(7, 1) == pytest.approx(0.0703, abs=5e-5)
    assert mcnemar(16, 6) == pytest.approx(0.0525, abs=5e-5)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_mcnemar_agrees_with_statsmodels_and_with_the_binomial_test(lost: int, gained: int) -> None:
    table = [[50, gained], [lost, 50]]
    expected = statsmodels_mcnemar(table, exact=True).pvalue if lost + gained else 1.0

    assert mcnemar(lost, gained) == pytest.approx(expected, rel=1e-9)
    if lost + gained:
        for alternative in ("less", "greater"):
            by_scipy = scipy.stats.binomtest(gained, lost + gained, 0.5, alternative).pvalue
            assert mcnemar(lost, gained, alternative) == pytest.approx(by_scipy, rel=1e-9)


def test_without_flips_there_is_no_evidence_in_any_direction() -> None:
    assert [mcnemar(0, 0, alternative) for alternative in ("two-sided", "less", "greater")] == [1.0, 1.0, 1.0]


def test_less_asks_whether_more_was_lost_than_gained() -> None:
    assert mcnemar(20, 2, "less") < 0.001 < 0.99 < mcnemar(20, 2, "greater")


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        mcnemar(-1, 3)


@pytest.mark.parametrize(
    ("counts", "low", "high", "digits"),
    [
        (
            (1, 1, 7, 12),
            -0.507,
            -0.026,
            3,
        ),  # Bentur et al. 2009 in Fagerland, Lydersen & Laake 2014, Statistics in Medicine 33:2850
        ((59, 6, 16, 80), -0.1186, -0.0046, 4),  # Cavo et al. 2012, as R's contingencytables prints it
        ((14, 5, 0, 22), 0.01, 0.23, 2),  # Altman et al. 2000, Statistics with Confidence, table 6.2
    ],
)
def test_the_interval_of_a_paired_difference_is_the_published_one(
    counts: tuple[int, int, int, int], low: float, high: float, digits: int
) -> None:
    difference = paired_difference(*answers(*counts))

    assert (round(difference.low, digits), round(difference.high, digits)) == (low, high)
    assert difference.value == pytest.approx((counts[1] - counts[2]) / sum(counts))
    assert (difference.gained, difference.lost, difference.total) == (counts[1], counts[2], sum(counts))
    assert difference.p == mcnemar(difference.lost, difference.gained)


counted = st.tuples(*[st.integers(0, 300)] * 4).filter(any)


@given(counted)
def test_a_paired_difference_turns_round_with_its_sides(counts: tuple[int, int, int, int]) -> None:
    one, other = answers(*counts)
    forth, back = paired_difference(one, other), paired_difference(other, one)

    assert (back.value, back.lost, back.gained, back.p) == (-forth.value, forth.gained, forth.lost, forth.p)
    assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low), abs=1e-12)
    assert -1 <= forth.low <= forth.value + 1e-12
    assert forth.value - 1e-12 <= forth.high <= 1


@given(counted, st.integers(0, 2**32))
def test_the_order_of_the_images_does_not_matter(counts: tuple[int, int, int, int], seed: int) -> None:
    one, other = answers(*counts)
    order = np.random.default_rng(seed).permutation(one.size)

    assert paired_difference(one[order], other[order]) == paired_difference(one, other)


def test_without_flips_the_interval_is_narrow_but_not_nothing() -> None:
    difference = paired_difference(*answers(1600, 0, 0, 400))

    assert difference.value == 0
    assert difference.p == 1
    assert 0.0005 < difference.high < 1 - 0.025 ** (1 / 2000)  # below the exact limit of "no flip in 2,000"
    assert difference.low == -difference.high


@pytest.mark.parametrize("true_difference", [0.0, 0.02, 0.1])
def test_the_interval_of_a_paired_difference_holds_the_truth_as_often_as_it_says(true_difference: float) -> None:
    generator = np.random.default_rng(5)
    lost = 0.03
    shares = [0.7, lost + true_difference, lost, 0.27 - lost - true_difference]
    counts = generator.multinomial(200, np.array(shares) / sum(shares), size=1000)
    truth = true_difference / sum(shares)
    differences = [paired_difference(*answers(*row)) for row in counts]

    assert 0.93 < np.mean([found.low <= truth <= found.high for found in differences]) < 0.99


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ([1, 0], [1, 0], "must be booleans"),
        ([True], [True, False], "same length along one axis"),
        (np.zeros(0, bool), np.zeros(0, bool), "too few pairs: 0"),
    ],
)
def test_answers_that_cannot_be_paired_are_refused(one, other, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_difference(one, other)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40))
def test_over_seeds_agrees_with_statsmodels(values: list[float]) -> None:
    spread, reference = over_seeds(values), DescrStatsW(values)

    assert spread.mean == pytest.approx(reference.mean, abs=1e-9)
    assert spread.deviation == pytest.approx(math.sqrt(reference.var_ddof(1)), abs=1e-9)
    assert spread.count == len(values)
    low, high = reference.tconfint_mean(0.05) if np.ptp(values) else (values[0], values[0])
    assert (spread.low, spread.high) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_intervals_by_hand_are_those_of_scipy(confidence: float) -> None:
    values = np.random.default_rng(3).uniform(0.6, 0.9, 7)
    by_hand = over_seeds(values, confidence)
    by_scipy = scipy.stats.t.interval(confidence, 6, values.mean(), scipy.stats.sem(values))

    assert (by_hand.low, by_hand.high) == pytest.approx(by_scipy, rel=1e-12)
    for correct, total in ((0, 5), (3, 7), (950, 1000), (12, 12)):
        share = scipy.stats.binomtest(correct, total).proportion_ci(confidence, method="wilson")
        assert wilson(correct, total, confidence) == pytest.approx((share.low, share.high), rel=1e-9, abs=1e-15)


def test_the_paired_t_of_differences_is_scipys_of_the_pairs() -> None:
    one, other = np.random.default_rng(5).random((2, 40))
    by_scipy = scipy.stats.ttest_rel(one, other)

    assert paired_t(one - other) == (by_scipy.statistic, by_scipy.pvalue)
    assert paired_t(np.zeros(3)) == (None, 1.0)
    assert paired_t(np.ones(3)) == (None, None)


def test_one_seed_has_a_mean_and_no_spread() -> None:
    spread = over_seeds([0.5])

    assert (spread.mean, spread.deviation, spread.count, spread.low, spread.high) == (0.5, None, 1, None, None)


@pytest.mark.parametrize(("values", "message"), [([], "no values"), ([0.5, math.nan], "finite"), ([[0.5]], "one axis")])
def test_values_that_have_no_mean_are_refused(values: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        over_seeds(values)


def test_two_samples_that_look_normal_get_the_paired_t_test() -> None:
    found = compare_seeds(NORMAL_ONE, NORMAL_OTHER)
    difference = np.subtract(NORMAL_ONE, NORMAL_OTHER)
    t = difference.mean() / (difference.std(ddof=1) / math.sqrt(7))

    assert found.test == "paired t-test"
    assert found.statistic == pytest.approx(t)
    assert found.p == pytest.approx(DescrStatsW(difference).ttest_mean(0)[1])
    assert found.effect == pytest.approx(t / math.sqrt(7))
    assert found.difference == pytest.approx(difference.mean())
    assert (found.low, found.high) == pytest.approx(DescrStatsW(difference).tconfint_mean())


@pytest.mark.parametrize("skewed_first", [True, False])
def test_one_sample_that_does_not_look_normal_is_enough_for_the_signed_rank_test(skewed_first: bool) -> None:
    one, other = (SKEWED, NORMAL_ONE) if skewed_first else (NORMAL_ONE, SKEWED)
    found = compare_seeds(one, other)

    assert found.test == "Wilcoxon signed-rank"
    assert found.p == scipy.stats.wilcoxon(one, other).pvalue
    assert found.statistic == scipy.stats.wilcoxon(one, other).statistic


def test_the_signed_rank_test_gives_the_textbook_answer() -> None:
    """Darwin's cross- and self-fertilised plants: differences in eighths of an inch, rank sums 96 and 24, p = 0.041 of 15."""
    darwin = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], float)
    base = np.array([0.0] * 14 + [1000.0])  # one outlier: not normal, so the signed-rank test is taken
    found = compare_seeds(base + darwin, base)

    assert found.test == "Wilcoxon signed-rank"
    assert found.statistic == 24
    assert found.p == pytest.approx(0.0413, abs=5e-5)
    assert found.effect == pytest.approx((96 - 24) / 120)


def sign_patterns(count: int) -> Iterator[tuple[int, ...]]:
    return itertools.product((-1, 1), repeat=count)


def signed_rank_by_brute_force(differences: list[int]) -> float:
    ranks = scipy.stats.rankdata(np.abs(differences))
    seen = abs(ranks @ np.sign(differences))
    sums = [abs(sum(rank * sign for rank, sign in zip(ranks, signs, strict=True))) for signs in sign_patterns(len(ranks))]
    return sum(found >= seen for found in sums) / len(sums)


@settings(deadline=None)
@given(st.lists(st.sampled_from([-4, -3, -2, -1, 1, 2, 3, 4]), min_size=5, max_size=7))
def test_tied_differences_are_tested_exactly(steps: list[int]) -> None:
    base = np.array([*SKEWED, 0.2, 0.21])[-len(steps) :]
    found = compare_seeds(base + np.array(steps) / 100, base)

    assert found.test == "Wilcoxon signed-rank"
    assert found.p == pytest.approx(signed_rank_by_brute_force(steps))


def test_tied_differences_are_tested_as_by_scipys_permutations() -> None:
    steps = np.array([1, 1, -2, 3, 3, 3, -4, 5, 2, 2, 6, 0])
    base = np.array([*SKEWED, 0.2, 0.21, 0.22, 0.23, 0.24])
    reference = scipy.stats.wilcoxon(steps[steps != 0], method=scipy.stats.PermutationMethod())

    assert compare_seeds(base + steps / 100, base).p == pytest.approx(reference.pvalue)


def test_many_tied_differences_get_the_corrected_normal_law() -> None:
    steps = np.array([1, 2, 2, -1, 3] * 6)
    base = np.array([*SKEWED, *SKEWED, *SKEWED, *SKEWED, 0.1, 0.2])
    found = compare_seeds(base + steps / 100, base)

    assert found.test == "Wilcoxon signed-rank"
    assert found.p == pytest.approx(scipy.stats.wilcoxon(steps).pvalue)


def test_fewer_than_five_seeds_have_a_difference_and_no_p_value() -> None:
    found = compare_seeds(NORMAL_ONE[:4], NORMAL_OTHER[:4])

    assert MIN_SEEDS == 5
    assert (found.test, found.statistic, found.p, found.effect) == (None, None, None, None)
    assert found.count == 4
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.difference < found.high


def test_one_seed_has_a_difference_and_no_interval() -> None:
    found = compare_seeds([0.75], [0.5])

    assert found == SeedTest(count=1, difference=0.25, low=None, high=None, test=None, statistic=None, p=None, effect=None)


def test_no_difference_at_any_seed_is_no_evidence() -> None:
    found = compare_seeds(NORMAL_ONE, NORMAL_ONE)

    assert (found.p, found.difference, found.effect) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("step", [0.1, 0.01, 1e-6])
def test_the_same_difference_at_every_seed_is_as_sure_as_its_signs_and_no_surer(step: float) -> None:
    """A t-test would divide by a spread that is only rounding, and give p = 0."""
    found = compare_seeds([value + step for value in NORMAL_ONE], NORMAL_ONE)

    assert found.test == "Wilcoxon signed-rank"
    assert found.p == pytest.approx(2 / 2**7)
    assert found.effect == 1


@pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3, 97.0])
def test_constant_samples_are_compared_without_a_warning(constant: float) -> None:
    against_varying = compare_seeds([constant] * 7, NORMAL_ONE)
    against_constant = compare_seeds([constant] * 7, [constant + 0.5] * 7)

    assert against_varying.test == against_constant.test == "Wilcoxon signed-rank"
    assert against_varying.p == against_constant.p == pytest.approx(2 / 2**7)
    assert compare_seeds([constant] * 7, [constant] * 7).p == 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=30))
def test_any_accuracies_are_compared_without_a_warning_and_turn_round(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs).T / 100
    forth, back = compare_seeds(one, other), compare_seeds(other, one)

    assert (forth.test, forth.p) == (back.test, pytest.approx(back.p) if back.p is not None else None)
    assert forth.difference == pytest.approx(-back.difference)
    assert (forth.p is None) == (len(pairs) < MIN_SEEDS)
    assert 0 <= (forth.p or 0) <= 1
    assert forth.effect == (pytest.approx(-back.effect) if back.effect is not None else None)
    if forth.test == "Wilcoxon signed-rank":
        assert forth.effect is not None
        assert -1 <= forth.effect <= 1


def test_seeds_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="same length along one axis"):
        compare_seeds([0.5, 0.6], [0.5])


def test_holm_gives_the_published_answers() -> None:
    """A textbook's four; and the 15 tests of Benjamini & Hochberg 1995, of which the first three stand at 0.05."""
    trial = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]

    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [p is not None and p < 0.05 for p in holm(trial)] == [True] * 3 + [False] * 12


@settings(max_examples=20, deadline=None)  # statsmodels takes 70 ms a call
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=30))
def test_holm_passes_over_what_was_not_tested(p_values: list[float | None]) -> None:
    adjusted = holm(p_values)

    assert [p is None for p in adjusted] == [p is None for p in p_values]
    assert [p for p in adjusted if p is not None] == holm([p for p in p_values if p is not None])


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_holm_refuses_what_is_no_probability(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, p])


def bootstrap_by_loop(one: np.ndarray, other: np.ndarray, ratio: bool, resamples: int) -> np.ndarray:
    generator = np.random.default_rng(99)
    found = []
    for _ in range(resamples):
        chosen = generator.integers(0, one.size, one.size)
        means = one[chosen].mean(), other[chosen].mean()
        found.append(means[0] / means[1] if ratio else means[0] - means[1])
    return np.array(found)


@pytest.mark.parametrize("statistic", ["mean", "ratio"])
def test_the_bootstrap_agrees_with_a_plain_loop(statistic) -> None:
    generator = np.random.default_rng(1)
    other = generator.gamma(4.0, size=400)
    one = other * generator.normal(1.1, 0.2, size=400).clip(0)
    found = paired_bootstrap(one, other, statistic, margin=1.09 if statistic == "ratio" else 0.38, resamples=8000)
    reference = bootstrap_by_loop(one, other, statistic == "ratio", 8000)
    width = found.high - found.low

    assert found.value == pytest.approx(one.mean() / other.mean() if statistic == "ratio" else one.mean() - other.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(reference, [0.025, 0.975])), abs=0.05 * width)
    assert found.p_exceeds == pytest.approx(np.mean(reference <= (1.09 if statistic == "ratio" else 0.38)), abs=0.03)


@pytest.mark.parametrize("statistic", ["mean", "ratio"])
def test_the_bootstrap_is_scipys_draw_for_draw(statistic) -> None:
    rng = np.random.default_rng(3)
    one, other = rng.gamma(2, 1, 700), rng.gamma(2, 0.9, 700)
    found = paired_bootstrap(one, other, statistic, margin=1.1 if statistic == "ratio" else 0.2, resamples=3000, seed=4)
    by_scipy = scipy.stats.bootstrap(
        (one, other) if statistic == "ratio" else (one - other,),
        (lambda a, b, axis: a.mean(axis) / b.mean(axis)) if statistic == "ratio" else np.mean,
        paired=statistic == "ratio",
        vectorized=True,
        n_resamples=3000,
        batch=2**20 // 700,
        method="percentile",
        rng=np.random.default_rng(4),
    )

    assert (found.low, found.high) == pytest.approx(tuple(by_scipy.confidence_interval))
    within = np.count_nonzero(by_scipy.bootstrap_distribution <= (1.1 if statistic == "ratio" else 0.2))
    assert found.p_exceeds == pytest.approx((within + 1) / 3001)


def test_with_many_images_the_bootstrap_is_the_normal_law() -> None:
    generator = np.random.default_rng(2)
    difference = generator.normal(0.02, 1.0, size=10_000)
    found = paired_bootstrap(difference, np.zeros(10_000), margin=0.0)
    error = difference.std() / 100

    assert (found.low, found.high) == pytest.approx(
        (difference.mean() - 1.96 * error, difference.mean() + 1.96 * error), abs=0.15 * error
    )
    assert found.p_exceeds == pytest.approx(scipy.stats.norm.sf(difference.mean() / error), abs=0.02)


def test_a_true_difference_at_the_margin_is_called_above_it_at_most_as_often_as_alpha_says() -> None:
    generator = np.random.default_rng(3)
    called = []
    for _ in range(300):
        other = generator.gamma(4.0, size=200)
        one = other * generator.gamma(20.0, 1.1 / 20, size=200)
        p = paired_bootstrap(one, other, "ratio", margin=1.1, resamples=300).p_exceeds
        called.append(p is not None and p <= 0.05)

    assert 0.01 < np.mean(called) < 0.09  # 0.05 +- 3 standard errors


def test_the_same_seed_gives_the_same_bootstrap_and_another_seed_another() -> None:
    one, other = np.random.default_rng(4).random((2, 50))
    first = paired_bootstrap(one, other, margin=0.1, seed=7)

    assert paired_bootstrap(one, other, margin=0.1, seed=7) == first
    assert paired_bootstrap(one, other, margin=0.1, seed=8) != first


def test_without_a_margin_nothing_is_tested() -> None:
    assert paired_bootstrap([1, 2, 3], [1, 1, 1]).p_exceeds is None


def test_a_difference_that_is_just_the_margin_does_not_exceed_it() -> None:
    base = np.random.default_rng(6).random(100)
    found = paired_bootstrap(base + 0.1, base, margin=0.1)

    assert found.p_exceeds == 1


def test_no_difference_never_exceeds_a_margin_and_a_sure_one_always_does() -> None:
    base = np.random.default_rng(6).random(100) + 0.5

    assert paired_bootstrap(base, base, margin=0.0).p_exceeds == 1
    assert paired_bootstrap(base, base, "ratio", margin=1.0).p_exceeds == 1
    assert paired_bootstrap(2 * base, base, "ratio", margin=1.1).p_exceeds == 1 / 2001


def test_ten_thousand_images_are_drawn_again_in_bounded_memory() -> None:
    one, other = np.random.default_rng(4).random((2, 10_000))
    paired_bootstrap(one[:10], other[:10], "ratio")  # imports
    tracemalloc.start()
    try:
        paired_bootstrap(one, other, "ratio")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 64 * 2**20


@pytest.mark.parametrize(
    ("one", "other", "statistic", "message"),
    [
        ([1.0], [1.0], "mean", "too few pairs"),
        ([1.0, 2.0], [1.0], "mean", "same length along one axis"),
        ([1.0, math.inf], [1.0, 2.0], "mean", "finite"),
        ([1.0, -2.0], [1.0, 2.0], "ratio", "non-negative"),
        ([1.0, 2.0], [0.0, 0.0], "ratio", "non-zero denominator"),
        ([1.0, 2.0, 1.0], [0.0, 0.0, 1.0], "ratio", "too few images are non-zero"),
    ],
)
def test_what_cannot_be_drawn_again_is_refused(one, other, statistic, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(one, other, statistic)
