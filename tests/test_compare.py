"""`larobust compare`: numbers against formulas written here, refusals, every format."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_up_answers import IMAGES, SEEDS, SMALL, fill, found, noise, setting, tables
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from robustbench_la import cli
from robustbench_la.analysis.comparison.request import Request
from robustbench_la.analysis.groups.groups import group
from robustbench_la.analysis.metrics import formulas
from robustbench_la.analysis.metrics.imagenet_c import ALEXNET, ALEXNET_CLEAN_ERROR, COMMON, GROUP_MEMBERS
from robustbench_la.analysis.tables.table import Column, Estimate, Row, Table
from robustbench_la.errors import UserError
from robustbench_la.output.formats import FORMATS
from robustbench_la.output.terminal import plain
from robustbench_la.records.cells import CLEAN, IMAGENET, Condition
from robustbench_la.store.schema import Selection
from robustbench_la.store.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.sqlite"


def test_means_deviations_and_intervals_are_those_over_training_seeds(path) -> None:
    answers = fill(path, SMALL)
    (table,) = tables(path)
    per_seed = np.array(
        [[np.mean([answers["silu", s, noise(name, k), 0].mean() for k in (1, 3)]) for s in SEEDS]
         for name in ("gaussian_noise", "gaussian_blur")]
    )  # fmt: skip
    for column, values in (("gaussian_noise", per_seed[0]), ("mean corr.", per_seed.mean(0))):
        value = found(table, "silu", column)
        interval = stats.t.interval(0.95, 5, values.mean(), stats.sem(values))

        assert (value.value, value.deviation, value.count) == pytest.approx((values.mean(), values.std(ddof=1), 6))
        assert (value.low, value.high) == pytest.approx(interval)
    assert [row.values[0] for row in table.rows] == [
        "la_silu", "silu", "la_silu − silu", "la_silu − best element-level", "relu",
    ]  # fmt: skip


def test_differences_are_paired_by_seed_and_corrected_over_the_table(path) -> None:
    answers = fill(path, SMALL)
    (table,) = tables(path, Request(detail="severity", columns=("clean", "gaussian noise 3", "mean corr.")))

    def seeds(name: str, column: str) -> np.ndarray:
        if column == "mean corr.":
            return np.array([np.mean([answers[name, s, c, 0].mean() for c in SMALL[1:]]) for s in SEEDS])
        condition = CLEAN if column == "clean" else noise("gaussian_noise", 3)
        return np.array([answers[name, s, condition, None if column == "clean" else 0].mean() for s in SEEDS])

    def p_value(one: np.ndarray, other: np.ndarray) -> float:
        if min(stats.shapiro(one).pvalue, stats.shapiro(other).pvalue) >= 0.05:
            return stats.ttest_rel(one, other).pvalue
        return stats.wilcoxon(np.round(one - other, 9)).pvalue

    def p_of_best(column: str) -> float:
        """By all sign flips, the largest |t| over both rivals against that of the better one."""
        differences = np.stack([seeds("la_silu", column) - seeds(name, column) for name in ("silu", "relu")])
        better = int(np.argmin(differences.mean(axis=1)))
        signs = np.array(list(itertools.product((1, -1), repeat=len(SEEDS))))
        with np.errstate(divide="ignore"):
            t = np.abs(stats.ttest_1samp(signs[:, None, :] * differences, 0, axis=2).statistic)
        return float(np.mean(t.max(axis=1) >= t[0, better] - 1e-9))

    tests = {}
    for column in ("clean", "gaussian_noise 3", "mean corr."):
        best = max(("silu", "relu"), key=lambda name: seeds(name, column).mean())
        for other, label in (("silu", "silu"), (best, "best element-level")):
            value = found(table, f"la_silu − {label}", column)
            difference = seeds("la_silu", column) - seeds(other, column)
            assert value.value == pytest.approx(difference.mean())
            assert value.evidence is not None
            assert value.evidence.other == other
            if label == "silu":
                assert value.evidence.p == pytest.approx(p_value(seeds("la_silu", column), seeds(other, column)))
            else:
                assert value.evidence.p == pytest.approx(p_of_best(column))
            tests[label, column] = value.evidence
    corrected = multipletests([entry.p for entry in tests.values()], method="holm")[1]
    assert [entry.corrected for entry in tests.values()] == pytest.approx(list(corrected))
    assert any(0 < entry.corrected < 0.05 for entry in tests.values())
    assert "*" in plain([table])
    assert "Holm" in table.notes[-1]


def test_with_fewer_than_five_seeds_there_is_no_p_value_and_a_footnote(path) -> None:
    fill(path, SMALL, seeds=SEEDS[:4])
    (table,) = tables(path)
    value = found(table, "la_silu − silu", "clean")

    assert value.evidence is not None
    assert value.evidence.p is None
    assert any("fewer than 5 shared seeds" in note for note in table.notes)


def test_checkpoints_are_compared_image_by_image(path) -> None:
    answers = fill(path, SMALL, seeds=(11, 22))
    table, tested = tables(path, Request(by="checkpoint", against=("counterpart",), tests=True))
    rows = [row for row in table.rows if row.is_difference]
    names = [column.name for column in table.columns]
    p_values = []
    for seed, row in zip((11, 22), rows, strict=True):
        one, other = (answers[name, seed, CLEAN, None] for name in ("la_silu", "silu"))
        value = row.values[names.index("clean")]
        counts = [[int(np.sum((one == a) & (other == b))) for b in (True, False)] for a in (True, False)]
        assert isinstance(value, Estimate)
        assert value.value == pytest.approx(one.mean() - other.mean())
        assert (value.evidence.gained, value.evidence.lost) == (counts[0][1], counts[1][0])
        assert value.evidence.p == pytest.approx(mcnemar(counts, exact=True).pvalue)
        images = np.mean([answers["la_silu", seed, c, 0].astype(float) - answers["silu", seed, c, 0] for c in SMALL[1:]], axis=0)
        value = row.values[names.index("mean corr.")]
        assert value.value == pytest.approx(images.mean())
        assert value.evidence.p == pytest.approx(stats.ttest_1samp(images, 0).pvalue)
        assert (value.low, value.high) == pytest.approx(stats.t.interval(0.95, IMAGES - 1, images.mean(), stats.sem(images)))
        p_values += [entry.evidence.p for entry in row.values if isinstance(entry, Estimate)]
    holm = [entry.evidence.corrected for row in rows for entry in row.values if isinstance(entry, Estimate)]
    assert holm == pytest.approx(list(multipletests(p_values, method="holm")[1]))
    assert len(tested.rows) == len(p_values)
    assert [row.values[1:3] for row in table.rows if not row.is_difference][:2] == [("la_silu", 11), ("silu", 11)]


def test_noise_seeds_are_averaged_within_a_network_and_their_spread_is_kept_apart(path) -> None:
    answers = fill(path, SMALL, noise_seeds=(0, 1, 2))
    (table,) = tables(path)
    draws = np.array(
        [[[answers["silu", s, noise("gaussian_noise", k), d].mean() for k in (1, 3)] for d in range(3)] for s in SEEDS]
    ).mean(2)
    value = found(table, "silu", "gaussian_noise")

    assert (value.value, value.deviation, value.count) == pytest.approx((draws.mean(), draws.mean(1).std(ddof=1), 6))
    assert value.noise_deviation == pytest.approx(np.sqrt(draws.var(axis=1, ddof=1).mean()))
    assert any("Noise seeds 0 to 2" in note for note in table.notes)


def hard(name: str, severity: int) -> Condition:
    """A condition at the levels of ImageNet-C, for which AlexNet's errors were published."""
    return dataclasses.replace(noise(name, severity), profile="imagenet-c")


