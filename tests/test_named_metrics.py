"""mCE only where it is defined, and the means that the literature knows by name: numbers worked out here, and refusals."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from made_up_answers import fill, found, noise, setting, tables

from robustbench_la import cli
from robustbench_la.analysis.comparison.request import Request
from robustbench_la.analysis.metrics.imagenet_c import ALEXNET, COMMON, GROUP_MEMBERS
from robustbench_la.analysis.tables.convention_table import conventions
from robustbench_la.errors import UserError
from robustbench_la.images.label_sets import label_set_of, wordnet_ids
from robustbench_la.records.cells import CLEAN, IMAGENET, Cell, Condition, Pass
from robustbench_la.records.networks import NetworkRecord
from robustbench_la.store.store import Store

ALL = tuple(name for names in GROUP_MEMBERS.values() for name in names)


def conditions(names=ALL, profile: str = "imagenet-c", severities=range(1, 6)) -> list[Condition]:
    return [dataclasses.replace(noise(name, k), profile=profile) for name in names for k in severities]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.sqlite"


def network(factor: float = 1) -> list[Cell]:
    """AlexNet's own errors, or a multiple of them, on 50,000 images."""
    record = NetworkRecord(
        checkpoint="alexnet.pt", sha256="a" * 64, architecture="cnn", activation="relu", alpha=None, normalization="imagenet",
        activation_level="element", training_seed=None,
    )  # fmt: skip
    errors = {CLEAN: 0.43478} | {one: factor * ALEXNET[one.corruption][one.severity or 0] for one in conditions(COMMON)}
    return [
        Cell(
            network=record, pass_=Pass(one, None if one == CLEAN else 0), correct=round((1 - error) * 50_000), correct_top5=None,
            total=50_000, nll_sum=1.0, seconds=1.0, predictions=b"",
        )
        for one, error in errors.items()
    ]  # fmt: skip


IMAGENETS = setting(images=50_000, dataset_images=50_000, label_set=IMAGENET, crop=224)


def test_alexnets_own_errors_give_corruption_errors_of_100_and_relative_ones_too(path) -> None:
    with Store(path) as store:
        store.add(IMAGENETS, network())
    for metric, column in (("mce", "mCE"), ("relative-mce", "relative mCE")):
        (table,) = tables(path, Request(metric=metric))
        for name in (*COMMON, column):
            assert found(table, "relu", name).value == pytest.approx(1, abs=1e-12)
        assert "AlexNet's errors on the published ImageNet-C, 224 px" in " ".join(table.notes)
        assert "these images were not stored as JPEG, those of ImageNet-C as JPEG 85 (--jpeg 85)" in " ".join(table.notes)


def test_an_evaluation_shows_the_means_by_name_that_are_complete() -> None:
    (table,) = conventions(network(), IMAGENETS)
    shown = dict(zip([column.name for column in table.columns], table.rows[0].values, strict=True))

    assert shown == {
        "checkpoint": "alexnet.pt",
        "clean": pytest.approx(0.56522),
        "mean 15": pytest.approx(1 - np.mean([list(row.values()) for row in ALEXNET.values()])),
        "RobustBench": pytest.approx(1 - np.mean([row[5] for row in ALEXNET.values()])),
        "mCE": pytest.approx(1),
        "relative mCE": pytest.approx(1),
    }
    assert conventions(network()[:20], IMAGENETS) == []
    (elsewhere,) = conventions(network(), dataclasses.replace(IMAGENETS, label_set=""))
    assert [column.name for column in elsewhere.columns] == ["checkpoint", "clean", "mean 15", "RobustBench"]


def test_half_of_alexnets_errors_are_a_corruption_error_of_50(path) -> None:
    with Store(path) as store:
        store.add(IMAGENETS, network(0.5))

    assert found(tables(path, Request(metric="mce"))[0], "relu", "mCE").value == pytest.approx(0.5, abs=1e-4)


