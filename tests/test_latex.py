"""LaTeX tables fit for a paper: labels, the names that papers use, true minus signs, no paths of one's own machine."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from made_up_answers import SMALL, fill, tables

from robustbench_la import cli
from robustbench_la.analysis.comparison.request import Request
from robustbench_la.analysis.tables.table import Column, Estimate, Row, Table
from robustbench_la.output.for_readers import unique_labels
from robustbench_la.output.latex import latex


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


def test_a_table_has_a_label_of_its_own_and_activations_as_papers_call_them(path) -> None:
    fill(path, SMALL, activations=("la_silu", "silu", "relu"), fingerprint="a" * 64)
    fill(path, SMALL, activations=("la_silu", "silu"), fingerprint="b" * 64)
    text = latex(tables(path))
    labels = re.findall(r"\\label\{(.*?)\}", text)

    assert labels == ["tab:top-1-accuracy-mlp-on-mnist", "tab:top-1-accuracy-mlp-on-mnist-2"]
    assert r"LA-SiLU $-$ SiLU" in text
    assert re.search(r"^ReLU & ", text, flags=re.MULTILINE)
    assert "la\\_silu" not in text


def test_negative_numbers_have_true_minus_signs() -> None:
    columns = (Column(name="activation"), Column(name="p", kind="number"), Column(name="value", kind="percent", signed=True))
    rows = (Row(values=("silu", 8.5e-05, Estimate(-0.0123, -0.02, 0.001))),)
    text = latex([Table(title="T", columns=columns, rows=rows, notes=("Noise seeds -1 and 0, at 5-10 px.",))])

    assert r"8.5$\times10^{-5}$ & $-$1.23 ($-$2.0 to +0.1)" in text
    assert r"Noise seeds $-$1 and 0, at 5-10 px." in text


def test_paths_of_ones_own_machine_are_shown_only_if_asked_for(path, monkeypatch, capsys) -> None:
    fill(
        path, SMALL, activations=("la_silu", "silu"), seeds=(11,), name="/home/student/runs/{activation}/best.pt",
        architecture="/home/student/nets/mine.py:Net", data="folder:/home/student/cifar10-jpeg/val",
    )  # fmt: skip
    hidden = latex(tables(path, Request(by="checkpoint", tests=True)))

    assert "student" not in hidden
    assert "Net on cifar10-jpeg val, 200 images" in hidden
    assert re.search(r"^la\\_silu & LA-SiLU & ", hidden, flags=re.MULTILINE)
    arguments = ["larobust", "compare", "--store", str(path), "--by", "checkpoint", "--show-paths"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--format", "latex"])
    assert cli._run() == 0
    assert r"/home/student/nets/mine.py:Net on folder:/home/student/cifar10-jpeg/val" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", arguments)
    assert cli._run() == 2
    assert "--show-paths is for LaTeX" in capsys.readouterr().err


def test_folders_stay_where_they_alone_tell_checkpoints_apart(path) -> None:
    for name, seed in (("x/one", 11), ("x/two", 22), ("y/one", 33)):
        fill(path, SMALL, activations=("relu",), seeds=(seed,), name=f"/home/student/{name}.pt")
    text = latex(tables(path, Request(by="checkpoint")))

    assert "student" not in text
    assert all(re.search(rf"^{name} & ", text, flags=re.MULTILINE) for name in ("x/one", "x/two", "y/one"))


def test_no_two_labels_are_the_same() -> None:
    assert unique_labels(["x-2", "x", "x"]) == ["tab:x-2", "tab:x", "tab:x-3"]
    assert unique_labels(["x", "x-2", "x", "x"]) == ["tab:x", "tab:x-2", "tab:x-3", "tab:x-4"]


def test_only_paths_lose_their_folders(path, tmp_path) -> None:
    names = {"silu": "runs/my nets/silu best.pt", "relu": r"C:\Users\student\my nets\relu.pt"}
    once = tmp_path / "once.sqlite"
    for activation, name in names.items():
        own = {"architecture_label": "ResNet/20", "weights": activation}
        for store, checkpoint in ((once, name), (path, name), (path, name.replace("nets", "copied nets"))):
            fill(
                store, SMALL, activations=(activation,), seeds=(11,), name=checkpoint, data="cifar10:/home/student/my data",
                properties=lambda *_, own=own: own,
            )  # fmt: skip
    text, single = latex(tables(path)), latex(tables(once, Request(by="checkpoint", tests=True)))

    assert "Top-1 accuracy: ResNet/20 on cifar10, 200 images" in text
    assert "Identical weights" in text
    assert not [folder for folder in ("student", "runs", "Users", "my data", "nets") if folder in text + single]
    assert "relu & ReLU" in single
    assert "silu best & SiLU" in single


def test_folders_of_windows_are_left_out_as_others_are(path) -> None:
    for name, seed in (("x", 11), ("y", 22)):
        fill(path, SMALL, activations=("relu",), seeds=(seed,), name=rf"C:\Users\student\{name}\best.pt")
    text = latex(tables(path, Request(by="checkpoint")))

    assert "student" not in text
    assert all(re.search(rf"^{name} & ", text, flags=re.MULTILINE) for name in ("x", "y"))