EVERYTHING = (CLEAN, *(hard(name, k) for names in GROUP_MEMBERS.values() for name in names for k in range(1, 6)))


def test_every_figure_is_the_mean_over_seeds_of_its_definition(path) -> None:
    imagenet = {"label_set": IMAGENET}
    answers = fill(path, EVERYTHING, seeds=(11, 22), activations=("la_silu", "silu", "relu"), **imagenet)

    others = {
        name: fill(
            path,
            EVERYTHING,
            seeds=(11,),
            activations=("silu", "relu"),
            architecture=name,
            name=f"{name}/{{activation}}.pt",
            **imagenet,
        )
        for name in ("cnn", "wide")
    }
    names = (*COMMON, *GROUP_MEMBERS["extra"])

    def accuracies(name: str, seed: int) -> dict[str, dict[int, float | None]]:
        return {c: {k: float(answers[name, seed, hard(c, k), 0].mean()) for k in range(1, 6)} for c in names}

    def clean(name: str, seed: int) -> float:
        return float(answers[name, seed, CLEAN, None].mean())

    def mean(name: str, seed: int, members: tuple[str, ...] = names) -> float:
        return float(np.mean([list(accuracies(name, seed)[c].values()) for c in members]))

    def corruption_error(seed: int, reference, clean_error: float = 0.0, clean_reference: float = 0.0) -> float:
        ratios = [
            sum(1 - value - clean_error for value in accuracies("silu", seed)[c].values())
            / sum(value - clean_reference for value in reference[c].values())
            for c in COMMON
        ]
        return float(np.mean(ratios))

    mlp = Selection(architectures=("mlp",))
    own = {c: {k: 1 - value for k, value in row.items()} for c, row in accuracies("relu", 11).items()}
    points = [(clean(name, seed), mean(name, seed)) for name in ("silu", "relu") for seed in (11, 22)]
    for other in others.values():
        points += [
            (other[name, 11, CLEAN, None].mean(), np.mean([other[name, 11, c, 0].mean() for c in EVERYTHING[1:]]))
            for name in ("silu", "relu")
        ]
    line = formulas.fit_baselines(*map(list, zip(*points, strict=True)), ["mlp"] * 4 + ["cnn"] * 2 + ["wide"] * 2)
    expected = {
        ("top1", "Noise"): lambda s: mean("silu", s, GROUP_MEMBERS["noise"]),
        ("top1", "paper Total"): lambda s: (19 * mean("silu", s) + clean("silu", s)) / 20,
        ("mce", "mCE"): lambda s: corruption_error(s, ALEXNET),
        ("relative-mce", "relative mCE"): lambda s: corruption_error(s, ALEXNET, 1 - clean("silu", s), ALEXNET_CLEAN_ERROR),
        ("unnormalised-mce", "unnormalised mCE"): lambda s: 1 - mean("silu", s, COMMON),
        ("effective", "mean corr."): lambda s: formulas.effective_robustness(clean("silu", s), mean("silu", s), line),
        ("area", "fog"): lambda s: formulas.area_under_severity(clean("silu", s), accuracies("silu", s)["fog"]),
        ("nll", "clean"): lambda s: 1.5 * (1 - clean("silu", s)),
        ("ece", "clean"): lambda s: abs(clean("silu", s) - 0.8),
        ("top5", "clean"): lambda s: clean("silu", s) + 3 / IMAGES,
    }
    for (metric, column), formula in expected.items():
        table = tables(path, Request(metric=metric, detail="group", reference="alexnet", tests=False))[0]
        assert found(table, "silu", column).value == pytest.approx(np.mean([formula(11), formula(22)])), metric
    table = tables(path, Request(metric="mce", reference="runs/relu-11.pt"), mlp)[0]
    assert found(table, "silu", "mCE").value == pytest.approx(np.mean([corruption_error(s, own) for s in (11, 22)]))
    table = tables(path, Request(metric="relative"), mlp)[0]
    assert found(table, "la_silu", "fog").value == pytest.approx(
        np.mean([np.mean([answers["la_silu", s, hard("fog", k), 0].mean() - answers["silu", s, hard("fog", k), 0].mean()
                          for k in range(1, 6)]) for s in (11, 22)])
    )  # fmt: skip
    assert [row.values[0] for row in table.rows] == ["la_silu"]


