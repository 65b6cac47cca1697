"""A comparison over a single corruption: its mean over corruptions is that corruption, shown and tested once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_up_answers import fill, noise, tables

from robustbench_la.analysis.comparison.request import Request
from robustbench_la.analysis.statistics.paired_tests import holm
from robustbench_la.analysis.tables.table import Estimate
from robustbench_la.records.cells import CLEAN


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


@pytest.mark.parametrize("by", ["activation", "checkpoint"])
def test_the_mean_over_one_corruption_is_not_a_column_of_its_own(path: Path, by: str) -> None:
    fill(path, [CLEAN, noise("gaussian_noise", 1), noise("gaussian_noise", 3)])
    request = Request(by=by, against=("counterpart",), tests=True)  # type: ignore[arg-type]
    table, tested = tables(path, request)
    numbers = [column.name for column in table.columns if not column.is_label]

    assert numbers == ["clean", "gaussian_noise"]
    assert not any("Mean corr." in note for note in table.notes)
    found = [value.evidence for row in table.rows for value in row.values if isinstance(value, Estimate) and value.evidence]
    assert [one.corrected for one in found] == holm([one.p for one in found])
    assert {row.values[1] for row in tested.rows} == {"clean", "gaussian_noise"}


def test_it_is_there_on_request_and_with_several_corruptions(path: Path) -> None:
    fill(path, [CLEAN, noise("gaussian_noise", 1), noise("gaussian_noise", 3)])
    request = Request(against=())
    (chosen,) = tables(path, replace(request, columns=("mean_corr",)))
    (by_mean,) = tables(path, replace(request, sort="mean corr."))
    (by_severity,) = tables(path, replace(request, detail="severity"))
    fill(path, [noise("box_blur", 1)])
    (several,) = tables(path, request)

    assert [column.name for column in chosen.columns if not column.is_label] == ["mean corr."]
    assert [column.name for column in by_mean.columns if not column.is_label][-1] == "mean corr."
    for table in (by_severity, several):
        assert [column.name for column in table.columns if not column.is_label][-1] == "mean corr."
