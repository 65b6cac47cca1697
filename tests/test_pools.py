"""Which networks tables take together: those built, trained and measured alike, and what is said where some were not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from made_up_answers import SMALL, fill, noise, tables
from made_up_layers import fluctuation

from robustbench_la.analysis.comparison.request import Request
from robustbench_la.analysis.tables import accuracy_tables, layer_pairs, layer_tables
from robustbench_la.errors import UserError
from robustbench_la.output.terminal import plain
from robustbench_la.records.cells import CLEAN
from robustbench_la.records.layers import NetworkFluctuation
from robustbench_la.store.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


def under(record: NetworkFluctuation, severity: int, **properties: object) -> NetworkFluctuation:
    """The same network under a severity, with other properties."""
    condition = dataclasses.replace(record.layers[0].condition, severity=severity, parameters=(0.02 * severity,))
    network = dataclasses.replace(record.layers[0].network, **properties)
    layers = [
        dataclasses.replace(layer, network=network, pass_=layer.pass_._replace(condition=condition)) for layer in record.layers
    ]
    return dataclasses.replace(record, layers=tuple(layers))


def test_checkpoints_of_several_architectures_share_a_table_though_others_were_measured_otherwise(path: Path) -> None:
    for name in ("mlp", "cnn"):
        fill(path, SMALL, activations=("relu",), seeds=(11,), architecture=name, name=f"{name}.pt")
    fill(path, (CLEAN, noise("gaussian_noise", 5)), activations=("relu",), seeds=(11,), architecture="wide", name="wide.pt")
    jpeg = [dataclasses.replace(condition, jpeg=85) for condition in SMALL[1:]]
    fill(path, (CLEAN, *jpeg), activations=("relu",), seeds=(11,), architecture="mlp", name="mlp.pt")
    found = tables(path, Request(by="checkpoint"))
    rows = [[row.values[0] for row in table.rows if not row.is_difference] for table in found]

    assert sorted(rows) == [["mlp.pt"], ["mlp.pt", "cnn.pt"], ["wide.pt"]]
    assert len({table.title for table in found}) == 3


def test_the_means_of_an_interrupted_run_say_what_they_cover() -> None:
    one, other = fluctuation("la_silu", 11, 1.0), fluctuation("silu", 11, 1.4)
    table = layer_tables.layers([under(one, 3), under(one, 5), under(other, 3)])

    assert {row.values[1]: row.values[2] for row in table.rows} == {"la_silu": "mean of 2", "silu": "gaussian_noise 3"}
    assert "their means do not compare: runs/silu-11.pt only under gaussian_noise 3." in table.notes[0]
    whole = layer_tables.layers([under(one, 3), under(one, 5), under(other, 3), under(other, 5)])
    assert "do not compare" not in whole.notes[0]


def test_networks_with_no_condition_in_common_have_no_means() -> None:
    table = layer_tables.activations([under(fluctuation("la_silu", 11, 1.0), 3), under(fluctuation("silu", 11, 1.4), 5)])

    assert table.rows == ()
    assert "cnn: no row, as its networks have no condition in common." in table.notes
    assert "no condition in common" in " ".join(plain([table]).split())


def test_rows_of_activations_pool_neither_alphas_nor_normalizations() -> None:
    sets = [("la_silu", 1, 1e-5, "half"), ("la_silu", 2, 0.1, "half"), ("silu", 3, None, "half"), ("silu", 4, None, "none")]
    measured = [
        under(fluctuation(activation, seed, float(seed)), 3, alpha=alpha, normalization=normalization)
        for activation, seed, alpha, normalization in sets
    ]
    table, pairs = layer_tables.activations(measured), layer_pairs.pairs(measured)

    assert [(row.values[0], row.values[1], row.values[3]) for row in table.rows] == [
        ("cnn, normalization half", "la_silu, alpha 1e-05", 1),
        ("cnn, normalization half", "la_silu, alpha 0.1", 1),
        ("cnn, normalization half", "silu", 1),
        ("cnn, normalization none", "silu", 1),
    ]
    assert {row.values[1] for row in pairs.rows} == {"la_silu, alpha 1e-05 − silu", "la_silu, alpha 0.1 − silu"}


def test_rows_of_activations_pool_no_exchanged_network_with_one_that_was_trained_so() -> None:
    measured = [under(fluctuation("silu", seed, 1.0), 3, exchange=exchange) for seed, exchange in ((1, ""), (2, "relu=silu"))]
    table = layer_tables.activations(measured)

    assert [(row.values[1], row.values[3]) for row in table.rows] == [("silu, not exchanged", 1), ("silu, relu=silu", 1)]


def test_the_table_of_eval_pairs_neither_alphas_nor_normalizations(path: Path) -> None:
    answers = fill(path, SMALL, activations=("la_silu", "silu"), seeds=(11, 22, 33))
    with Store(path, reading=True) as store:
        cells = [stored.cell for stored in store.cells()]
    changes = {22: {"normalization": "none"}, 33: {"alpha": 0.1}}

    def changed(cell):
        change = changes.get(cell.network.training_seed, {})
        change = {name: value for name, value in change.items() if name != "alpha" or cell.network.alpha}
        return dataclasses.replace(cell, network=dataclasses.replace(cell.network, **change))

    table = accuracy_tables.summary([changed(cell) for cell in cells])
    clean = {key: right.mean() for key, right in answers.items() if key[2] == CLEAN}
    element = np.mean([clean["silu", seed, CLEAN, None] for seed in (11, 33)])

    assert {row.values[0]: row.values[3] for row in table.rows if row.is_difference} == pytest.approx(
        {
            "la_silu, alpha 1e-05 − silu (normalization half)": clean["la_silu", 11, CLEAN, None] - element,
            "la_silu, alpha 0.1 − silu (normalization half)": clean["la_silu", 33, CLEAN, None] - element,
            "la_silu − silu (normalization none)": clean["la_silu", 22, CLEAN, None] - clean["silu", 22, CLEAN, None],
        }
    )


def test_effective_robustness_says_which_column_no_element_level_network_was_measured_under(path: Path) -> None:
    for name in ("mlp", "cnn", "wide"):
        fill(
            path, SMALL, activations=("la_silu", "silu"), seeds=(11, 22), architecture=name,
            name=name + "/{activation}-{seed}.pt",
            left_out=lambda activation, _, condition: activation == "silu" and condition == SMALL[-1],
        )  # fmt: skip
    with pytest.raises(UserError, match=r"effective robustness of gaussian_blur.* needs element-level networks without missing"):
        tables(path, Request(metric="effective", allow_missing=True, detail="corruption"))