def test_what_was_not_measured_is_refused_by_name_or_shown_as_a_gap(path) -> None:
    blur = noise("gaussian_blur", 3)
    fill(path, SMALL, left_out=lambda activation, seed, condition: (activation, seed, condition) == ("silu", 22, blur))
    with pytest.raises(UserError, match=r"missing cells: gaussian_blur 3 of runs/silu-22\.pt;.*--allow-missing"):
        tables(path)
    with pytest.raises(UserError, match="needs corrupted images"):
        tables(path, Request(metric="area"), Selection(corruptions=("clean",)))
    (table,) = tables(path, Request(allow_missing=True))
    names = [column.name for column in table.columns]
    silu = next(row for row in table.rows if row.values[0] == "silu")

    assert silu.values[names.index("gaussian_blur")] is None
    assert silu.values[names.index("mean corr.")] is None
    assert silu.values[names.index("gaussian_noise")] is not None
    assert "means never cover only a part" in " ".join(table.notes)
    with pytest.raises(UserError, match="unnormalised mCE needs all 15"):
        tables(path, Request(metric="unnormalised-mce", allow_missing=True))
    with pytest.raises(UserError, match="the errors of AlexNet on ImageNet-C are those at the levels of imagenet-c"):
        tables(path, Request(metric="mce", allow_missing=True))


