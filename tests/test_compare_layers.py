"""`larobust compare --layers`, and the pairs of `larobust fluctuation`: only what both sides were measured under is compared."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_up_answers import found, setting
from made_up_layers import fluctuation

import robustbench_la
from robustbench_la import cli
from robustbench_la.analysis.comparison.layer_comparison import compare_layers
from robustbench_la.analysis.comparison.request import Request
from robustbench_la.analysis.statistics.seed_tests import compare_seeds
from robustbench_la.analysis.tables import layer_pairs, layer_tables
from robustbench_la.errors import ArgumentError, UserError
from robustbench_la.records.layers import NetworkFluctuation
from robustbench_la.store import layer_rows
from robustbench_la.store.store import Store

SEEDS = (11, 22, 33, 44, 55, 66)
LEVELS = {"la_silu": 1.0, "silu": 1.4}


def under(record: NetworkFluctuation, severity: int, scale: float) -> NetworkFluctuation:
    """The same network under another severity, where all is ``scale`` times as large."""
    condition = dataclasses.replace(record.layers[0].condition, severity=severity, parameters=(0.02 * severity,))
    layers = tuple(
        dataclasses.replace(
            layer,
            pass_=layer.pass_._replace(condition=condition),
            statistics={name: None if value is None else scale * value for name, value in layer.statistics.items()},
        )
        for layer in record.layers
    )
    return dataclasses.replace(record, layers=layers, per_image={name: scale * own for name, own in record.per_image.items()})


def record(activation: str, seed: int, severity: int) -> NetworkFluctuation:
    level = LEVELS[activation] + 0.02 * np.sin(7 * seed + len(activation))
    return under(fluctuation(activation, seed, level), severity, float(severity))


def fill(path: Path, left_out: Callable[[str, int, int], bool] = lambda *_: False) -> None:
    with Store(path) as store:
        for activation in LEVELS:
            for seed in SEEDS:
                for severity in (1, 5):
                    if not left_out(activation, seed, severity):
                        store.add_layers(setting(), layer_rows.rows(record(activation, seed, severity)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


def compared(path: Path, **changes: object):
    with Store(path, reading=True) as store:
        return compare_layers(store.layers(), Request(layers=True, **changes))  # type: ignore[arg-type]


def relative(activation: str, seed: int) -> float:
    """Of a network, by hand: the mean over layers and the two severities."""
    records = [record(activation, seed, severity) for severity in (1, 5)]
    return float(np.mean([layer.statistics["relative_mean"] for one in records for layer in one.layers]))


def test_layers_are_compared_over_seeds_from_the_store(path) -> None:
    fill(path)
    table, percent, other = compared(path, tests=True)
    sides = [[relative(name, seed) for seed in SEEDS] for name in LEVELS]
    expected = compare_seeds(*sides)
    shown, difference = found(table, "la_silu", "relative"), found(table, "la_silu − silu", "relative")

    assert table.title == "Fluctuation: cnn on mnist:data, 200 images, levels of cifar-c"
    assert (shown.value, shown.deviation, shown.count) == pytest.approx((np.mean(sides[0]), np.std(sides[0], ddof=1), 6))
    assert (difference.value, difference.low, difference.high) == pytest.approx(
        (expected.difference, expected.low, expected.high)
    )
    assert difference.evidence.p == pytest.approx(expected.p)
    assert difference.evidence.corrected >= expected.p
    assert {row.values[1] for row in percent.rows} == {"relative", "sat. noisy"}
    assert "fluct. / element" in {row.values[1] for row in other.rows}


def test_a_network_that_lacks_a_condition_is_refused_or_a_gap_in_the_comparison_of_layers(path) -> None:
    fill(path, lambda *which: which == ("silu", 22, 5))
    with pytest.raises(UserError, match=r"missing cells: gaussian_noise 5 of runs/silu-22\.pt"):
        compared(path)
    table = compared(path, allow_missing=True)[0]

    assert next(row for row in table.rows if row.values[0] == "silu").values[2:] == (None,) * (len(table.columns) - 2)


def test_the_command_writes_latex_and_refuses_what_would_do_nothing(path, monkeypatch, capsys) -> None:
    fill(path)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["larobust", "compare", "--layers", "--store", str(path), *arguments])
        return cli._run()

    assert run("--format", "latex", "--against", "counterpart") == 0
    assert r"\caption{Fluctuation: cnn" in capsys.readouterr().out
    assert run("--metric", "nll") == 2
    assert "so --metric would do nothing" in capsys.readouterr().err
    assert run("--activation", "relu") == 5
    with pytest.raises(ArgumentError, match="so detail= would do nothing"):
        robustbench_la.compare(path, layers=True, detail="severity")
    assert robustbench_la.compare(path, layers=True).tables()[0].title.startswith("Fluctuation: cnn")


def test_a_pair_averages_only_over_conditions_that_both_networks_have() -> None:
    """An interrupted run, without the severe condition of one side, must not turn the sign of the difference."""
    measured = [record("la_silu", 11, 1), record("la_silu", 11, 5), record("silu", 11, 1)]
    whole = layer_pairs.pairs([*measured, record("silu", 11, 5)])
    table = layer_pairs.pairs(measured)
    expected = layer_pairs.pairs([measured[0], measured[2]])
    place = [column.name for column in table.columns].index("difference")

    assert whole.rows[0].values[place].value < 0
    assert table.rows[0].values[place].value < 0
    assert table.rows == expected.rows
    assert "Left out, as not all of these networks were measured under it: gaussian_noise 5." in table.notes
    assert layer_pairs.pairs([measured[1], measured[2]]) is None


def test_rows_of_activations_are_means_over_the_same_conditions() -> None:
    measured = [record("la_silu", 11, 1), record("la_silu", 11, 5), record("silu", 11, 1)]
    table = layer_tables.activations(measured)
    place = [column.name for column in table.columns].index("relative")

    assert table.rows[0].values[place] == pytest.approx(
        np.mean([layer.statistics["relative_mean"] for layer in measured[0].layers])
    )
    assert any("gaussian_noise 5" in note for note in table.notes)
