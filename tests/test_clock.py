"""A clock that is set back, or that leaps: results, files and progress do not depend on it."""

from __future__ import annotations

import datetime
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzzing import larobust
from killing import content

from robustbench_la import progress
from robustbench_la.files import write_whole
from robustbench_la.records.plan_file import read_plan
from robustbench_la.store.store import Store
from robustbench_la.training import train
from robustbench_la.training.jobs import Job, prepare_jobs

SetClock = Callable[[int], None]


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Sets what Python takes as the time, in seconds since 1970."""

    def set_to(seconds: int) -> None:
        class Clock(datetime.datetime):
            @classmethod
            def now(cls, tz: datetime.tzinfo | None = None) -> Clock:
                return cls.fromtimestamp(seconds, tz)

        monkeypatch.setattr(datetime, "datetime", Clock)
        monkeypatch.setattr(time, "time", lambda: float(seconds))
        monkeypatch.setattr(time, "time_ns", lambda: seconds * 10**9)

    return set_to


@pytest.mark.parametrize("command", ["eval", "fluctuation"])
def test_results_are_kept_and_found_whatever_the_clock_says(
    command: str, digits_pair: list[Path], tmp_path: Path, set_clock: SetClock
) -> None:
    store, undisturbed = str(tmp_path / "store.sqlite"), str(tmp_path / "undisturbed.sqlite")
    measured = (command, "--ckpt", str(digits_pair[0]), "--limit", "20", "--noise", "gaussian", "--severity")

    for now, severities in ((1_900_000_000, "1"), (0, "1,2"), (1_800_000_000, "1,2,3")):
        set_clock(now)
        outcome = larobust(*measured, severities, "--store", store)
        assert (outcome.code, "Traceback" in outcome.stderr) == (0, False), outcome.stderr
    assert larobust(*measured, "1,2,3", "--store", undisturbed).code == 0
    again = larobust(*measured, "1,2,3", "--store", store)

    assert "nothing is left to measure" in again.stderr
    assert content(Path(store)) == content(Path(undisturbed))
    with Store(Path(store), reading=True) as opened, Store(Path(undisturbed), reading=True) as other:
        assert len(list(opened.layers())) == len(list(other.layers()))
    shown = larobust("results", "--store", store)
    assert (shown.code, "measured 1970-01-01 to 2030-03-17" in " ".join(shown.stdout.split())) == (0, True), shown.stdout


def test_a_baseline_that_is_older_than_its_checkpoint_seems_is_compared(
    digits_pair: list[Path], tmp_path: Path, set_clock: SetClock
) -> None:
    baseline, report = str(tmp_path / "baseline.json"), tmp_path / "report.xml"
    set_clock(1_900_000_000)
    recorded = larobust(
        "baseline", "--ckpt", str(digits_pair[0]), "--limit", "20", "--noise", "gaussian", "--severity", "1", "-o", baseline
    )
    set_clock(0)
    checked = larobust("check", "--baseline", baseline, "--ckpt", str(digits_pair[0]), "--junit", str(report))

    assert (recorded.code, checked.code) == (0, 0), checked.stderr
    assert 'timestamp="1970-01-01T00:00:00"' in report.read_text()


@pytest.mark.parametrize(("age", "stays"), [(7200, False), (60, True), (-60, True), (-(10**7), True)])
def test_what_another_process_may_be_writing_stays_however_new_it_seems(tmp_path: Path, age: int, stays: bool) -> None:
    left = tmp_path / ".larobust-unfinished-other"
    left.touch()
    os.utime(left, (time.time() - age,) * 2)

    write_whole(tmp_path / "file", "content")

    assert (left.exists(), (tmp_path / "file").read_text()) == (stays, "content")


@pytest.mark.parametrize("written", [-(10**9), 0, 4 * 10**9])
def test_files_from_before_1970_and_from_the_future_are_replaced(tmp_path: Path, written: int) -> None:
    (tmp_path / "file").write_text("old")
    for path in (tmp_path / "file", tmp_path):
        os.utime(path, (written, written))

    write_whole(tmp_path / "file", "new")

    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("written", [0, 4 * 10**9])
def test_an_interrupted_training_goes_on_whenever_its_state_seems_to_be_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    epoch, finished = train._epoch, []

    def interrupted(*given: object) -> tuple[float, float]:
        if finished:
            raise KeyboardInterrupt
        finished.append(epoch(*given))  # type: ignore[arg-type]  # passed on
        return finished[0]

    def jobs() -> list[Job]:
        flags = {"arch": "mlp", "activation": ["relu"], "limit": 100, "train": {"epochs": 2}}
        return list(prepare_jobs(read_plan(None, flags, purpose="train"), str(tmp_path / "relu.pt")))

    monkeypatch.setattr(train, "_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train.train(jobs()[0])
    monkeypatch.setattr(train, "_epoch", epoch)
    (state,) = tmp_path.glob("*.partial")
    os.utime(state, (written, written))

    assert train.train(jobs()[0]).resumed == 1
    assert [path.name for path in tmp_path.iterdir()] == ["relu.pt"]


def test_progress_is_shown_while_the_clock_is_set_back(
    monkeypatch: pytest.MonkeyPatch, set_clock: SetClock, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress.bar("images")("evaluating", 200) as advance:
        for now in (2_000_000_000, 0, 1_000_000_000):
            set_clock(now)
            advance(50)
            time.sleep(0.15)

    shown = capsys.readouterr().err
    assert "evaluating" in shown
    assert not re.search(r"-\d+(:|,\d| images/s)", shown), shown
