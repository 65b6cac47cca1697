"""What neither a file nor the user says of a network is recorded with the run that assumed it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import robustbench_la as la
from robustbench_la.cli.app import app
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.build import build
from robustbench_la.store.store import Store


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A state dict of the digits' MLP, which records nothing."""
    spec = NetworkSpec(architecture="mlp", classes=10, channels=1, height=8, width=8, hidden=16)
    torch.save(build(spec, "relu").state_dict(), tmp_path / "foreign.pt")
    return tmp_path / "foreign.pt"


def test_what_a_foreign_file_leaves_open_is_recorded_as_assumed(foreign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "--ckpt", str(foreign), "--noise", "gaussian", "--severity", "1", "--limit", "20", "--json"]
    store = ["--store", str(foreign.with_suffix(".sqlite"))]

    def assumed(*more: str) -> list[str]:
        app([*words, *store, *more], standalone_mode=False)
        found: list[str] = json.loads(capsys.readouterr().out)["provenance"]["assumed"]
        return found

    assert assumed("--activation", "la_silu") == ["normalization none", "layeract_alpha 1e-05"]
    assert assumed("--activation", "silu") == ["normalization none"]
    assert assumed("--activation", "la_silu", "--layeract-alpha", "0.1", "--normalize", "half") == []
    with Store(foreign.with_suffix(".sqlite"), reading=True) as opened:
        kept = list(dict.fromkeys(one.setting.assumed for one in opened.cells()))
    assert kept == [("normalization none", "layeract_alpha 1e-05"), ("normalization none",), ()]


def test_what_is_assumed_of_some_networks_names_them(foreign: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 9), la.LASiLU(), torch.nn.Linear(9, 10))
    models = {"mine": net, "file": str(foreign)}
    result = la.evaluate(models, "digits", noise="gaussian", severity=1, limit=20, activation="la_silu")

    assert result.setting.assumed == ("normalization none", "layeract_alpha 1e-05 (file)")
    assert json.loads(result.to_json())["provenance"]["assumed"] == list(result.setting.assumed)
