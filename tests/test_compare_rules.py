"""What a comparison may say: which networks are pooled and paired, which metrics are defined, what few seeds can show."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from made_up_answers import SMALL, fill, found, noise, tables
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from robustbench_la.analysis.comparison.contenders import BEST
from robustbench_la.analysis.comparison.published import Published
from robustbench_la.analysis.comparison.request import FIRST, Request, against_of
from robustbench_la.analysis.metrics.imagenet_c import GROUP_MEMBERS
from robustbench_la.analysis.statistics.max_t import best_of_rivals
from robustbench_la.analysis.statistics.paired_tests import paired_difference
from robustbench_la.errors import UserError
from robustbench_la.output.json_documents import tables_document
from robustbench_la.output.terminal import plain
from robustbench_la.records.cells import CLEAN


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


def notes(table) -> str:
    return " ".join(table.notes)


def test_any_checkpoints_are_compared_with_the_first_or_with_the_one_that_is_named(path) -> None:
    answers = {
        name: fill(path, SMALL, activations=("relu",), seeds=(seed,), architecture=name, name=f"{name}.pt", **images)
        for name, seed, images in (("mlp", 11, {}), ("cnn", 22, {}), ("wide", 33, {}))
    }
    right = {name: own["relu", seed, CLEAN, None] for (name, own), seed in zip(answers.items(), (11, 22, 33), strict=True)}
    table, tested = tables(path, Request(by="checkpoint", tests=True))
    rows = [row.values[0] for row in table.rows]

    assert rows == ["mlp.pt", "cnn.pt", "cnn.pt − mlp.pt", "wide.pt", "wide.pt − mlp.pt"]
    assert [column.name for column in table.columns][:3] == ["checkpoint", "activation", "architecture"]
    difference = found(table, "cnn.pt − mlp.pt", "clean")
    expected = paired_difference(right["cnn"], right["mlp"])
    flips = [[int(np.sum((right["cnn"] == a) & (right["mlp"] == b))) for b in (True, False)] for a in (True, False)]
    assert (difference.value, difference.low, difference.high) == (expected.value, expected.low, expected.high)
    assert difference.evidence.p == pytest.approx(mcnemar(flips, exact=True).pvalue)
    assert (difference.evidence.gained, difference.evidence.lost) == (flips[0][1], flips[1][0])
    assert tested.rows[0].values[0] == "cnn.pt − mlp.pt"
    (named, _) = tables(path, Request(by="checkpoint", opponent="wide.pt", against=(), tests=True))
    assert [row.values[0] for row in named.rows if row.is_difference] == ["mlp.pt − wide.pt", "cnn.pt − wide.pt"]
    assert "each checkpoint minus wide.pt" in notes(named)
    with pytest.raises(UserError, match="0 checkpoints match --against deep"):
        tables(path, Request(by="checkpoint", opponent="deep", against=()))


def test_a_checkpoint_after_against_is_for_rows_of_checkpoints() -> None:
    assert against_of(FIRST, "checkpoint") == ((), FIRST)
    with pytest.raises(UserError, match=r"--against 'runs/a\.pt' is unknown.*for --by checkpoint"):
        against_of("runs/a.pt", "activation")


def test_networks_of_other_recipes_are_neither_pooled_nor_paired(path) -> None:
    short = fill(path, SMALL, seeds=(11,), name="short/{activation}.pt", properties=lambda *_: {"recipe": "aaaaaaaaaa"})
    fill(path, SMALL, seeds=(22,), name="long/{activation}.pt", properties=lambda *_: {"recipe": "bbbbbbbbbb"})
    (table,) = tables(path, Request(against=("counterpart",)))
    rows = [row.values[:3] for row in table.rows if not row.is_difference and row.values[0] == "silu"]

    assert rows == [("silu", "aaaaaaaa", 1), ("silu", "bbbbbbbb", 1)]
    assert found(table, "silu", "clean").value == short["silu", 11, CLEAN, None].mean()
    assert sum(row.is_difference for row in table.rows) == 2
    assert "neither pooled nor paired" in notes(table)


def test_identical_weights_count_once_as_a_training_seed(path) -> None:
    answers = fill(
        path,
        SMALL,
        activations=("silu",),
        seeds=(11, 22, 33),
        properties=lambda _, seed: {"weights": "same" if seed in (11, 33) else "other"},
    )
    (table,) = tables(path)

    assert table.rows[0].values[:2] == ("silu", 2)
    expected = [answers["silu", seed, CLEAN, None].mean() for seed in (11, 22)]
    assert found(table, "silu", "clean").value == pytest.approx(np.mean(expected))
    assert "Identical weights, counted once as a training seed: runs/silu-33.pt and runs/silu-11.pt." in notes(table)


def test_the_best_of_several_is_tested_against_the_largest_t_of_all_of_them() -> None:
    differences = np.random.default_rng(3).normal(0.4, 1, (7, 3))
    signs = np.array(list(itertools.product((1, -1), repeat=7)))
    strongest = np.abs(stats.ttest_1samp(signs[:, :, None] * differences, 0, axis=1).statistic).max(axis=1)

    for chosen in range(3):
        own = stats.ttest_1samp(differences[:, chosen], 0).statistic
        t, p = best_of_rivals(differences, chosen)
        assert (t, p) == pytest.approx((own, np.mean(strongest >= abs(own) - 1e-12)))
    assert best_of_rivals(np.zeros((6, 2)), 0) == (None, 1.0)
    many = np.random.default_rng(3).normal(0.4, 1, (200, 2))
    assert best_of_rivals(many, 0)[1] == pytest.approx(1 / 10_000)


def test_a_choice_among_equals_is_rarely_significant() -> None:
    draws = np.random.default_rng(0)
    false, plain = 0, 0
    for _ in range(300):
        own, rivals = draws.normal(size=8), draws.normal(size=(8, 6))
        differences = own[:, None] - rivals
        chosen = int(np.argmin(differences.mean(axis=0)))  # the rival with the best mean
        false += best_of_rivals(differences, chosen)[1] < 0.05
        plain += stats.ttest_1samp(differences[:, chosen], 0).pvalue < 0.05

    assert plain > 0.06 * 300
    assert false < 0.05 * 300


def test_the_best_single_checkpoint_has_no_p_value(path) -> None:
    fill(path, SMALL, seeds=(11,))
    (table, _) = tables(path, Request(by="checkpoint", tests=True))

    assert found(table, f"la_silu − {BEST}", "clean").evidence.p is None
    assert found(table, "la_silu − silu", "clean").evidence.p is not None


@pytest.mark.parametrize(("count", "tests", "hopeless"), [(10, 34, True), (11, 34, False), (5, 1, True), (6, 1, False)])
def test_the_smallest_p_value_after_correction_decides_whether_tests_can_find_anything(count, tests, hopeless) -> None:
    from robustbench_la.analysis.comparison.differences import Contrast
    from robustbench_la.analysis.comparison.reach import out_of_reach
    from robustbench_la.analysis.tables.table import Estimate, Evidence

    estimates = tuple(
        Estimate(0.1, count=count, evidence=Evidence("a", "b", test="Wilcoxon signed-rank", p=0.5 + index / 100))
        for index in range(tests)
    )
    contrasts = [Contrast(contender=None, against="b", estimates=estimates, tests=tuple(range(tests)))]  # type: ignore[arg-type]
    sentence = out_of_reach(contrasts)

    assert bool(sentence) == hopeless
    if (count, tests) == (10, 34):
        assert "With 10 seeds" in sentence
        assert "p >= 0.002, after correction for 34 such tests >= 0.066" in sentence
        assert "train 11 seeds" in sentence


def test_metrics_are_refused_where_conditions_are_not_those_of_their_definition(path) -> None:
    fill(path, (CLEAN, noise("gaussian_noise", 5)), seeds=(11,))

    with pytest.raises(UserError, match="are those at the levels of imagenet-c, but these are those of cifar-c"):
        tables(path, Request(metric="mce", reference="alexnet"))
    with pytest.raises(UserError, match="defined over severities 1 to 5, but gaussian_noise was measured at 5 only"):
        tables(path, Request(metric="mce", reference="runs/relu-11.pt"))
    with pytest.raises(UserError, match="defined over severities 1 to 5, but gaussian_noise was measured at 5 only"):
        tables(path, Request(metric="area"))
    with pytest.raises(UserError, match="not measured: shot_noise"):
        tables(path, Request(metric="unnormalised-mce"))


def test_effective_robustness_needs_several_architectures_and_says_its_standard_error(path) -> None:
    fill(path, SMALL)
    with pytest.raises(UserError, match=r"at least 5 element-level networks of at least 3 architectures.*here are 12 of 1"):
        tables(path, Request(metric="effective"))
    for name in ("cnn", "wide"):
        fill(path, SMALL, seeds=(11, 22), architecture=name, name=name + "/{activation}-{seed}.pt")
    (table,) = tables(path, Request(metric="effective"))

    assert {row.values[1] for row in table.rows if not row.is_difference} == {"mlp", "cnn", "wide"}
    assert "Slopes of the lines through 20 element-level networks, ± standard error: gaussian_noise" in notes(table)


def test_published_numbers_stand_only_next_to_means_over_the_same_conditions(path) -> None:
    names = GROUP_MEMBERS["noise"]
    entry = Published(
        source="paper", data="mnist", architecture="mlp", seeds=3, remark="", rows={"silu": {"clean": 0.9, "Noise": 0.5}}
    )
    fill(path, (CLEAN, *(noise(name, 1) for name in names)), seeds=(11,))
    table = tables(path, Request(detail="group"), published=(entry,))[0]
    published = next(row for row in table.rows if row.is_published)
    columns = [column.name for column in table.columns]

    assert published.values[columns.index("clean")].value == 0.9
    assert published.values[columns.index("Noise")] is None
    assert "No published numbers of Noise: they are means over severities 1 to 5" in notes(table)
    assert not dataclasses.replace(entry, images=10_000).fits(_group(path))
    fill(path, [noise(name, k) for name in names for k in range(2, 6)], seeds=(11,))
    table = tables(path, Request(detail="group"), published=(entry,))[0]
    published = next(row for row in table.rows if row.is_published)
    assert published.values[columns.index("Noise")].value == 0.5


def _group(path: Path):
    from robustbench_la.analysis.groups.groups import group
    from robustbench_la.store.store import Store

    with Store(path, reading=True) as store:
        return group(store.cells())[0]


def test_what_was_assumed_stands_under_the_table_and_in_json(path) -> None:
    fill(path, SMALL, seeds=(11,), assumed=("normalization none", "layeract_alpha 1e-05"))
    found_tables = tables(path)

    assert "Assumed, as neither files nor flags say it: normalization none; layeract_alpha 1e-05." in notes(found_tables[0])
    assert "normalization none" in " ".join(json.loads(tables_document(found_tables))["tables"][0]["notes"])


def test_tables_of_changed_code_say_so_and_a_label_joins_them(path, tmp_path) -> None:
    for code, seed in (("a" * 64, 11), ("b" * 64, 22)):
        fill(
            path,
            SMALL,
            activations=("silu",),
            seeds=(seed,),
            architecture="net.py:Net",
            properties=lambda *_, c=code: {"code": c},
        )
    apart = tables(path)
    joined = tmp_path / "joined.sqlite"
    for code, seed in (("a" * 64, 11), ("b" * 64, 22)):
        fill(
            joined, SMALL, activations=("silu",), seeds=(seed,), architecture="net.py:Net",
            properties=lambda *_, c=code: {"code": c, "architecture_label": "my net"},
        )  # fmt: skip

    assert len(apart) == 2
    assert apart[0].title.endswith("network code aaaaaaaa")
    assert all("network code changed between runs" in notes(table) and "--as LABEL" in notes(table) for table in apart)
    (table,) = tables(joined)
    assert table.rows[0].values[1] == 2
    assert "my net on mnist:data" in table.title


def test_networks_whose_activation_was_exchanged_are_not_pooled_with_those_trained_with_it(path) -> None:
    fill(path, SMALL, activations=("la_silu", "silu"), seeds=(11,))
    fill(
        path, SMALL, activations=("la_silu",), seeds=(11,), name="swapped.pt", properties=lambda *_: {"exchange": "silu=la_silu"}
    )
    (table,) = tables(path, Request(against=("counterpart",)))

    assert [row.values[:3] for row in table.rows if not row.is_difference] == [
        ("la_silu", "none", 1),
        ("la_silu", "silu=la_silu", 1),
        ("silu", "none", 1),
    ]
    assert sum(row.is_difference for row in table.rows) == 2


def test_only_networks_that_were_measured_alike_share_a_table_of_checkpoints(path) -> None:
    fill(path, SMALL, activations=("relu",), seeds=(11,), name="runs/a.pt")
    fill(path, SMALL, activations=("relu",), seeds=(11,), name="runs/b.pt", architecture="cnn")
    fill(path, (CLEAN,), activations=("relu",), seeds=(11,), name="runs/c.pt", architecture="wide")
    both, alone = tables(path, Request(by="checkpoint"))
    lines = plain([both]).splitlines()

    assert [row.values[0] for row in both.rows] == ["runs/a.pt", "runs/b.pt", "runs/b.pt − runs/a.pt"]
    assert [row.values[0] for row in alone.rows] == ["runs/c.pt"]
    assert any(line.startswith("b − a ") for line in lines)
