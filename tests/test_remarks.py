"""What commands report on stderr beside their results: which data was taken, what was written, what comes next."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from robustbench_la import cli

Larobust = Callable[..., tuple[str, str]]
FEW = ("--noise", "gaussian", "--severity", "1", "--limit", "30", "--device", "cpu")


@pytest.fixture
def larobust(
    digits_pair: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Larobust:
    """Run a command beside model.pt and foreign.pt: stdout and stderr."""
    shutil.copy(digits_pair[1], tmp_path / "model.pt")
    torch.save(torch.load(digits_pair[1], weights_only=True)["state_dict"], tmp_path / "foreign.pt")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["larobust", *arguments])
        assert cli._run() == 0
        done = capsys.readouterr()
        return done.out, done.err

    return run


@pytest.mark.parametrize("command", ["eval", "fluctuation", "baseline"])
def test_the_data_of_the_checkpoint_or_the_default_is_reported_where_none_is_given(larobust: Larobust, command: str) -> None:
    _, own = larobust(command, "--ckpt", "model.pt", *FEW)
    Path("robustness-baseline.json").unlink(missing_ok=True)
    _, foreign = larobust(command, "--ckpt", "foreign.pt", "--activation", "silu", *FEW)
    Path("robustness-baseline.json").unlink(missing_ok=True)
    _, given = larobust(command, "--ckpt", "model.pt", "--data", "digits", *FEW)

    assert "no --data given: using digits, recorded in the checkpoint\n" in own
    assert "no --data given: using digits, the default\n" in foreign
    assert "no --data" not in given


def test_training_reports_its_default_data(larobust: Larobust) -> None:
    _, err = larobust("train", "--arch", "mlp", "--activation", "relu", "--epochs", "1", "--limit", "50", "-o", "new.pt")

    assert "no --data given: training on digits, the default\n" in err


def test_every_figure_that_is_written_is_reported(larobust: Larobust) -> None:
    _, inside = larobust("fluctuation", "--ckpt", "model.pt", *FEW, "--plot", "layers.png", "--plot", "means=means.svg")
    _, layers = larobust("plot", "layers", "-o", "again.png")
    _, curves = larobust("plot", "activations", "-o", "curves.svg")

    assert "layers.png written\nmeans.svg written\n" in inside
    assert layers.endswith("again.png written\n")
    assert curves.endswith("curves.svg written\n")


def test_a_baseline_reports_its_accuracies_its_power_and_the_next_command(larobust: Larobust) -> None:
    out, err = larobust("baseline", "--ckpt", "model.pt", *FEW, "-o", "my baseline.json")

    assert "on clean images, " in out
    assert "in the mean over 1 corruption." in out
    assert "Smallest fall that 30 images can show" in out
    assert err.endswith("Next: larobust check --baseline 'my baseline.json' --ckpt NEW.pt\n")
