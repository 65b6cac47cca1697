"""What looks alike is told apart: groups in titles, networks in tables; noise seeds and numbers in words."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from made_up_answers import LABELS, SMALL, fill, noise, tables
from made_up_layers import fluctuation

import robustbench_la
from robustbench_la import cli
from robustbench_la.analysis.comparison.request import Request
from robustbench_la.analysis.tables import accuracy_tables, layer_pairs, layer_tables
from robustbench_la.analysis.tables.table import Column, Row, Table
from robustbench_la.output.layout import parts
from robustbench_la.output.terminal import plain
from robustbench_la.records.cells import CLEAN
from robustbench_la.records.layers import NetworkFluctuation
from robustbench_la.records.packing import pack_classes
from robustbench_la.store.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


def renormalized(path: Path) -> None:
    """Every cell once more, of networks that are normalized otherwise."""
    with Store(path) as store:
        cells = list(store.cells(predictions=True))
        for stored in cells:
            network = dataclasses.replace(stored.cell.network, normalization="none")
            store.add(stored.setting, [dataclasses.replace(stored.cell, network=network)], labels=pack_classes(LABELS))


def test_titles_say_what_tells_groups_apart(path: Path) -> None:
    fill(path, SMALL, activations=("silu",), seeds=(11,))
    before = [table.title for table in tables(path)]
    renormalized(path)
    fill(path, SMALL, activations=("silu",), seeds=(11,), fingerprint="a" * 64, resize=40, crop=32)
    titles = [table.title for table in tables(path)]

    assert before == ["Top-1 accuracy: mlp on mnist:data, 200 images, levels of cifar-c"]
    assert titles == [
        f"{before[0]}, normalization half, not resized",
        f"{before[0]}, normalization none",
        f"{before[0]}, normalization half, resized to 40 px",
    ]


def test_plot_lists_groups_by_what_tells_them_apart(path: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    fill(path, SMALL, activations=("silu",), seeds=(11,))
    renormalized(path)

    monkeypatch.setattr(sys, "argv", ["larobust", "plot", "groups", "--store", str(path), "-o", str(tmp_path / "groups.svg")])

    assert cli._run() == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "1. mlp on mnist:data, 200 images, levels of cifar-c, normalization half; 2." in message
    assert message.count("normalization none") == 1


def test_rows_of_networks_of_one_name_are_told_apart(path: Path) -> None:
    fill(path, SMALL, activations=("silu",), seeds=(11,), name="best.pt")
    with Store(path) as store:
        stored = list(store.cells(predictions=True))
        network = dataclasses.replace(stored[0].cell.network, sha256=hashlib.sha256(b"other").hexdigest(), training_seed=22)
        cells = [dataclasses.replace(one.cell, network=network) for one in stored]
        store.add(stored[0].setting, cells, labels=pack_classes(LABELS))
    table = tables(path, Request(by="checkpoint"))[0]
    names = [row.values[0] for row in table.rows if not row.is_difference]

    first = hashlib.sha256(b"best.pt").hexdigest()[:8]
    assert names == [f"best.pt ({first})", f"best.pt ({network.sha256[:8]})"]


def test_noise_seeds_are_said_in_words_and_where_they_differ(path: Path) -> None:
    first, second = noise("gaussian_noise", 1), noise("gaussian_blur", 1)
    fill(path, (CLEAN, first), activations=("silu",), seeds=(11,), noise_seeds=(-1, 0))
    fill(path, (second,), activations=("silu",), seeds=(11,), noise_seeds=(0,))
    notes = " ".join(tables(path)[0].notes)

    assert "Noise seeds -1 and 0: averaged" in notes
    assert "Conditions have different noise seeds: -1 and 0 for gaussian_noise 1; 0 for gaussian_blur 1" in notes


def test_best_is_left_out_where_it_would_repeat_the_counterpart(path: Path) -> None:
    fill(path, SMALL, activations=("la_silu", "silu"))
    names = [row.values[0] for row in tables(path)[0].rows]

    assert names == ["la_silu", "silu", "la_silu − silu"]


def test_nothing_is_printed_as_minus_zero() -> None:
    assert parts(-1e-9, Column(name="a", kind="percent")) == ["0.00"]
    assert parts(-1e-9, Column(name="a", kind="percent"), signed=True) == ["0.00"]


def test_labels_keep_to_one_line_at_80_columns_and_what_all_rows_share_follows_the_title() -> None:
    folder = "/home/student/experiments/2026/runs/{}_cifar10_seed{}/checkpoints/best_model_epoch_199.pth"
    columns = (
        Column(name="checkpoint"),
        Column(name="architecture"),
        *(Column(name=f"count_{index}", kind="count") for index in range(8)),
    )
    rows = tuple(Row(values=(folder.format("la_silu", seed), "resnet.py:build", *range(8))) for seed in (11, 22))
    lines = plain([Table(title="Results", columns=columns, rows=rows, notes=())], width=80).splitlines()

    assert lines[:2] == ["Results", "architecture: resnet.py:build"]
    assert any(line.startswith("la_silu_cifar10_seed11 ") for line in lines)
    assert len(lines) <= 8


def test_layers_are_those_of_a_network_not_of_a_name() -> None:
    def network(sha256: str, level: float) -> NetworkFluctuation:
        measured = fluctuation("silu", 11, level)
        record = dataclasses.replace(measured.layers[0].network, checkpoint="net.pt", sha256=sha256)
        layers = (dataclasses.replace(measured.layers[0], network=record),)
        return dataclasses.replace(measured, layers=layers)

    one, other = network("a" * 64, 1.0), network("b" * 64, 3.0)
    table = layer_tables.layers([one, other])
    by_activation = layer_tables.activations([one, other])

    assert [row.values[0] for row in table.rows] == ["net.pt (aaaaaaaa)", "net.pt (bbbbbbbb)"]
    assert by_activation.rows[0].values[3] == 2
    assert layer_pairs.pairs([one, other]) is None


def test_columns_of_numbers_are_numbers_in_a_data_frame(path: Path) -> None:
    fill(path, SMALL, activations=("la_silu", "silu"), seeds=(11,))
    frame = robustbench_la.compare(path, by="checkpoint").to_pandas()
    kinds = {name: frame[name].dtype.kind for name in ("gained", "lost", "answers", "seed", "value", "p", "corrected")}

    assert kinds == {"gained": "i", "lost": "i", "answers": "i", "seed": "i", "value": "f", "p": "f", "corrected": "f"}
    assert not frame.columns.duplicated().any()
    assert frame["gained"].max() > 0


def test_the_tables_of_eval_pair_no_recipes_and_count_identical_weights_once(path: Path) -> None:
    def properties(activation: str, seed: int | None) -> dict[str, object]:
        weights = {"weights": "same" if seed in (11, 33) else f"{seed}"} if activation == "silu" else {}
        return weights | {"recipe": "long" if activation == "silu" or seed != 44 else "short"}

    answers = fill(path, SMALL, activations=("la_silu", "silu"), seeds=(11, 22, 33, 44), properties=properties)
    with Store(path, reading=True) as store:
        table = accuracy_tables.summary([stored.cell for stored in store.cells()])
    difference = next(row for row in table.rows if row.is_difference)
    means = [
        np.mean([answers[name, seed, CLEAN, None].mean() for seed in seeds])
        for name, seeds in (("la_silu", (11, 22, 33)), ("silu", (11, 22, 44)))
    ]

    assert sum(row.is_difference for row in table.rows) == 1
    assert difference.values[3] == pytest.approx(means[0] - means[1])
    assert any(
        "Identical weights, counted once as a training seed: runs/silu-33.pt and runs/silu-11.pt" in n for n in table.notes
    )


def test_rows_of_activations_inside_networks_pool_no_recipes() -> None:
    def network(seed: int, recipe: str) -> NetworkFluctuation:
        measured = fluctuation("silu", seed, 1.0)
        record = dataclasses.replace(measured.layers[0].network, recipe=recipe, weights="w" if recipe == "long" else f"{seed}")
        return dataclasses.replace(measured, layers=(dataclasses.replace(measured.layers[0], network=record),))

    table = layer_tables.activations([network(11, "long"), network(22, "short"), network(33, "long")])

    assert [row.values[:4] for row in table.rows] == [
        ("cnn, recipe long", "silu", "element", 1),
        ("cnn, recipe short", "silu", "element", 1),
    ]
    assert "Identical weights" in table.notes[1]


def test_networks_of_one_name_keep_the_given_order_in_python(path: Path) -> None:
    fill(path, SMALL, activations=("silu", "relu"), seeds=(11,), name="best.pt")
    with Store(path, reading=True) as store:
        cells = [stored.cell for stored in store.cells()]
    table = accuracy_tables.summary(cells, as_given=True)

    assert [row.values[1] for row in table.rows] == ["silu", "relu"]
