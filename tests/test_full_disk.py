"""A disk that is full at any file: one line, exit code 3, what was there stays, and nothing is left behind."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzzing import larobust

resource = pytest.importorskip("resource", reason="needs POSIX")


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def good(digits_pair: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with checkpoints, a store and a baseline."""
    folder = tmp_path_factory.mktemp("good")
    networks = []
    for path in digits_pair:
        shutil.copy(path, folder)
        networks += ["--ckpt", str(folder / path.name)]
    few = ["--noise", "gaussian", "--severity", "1,3", "--limit", "40"]
    for words in (
        ["eval", *networks, *few, "--store", str(folder / "store")],
        ["fluctuation", *networks, *few, "--store", str(folder / "store")],
        ["baseline", "--ckpt", str(folder / "la_silu.pt"), *few, "-o", str(folder / "baseline")],
    ):
        assert larobust(*words).code == 0
    return folder


_FEW = ("--ckpt", "la_silu.pt", "--noise", "gaussian", "--limit", "40")
_COMMANDS: dict[str, tuple[str, ...]] = {
    "results of eval": ("eval", *_FEW, "--no-store", "-o", "OUT.json"),
    "the store of eval": ("eval", *_FEW, "--store", "OUT.sqlite"),
    "results of fluctuation": ("fluctuation", *_FEW, "--no-store", "-o", "OUT.json"),
    "layers of fluctuation": ("fluctuation", *_FEW, "--no-store", "--csv", "OUT.csv"),
    "the store of fluctuation": ("fluctuation", *_FEW, "--store", "OUT.sqlite"),
    "a page": ("compare", "--store", "store", "-o", "OUT.html"),
    "a figure": ("plot", "groups", "--store", "store", "-o", "OUT.svg"),
    "a baseline": ("baseline", *_FEW, "--update", "-o", "OUT.json"),
    "a report": ("check", "--baseline", "baseline", "--results", "store", "--ckpt", "la_silu", "--junit", "OUT.xml"),
    "a summary": ("check", "--baseline", "baseline", "--results", "store", "--ckpt", "la_silu", "--summary", "OUT.md"),
    "a checkpoint": (
        "train",
        "--arch",
        "cnn",
        "--activation",
        "silu",
        "--epochs",
        "1",
        "--limit",
        "200",
        "--force",
        "-o",
        "OUT.pt",
    ),
    "corrupted images": ("corrupt", "--noise", "gaussian", "--limit", "40", "-o", "OUT.set"),
    "a joined store": ("merge", "store", "-o", "OUT.sqlite"),
}


@pytest.mark.parametrize("output", _COMMANDS)
def test_a_full_disk_leaves_what_was_there(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    words = _COMMANDS[output]
    out = next(word for word in words if word.startswith("OUT"))
    for path in good.iterdir():
        shutil.copy(path, tmp_path)
    if output == "a baseline":
        shutil.copy(good / "baseline", tmp_path / out)
    elif not out.endswith((".sqlite", ".set")):
        (tmp_path / out).write_text("old")
    elif output not in ("a joined store", "corrupted images"):
        shutil.copy(good / "store", tmp_path / out)
        assert larobust("forget", "--store", str(tmp_path / out), "--ckpt", "*la_silu*", "--yes").code == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.chdir(tmp_path)
    with room_for(500):
        outcome = larobust(*words)

    assert outcome.code == 3, outcome
    assert "Traceback" not in outcome.stderr
    assert out in outcome.stderr
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.stat().st_size}
    assert after == before


def test_a_store_that_cannot_shrink_keeps_everything(good: Path, tmp_path: Path) -> None:
    shutil.copy(good / "store", tmp_path / "store")
    before = (tmp_path / "store").read_bytes()
    with room_for(500):
        outcome = larobust("forget", "--store", str(tmp_path / "store"), "--ckpt", "*la_silu*", "--yes")

    assert outcome.code == 3, outcome
    assert larobust("results", "--store", str(tmp_path / "store"), "--csv").stdout.count("\n") > 5
    assert (tmp_path / "store").read_bytes() == before
