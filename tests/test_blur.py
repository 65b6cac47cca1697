"""Gaussian blur against scipy.ndimage, to the byte."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sample_photographs import photographs
from scipy import ndimage

from corruptions import CORRUPTIONS, PROFILES
from corruptions.apply import corrupt
from corruptions.filters import GaussianBlur, blur_in_order
from corruptions.kernels import blur_planes

SIGMAS = sorted({sigma for profile in PROFILES for (sigma,) in CORRUPTIONS["gaussian_blur"].levels[profile]})


def reference(images: np.ndarray, sigma: float) -> np.ndarray:
    blurred = ndimage.gaussian_filter(images / 255.0, (0, 0, sigma, sigma), mode="nearest", truncate=4)
    return np.uint8(np.clip(blurred, 0, 1) * 255)


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    return corrupt(torch.from_numpy(images), "gaussian_blur", sigma, ids=torch.arange(len(images))).numpy()


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


any_images = arrays.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 40), st.integers(1, 70)))


@settings(deadline=None, max_examples=60)
@given(images=any_images, sigma=st.floats(0.05, 12))
def test_blur_is_scipys_for_any_shape_and_sigma(images: np.ndarray, sigma: float) -> None:
    np.testing.assert_array_equal(blurred(images, sigma), reference(images, sigma))


@settings(deadline=None, max_examples=60)
@given(images=any_images, sigma=st.floats(0.05, 12))
def test_the_way_for_gpus_gives_scipys_bytes_too(images: np.ndarray, sigma: float) -> None:
    planes = torch.from_numpy(images).flatten(0, 1)
    found = blur_in_order(planes, GaussianBlur(sigma).weights.tolist()).view(images.shape)

    np.testing.assert_array_equal(found.numpy(), reference(images, sigma))


def test_a_blur_far_wider_than_the_image_is_scipys() -> None:
    images = photographs(9, 1)

    np.testing.assert_array_equal(blurred(images, 200), reference(images, 200))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_no_byte(threads: int) -> None:
    images = np.random.default_rng(2).integers(0, 256, (401, 3, 32, 35), dtype=np.uint8)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = blurred(images, 1.0)
    finally:
        torch.set_num_threads(before)

    np.testing.assert_array_equal(found, reference(images, 1.0))


def test_threads_may_blur_at_the_same_time() -> None:
    batches = [np.random.default_rng(seed).integers(0, 256, (8, 3, 20, 30), dtype=np.uint8) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda images: blurred(images, 3.3), batches))

    np.testing.assert_array_equal(np.stack(found), np.stack([reference(images, 3.3) for images in batches]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_forked_after_threads_have_blurred_can_blur() -> None:
    images = np.random.default_rng(5).integers(0, 256, (401, 3, 32, 35), dtype=np.uint8)

    def compare() -> None:
        np.testing.assert_array_equal(blurred(images, 1.0), reference(images, 1.0))

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        compare()
        child = multiprocessing.get_context("fork").Process(target=compare)
        child.start()
        child.join(timeout=60)
        child.kill()
        child.join()
    finally:
        torch.set_num_threads(before)

    assert child.exitcode == 0


@pytest.mark.parametrize("size", [1, 3, 64])
def test_the_batch_changes_no_byte(size: int) -> None:
    images = photographs(32, 35)
    found = np.concatenate([blurred(images[start : start + size], 0.7) for start in range(0, len(images), size)])

    np.testing.assert_array_equal(found, blurred(images, 0.7))


@pytest.mark.parametrize("width", [1, 7, 8, 31, 33])
def test_nothing_is_written_beside_the_planes(width: int) -> None:
    planes = np.random.default_rng(3).integers(0, 256, (3, 5, width), dtype=np.uint8)
    around = np.full((5, 5, width), 77, np.uint8)
    blur_planes(planes, GaussianBlur(1.0).weights, around[1:4])

    assert (around[[0, 4]] == 77).all()
    np.testing.assert_array_equal(around[1:4], reference(planes[None], 1.0)[0])


@pytest.mark.parametrize("shape", [(0, 5, 6), (2, 0, 6)])
def test_planes_without_pixels_stay_so(shape: tuple[int, int, int]) -> None:
    empty = np.zeros(shape, np.uint8)

    assert GaussianBlur(1.0)(torch.from_numpy(empty)[None], lambda: torch.zeros(0)).shape == (1, *shape)


def test_images_need_not_be_contiguous() -> None:
    images = photographs(24, 3)
    strided = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)[:, :, ::2, 1:]
    found = corrupt(strided, "gaussian_blur", 1.0, ids=torch.arange(len(images)))

    np.testing.assert_array_equal(found.numpy(), reference(images[:, :, ::2, 1:], 1.0))


def test_arrays_that_do_not_fit_the_compiled_blur_are_refused() -> None:
    planes, weights = np.zeros((2, 6, 6), np.uint8), GaussianBlur(1.0).weights

    with pytest.raises(ValueError, match="different shapes"):
        blur_planes(planes, weights, planes[:1].copy())
    with pytest.raises(TypeError, match="No matching definition"):
        blur_planes(planes.transpose(0, 2, 1), weights, planes.copy())
    with pytest.raises(TypeError, match="No matching definition"):
        blur_planes(planes, weights.astype(np.float32), planes.copy())


def test_numba_is_imported_only_for_a_blur() -> None:
    code = "import sys, corruptions.apply; print([name for name in ('numba', 'llvmlite') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