@pytest.mark.parametrize(
    "other",
    [{"fingerprint": "e" * 64}, {"precision": "bfloat16 autocast"}, {"architecture": "cnn"}],
    ids=["images", "precision", "architecture"],
)
def test_what_differs_in_images_precision_or_network_is_never_in_one_table(path, other) -> None:
    fill(path, SMALL, activations=("la_silu",))
    fill(path, SMALL, activations=("silu",), **other)
    shown = tables(path)

    assert len(shown) == 2
    assert [[row.values[0] for row in table.rows] for table in shown] == [["la_silu"], ["silu"]]


def test_other_noise_seeds_are_refused_and_partial_data_are_marked(path) -> None:
    fill(path, SMALL, activations=("la_silu",), dataset_images=500)
    assert "200 of 500 (partial)" in tables(path)[0].title
    fill(path, SMALL, activations=("silu",), noise_seeds=(1,), dataset_images=500)
    with pytest.raises(UserError, match=r"missing cells: .*\(noise seed [01]\)"):
        tables(path)


def test_noise_of_two_versions_is_two_groups_and_blur_belongs_to_both(path) -> None:
    """The same random words served all severities in an earlier version."""
    gaussian, blur = noise("gaussian_noise", 3), noise("gaussian_blur", 3)
    earlier = dataclasses.replace(gaussian, noise_version=1)
    fill(path, [CLEAN, earlier, gaussian, blur])
    with Store(path) as store:
        before, now = group(store.cells())

    assert before.conditions == (CLEAN, earlier, blur)
    assert now.conditions == (CLEAN, gaussian, blur)
    assert "noise drawn by an earlier larobust (noise version 1)" in before.title
    assert "version" not in now.title


def test_two_checkpoints_of_one_activation_and_seed_are_not_averaged(path) -> None:
    fill(path, SMALL)
    fill(path, SMALL, name="old/{activation}-{seed}.pt", activations=("silu",))
    with pytest.raises(UserError, match="both silu with training seed 11"):
        tables(path)
    assert len(tables(path, Request(by="checkpoint", against=()))[0].rows) == 4 * 6


def test_seeds_that_only_one_side_has_are_left_out_of_the_difference_and_its_n(path) -> None:
    answers = fill(path, SMALL, left_out=lambda activation, seed, condition: (activation, seed) == ("silu", 22))
    (table,) = tables(path, Request(against=("counterpart",)))
    shared = [seed for seed in SEEDS if seed != 22]
    pairs = [[answers[name, seed, CLEAN, None].mean() for seed in shared] for name in ("la_silu", "silu")]

    assert [row.values[1] for row in table.rows] == [6, 5, 5, 6]
    assert found(table, "la_silu − silu", "clean").value == pytest.approx(np.mean(pairs[0]) - np.mean(pairs[1]))


def test_networks_without_a_training_seed_are_shown_and_not_tested(path) -> None:
    fill(path, SMALL, seeds=(None,))
    (table,) = tables(path)
    value = found(table, "la_silu − silu", "clean")

    assert value.evidence is not None
    assert value.evidence.p is None
    assert value.value == pytest.approx(found(table, "la_silu", "clean").value - found(table, "silu", "clean").value)


def test_networks_of_other_training_seeds_are_not_compared_image_by_image(path) -> None:
    fill(path, SMALL, activations=("la_silu",), seeds=(5,))
    fill(path, SMALL, activations=("silu",), seeds=(1,))

    (table,) = tables(path, Request(by="checkpoint", against=("counterpart",)))
    assert not any(row.is_difference for row in table.rows)


