"""Corruptions that draw nothing, against Hendrycks & Dietterich's formulas with skimage, OpenCV, scipy and Pillow."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from numpy.typing import NDArray
from sample_photographs import photographs
from scipy import ndimage
from skimage import color

from corruptions import CORRUPTIONS, PROFILES
from corruptions.apply import corrupt
from corruptions.entries import Level
from corruptions.resizing import zoom_tables

Image = NDArray[np.uint8]
SIDES = {"cifar-c": 32, "tiny-c": 64, "imagenet-c": 224, "imagenet-c-299": 299}


def truncated(image: NDArray[np.floating]) -> Image:
    return np.uint8(np.clip(image, 0, 1) * 255)


def brightness(image: Image, added: float) -> Image:
    hsv = color.rgb2hsv(image / 255.0)
    hsv[..., 2] = np.clip(hsv[..., 2] + added, 0, 1)
    return truncated(color.hsv2rgb(hsv))


def saturate(image: Image, factor: float, offset: float) -> Image:
    hsv = color.rgb2hsv(image / 255.0)
    hsv[..., 1] = np.clip(hsv[..., 1] * factor + offset, 0, 1)
    return truncated(color.hsv2rgb(hsv))


def contrast(image: Image, factor: float) -> Image:
    values = image / 255.0
    mean = values.mean(axis=(0, 1), keepdims=True)
    return truncated((values - mean) * factor + mean)


def pixelate(image: Image, factor: float) -> Image:
    picture = PIL.Image.fromarray(image)
    small = picture.resize((int(picture.width * factor), int(picture.height * factor)), PIL.Image.Resampling.BOX)
    return np.asarray(small.resize(picture.size, PIL.Image.Resampling.BOX))


def jpeg_compression(image: Image, quality: float) -> Image:
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "JPEG", quality=int(quality))
    return np.asarray(PIL.Image.open(file))


def defocus_blur(image: Image, radius: float, smoothing: float) -> Image:
    axis, size = (np.arange(-8, 9), 3) if radius <= 8 else (np.arange(-radius, radius + 1), 5)
    x, y = np.meshgrid(axis, axis)
    disc = np.float32(x**2 + y**2 <= radius**2)
    disc = cv2.GaussianBlur(disc / disc.sum(), (size, size), sigmaX=smoothing)
    return truncated(np.stack([cv2.filter2D(channel, -1, disc) for channel in np.moveaxis(image / 255.0, -1, 0)], axis=-1))


def zoom_blur(image: Image, stop: float, step: float) -> Image:
    values = np.float32(image / 255.0)
    total, factors = np.zeros_like(values), np.arange(1, stop, step)
    for factor in factors:
        height, width = (math.ceil(size / factor) for size in image.shape[:2])
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        zoomed = ndimage.zoom(values[top : top + height, left : left + width], (factor, factor, 1), order=1)
        top, left = (zoomed.shape[0] - image.shape[0]) // 2, (zoomed.shape[1] - image.shape[1]) // 2
        total += zoomed[top : top + image.shape[0], left : left + image.shape[1]]
    return truncated((values + total) / (len(factors) + 1))


REFERENCES: dict[str, Callable[..., Image]] = {
    function.__name__: function
    for function in (brightness, saturate, contrast, pixelate, jpeg_compression, defocus_blur, zoom_blur)
}
DIFFERING = {"defocus_blur": 1e-5}
"""The fraction of bytes that may differ by one, where OpenCV's Fourier transform rounds a whole grey level down."""
by_name = pytest.mark.parametrize("name", REFERENCES)


