"""``la.corrupt``: every kind and layout of images gets the noise that the commands give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

import corruptions
import robustbench_la as la

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 3, 10, 8), dtype=np.uint8)
EXPECTED = corruptions.corrupt(torch.from_numpy(IMAGES), "shot_noise", 100.0, ids=torch.arange(4)).numpy()


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1)], ids=["NCHW", "NHWC"])
def test_batches_keep_kind_and_layout(kind: Callable[[Any], Any], axes: tuple[int, ...]) -> None:
    given = kind(IMAGES.transpose(axes).copy())

    result = la.corrupt(given, "poisson", severity=3)

    assert type(result) is type(given)
    assert np.array_equal(np.asarray(result), EXPECTED.transpose(axes))
    assert np.array_equal(np.asarray(given), IMAGES.transpose(axes))


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0)], ids=["CHW", "HWC"])
def test_one_image_is_that_of_its_id(axes: tuple[int, ...]) -> None:
    result = la.corrupt(IMAGES[2].transpose(axes), "poisson", severity=3, ids=2)

    assert np.array_equal(result, EXPECTED[2].transpose(axes))


def test_pil_images_come_out_as_pil_images() -> None:
    pictures = [PIL.Image.fromarray(image.transpose(1, 2, 0)) for image in IMAGES]

    assert np.array_equal(
        np.stack([np.asarray(p) for p in la.corrupt(pictures, "poisson", severity=3)]), EXPECTED.transpose(0, 2, 3, 1)
    )
    assert np.array_equal(np.asarray(la.corrupt(pictures[3], "poisson", severity=3, ids=3)), EXPECTED[3].transpose(1, 2, 0))
    assert la.corrupt(pictures[0].convert("L"), "gaussian_blur", severity=1).mode == "L"


def test_grey_images_without_a_channel_axis() -> None:
    grey = IMAGES[:, 0]
    expected = corruptions.corrupt(torch.from_numpy(grey[:, None]), "gaussian_blur", 0.7, ids=torch.arange(4)).numpy()[:, 0]

    assert np.array_equal(la.corrupt(grey, "blur", level=0.7, layout="NHW"), expected)
    assert np.array_equal(la.corrupt(grey[1], "blur", level=0.7), expected[1])


def test_views_and_read_only_arrays_are_taken() -> None:
    flipped, frozen = IMAGES[:, :, ::-1], IMAGES.copy()
    frozen.flags.writeable = False

    assert np.array_equal(la.corrupt(frozen, "poisson", severity=3), EXPECTED)
    assert np.array_equal(la.corrupt(flipped, "poisson", severity=3), la.corrupt(flipped.copy(), "poisson", severity=3))


def test_seed_ids_and_profile_are_those_of_the_commands() -> None:
    expected = corruptions.corrupt(torch.from_numpy(IMAGES), "gaussian_noise", 0.18, ids=torch.arange(7, 11), seed=5).numpy()

    assert np.array_equal(la.corrupt(IMAGES, "gaussian", severity=3, profile="imagenet-c", seed=5, ids=range(7, 11)), expected)
    assert la.corrupt(IMAGES[:0], "gaussian", severity=3).shape == (0, 3, 10, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": IMAGES[:, :, :3, :3]}, r'is ambiguous; give layout="NCHW"'),
        ({"images": np.zeros((3, 9, 3), dtype=np.uint8)}, r'is ambiguous; give layout="CHW"'),
        ({"images": np.zeros((9, 28, 28), dtype=np.uint8)}, r'layout="NHW" if these are grey images'),
        ({"images": IMAGES[None]}, r"2, 3 or 4 axes"),
        ({"images": IMAGES / 255}, r"8-bit .* not float64"),
        ({"images": torch.zeros(1, 3, 8, 8)}, r"8-bit .* not float32"),
        ({"images": "cat.png"}, r"numpy array, a torch tensor or PIL images, not str"),
        ({"images": PIL.Image.new("RGBA", (8, 8))}, r'convert\("RGB"\)'),
        ({"layout": "HWC"}, r"has 3 axes"),
        ({"layout": "NCWH"}, r"unknown layout 'NCWH'; available: NCHW"),
        ({"corruption": "gausian"}, r"did you mean gaussian"),
        ({"corruption": "gaussian=0.2"}, r"give the level as level="),
        ({"corruption": "paper"}, r"a group of 3 corruptions"),
        ({"severity": 6}, r"1 to 5, not 6"),
        ({"severity": 2.5}, r"whole number, not 2.5"),
        ({"severity": None, "level": -1}, r"gaussian_noise takes a level"),
        ({"severity": None, "level": "3"}, r"level= must be a number"),
        ({"severity": None, "level": 0.1, "profile": "cifar-c"}, r"no effect with level="),
        ({"profile": "cifar"}, r"did you mean cifar-c"),
        ({"ids": [1, 2]}, r"2 numbers for 4 images"),
        ({"ids": [0.5] * 4}, r"whole numbers"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(change: dict[str, Any], message: str) -> None:
    given = {"images": IMAGES, "corruption": "gaussian_noise", "severity": 3} | change

    with pytest.raises(ValueError, match=message) as caught:
        la.corrupt(given.pop("images"), given.pop("corruption"), **given)
    assert isinstance(caught.value, la.UserError)


def test_severity_and_level_are_never_mistaken_for_each_other() -> None:
    with pytest.raises(TypeError, match="positional"):
        la.corrupt(IMAGES, "gaussian_noise", 3)  # type: ignore[misc]
    with pytest.raises(TypeError, match="severity="):
        la.corrupt(IMAGES, "gaussian_noise")
    with pytest.raises(TypeError, match="either severity="):
        la.corrupt(IMAGES, "gaussian_noise", severity=3, level=0.1)
