"""What neither a file nor the user says of a network is recorded with the run that assumed it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import robustbench_la as la
from robustbench_la.cli.app import app
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.build import build
from robustbench_la.models.paper_networks import ResNet
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


def _resnet(path: Path, *, like_theirs: bool) -> Path:
    """A ResNet whose BatchNorms know images, and whose shortcuts pad on both sides."""
    torch.manual_seed(0)
    net = ResNet(nn.ReLU, blocks=3, channels=3, classes=10, conv_bias=False, padding="centre")
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.normal_(module.bias)
    with torch.no_grad():
        net.train()(IMAGES[:64] / 255)
    name = "layers" if like_theirs else "layer"
    torch.save({re.sub(r"^layer(?=\d)", name, key): value for key, value in net.state_dict().items()}, path)
    return path


IMAGES = torch.randint(0, 256, (80, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("like_theirs", "padding"), [(False, "centre"), (True, "end")])
def test_where_shortcuts_pad_is_assumed_and_a_wrong_assumption_is_seen(
    tmp_path: Path, *, like_theirs: bool, padding: str
) -> None:
    path = _resnet(tmp_path / "net.pt", like_theirs=like_theirs)

    result = la.evaluate(path, (IMAGES, [0] * 80), activation="relu", normalize="none", noise="clean")
    assert result.setting.assumed == (f"shortcut_padding {padding}",)
    assert any("with the other padding its features would be as in training" in note for note in result.notes) == like_theirs
