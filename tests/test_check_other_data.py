"""``larobust check`` where the images, or the network, are not those of the baseline: the refusal says which, and what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fuzzing import Outcome, larobust
from PIL import Image

import robustbench_la as la

NETWORKS = """
from torch import nn

def grey():
    return made(1)

def rgb():
    return made(3)

def made(channels):
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
"""


def folder_of_images(root: Path, classes: tuple[str, ...], *, mode: str = "L", seed: int = 0) -> None:
    noise = np.random.default_rng(seed)
    for name in classes:
        (root / name).mkdir(parents=True)
        for place in range(4):
            pixels = noise.integers(0, 256, (12, 12) if mode == "L" else (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels, mode).save(root / name / f"{place}.png")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(NETWORKS)
    space: dict[str, object] = {}
    exec(NETWORKS, space)
    torch.manual_seed(0)
    for name in ("grey", "rgb"):
        torch.save(space[name]().state_dict(), f"{name}.pt")  # type: ignore[operator]
    folder_of_images(tmp_path / "images", ("cat", "dog", "emu"))
    made = larobust("baseline", "--data", "folder:images", "--noise", "blur=1", *of("grey"), "-o", "b.json")
    assert made.code == 0, made.stderr
    return tmp_path


def of(name: str) -> list[str]:
    return ["--ckpt", f"{name}.pt", "--arch", f"net.py:{name}"]


def check(name: str, *words: str) -> Outcome:
    return larobust("check", "--baseline", "b.json", *of(name), *words)


def test_other_data_are_named_even_if_the_network_does_not_take_them(project: Path) -> None:
    folder_of_images(project / "colour", ("cat", "dog", "emu", "fox"), mode="RGB")
    done = check("grey", "--data", "folder:colour")

    assert done.code == 4, done.stderr
    assert "data: folder:images in the baseline, folder:colour here; 12 images there, 16 here" in done.stderr


def test_other_pixels_under_the_same_names_are_other_images(project: Path) -> None:
    folder_of_images(project / "colour", ("cat", "dog", "emu"), mode="RGB")
    done = check("grey", "--data", "folder:colour")

    assert done.code == 4, done.stderr
    assert "folder:colour here; the images are others" in done.stderr


def test_a_network_for_other_images_is_not_comparable_and_no_flag_that_check_lacks_is_suggested(project: Path) -> None:
    done = check("rgb")

    assert done.code == 4, done.stderr
    assert "rgb.pt fails on images of 12x12 px with 1 channel" in done.stderr
    assert "the baseline judges by the images of folder:images" in done.stderr
    assert "--channels" not in done.stderr


@pytest.mark.parametrize("name", ["grey", "rgb"])
def test_a_renamed_class_is_no_missing_image(project: Path, name: str) -> None:
    (project / "images" / "cat").rename(project / "images" / "yak")
    done = check(name)

    assert done.code == 4, done.stderr
    assert "the classes have other names: cat in the baseline, yak here" in done.stderr
    assert "not here (" not in done.stderr


def test_a_removed_class_is_named(project: Path) -> None:
    (project / "images" / "cat").rename(project / "cat")
    done = check("grey")

    assert done.code == 4, done.stderr
    assert "the class cat is missing here" in done.stderr
    assert ",  here" not in done.stderr


def test_eval_says_what_to_do_about_channels_that_a_user_network_does_not_take(project: Path) -> None:
    done = larobust("eval", "--data", "folder:images", "--noise", "blur=1", "--no-store", *of("rgb"))

    assert done.code == 2
    assert "takes 3 channels; --channels 3 converts them, or specify the data it was trained for with --data" in done.stderr


def test_where_nothing_is_the_same_no_image_is_listed(project: Path) -> None:
    folder_of_images(project / "others", ("cat", "dog", "emu"), seed=1)
    done = check("grey", "--data", "folder:others")

    assert done.code == 4
    assert done.stderr.rstrip().endswith("none of the 12 images is here")


def test_the_remedy_for_a_missing_baseline_repeats_what_was_given(project: Path) -> None:
    words = ("--arch", "net.py:grey", "--data", "folder:images", "--noise", "gaussian_blur")
    done = larobust("check", "--baseline", "none.json", "--ckpt", "grey.pt", *words)
    remedy = "larobust baseline --ckpt grey.pt --arch net.py:grey --data folder:images"

    assert done.code == 4
    assert done.stderr.rstrip().endswith(f"{remedy} --noise gaussian_blur -o none.json")
    with pytest.raises(la.NotComparableError, match=f"{remedy} -o none.json$"):
        la.check("grey.pt", "folder:images", baseline="none.json", arch="net.py:grey")


def test_a_flag_of_the_baseline_is_said_to_be_one(project: Path) -> None:
    done = larobust("check", "--baseline", "b.json", *of("grey"), "--limit", "4")

    assert done.code == 2
    assert "--limit is the baseline's; record it with another: larobust baseline --update --ckpt OLD.pt --limit" in done.stderr
