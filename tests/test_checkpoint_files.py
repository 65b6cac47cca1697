"""Checkpoints as files: hundreds at once, and names that are no text."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from fuzzing import assert_harmless, larobust

resource = pytest.importorskip("resource", reason="needs POSIX")


@pytest.mark.parametrize("number", [100, pytest.param(500, marks=pytest.mark.slow)])
def test_hundreds_of_checkpoints_are_measured_without_as_many_open_files(
    number: int, digits_pair: list[Path], tmp_path: Path
) -> None:
    for place in range(number):
        shutil.copy(digits_pair[place % 2], tmp_path / f"{place}.pt")
    words = ("eval", "--ckpt", str(tmp_path / "*.pt"), "--noise", "gaussian", "--severity", "1", "--limit", "10")
    opened = len(list(Path("/dev/fd").iterdir()))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 60, hard))
    try:
        outcome = larobust(*words, "--store", str(tmp_path / "store.sqlite"))
        again = larobust(*words, "--store", str(tmp_path / "store.sqlite"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert (outcome.code, again.code) == (0, 0), outcome.stderr
    assert f"{number} checkpoints" in outcome.stderr
    assert "nothing is left to measure" in again.stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="whose file names are always text")
@pytest.mark.parametrize("name", [b"net\xff.pt", b"net\x1b[31m\n::error::x.pt", "net\u202e.pt".encode()])
@pytest.mark.parametrize("good", [True, False])
def test_a_checkpoint_of_any_name_is_read_or_refused_and_its_name_only_shown(
    name: bytes, good: bool, digits_pair: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = os.fsdecode(name)
    monkeypatch.chdir(tmp_path)
    Path(path).write_bytes(digits_pair[0].read_bytes() if good else b"no checkpoint")
    words = ("--ckpt", path, "--noise", "gaussian", "--limit", "10")
    outcomes = [larobust("eval", *words, "--store", "s.sqlite", "-o", "o.json"), larobust("baseline", *words, "-o", "b.json")]

    for outcome in outcomes:
        assert_harmless(outcome)
        assert outcome.code == (0 if good else 2), outcome
    if good:
        for words in (("results", "--store", "s.sqlite"), ("check", "--baseline", "b.json", "--ckpt", path)):
            assert_harmless(outcome := larobust(*words))
            assert outcome.code == 0, outcome
