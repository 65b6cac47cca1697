"""Frost: which photographs are taken, what is said without them, and the image against OpenCV."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from commands import Larobust
from numpy.typing import NDArray
from sample_photographs import photographs

import robustbench_la as la
from corruptions import CORRUPTIONS, textures
from corruptions.apply import corrupt, prepared, purpose
from corruptions.draws import image_keys
from corruptions.entries import Level
from corruptions.frosting import frosts_for, resized
from corruptions.whole_draws import uniforms


def forget() -> None:
    textures._given.clear()
    textures._cached.cache_clear()
    frosts_for.cache_clear()
    prepared.cache_clear()


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    forget()
    yield
    forget()


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of five pictures, which count as the published ones, and of a sixth."""
    folder, rng = tmp_path / "textures", np.random.default_rng(0)
    folder.mkdir()
    for index, name in enumerate((*textures.TEXTURES, "frost6.png")):
        pixels = np.kron(rng.integers(0, 256, (40 + index, 50, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
        PIL.Image.fromarray(pixels).save((folder / name).with_suffix(".png"))
        (folder / name).with_suffix(".png").rename(folder / name)
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in textures.TEXTURES}
    monkeypatch.setattr(textures, "TEXTURES", digests)
    return folder


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the package of the photographs were not installed."""
    monkeypatch.setattr(textures, "_PACKAGE", "no_such_package_of_textures")


def pictures(side: int, channels: int = 3) -> torch.Tensor:
    return torch.from_numpy(photographs(side, 4)[:8, :channels])


def reference(image: NDArray[np.uint8], key: NDArray[np.int64], level: Level, folder: Path) -> NDArray[np.uint8]:
    """The published steps, on (H, W, 3)."""
    draws = uniforms(key, 3)[0]
    frost = cv2.imread(str(folder / list(textures.TEXTURES)[int(draws[0] * 5)]))
    scale = {32: 0.2, 64: 0.3, 224: 1}[len(image)]
    frost = cv2.resize(frost, (0, 0), fx=scale, fy=scale)
    top, left = (int(draw * (size - len(image))) for draw, size in zip(draws[1:], frost.shape, strict=False))
    part = frost[top : top + len(image), left : left + len(image), ::-1]
    return np.uint8(np.clip(level[0] * image.astype(float) + level[1] * part, 0, 255))


@pytest.mark.parametrize(("profile", "side"), [("cifar-c", 32), ("tiny-c", 64), ("imagenet-c", 224)])
def test_an_image_is_that_of_the_published_steps_for_the_same_draws(made_up: Path, profile: str, side: int) -> None:
    textures.look_in(made_up)
    images = pictures(side)
    for level in CORRUPTIONS["frost"].levels[profile]:
        keys = image_keys(0, purpose("frost", level), torch.arange(len(images))).numpy()
        found = corrupt(images, "frost", level, ids=torch.arange(len(images)))
        for i, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
            np.testing.assert_array_equal(found[i].permute(1, 2, 0), reference(image, keys[i : i + 1], level, made_up))


@pytest.mark.parametrize("scale", [0.2, 0.3])
def test_photographs_are_scaled_as_by_opencv(scale: float) -> None:
    photograph = np.ascontiguousarray(photographs(211, 1)[0].transpose(1, 2, 0))

    np.testing.assert_array_equal(resized(photograph, scale), cv2.resize(photograph, (0, 0), fx=scale, fy=scale))


@pytest.mark.parametrize("size", [(1, 1), (120, 47), (600, 10), (400, 700)])
def test_images_of_any_size_are_covered(made_up: Path, size: tuple[int, int]) -> None:
    textures.look_in(made_up)
    found = corrupt(torch.zeros(3, 3, *size, dtype=torch.uint8), "frost", (1, 1), ids=torch.arange(3))

    assert found.shape == (3, 3, *size)
    assert found.any()


def test_a_grey_image_gets_the_luminance_of_the_frost(made_up: Path) -> None:
    textures.look_in(made_up)
    grey = corrupt(torch.zeros(8, 1, 32, 32, dtype=torch.uint8), "frost", (1, 1), ids=torch.arange(8))[:, 0].float()
    colour = corrupt(torch.zeros(8, 3, 32, 32, dtype=torch.uint8), "frost", (1, 1), ids=torch.arange(8)).float()
    luminance = (colour * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1)

    assert (grey - luminance).abs().max() <= 1


def test_every_photograph_is_drawn_except_the_sixth(made_up: Path) -> None:
    textures.look_in(made_up)
    (made_up / "frost6.jpg").write_bytes(b"not even an image")
    draws = uniforms(image_keys(0, "frost", torch.arange(2000)).numpy(), 1)[:, 0]

    assert len(textures.photographs()) == 5
    assert np.bincount((draws * 5).astype(int)).min() > 330


def test_without_photographs_frost_is_refused_in_a_line(nowhere: None, digits_pair: list[Path], larobust: Larobust) -> None:
    line = "frost needs the published photographs of frost; install larobust[frost], or name the folder that has them with"
    code, out, err = larobust("eval", "--ckpt", digits_pair[0], "--noise", "frost", "--limit", 20)

    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert f"{line} --frost-textures DIR" in err
    with pytest.raises(la.UserError, match=r"larobust\[frost\]"):
        la.corrupt(np.zeros((8, 8, 3), np.uint8), "frost", severity=1)


def test_a_group_names_what_it_leaves_out(nowhere: None, digits_pair: list[Path], larobust: Larobust) -> None:
    code, out, err = larobust("eval", "--ckpt", digits_pair[0], "--noise", "weather", "--severity", 1, "--limit", 20, "--json")
    measured = {row["corruption"] for row in json.loads(out)["cells"]}

    assert code == 0, err
    assert measured == {"clean", "snow", "fog", "brightness"}
    assert "Left out: frost needs" in err


def test_a_folder_of_photographs_is_taken(made_up: Path, nowhere: None, digits_pair: list[Path], larobust: Larobust) -> None:
    words = ("eval", "--ckpt", digits_pair[0], "--noise", "frost=1/0.5", "--limit", 20)
    code, _, err = larobust(*words, "--frost-textures", made_up)

    assert code == 0, err
    image = np.zeros((16, 16, 3), np.uint8)
    assert la.corrupt(image, "frost", level=(1, 0.5), frost_textures=str(made_up)).any()


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_other_photographs_are_refused(made_up: Path, nowhere: None, damage: str) -> None:
    path = made_up / "frost3.png"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"x")

    match = (
        r"needs frost3.png, which is not in" if damage == "missing" else r"is not the published frost3.png \(its SHA-256 differs"
    )
    with pytest.raises(la.UserError, match=match):
        la.corrupt(np.zeros((8, 8, 3), np.uint8), "frost", severity=1, frost_textures=str(made_up))
    assert textures.missing()  # nothing was taken


def test_a_folder_that_is_not_there_is_refused(larobust: Larobust, digits_pair: list[Path]) -> None:
    code, _, err = larobust("eval", "--ckpt", digits_pair[0], "--noise", "fog", "--frost-textures", "nowhere", "--limit", 20)

    assert code == 2
    assert "--frost-textures nowhere: " in err
    assert err.count("\n") == 1
