"""Which differences a comparison tests, over which training seeds, and what it says where few seeds can show nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_answers import SMALL, fill, found, setting, tables
from made_up_layers import fluctuation

from robustbench_la.analysis.comparison.contenders import BEST, Contender
from robustbench_la.analysis.comparison.differences import contrast
from robustbench_la.analysis.comparison.layer_comparison import compare_layers
from robustbench_la.analysis.comparison.reach import out_of_reach
from robustbench_la.analysis.comparison.request import Request
from robustbench_la.analysis.groups.variants import Variant
from robustbench_la.analysis.metrics.columns import MetricColumns
from robustbench_la.analysis.tables.table import Column
from robustbench_la.store import layer_rows
from robustbench_la.store.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


def notes(table) -> str:
    return " ".join(table.notes)


@pytest.mark.parametrize(("seeds", "hopeless"), [(8, True), (10, True), (11, False)])
def test_tests_of_different_columns_count_although_their_rank_sums_are_the_same(seeds: int, hopeless: bool) -> None:
    columns = tuple(Column(name=f"c{index}", kind="number", better="higher") for index in range(34))
    ahead = np.r_[np.linspace(1, 1.1, seeds - 1), 40.0]  # far from normal, so ranked; one rank sum for all columns
    contenders = [
        Contender(
            name=name,
            variant=Variant(name, None),
            level=level,
            indices=tuple(range(start, start + seeds)),
            seeds={seed: start + seed for seed in range(seeds)},
        )
        for name, level, start in (("la_silu", "layer", 0), ("silu", "element", seeds))
    ]
    rows = [{column.name: float(value) for column in columns} for value in (*ahead, *np.zeros(seeds))]
    measured = MetricColumns(columns=columns, rows=tuple(rows), noise=(), members={}, notes=())
    contrasts = contrast(contenders, measured, columns, ("counterpart",))
    tests = [estimate.evidence for estimate in contrasts[0].estimates]

    assert {test.test for test in tests} == {"Wilcoxon signed-rank"}
    assert {test.p for test in tests} == {2.0 ** (1 - seeds)}
    assert (min(test.corrected for test in tests) >= 0.05) == hopeless
    assert ("after correction for 34 such tests" in out_of_reach(contrasts)) == hopeless


def test_single_networks_are_compared_inside_only_with_those_of_their_own_training_seed(path: Path) -> None:
    levels = {
        ("la_silu", 11): 1.0,
        ("la_silu", 22): 1.2,
        ("silu", 11): 1.5,
        ("silu", 22): 1.9,
        ("relu", 11): 1.6,
        ("relu", 22): 1.1,
    }
    with Store(path) as store:
        for place, ((activation, seed), level) in enumerate(levels.items()):
            record = fluctuation(activation, seed, level)
            rows = layer_rows.rows(record)
            store.add_layers(setting(started=f"2026-01-02T03:04:{place:02}+00:00"), rows)
    with Store(path, reading=True) as store:
        (table,) = compare_layers(store.layers(), Request(layers=True, by="checkpoint", tests=True))  # nothing is tested
    place = [column.name for column in table.columns].index("relative")
    shown = [(row.values[0], row.values[place].evidence.other) for row in table.rows if row.is_difference]

    assert [name for name, _ in shown] == ["la_silu − silu", f"la_silu − {BEST}"] * 2
    values = [row.values[place].value for row in table.rows if row.is_difference]
    unit = found(table, "runs/la_silu-11.pt", "relative").value
    assert values == pytest.approx([unit * number for number in (1.0 - 1.5, 1.0 - 1.5, 1.2 - 1.9, 1.2 - 1.1)])


def test_the_best_is_tested_over_the_seeds_that_all_rivals_have_or_the_reason_is_said(path: Path, tmp_path: Path) -> None:
    fill(path, SMALL, left_out=lambda activation, seed, _: (activation, seed) == ("relu", 66))
    (table,) = tables(path)
    difference = found(table, f"la_silu − {BEST}", "clean")

    assert (difference.count, difference.evidence.test) == (5, "max-t over rivals")
    assert next(row for row in table.rows if row.values[0] == f"la_silu − {BEST}").values[1] == 5
    assert found(table, "la_silu − silu", "clean").count == 6
    assert "over the training seeds that all activations it is chosen from share" in notes(table)

    few = tmp_path / "few.sqlite"
    fill(few, SMALL, left_out=lambda activation, seed, _: activation == "silu" and seed in (55, 66))
    (table,) = tables(few)
    difference = found(table, f"la_silu − {BEST}", "clean")

    assert (difference.count, difference.evidence.p) == (6, None)
    assert "No p-value against the best where the activations it is chosen from share fewer than 5" in notes(table)


def test_there_is_no_table_of_tests_where_nothing_is_tested(path: Path) -> None:
    fill(path, SMALL, seeds=(11,))
    (table,) = tables(path, Request(by="checkpoint", metric="nll", tests=True))

    assert "have no test, so there is no table of tests" in notes(table)
    assert len(tables(path, Request(by="checkpoint", tests=True))) == 2