def pictures(height: int, width: int) -> Image:
    """(N, H, W, 3): photographs, random pixels, pixels of few colours, and flat areas."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (1, height, width, 3))
    few = rng.choice(np.array([0, 1, 128, 254, 255]), (1, height, width, 3))
    flat = np.kron(rng.integers(0, 256, (1, -(-height // 8), -(-width // 8), 3)), np.ones((1, 8, 8, 1)))[:, :height, :width]
    photos = photographs(max(height, width), 1).transpose(0, 2, 3, 1)[:, :height, :width]
    return np.concatenate([noise, few, flat, photos]).astype(np.uint8)


def corrupted(images: Image, name: str, level: Level) -> Image:
    """Of images (N, H, W, C)."""
    batch = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    return corrupt(batch, name, level, ids=torch.arange(len(images))).numpy().transpose(0, 2, 3, 1)


def compare(images: Image, name: str, level: Level) -> None:
    expected = np.stack([REFERENCES[name](image, *level) for image in images])
    difference = corrupted(images, name, level).astype(int) - expected

    assert abs(difference).max() <= (1 if name in DIFFERING else 0)
    assert np.count_nonzero(difference) <= max(DIFFERING.get(name, 0) * difference.size, 1 if name in DIFFERING else 0)


@by_name
@pytest.mark.parametrize("profile", PROFILES)
def test_bytes_are_those_of_the_formula(name: str, profile: str) -> None:
    side, levels = SIDES[profile], CORRUPTIONS[name].levels[profile]
    images = pictures(side, side)[1::2] if side > 64 else pictures(side, side)
    for level in levels if side <= 64 else levels[::2] if side == 224 else levels[1::2]:
        compare(images, name, level)


@by_name
@pytest.mark.parametrize(("height", "width"), [(33, 47), (8, 90)])
def test_images_of_any_shape_follow_the_formula(name: str, height: int, width: int) -> None:
    compare(pictures(height, width), name, CORRUPTIONS[name].levels["tiny-c"][3])


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("brightness", (1.0,)),
        ("saturate", (0.0, 1.0)),
        ("contrast", (3.0,)),
        ("pixelate", (1.0,)),
        ("pixelate", (0.034,)),
        ("jpeg_compression", (100.0,)),
        ("jpeg_compression", (1.0,)),
        ("defocus_blur", (8.3, 0.7)),
        ("defocus_blur", (9.5, 2.0)),
        ("defocus_blur", (30.0, 0.5)),
        ("zoom_blur", (3.0, 0.4)),
    ],
)
def test_custom_levels_follow_the_formula(name: str, level: Level) -> None:
    compare(pictures(40, 40), name, level)


@by_name
def test_a_grey_image_is_that_of_three_equal_channels(name: str) -> None:
    grey = pictures(32, 40)[..., :1]
    for level in CORRUPTIONS[name].levels["cifar-c"]:
        found = corrupted(grey, name, level)
        if name == "jpeg_compression":
            expected = np.stack([jpeg_compression(image[..., 0], *level) for image in grey])[..., None]
        elif name == "saturate":
            expected = grey  # it has no saturation to change
        else:
            expected = corrupted(np.repeat(grey, 3, axis=-1), name, level)[..., :1]

        np.testing.assert_array_equal(found, expected)


def test_zooms_are_counted_as_in_the_published_code() -> None:
    counts = {(1.06, 0.01): 7, (1.11, 0.01): 12, (1.16, 0.01): 16, (1.21, 0.01): 21, (1.26, 0.01): 26}
    counts |= {(1.21, 0.02): 11, (1.26, 0.02): 13, (1.31, 0.03): 11}

    assert {level: len(zoom_tables(32, *level).before) for level in counts} == counts
    assert {level for profile in PROFILES for level in CORRUPTIONS["zoom_blur"].levels[profile]} == set(counts)


@pytest.mark.parametrize("name", ["brightness", "saturate", "jpeg_compression"])
def test_images_of_two_channels_have_no_colours(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} takes images of 1 or 3 channels, not 2"):
        corrupted(pictures(8, 8)[..., :2], name, CORRUPTIONS[name].levels["cifar-c"][0])


def test_a_jpeg_quality_is_a_whole_number() -> None:
    with pytest.raises(ValueError, match=r"jpeg_compression takes a whole number as level .*, not 50.5"):
        CORRUPTIONS["jpeg_compression"].check(50.5)


def test_a_custom_level_of_zoom_blur_has_at_most_a_hundred_factors() -> None:
    zoomed = CORRUPTIONS["zoom_blur"].prepare

    zoomed(2.0, 0.01)
    with pytest.raises(ValueError, match=r"at most 100 zoom factors; from 1 to 10 by 0\.001 there are more"):
        zoomed(10.0, 0.001)
