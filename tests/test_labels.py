"""Which class each output stands for: lists of labels, a part of the classes, other orders, names that training recorded."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from torch import nn

from robustbench_la import cli

Run = Callable[[str], tuple[int, str, str]]
CLASSES = 12
CODE = f"""
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes={CLASSES}):
        super().__init__()
        self.line = nn.Linear(64, classes)

    def forward(self, x):
        return self.line(x.flatten(1))

class Thousand(Net):
    def __init__(self):
        super().__init__(1000)
"""


def folders(root: Path, names: list[str], numbers: list[int], each: int = 8) -> None:
    """Pictures of class n have their bright stripe at place n of 64 (places are 5 apart)."""
    rng = np.random.default_rng(0)
    for name, number in zip(names, numbers, strict=True):
        (root / name).mkdir(parents=True)
        for index in range(each):
            pixels = rng.integers(0, 60, 64)
            pixels[number * 5] = 250
            PIL.Image.fromarray(pixels.astype(np.uint8).reshape(8, 8)).save(root / name / f"{index}.png")


@pytest.fixture
def larobust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A perfect network whose output n is class n, and commands run next to it: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(CODE)
    for name, outputs in (("net.pt", CLASSES), ("thousand.pt", 1000)):
        line = nn.Linear(64, outputs)
        nn.init.zeros_(line.weight)
        nn.init.zeros_(line.bias)
        for number in range(CLASSES):
            line.weight.data[number, number * 5] = 10
        torch.save({"line.weight": line.weight.data, "line.bias": line.bias.data}, name)

    def run(command: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["larobust", *shlex.split(command), "--device", "cpu"])
        code = cli._run()
        done = capsys.readouterr()
        return code, done.out, done.err

    return run


NUMBERED = [str(number) for number in range(CLASSES)]
EVAL = "eval --ckpt net.pt --arch nets.py:Net --normalize none --noise clean --no-store --json"


def clean(output: str) -> tuple[int, int]:
    (cell,) = json.loads(output)["cells"]
    return cell["correct"], cell["total"]


def test_folders_sorted_as_text_are_remarked_on_and_put_right_by_labels(larobust: Run) -> None:
    folders(Path("data"), NUMBERED, list(range(CLASSES)))
    code, output, error = larobust(f"{EVAL} --data folder:data")

    assert (code, clean(output)) == (0, (2 * 8, CLASSES * 8))  # 0 and 1 alone are in place
    assert "near chance; the outputs seem to be in another order, in which 96 are right: 0, 1, 2, 3, 4, 5, 6, 7, ..." in error

    Path("labels.txt").write_text("\n".join(NUMBERED) + "\n")
    code, output, error = larobust(f"{EVAL} --data folder:data --labels labels.txt")
    assert (code, clean(output)) == (0, (96, 96))
    assert "near chance" not in error


def test_the_order_is_remarked_on_also_where_the_answers_come_from_the_store(larobust: Run) -> None:
    folders(Path("data"), NUMBERED, list(range(CLASSES)))
    command = f"{EVAL.replace('--no-store', '--store s.sqlite')} --data folder:data"
    _, _, measured = larobust(command)
    _, _, stored = larobust(command)

    assert "1 of 1 cells were in" in stored
    for error in (measured, stored):
        assert "the outputs seem to be in another order, in which 96 are right" in error


def test_too_few_images_for_another_order_are_said_to_be_sorted_as_text(larobust: Run) -> None:
    folders(Path("data"), NUMBERED, list(range(CLASSES)), each=2)
    _, _, error = larobust(f"{EVAL} --data folder:data")

    assert "another order" not in error
    assert "sorted as text (0, 1, 10, 11, 2 ...)" in error


def test_a_part_of_the_classes_is_measured_with_labels_only(larobust: Run) -> None:
    folders(Path("data"), NUMBERED[:3], [0, 1, 2])
    code, _, error = larobust(f"{EVAL} --data folder:data")
    assert code == 2
    assert "has 12 classes, but folder:data has 3" in error
    assert "--labels FILE (line i: the folder of output i)" in error

    Path("labels.txt").write_text("\n".join(NUMBERED))
    code, output, error = larobust(f"{EVAL} --data folder:data --labels labels.txt")
    assert (code, clean(output)) == (0, (24, 24))
    assert "folder:data: images for 3 of 12 outputs (0, 1, 2); the others are never right" in error


def test_imagenet_subset_maps_wordnet_ids(larobust: Run) -> None:
    folders(Path("data"), ["n01440764", "n01443537", "n01514668"], [0, 1, 7])  # tench, goldfish, cock: outputs 0, 1, 7
    words = EVAL.replace("net.pt", "thousand.pt").replace("nets.py:Net", "nets.py:Thousand")
    code, output, error = larobust(f"{words} --data folder:data --label-map imagenet-subset")
    assert (code, clean(output)) == (0, (24, 24))
    assert "images for 3 of 1000 outputs (0, 1, 7)" in error

    assert "--label-map imagenet-subset" in larobust(f"{words} --data folder:data")[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0\n1\n1\n", "names '1' more than once, in lines 2 and 3"),
        ("", "is empty"),
        ("0\n\n1\n\n2\n", "has nothing in line 2"),
        ("0\n\n1\n", "has nothing in line 2"),
        (
            "\n".join(map(str, range(20))),
            "net.pt has 12 outputs, but the labels are 20: line i is the folder of output i, one line",
        ),
        ("\n".join(map(str, range(100, 112))), "class '0' of folder:data is not among the 12 labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(larobust: Run, content: str, message: str) -> None:
    folders(Path("data"), NUMBERED, list(range(CLASSES)), each=1)
    Path("labels.txt").write_text(content)
    code, _, error = larobust(f"{EVAL} --data folder:data --labels labels.txt")

    assert code == 2
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_our_own_checkpoints_refuse_data_whose_classes_have_other_names(larobust: Run) -> None:
    folders(Path("data"), ["cat", "dog", "eel"], [0, 1, 2])
    folders(Path("other"), ["aal", "hund", "katze"], [2, 1, 0])
    folders(Path("same"), ["cat", "dog", "eel"], [0, 1, 2])
    train = "train --arch mlp --activation relu --epochs 1 --data folder:data -o own.pt"
    assert larobust(train)[0] == 0

    own = "eval --ckpt own.pt --noise clean --no-store"
    code, _, error = larobust(f"{own} --data folder:other")
    assert code == 2
    assert "own.pt was trained on other classes than folder:other has: output 0 is 'cat', and class 0 here is 'aal'" in error
    Path("labels.txt").write_text("katze\nhund\naal\n")
    assert larobust(f"{own} --data folder:other --labels labels.txt")[0] == 0
    assert larobust(f"{own} --data folder:same")[0] == 0
