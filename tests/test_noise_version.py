"""Noise that an earlier larobust drew, with words shared by all severities, is read but never mixed with today's."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

from corruptions import NOISE_VERSION
from robustbench_la import cli
from robustbench_la.measuring.inject import Injection
from robustbench_la.measuring.layer_options import FluctuationOptions
from robustbench_la.measuring.quantities import Accuracy, Fluctuation
from robustbench_la.measuring.resume import measure_missing
from robustbench_la.measuring.session import prepare_evaluation
from robustbench_la.records.cells import Condition
from robustbench_la.records.plan_file import read_plan
from robustbench_la.store.store import Store

BASELINES = Path(__file__).parent / "baselines"


def old(condition: Condition) -> Condition:
    return dataclasses.replace(condition, noise_version=1)


def test_what_a_store_holds_of_earlier_noise_is_measured_again(digits_pair: list[Path], tmp_path: Path) -> None:
    plan = read_plan(None, {"checkpoints": [str(digits_pair[0])], "noise": ["gaussian=0.2", "blur=1"], "limit": 40})
    evaluation = prepare_evaluation(plan)
    first = measure_missing(evaluation, Accuracy(predictions=True))
    earlier = [
        dataclasses.replace(cell, pass_=cell.pass_._replace(condition=old(cell.condition))) if cell.condition.is_random else cell
        for cell in first.records
    ]
    with Store(tmp_path / "x.sqlite") as store:
        store.add(first.setting, earlier)
    again = measure_missing(evaluation, Accuracy(), store=tmp_path / "x.sqlite")

    assert (again.measured, again.from_store) == (1, 2)
    assert {cell.condition.noise_version for cell in again.records} == {NOISE_VERSION}


def test_a_baseline_of_earlier_noise_is_not_comparable(
    digits_pair: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(digits_pair[0], "net.pt")
    command = ["larobust", "check", "--ckpt", "net.pt", "--baseline", str(BASELINES / "quickstart-v1.json")]
    monkeypatch.setattr(sys, "argv", command)

    assert cli._run() == 4
    error = capsys.readouterr().err.strip().splitlines()
    assert "noise version 1, here 2); make the baseline again with: larobust baseline" in error[-1]


def test_injected_noise_of_an_earlier_version_is_kept_apart(digits_pair: list[Path], tmp_path: Path) -> None:
    evaluation = prepare_evaluation(read_plan(None, {"checkpoints": [str(digits_pair[0])], "noise": ["clean"], "limit": 40}))
    quantity = Fluctuation(options=FluctuationOptions(injections=(Injection("gaussian", 0.1),)))
    path = tmp_path / "x.sqlite"
    measure_missing(evaluation, quantity, store=path)
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        # As a release of the schema before, 9, would have written it.
        for table in ("cells", "layers"):
            (key,) = file.execute("SELECT sql FROM sqlite_master WHERE name = ?", (f"one_{table[:-1]}",)).fetchone()
            file.execute(f"DROP INDEX one_{table[:-1]}")
            file.execute(f"ALTER TABLE {table} DROP COLUMN prebuilt")
            file.execute(key.replace(", ifnull(prebuilt, '')", ""))
        file.execute("ALTER TABLE settings DROP COLUMN label_set")
        file.execute("PRAGMA user_version = 9")

    again = measure_missing(evaluation, quantity, store=path)
    assert (again.measured, again.from_store) == (1, 0)
    assert measure_missing(evaluation, quantity, store=path).measured == 0
