"""The store under SIGKILL and under several writers: nothing finished is lost, nothing is stored or measured twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest
from killing import Server, content

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def committed(path: Path) -> set[str]:
    """The cells of a store as the server logs them."""
    if not path.exists():
        return set()
    return {f"{digest} {condition} {seed or 0}" for digest, condition, seed in content(path)}


def test_an_evaluation_killed_at_any_moment_goes_on_where_it_was(
    processes: Server, digits_pair: list[Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Five kills, or thirty with --slow; each run that comes through is compared with an undisturbed one."""
    kills = 30 if request.config.getoption("--slow") else 5
    command = ["eval", *(f"--ckpt={path}" for path in digits_pair), "--noise=gaussian", "--device=cpu"]
    log = tmp_path / "log"

    assert processes.run(log, *command, f"--store={tmp_path / 'undisturbed.sqlite'}") == 0
    began = time.perf_counter()
    log.unlink()
    assert processes.run(log, *command, f"--store={tmp_path / 'timed.sqlite'}") == 0
    whole = time.perf_counter() - began
    expected = content(tmp_path / "undisturbed.sqlite")
    assert len(expected) == len(set(lines(log))) == 12

    moments = random.Random(0)
    hit, rounds, measured, caught = 0, 0, 0, 0
    path = tmp_path / "0.sqlite"
    while hit < kills or path.exists():
        log.unlink(missing_ok=True)
        before = committed(path)
        child = processes.start(log, *command, f"--store={path}")
        if hit < kills:
            time.sleep(moments.uniform(0, whole))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        status = processes.wait(child)
        again = lines(log)
        measured += len(again)

        assert status in (0, -signal.SIGKILL)
        assert before <= committed(path)
        assert not before & set(again), "a cell was measured that had been committed"
        if status == 0:
            assert content(path) == expected
            rounds += 1
            path = tmp_path / f"{rounds}.sqlite"
        else:
            hit += 1
            caught += bool(again)
    print(f"{hit} kills ({caught} while measuring); {measured} cells measured for {rounds} x {len(expected)}")

    # Each kill costs at most the condition in hand: one cell for each of the two checkpoints.
    assert rounds * len(expected) <= measured <= rounds * len(expected) + 2 * hit


def test_two_processes_write_to_one_store_at_once(processes: Server, digits_pair: list[Path], tmp_path: Path) -> None:
    """20 cells each, 8 of them the same."""
    flags = [*(f"--ckpt={path}" for path in digits_pair), "--device=cpu"]
    first = ["eval", *flags, "--noise=gaussian,impulse_noise=0.01,0.02,0.03,0.04"]
    second = ["eval", *flags, "--noise=impulse_noise=0.02,0.03,0.04,speckle_noise=0.1,0.2,0.3,0.4,0.5,0.6"]
    for name, command in (("first", first), ("second", second)):
        assert processes.run(tmp_path / "log", *command, f"--store={tmp_path / name}.sqlite") == 0
    alone = [content(tmp_path / f"{name}.sqlite") for name in ("first", "second")]
    children = [processes.start(tmp_path / f"log{number}", *command, f"--store={tmp_path / 'both.sqlite'}") for number, command in
                enumerate((first, second))]  # fmt: skip

    assert [processes.wait(child) for child in children] == [0, 0]
    assert [len(cells) for cells in alone] == [20, 20]
    assert len(alone[0].keys() & alone[1].keys()) == 8
    assert content(tmp_path / "both.sqlite") == alone[0] | alone[1]