def test_one_test_that_two_columns_show_is_corrected_once(path) -> None:
    """With one corruption at one severity its column and the mean, which is shown on request, are the same."""
    fill(path, (CLEAN, noise("gaussian_noise", 3)), activations=("la_silu", "silu"), seeds=(11,))
    columns = ("clean", "gaussian_noise", "mean corr.")

    (table, _) = tables(path, Request(by="checkpoint", against=("counterpart",), tests=True, columns=columns))
    (row,) = (row for row in table.rows if row.is_difference)
    shown = {
        column.name: value.evidence
        for column, value in zip(table.columns, row.values, strict=True)
        if isinstance(value, Estimate)
    }
    assert shown["gaussian_noise"] == shown["mean corr."]
    raw = sorted([shown["clean"].p, shown["mean corr."].p])
    assert min(one.corrected for one in shown.values()) == pytest.approx(min(1, 2 * raw[0]))


def test_activations_are_sorted_by_name_also_beside_alphas(path) -> None:
    fill(path, SMALL, activations=("silu", "la_silu", "relu"), seeds=(11,))
    with Store(path) as store:
        known = [row.cell for row in store.cells(predictions=True) if row.cell.network.activation == "la_silu"]
        store.add(
            setting(),
            [dataclasses.replace(cell, network=dataclasses.replace(cell.network, alpha=10.0, sha256="e" * 64)) for cell in known],
        )

    (table,) = tables(path, Request(sort="activation", against=()))
    assert [row.values[0] for row in table.rows] == ["la_silu", "la_silu", "relu", "silu"]


def test_severities_that_differ_between_corruptions_are_told(path) -> None:
    fill(path, (*SMALL, noise("shot_noise", 3)))

    (table,) = tables(path)
    assert "which differ: severities 1, 3 (gaussian_noise, gaussian_blur); severity 3 (shot_noise)." in " ".join(table.notes)


@pytest.mark.parametrize("by", ["activation", "checkpoint"])
def test_a_mean_over_corruptions_takes_only_the_severities_that_all_share(path, by) -> None:
    """Otherwise a corruption measured at severity 5, too, would count for more of the mean than one at severity 3 alone."""
    answers = fill(
        path, (CLEAN, noise("frost", 3), noise("frost", 5), noise("fog", 3)), activations=("la_silu", "silu"), seeds=(11,)
    )
    right = [answers["silu", 11, noise(name, 3), 0].mean() for name in ("frost", "fog")]

    (table,) = tables(path, Request(by=by, detail="corruption"))
    label = "silu" if by == "activation" else "runs/silu-11.pt"
    assert found(table, label, "mean corr.").value == pytest.approx(sum(right) / 2)
    assert "Mean corr.: mean over frost, fog, at severity 3 only, as not all were measured at the others." in table.notes[0]


@pytest.mark.parametrize("by", ["activation", "checkpoint"])
def test_corruptions_that_share_no_severity_have_no_mean(path, by) -> None:
    fill(path, (CLEAN, noise("frost", 5), noise("fog", 3)), activations=("la_silu", "silu"), seeds=(11,))

    (table,) = tables(path, Request(by=by, detail="corruption"))
    place = [column.name for column in table.columns].index("mean corr.")
    assert [row.values[place] for row in table.rows] == [None] * 3
    assert "No mean corr.: its corruptions share no severity." in table.notes[0]


def test_custom_levels_are_named_in_titles_and_notes(path) -> None:
    fog, blur = (Condition(corruption=name, severity=None, parameters=level, profile=None)
                 for name, level in (("fog", (1.5, 2.0)), ("gaussian_blur", (0.7,))))  # fmt: skip
    fill(path, (CLEAN, fog, blur), activations=("silu",))

    (table,) = tables(path)
    assert table.title.endswith("custom levels fog=1.5/2, gaussian_blur=0.7")
    assert "Each corruption: mean over its levels (fog: level 1.5/2; gaussian_blur: level 0.7)." in table.notes[0]


def test_tables_of_one_title_differ_in_their_levels(path) -> None:
    """Four architectures under each of two lists of as many levels, which are too many for a title."""
    for levels in ((0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3, 0.5)):
        own = [Condition(corruption="gaussian_noise", severity=None, parameters=(level,), profile=None) for level in levels]
        for number in range(4):
            name = f"{levels[-1]}-{number}.pt"
            fill(path, (CLEAN, *own), activations=("relu",), seeds=(11,), name=name, architecture=f"net{levels[-1]}{number}")

    shown = [table.title for table in tables(path, Request(by="checkpoint", against=()))]
    assert [title.rpartition(": ")[2] for title in shown] == ["levels 0.1, 0.2, 0.3, 0.4", "levels 0.1, 0.2, 0.3, 0.5"]


