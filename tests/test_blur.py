"""Gaussian blur against scipy.ndimage, to the byte."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from sklearn.datasets import load_sample_image

from corruptions import CORRUPTIONS, PROFILES
from corruptions.apply import corrupt

SIGMAS = sorted({level for profile in PROFILES for level in CORRUPTIONS["gaussian_blur"].levels[profile]})


def reference(images: np.ndarray, sigma: float) -> np.ndarray:
    blurred = ndimage.gaussian_filter(images / 255.0, (0, 0, sigma, sigma), mode="nearest", truncate=4)
    return np.uint8(np.clip(blurred, 0, 1) * 255)


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    return corrupt(torch.from_numpy(images), "gaussian_blur", sigma, ids=torch.arange(len(images))).numpy()


def photographs(side: int, count: int) -> np.ndarray:
    """Square pieces (N, 3, side, side) of a photograph with large plain areas, and of it blown out to white."""
    picture = load_sample_image("flower.jpg")
    rng = np.random.default_rng(0)
    corners = [(int(rng.integers(picture.shape[0] - side)), int(rng.integers(picture.shape[1] - side))) for _ in range(count)]
    pieces = np.stack([picture[y : y + side, x : x + side] for y, x in corners]).transpose(0, 3, 1, 2)
    bright = np.minimum(pieces.astype(int) * 3, 255).astype(np.uint8)
    return np.ascontiguousarray(np.concatenate([pieces, bright]))


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize(("side", "count"), [(32, 40), (224, 1)])
def test_blur_of_photographs_is_scipys_to_the_byte(sigma: float, side: int, count: int) -> None:
    images = photographs(side, count)

    np.testing.assert_array_equal(blurred(images, sigma), reference(images, sigma))


@pytest.mark.parametrize("sigma", SIGMAS)
def test_flat_images_ramps_and_noise_are_scipys_to_the_byte(sigma: float) -> None:
    flat = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None, None], (256, 1, 16, 16))
    ramp = np.broadcast_to(np.arange(16, dtype=np.uint8) * 16, (3, 1, 16, 16))
    noise = np.random.default_rng(1).integers(0, 256, (64, 1, 16, 16), dtype=np.uint8)
    images = np.ascontiguousarray(np.concatenate([flat, ramp, noise]))

    np.testing.assert_array_equal(blurred(images, sigma), reference(images, sigma))


@settings(deadline=None, max_examples=60)
@given(
    images=arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 40), st.integers(1, 40)),
    ),
    sigma=st.floats(0.05, 12),
)
def test_blur_is_scipys_for_any_shape_and_sigma(images: np.ndarray, sigma: float) -> None:
    np.testing.assert_array_equal(blurred(images, sigma), reference(images, sigma))
