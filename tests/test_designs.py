"""Networks of one design share a table: by the name that the user gives the architecture, or by code that did not change."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import robustbench_la as la
from robustbench_la.cli.app import app

CODE = """
import torch.nn.functional as F
from torch import nn


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = nn.Linear(64, 8), nn.Linear(8, 10)

    def forward(self, x):
        return self.out(self.act(self.hidden(x.flatten(1))))


class Relu(Base):
    act = staticmethod(F.relu)


class Silu(Base):
    act = staticmethod(F.silu)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with net.py and two files of weights."""
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(CODE)
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = {"hidden.weight": torch.randn(8, 64), "hidden.bias": torch.zeros(8),
                 "out.weight": torch.randn(10, 8), "out.bias": torch.zeros(10)}  # fmt: skip
        torch.save(state, f"{seed}.pt")
    return tmp_path


def evaluate(checkpoint: str, *words: str) -> None:
    more = ["--noise", "gaussian", "--severity", "1", "--limit", "20", "--data", "digits", "--normalize", "half"]
    app(["eval", "--ckpt", checkpoint, *words, *more], standalone_mode=False)


def tables(**more: str) -> list[str]:
    return [table.title for table in la.compare("runs/results.sqlite", by="activation", **more).tables()]


def test_classes_of_one_design_share_a_table_under_a_label(folder: Path) -> None:
    evaluate("1.pt", "--arch", "net.py:Relu")
    evaluate("2.pt", "--arch", "net.py:Silu")
    assert len(tables()) == 2

    evaluate("1.pt", "--arch", "net.py:Relu", "--as", "small")  # nothing is measured again
    evaluate("2.pt", "--arch", "net.py:Silu", "--as", "small")
    assert len(la.open_store("runs/results.sqlite").to_pandas()) == 4
    (title,) = tables()
    assert title.startswith("Top-1 accuracy: small on digits")
    assert tables(architecture="small") == [title]


def test_a_table_that_stands_apart_because_of_its_code_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate("1.pt", "--arch", "net.py:Relu")
    Path("net.py").write_text(CODE.replace("self.act(self.hidden(x.flatten(1)))", "self.act(self.hidden(x.flatten(1) * 1))"))
    evaluate("2.pt", "--arch", "net.py:Relu")
    capsys.readouterr()

    result = la.compare("runs/results.sqlite", by="activation")
    assert len(result.tables()) == 2
    for table in result.tables():
        assert any("network code changed between runs" in note and "arch_label=" in note for note in table.notes)

    for checkpoint in ("1.pt", "2.pt"):
        evaluate(checkpoint, "--arch", "net.py:Relu", "--as", "small")
    (table,) = la.compare("runs/results.sqlite", by="activation", architecture="small").tables()
    assert not any("code changed" in note for note in table.notes)
