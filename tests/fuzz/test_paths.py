"""What every option that takes a path says about names that are none, and about what is no file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fuzzing import assert_harmless, larobust

_EVAL = ("eval", "--noise", "gaussian", "--limit", "2", "--data", "digits", "--no-store", "--ckpt")
_OPTIONS = {
    "--ckpt": ("eval", "--noise", "gaussian", "--no-store", "--ckpt", "VALUE"),
    "--config": (*_EVAL, "CHECKPOINT", "--config", "VALUE"),
    "--data": ("eval", "--no-store", "--ckpt", "CHECKPOINT", "--data", "folder:VALUE"),
    "--arch": (*_EVAL, "CHECKPOINT", "--arch", "VALUE:net"),
    "--arch FILE.py": (*_EVAL, "CHECKPOINT", "--arch", "VALUE.py:net"),
    "--labels": (*_EVAL, "CHECKPOINT", "--labels", "VALUE"),
    "--frost-textures": (*_EVAL, "CHECKPOINT", "--frost-textures", "VALUE"),
    "--store": ("results", "--store", "VALUE"),
    "--store to write": (
        "eval",
        "--noise",
        "gaussian",
        "--limit",
        "2",
        "--data",
        "digits",
        "--ckpt",
        "CHECKPOINT",
        "--store",
        "VALUE",
    ),
    "eval -o": (*_EVAL, "CHECKPOINT", "-o", "VALUE"),
    "fluctuation --csv": (
        "fluctuation",
        "--noise",
        "gaussian",
        "--limit",
        "2",
        "--ckpt",
        "CHECKPOINT",
        "--no-store",
        "--csv",
        "VALUE",
    ),
    "compare -o": ("compare", "--store", "absent.sqlite", "-o", "VALUE"),
    "compare --published": ("compare", "--store", "absent.sqlite", "--published", "VALUE"),
    "plot -o": ("plot", "activations", "-o", "VALUE"),
    "plot -o of a store": ("plot", "severity", "--store", "absent.sqlite", "-o", "VALUE"),
    "plot -o with a suffix": ("plot", "severity", "--store", "absent.sqlite", "-o", "VALUE.png"),
    "plot --store": ("plot", "severity", "--store", "VALUE", "-o", "figure.png"),
    "preview --image": ("preview", "--noise", "contrast", "--severity", "1", "--image", "VALUE", "-o", "grid.png"),
    "preview --image with a suffix": ("preview", "--noise", "contrast", "--severity", "1", "--image", "VALUE.png"),
    "preview -o": ("preview", "--noise", "contrast", "--severity", "1", "-o", "VALUE"),
    "train -o": ("train", "--arch", "cnn", "--activation", "relu", "--epochs", "x", "-o", "VALUE"),
    "train -o that is checked": ("train", "--data", "digits", "--limit", "2", "--epochs", "0", "-o", "VALUE"),
    "merge": ("merge", "VALUE", "-o", "joined.sqlite"),
    "merge -o": ("merge", "absent.sqlite", "-o", "VALUE"),
    "check --baseline": ("check", "--ckpt", "CHECKPOINT", "--baseline", "VALUE"),
    "check --results": ("check", "--baseline", "BASELINE", "--results", "VALUE"),
    "check --summary": ("check", "--ckpt", "CHECKPOINT", "--baseline", "absent.json", "--summary", "VALUE"),
    "check --junit": ("check", "--ckpt", "CHECKPOINT", "--baseline", "absent.json", "--junit", "VALUE"),
    "baseline -o": ("baseline", "--ckpt", "VALUE", "-o", "VALUE"),
}
_VALUES = ("x" * 5000, "a\0b", "a\udc80b", "~nouser/x", "folder", "pipe", "/dev/full", "")


@pytest.fixture(scope="module")
def baseline(digits_pair: list[Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("baseline") / "baseline.json")
    larobust("baseline", "--ckpt", str(digits_pair[0]), "--noise", "gaussian", "--limit", "20", "-o", path)
    return path


@pytest.mark.parametrize(
    "value", _VALUES, ids=["long", "null byte", "surrogate", "no such user", "folder", "pipe", "device", "empty"]
)
@pytest.mark.parametrize("option", _OPTIONS)
def test_any_value_of_an_option_that_takes_a_path_is_harmless(
    option: str, value: str, digits_pair: list[Path], baseline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)  # so that writing to the pipe does not wait
    given = {"CHECKPOINT": str(digits_pair[0]), "BASELINE": baseline}
    try:
        outcome = larobust(*(given.get(word, word.replace("VALUE", value)) for word in _OPTIONS[option]))
    finally:
        os.close(reader)

    assert_harmless(outcome)