REFUSED = {
    "other classes": ({"label_set": ""}, conditions(), "on ImageNet's 1,000 classes, but those of mnist:data are others"),
    "classes that an older larobust did not record": ({}, conditions(), "were not recorded.*--fresh"),
    "other levels": ({"label_set": IMAGENET}, conditions(profile="cifar-c"), "at the levels of imagenet-c, but these.*cifar-c"),
    "one severity": (
        {"label_set": IMAGENET}, conditions(severities=[3]), "over severities 1 to 5, but gaussian_noise was measured at 3 only",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "measured", "reason"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("metric", ["mce", "relative-mce"])
def test_corruption_errors_are_refused_for_anything_but_imagenet_c(path, metric: str, changes, measured, reason: str) -> None:
    fill(path, [CLEAN, *measured], seeds=(11,), activations=("relu",), **changes)

    with pytest.raises(UserError, match=reason):
        tables(path, Request(metric=metric))


def test_data_called_imagenet_count_in_stores_that_record_no_classes(path) -> None:
    fill(path, [CLEAN, *conditions()], seeds=(11,), activations=("relu",), data="imagenet:data")

    assert found(tables(path, Request(metric="mce"))[0], "relu", "mCE").value > 0


def test_each_complete_corruption_has_its_error_and_mce_says_what_it_lacks(path) -> None:
    measured = [*conditions(("fog", "snow")), *conditions(("frost",), severities=(1, 2))]
    fill(path, [CLEAN, *measured], seeds=(11,), activations=("relu",), label_set=IMAGENET)
    (table,) = tables(path, Request(metric="mce"))

    assert [column.name for column in table.columns[2:]] == ["fog", "snow"]
    assert "No mCE: it needs 15 corruptions at severities 1 to 5; not measured: gaussian_noise" in " ".join(table.notes)
    with pytest.raises(UserError, match=r"no column 'mCE': it needs 15 corruptions at severities 1 to 5; not measured: gaussian"):
        tables(path, Request(metric="mce", columns=("mCE",)))


def test_classes_are_imagenets_if_images_of_all_thousand_are_there() -> None:
    ids = wordnet_ids()

    assert label_set_of(ids, range(1000)) == label_set_of(ids[::-1], range(1000)) == IMAGENET
    assert label_set_of(ids, [*range(999), 0]) == label_set_of([*ids[:-1], "n00000000"], range(1000)) == ""


NAMED = {
    "mean-15": ("mean 15", COMMON, range(1, 6)),
    "mean-19": ("mean 19", ALL, range(1, 6)),
    "robustbench": ("RobustBench", COMMON, [5]),
}


@pytest.mark.parametrize("metric", NAMED)
def test_a_mean_known_by_name_is_a_metric_and_a_column_on_request(path, metric: str) -> None:
    column, names, severities = NAMED[metric]
    answers = fill(path, [CLEAN, *conditions(profile="cifar-c")], seeds=(11, 22))
    expected = np.mean([answers["silu", s, noise(n, k), 0].mean() for s in (11, 22) for n in names for k in severities])
    alone, beside, usual = (
        tables(path, request)[0] for request in (Request(metric=metric), Request(columns=("clean", metric)), Request())
    )

    assert [entry.name for entry in alone.columns[2:]] == ["clean", column]
    for table in (alone, beside):
        assert found(table, "silu", column).value == pytest.approx(expected)
        assert sum(f"{column}: mean over" in note for note in table.notes) == 1
    assert column not in [entry.name for entry in usual.columns]


@pytest.mark.parametrize("metric", NAMED)
def test_a_mean_known_by_name_is_refused_where_a_condition_is_missing(path, metric: str) -> None:
    measured = [one for one in conditions(profile="cifar-c") if (one.corruption, one.severity) != ("fog", 5)]
    fill(path, [CLEAN, *measured], seeds=(11,), activations=("relu",))

    for request in (Request(metric=metric), Request(columns=(NAMED[metric][0],)), Request(sort=NAMED[metric][0])):
        with pytest.raises(UserError, match=rf"{NAMED[metric][0]} needs 1[59] corruptions at severit.*; not measured: fog"):
            tables(path, request)


def test_single_checkpoints_are_tested_image_by_image_in_a_mean_known_by_name(path) -> None:
    fill(path, [CLEAN, *conditions(profile="cifar-c")], seeds=(11,))
    (table,) = tables(path, Request(metric="robustbench", by="checkpoint"))
    difference = next(row.values[-1] for row in table.rows if row.is_difference)

    assert difference.evidence.test == "paired t-test over images"


def run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["larobust", "compare", *words])
    return cli._run()


@pytest.mark.parametrize("form", ["csv", "json", "markdown", "latex", "html", "text"])
def test_mce_is_in_every_format(path, capsys, monkeypatch, form: str) -> None:
    with Store(path) as store:
        store.add(IMAGENETS, network())

    assert run(["--metric=mce", f"--store={path}", f"--format={form}"], monkeypatch) == 0
    out = capsys.readouterr().out
    if form == "csv":
        (row,) = [row for row in csv.DictReader(io.StringIO(out)) if row["column"] == "mCE"]
        assert float(row["value"]) == pytest.approx(1)
    elif form == "json":
        assert json.loads(out)["tables"][0]["rows"][0]["values"]["mCE"]["value"] == pytest.approx(1)
    else:
        assert "mCE" in out
        assert "100.0" in out


def test_a_metric_that_is_not_defined_is_one_line_and_exit_code_2(path, capsys, monkeypatch) -> None:
    fill(path, [CLEAN, *conditions(profile="cifar-c", severities=[3])], seeds=(11,))
    for metric in ("mce", "relative-mce", "robustbench"):
        code = run([f"--metric={metric}", f"--store={path}"], monkeypatch)
        out, err = capsys.readouterr()

        assert (code, out, err.count("\n")) == (2, "", 1)


def test_tables_that_a_metric_or_column_does_not_fit_are_left_out_with_the_reason(path) -> None:
    fill(path, [CLEAN, noise("fog", 1)], seeds=(11,), activations=("relu",), fingerprint="e" * 64, data="mnist:other")
    fill(path, [CLEAN, *conditions()], seeds=(11,), activations=("relu",), label_set=IMAGENET, data="imagenet:x")

    for request, reason in (
        (Request(metric="mce"), "at the levels of imagenet-c"),
        (Request(metric="robustbench"), "not measured: gaussian_noise"),
        (Request(metric="mean-19"), "not measured: gaussian_noise"),
        (Request(columns=("clean", "mean_19")), "no column 'mean_19'"),
        (Request(columns=("snow",)), "(no column 'snow'). Choose"),
        (Request(sort="snow"), "cannot sort by 'snow'"),
    ):
        (table,) = tables(path, request)
        (note,) = [note for note in table.notes if note.startswith("Left out")]
        assert "imagenet:x" in table.title
        assert note.startswith("Left out: mlp on mnist:other, 200 images, levels of cifar-c (")
        assert reason in note
        assert note.endswith("Choose what to compare with --data or --source.")
    with pytest.raises(UserError, match=r"mlp on mnist:other, .*: no column 'fgo'; did you mean fog.*--data or --source"):
        tables(path, Request(columns=("fgo",)))


def test_an_evaluation_says_what_mce_is_relative_to_once_and_what_is_not_the_same() -> None:
    (table,) = conventions(network(), dataclasses.replace(IMAGENETS, crop=64))
    (uncropped,) = conventions(network(), dataclasses.replace(IMAGENETS, crop=None))
    said = " ".join(table.notes)

    assert said.count("divided by that of the reference") == 1
    assert "Reference: AlexNet's errors on the published ImageNet-C, 224 px" in said
    assert "these images are 64 px wide" in said
    assert "These images were not cropped (--crop 224)" in " ".join(uncropped.notes)


def test_corruption_errors_of_a_part_of_imagenet_c_are_refused_with_the_reason_and_what_helps(path) -> None:
    part = [dataclasses.replace(one, parameters=(), profile="imagenet-c (modified)", prebuilt="d" * 32) for one in conditions()]
    fill(path, part, seeds=(11,), activations=("relu",), noise_seeds=(None,), label_set=IMAGENET)

    with pytest.raises(UserError, match=r"images of imagenet-c as published, and these are modified, or a part.*--reference"):
        tables(path, Request(metric="mce"))


def test_published_numbers_of_networks_that_were_not_measured_are_one_sentence(path, capsys, monkeypatch) -> None:
    fill(path, [CLEAN, noise("fog", 1)], seeds=(11,))

    assert run([f"--store={path}", "--published=published"], monkeypatch) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.count("No published numbers: they are of resnet20 on cifar10") == 1
    assert "leaky_relu" not in out