def test_rows_are_sorted_and_columns_chosen_by_name(path) -> None:
    fill(path, SMALL)
    table = tables(path, Request(sort="mean-corr", columns=("mean corr.", "clean")))[0]
    means = [found(table, row.values[0], "mean corr.").value for row in table.rows if not row.is_difference]

    assert means == sorted(means, reverse=True)
    assert [column.name for column in table.columns][-2:] == ["mean corr.", "clean"]
    assert table.rows[1].is_difference
    with pytest.raises(UserError, match="did you mean clean"):
        tables(path, Request(columns=("claen",)))
    with pytest.raises(UserError, match="cannot sort by"):
        tables(path, Request(sort="nothing at all"))


def awkward() -> list[Table]:
    """One table of what formats stumble over: marks of every language, gaps, differences, wide columns."""
    columns = (
        Column(name="checkpoint"),
        Column(name="n", kind="count", label=True),
        *(Column(name=name, kind="percent", better="higher") for name in ("clean", "gaussian_noise", "mean corr.")),
        Column(name="NLL", kind="number", better="lower"),
    )
    names = ["runs/a|b_c&d%e.pt", "runs/<script>alert(1)</script>.pt", "runs/é漢\\{}^~$#*`.pt"]
    rows = [
        Row(values=(name, 3, Estimate(0.9 + k / 100, 0.88, 0.95, deviation=0.0123), 0.5, None, 1.25 - k))
        for k, name in enumerate(names)
    ]
    rows.append(Row(values=("a − b", 3, Estimate(0.01, -0.005, 0.025), 0.0, None, -1.0), is_difference=True))
    rows.append(Row(values=("a (published)", 30, Estimate(0.99), None, None, None), is_published=True))
    return [Table(title="Accuracy of a_b & <c>", columns=columns, rows=tuple(rows), notes=("100 % of a|b < c_d; σ² ± 1.",))]


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "text"])
def test_every_format_is_as_it_was_reviewed(golden, path, name: str) -> None:
    fill(path, SMALL)
    shown = [*tables(path, Request(tests=True, intervals=True)), *awkward()]
    suffix = {"markdown": "md", "latex": "tex"}.get(name, name)

    golden(f"compare.{suffix}", FORMATS[name](shown))


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_comparison_fits_the_terminal_and_no_number_is_cut(golden, path, width: int) -> None:
    fill(path, SMALL)
    shown = [
        *tables(path, Request(tests=True)),
        *tables(path, Request(by="checkpoint", tests=False), Selection())[:1],
        *awkward(),
    ]
    text = plain(shown, width)

    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    golden(f"compare-{width}.txt", text)


def test_markdown_rows_have_as_many_cells_as_the_heading() -> None:
    lines = [line for line in FORMATS["markdown"](awkward()).splitlines() if line.startswith("|")]

    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert r"a\|b\_c&amp;d%e" in lines[2]
    assert r"\<script\>" in lines[3]
    assert "**92.00 ± 1.23" in lines[4]


def test_html_holds_nothing_from_outside_and_lets_no_name_be_code() -> None:
    text = FORMATS["html"](awkward())

    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r"(src|href)=|url\(|@import|https?://", text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_csv_is_tidy_and_json_keeps_every_digit(path) -> None:
    fill(path, SMALL)
    shown = tables(path)
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](shown))))
    exact = found(shown[0], "la_silu", "mean corr.")
    row = next(entry for entry in rows if (entry["activation"], entry["column"]) == ("la_silu", "mean corr."))
    document = json.loads(FORMATS["json"](shown))
    told = document["tables"][0]["rows"][0]["values"]["mean corr."]

    assert (float(row["value"]), float(row["low"]), float(row["deviation"])) == (exact.value, exact.low, exact.deviation)
    assert row["unit"] == "fraction"
    assert all(re.fullmatch(r"(-?[\d.]+(e-?\d+)?)?", entry[name]) for entry in rows for name in ("value", "low", "high", "p"))
    assert (told["value"], told["high"], told["evidence"]) == (exact.value, exact.high, None)
    assert {entry["row"] for entry in rows} == {"measured", "difference"}


