"""Preprocessing of one's own, channels and interpolation: what reaches the network, and what is recorded."""

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

import robustbench_la as la
from robustbench_la import cli
from robustbench_la.images import decoding
from robustbench_la.images.decoding import ImageChoice

Run = Callable[[str], tuple[int, str, str]]
CODE = """
import torch
from torch import nn
from torchvision import transforms
from torchvision.transforms import v2

class Net(nn.Module):
    def __init__(self, classes=10, channels=1):
        super().__init__()
        self.line = nn.Linear(64 * channels, classes)

    def forward(self, x):
        return self.line(x.flatten(1))

pil = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])
tensors = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.5])])

class Half(nn.Module):
    def forward(self, images):
        return images.float() / 255 * 2 - 1

def one(picture):
    return transforms.functional.to_tensor(picture) * 2 - 1

shaky = transforms.Compose([transforms.RandomCrop(8, padding=4), transforms.ToTensor()])
whole = transforms.PILToTensor()

def broken(picture):
    raise KeyError("mean")  # line 30

class Standardised(nn.Module):
    def forward(self, images):
        return (images.float() - images[:1].float().mean()) / images.float().std()

colour = transforms.Compose([transforms.Grayscale(3), transforms.ToTensor()])
"""


@pytest.fixture
def larobust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(CODE)
    torch.manual_seed(0)
    for name, channels in (("net.pt", 1), ("colour.pt", 3)):
        line = nn.Linear(64 * channels, 10)
        torch.save({"line.weight": line.weight.data, "line.bias": line.bias.data}, name)

    def run(command: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["larobust", *shlex.split(command), "--device", "cpu"])
        code = cli._run()
        done = capsys.readouterr()
        return code, done.out, done.err

    return run


EVAL = "eval --arch nets.py:Net --noise gaussian --severity 5 --limit 80 --json --ckpt"


def numbers(output: str) -> list[tuple[int, float]]:
    return [(cell["correct"], pytest.approx(cell["nll_sum"], rel=1e-5)) for cell in json.loads(output)["cells"]]


@pytest.mark.parametrize("name", ["pil", "tensors", "Half", "one"])
def test_a_transform_of_pictures_or_a_module_on_tensors_takes_the_place_of_a_normalization(larobust: Run, name: str) -> None:
    _, expected, _ = larobust(f"{EVAL} net.pt --normalize half --no-store")
    code, output, _ = larobust(f"{EVAL} net.pt --preprocess nets.py:{name} --no-store")

    assert code == 0
    assert numbers(output) == numbers(expected)
    assert {cell["normalization"].split(" (")[0] for cell in json.loads(output)["cells"]} == {f"nets.py:{name}"}


def test_changed_preprocessing_is_measured_again(larobust: Run) -> None:
    command = f"{EVAL} net.pt --preprocess nets.py:one --store a.sqlite"
    assert json.loads(larobust(command)[1])["from_store"] == 0
    assert json.loads(larobust(command)[1])["from_store"] == 2
    Path("nets.py").write_text(CODE.replace("* 2 - 1", "* 3 - 1"))
    assert json.loads(larobust(command)[1])["from_store"] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--preprocess nets.py:pil --normalize half", "takes the place of --normalize"),
        ("--preprocess nets.py:shaky", "gives other inputs for the same images"),
        ("--preprocess nets.py:Standardised", "--preprocess lets images in the same batch change each other"),
        ("--preprocess nets.py:whole", "not floats (N, C, H, W)"),
        ("--preprocess nets.py:broken", "nets.py:broken fails: KeyError: 'mean'"),
        ("--preprocess nets.py:pill", "has no 'pill'"),
        ("--preprocess nets.py", "give FILE.py:NAME"),
        ("--channels 2 --normalize none", "channels"),
        ("--interpolation cubic --normalize none", "interpolation"),
    ],
)
def test_preprocessing_that_cannot_be_used_is_a_line(larobust: Run, words: str, message: str) -> None:
    code, _, error = larobust(f"{EVAL} net.pt --no-store {words}")

    assert code == 2
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_channels_repeats_grey_images_and_makes_colour_grey(larobust: Run) -> None:
    code, output, error = larobust(f"{EVAL} colour.pt --normalize none --no-store --channels 3")
    assert code == 0
    assert "digits: grey images, repeated in 3 channels (--channels 3)" in error
    assert json.loads(output)["provenance"]["dataset"]["shape"] == [3, 8, 8]
    assert larobust(f"{EVAL} colour.pt --no-store --preprocess nets.py:colour")[0] == 0

    colour = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    result = la.evaluate(net, (colour, np.arange(6) % 2), noise="clean", channels=1)
    assert result.provenance.dataset["shape"] == [1, 8, 8]
    assert any("colour images, made grey" in note for note in result.notes)


def test_a_baseline_remembers_channels_and_check_repeats_them(larobust: Run) -> None:
    words = "--ckpt colour.pt --arch nets.py:Net --normalize none"
    assert larobust(f"baseline {words} --channels 3 --noise gaussian --severity 5 --limit 60 -o b.json")[0] == 0
    assert larobust("check --baseline b.json --ckpt colour.pt --arch nets.py:Net")[0] == 0


def test_interpolation_is_pillows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / name).mkdir()
        PIL.Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / name / "x.png")
    picture = PIL.Image.open(tmp_path / "a" / "x.png")

    for name in ("nearest", "bilinear", "bicubic", "lanczos"):
        images = decoding.load(ImageChoice(f"folder:{tmp_path}", 16, interpolation=name)).images
        expected = np.asarray(picture.resize((16, 16), PIL.Image.Resampling[name.upper()])).transpose(2, 0, 1)
        assert np.array_equal(images[0], expected)