def test_latex_is_balanced_and_compiles_where_pdflatex_is(path, tmp_path) -> None:
    fill(path, EVERYTHING, seeds=(11,))
    text = FORMATS["latex"]([*tables(path, Request(detail="severity")), *tables(path, Request(detail="group")), *awkward()])

    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 3
    for mark in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(mark) == 3
    bare = re.sub(r"\\[\\{}&%$#_]", "", text)
    assert bare.count("{") == bare.count("}")
    for body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, flags=re.S):
        for line in body[1].splitlines():
            if line.endswith(r" \\"):
                assert len(re.findall(r"(?<!\\)&", line)) == len(body[0]) - 1
    if shutil.which("pdflatex"):
        page = "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{textcomp,booktabs,graphicx}\\begin{document}\n"
        (tmp_path / "page.tex").write_text(page + text + "\\end{document}\n", encoding="utf-8")
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"], cwd=tmp_path, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["larobust", "compare", *arguments])
    return cli._run()


def test_the_command_prints_writes_and_refuses(path, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([], monkeypatch) == 2
    assert "larobust eval" in capsys.readouterr().err
    fill(path, SMALL)
    store = f"--store={path}"
    assert run([store, "--activation=la_silu", "--activation=silu", "--noise=clean,gaussian"], monkeypatch) == 0
    out = capsys.readouterr().out
    assert "la_silu − silu" in out
    assert "blur" not in out
    assert run([store, "-o", "deep/table.tex"], monkeypatch) == 0
    assert r"\toprule" in Path("deep/table.tex").read_text()
    assert capsys.readouterr().out == ""
    assert run([store, "--by=checkpoint", "--format=json"], monkeypatch) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == 1
    for wrong, said in (
        (["-o", "table.xyz"], "cannot tell the format"),
        (["-o", str(path)], "overwrite the store"),
        (["--by=activaton"], "did you mean activation"),
        (["--metric=top2"], "did you mean top"),
        (["--published=nowhere.yaml"], "no such file: nowhere.yaml"),
        (["--metric=mce", "--reference=nobody.pt"], "0 checkpoints match --reference nobody.pt"),
    ):
        assert run([store, *wrong, *(["--format=csv"] if "overwrite" in said else [])], monkeypatch) == 2
        assert said in capsys.readouterr().err
    assert run([store, "--activation=gelu"], monkeypatch) == 5


def test_the_papers_figures_stand_beside_ours_and_are_labelled(path, monkeypatch, capsys) -> None:
    paper = [CLEAN, *(dataclasses.replace(condition, profile="cifar-c") for condition in EVERYTHING[1:])]
    whole = {"images": 10_000, "dataset_images": 10_000}
    fill(path, paper, seeds=(11,), architecture="resnet32", data="cifar10:data", **whole)
    fill(path, SMALL, seeds=(11,), architecture="mlp", fingerprint="e" * 64)
    assert run([f"--store={path}", "--published=published", "--format=csv"], monkeypatch) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    theirs = {
        (row["architecture"] and row["data"] + row["architecture"], row["activation"], row["column"]): row
        for row in rows
        if row["row"] == "published"
    }

    assert float(theirs["", "la_silu (published)", "paper Total"]["value"]) == pytest.approx(0.7280)
    assert float(theirs["", "la_silu (published)", "Noise"]["value"]) == pytest.approx(0.5402)
    assert float(theirs["cifar10resnet20", "gelu", "clean"]["value"]) == pytest.approx(0.9150)
    assert "resnet32" in theirs["", "relu (published)", "clean"]["table"]
    assert ("mlp", "relu", "clean") not in theirs
    assert run([f"--store={path}", "--published=published", "--arch=resnet32", "--activation=silu"], monkeypatch) == 0
    out = capsys.readouterr().out
    assert "silu (published)" in out
    assert "gelu" not in out


def test_the_published_totals_are_the_means_that_they_are_said_to_be() -> None:
    from robustbench_la.analysis.comparison.published import read_published
    from robustbench_la.records.plan_file import shipped_configs

    sizes = {"Noise": 3, "Blur": 4, "Weather": 4, "Digital": 4, "Extra": 4}
    checked = 0
    for entry in read_published(shipped_configs() / "published.yaml"):
        for row in entry.rows.values():
            if "paper Total" in row:
                total = (sum(row[name] * size for name, size in sizes.items()) + row["clean"]) / 20
                assert row["paper Total"] == pytest.approx(total, abs=1.5e-4)
                checked += 1
    assert checked == 10
