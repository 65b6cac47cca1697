"""Corruptions that draw, against Hendrycks & Dietterich's formulas with scipy, OpenCV and ImageMagick, for the same draws."""

from __future__ import annotations

import io
import math
import shutil
import subprocess
from collections.abc import Callable

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from numpy.typing import NDArray
from sample_photographs import photographs
from scipy import ndimage, special, stats

from corruptions import CORRUPTIONS, PROFILES
from corruptions.apply import corrupt, purpose
from corruptions.draws import image_keys, words
from corruptions.entries import Level
from corruptions.motion import blur_along, line, motion_weights
from corruptions.plasma import fill_plasma, map_side
from corruptions.whole_draws import hashed, normals, uniforms

Image = NDArray[np.uint8]
Floats = NDArray[np.floating]
SIDES = {"cifar-c": 32, "tiny-c": 64, "imagenet-c": 224, "imagenet-c-299": 299}


class Draws:
    """The numbers of one image, taken in order."""

    def __init__(self, key: NDArray[np.int64]) -> None:
        self.key, self.position = key, 0

    def uniform(self, low: float, high: float, shape: tuple[int, ...] = ()) -> Floats:
        drawn = uniforms(self.key, math.prod(shape), self.position)[0]
        self.position += math.prod(shape)
        return (low + (high - low) * drawn).reshape(shape)

    def normal(self, mean: float, deviation: float, shape: tuple[int, ...]) -> Floats:
        drawn = normals(self.key, math.prod(shape), self.position)[0]
        self.position += math.prod(shape)
        return (mean + deviation * drawn).reshape(shape)


def truncated(image: Floats) -> Image:
    return np.uint8(np.clip(image, 0, 1) * 255)


def gaussian(image: Floats, sigma: float, mode: str = "nearest", truncate: float = 4) -> Floats:
    return ndimage.gaussian_filter(image, (sigma, sigma, 0)[: image.ndim], mode=mode, truncate=truncate)


def clipped_zoom(layer: Floats, factor: float) -> Floats:
    height, width = (math.ceil(size / factor) for size in layer.shape)
    top, left = (layer.shape[0] - height) // 2, (layer.shape[1] - width) // 2
    zoomed = ndimage.zoom(layer[top : top + height, left : left + width], factor, order=1)
    top, left = (zoomed.shape[0] - layer.shape[0]) // 2, (zoomed.shape[1] - layer.shape[1]) // 2
    return zoomed[top : top + layer.shape[0], left : left + layer.shape[1]]


def plasma(draws: Floats, decay: float) -> Floats:
    """Diamond-square on a torus; ``draws``, from 0 to 1, by position."""
    side = len(draws)
    heights = np.zeros((side, side))
    step, rough = side, 100.0
    while step >= 2:
        half = step // 2
        corners, middles = np.s_[::step, ::step], np.s_[half::step, half::step]
        tops, lefts = np.s_[::step, half::step], np.s_[half::step, ::step]

        def raised(total: Floats, where: tuple[slice, slice], rough: float = rough) -> Floats:
            return total / 4 + rough * (-rough + 2 * rough * draws[where])

        pairs = heights[corners] + np.roll(heights[corners], -1, axis=0)
        heights[middles] = raised(pairs + np.roll(pairs, -1, axis=1), middles)
        middle, corner = heights[middles], heights[corners]
        heights[tops] = raised((middle + np.roll(middle, 1, axis=0)) + (corner + np.roll(corner, -1, axis=1)), tops)
        heights[lefts] = raised((middle + np.roll(middle, 1, axis=1)) + (corner + np.roll(corner, -1, axis=0)), lefts)
        step, rough = half, rough / decay
    heights -= heights.min()
    return heights / heights.max()


def fog(image: Image, draws: Draws, weight: float, decay: float) -> Image:
    values = image / 255.0
    brightest, side = values.max(), map_side(*image.shape[:2])
    values += weight * plasma(draws.uniform(0, 1, (side, side)), decay)[: image.shape[0], : image.shape[1], None]
    return truncated(values * brightest / (brightest + weight))


def glass_blur(image: Image, draws: Draws, sigma: float, reach: float, rounds: float) -> Image:
    pixels, far = np.uint8(gaussian(image / 255.0, sigma) * 255), int(reach)
    height, width = image.shape[:2]
    steps = iter(hashed(draws.key, int(rounds) * height * width)[0].tolist())
    for _ in range(int(rounds)):
        for row in range(height - far, far, -1):
            for column in range(width - far, far, -1):
                word = next(steps)
                across, down = ((half * 2 * far >> 32) - far for half in (word & 0xFFFFFFFF, word >> 32))
                pixels[row, column] = pixels[row + down, column + across]
    return truncated(gaussian(pixels / 255.0, sigma))


def motion(image: Image, radius: float, sigma: float, angle: float) -> Image:
    """ImageMagick's, on (H, W, C)."""
    count = 2 * math.ceil(radius) + 1
    weights = np.exp(-(np.arange(count) ** 2) / (2 * sigma**2))
    down, across = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    rows, columns = np.arange(image.shape[0])[:, None], np.arange(image.shape[1])
    total = np.zeros(image.shape)
    for i, weight in enumerate(weights / weights.sum()):
        row = np.clip(rows + math.ceil(i * down - 0.5), 0, image.shape[0] - 1)
        column = np.clip(columns + math.ceil(i * across - 0.5), 0, image.shape[1] - 1)
        total += weight * 257.0 * image[row, column]
    return np.uint8(np.floor(total + 0.5) // 257)


def motion_blur(image: Image, draws: Draws, radius: float, sigma: float) -> Image:
    return motion(image, radius, sigma, float(draws.uniform(-45, 45)))


def snow(image: Image, draws: Draws, *level: float) -> Image:
    mean, deviation, zoom, threshold, radius, sigma, share = level
    values = np.float32(image) / np.float32(255)
    flakes = clipped_zoom(draws.normal(mean, deviation, image.shape[:2]), zoom)
    flakes[flakes < threshold] = 0
    layer = motion(truncated(flakes)[..., None], radius, sigma, float(draws.uniform(-135, -45))) / 255.0
    grey = cv2.cvtColor(values, cv2.COLOR_RGB2GRAY)[..., None]
    values = share * values + (1 - share) * np.maximum(values, grey * 1.5 + 0.5)
    return truncated(values + layer + np.rot90(layer, k=2))


def spatter(image: Image, draws: Draws, *level: float) -> Image:
    mean, deviation, sigma, threshold, intensity, mud = level
    values = np.float32(image) / np.float32(255)
    liquid = gaussian(draws.normal(mean, deviation, image.shape[:2]), sigma)
    liquid[liquid < threshold] = 0
    if mud:
        stains = gaussian(np.float32(liquid > threshold), intensity)
        stains[stains < 0.8] = 0
        colour = np.float32([63 / 255, 42 / 255, 20 / 255])
        return truncated(values * (1 - stains[..., None]) + colour * stains[..., None])
    drops = (liquid * 255).astype(np.uint8)
    cv2.ipp.setUseIPP(False)  # Intel's library rounds distances otherwise than OpenCV's own code
    heights = cv2.distanceTransform(255 - cv2.Canny(drops, 50, 150), cv2.DIST_L2, 5)
    heights = cv2.equalizeHist(cv2.blur(np.minimum(heights, 20), (3, 3)).astype(np.uint8))
    heights = cv2.filter2D(heights, cv2.CV_8U, np.float32([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]))
    light = drops * cv2.blur(heights, (3, 3)).astype(np.float32)
    light = light / light.max() * np.float32(intensity)
    return truncated(values + light[..., None] * np.float32([175 / 255, 238 / 255, 238 / 255]))


def elastic_transform(image: Image, draws: Draws, size: float, sigma: float, jitter: float) -> Image:
    values, shape = np.float32(image) / np.float32(255), image.shape[:2]
    centre, reach = np.float32(shape) // 2, min(shape) // 3
    corners = np.float32([centre + reach, [centre[0] + reach, centre[1] - reach], centre - reach])
    matrix = cv2.getAffineTransform(corners, corners + draws.uniform(-jitter, jitter, (3, 2)).astype(np.float32))
    values = cv2.warpAffine(values, matrix, shape[::-1], borderMode=cv2.BORDER_REFLECT_101)
    right, down = (
        (gaussian(draws.uniform(-1, 1, shape), sigma, "reflect", 3) * size).astype(np.float32) if size else np.zeros(shape)
        for _ in range(2)
    )
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    places = [rows + down, columns + right]
    moved = [ndimage.map_coordinates(channel, places, order=1, mode="reflect") for channel in np.moveaxis(values, -1, 0)]
    return truncated(np.stack(moved, axis=-1))


REFERENCES: dict[str, Callable[..., Image]] = {
    function.__name__: function for function in (fog, glass_blur, motion_blur, snow, spatter, elastic_transform)
}
DIFFERING = {"elastic_transform": 1e-3}
"""The fraction of bytes that may differ from OpenCV's."""
by_name = pytest.mark.parametrize("name", REFERENCES)


def pictures(height: int, width: int, count: int = 2) -> Image:
    """(N, H, W, 3): photographs, and their brightened versions with flat areas."""
    photos = photographs(max(height, width), (count + 1) // 2).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(photos[:count, :height, :width])


def corrupted(images: Image, name: str, level: Level, seed: int = 0) -> Image:
    batch = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    return corrupt(batch, name, level, ids=torch.arange(len(images)), seed=seed).numpy().transpose(0, 2, 3, 1)


def compare(images: Image, name: str, level: Level) -> None:
    keys = image_keys(0, purpose(name, level), torch.arange(len(images))).numpy()
    expected = np.stack([REFERENCES[name](image, Draws(keys[i : i + 1]), *level) for i, image in enumerate(images)])
    difference = np.count_nonzero(corrupted(images, name, level) != expected)

    assert difference <= DIFFERING.get(name, 0) * images.size


@by_name
@pytest.mark.parametrize("profile", PROFILES)
def test_an_image_is_that_of_the_formula_for_the_same_draws(name: str, profile: str) -> None:
    side = SIDES[profile]
    levels = CORRUPTIONS[name].levels[profile]
    for level in levels if side <= 64 else levels[::2] if side == 224 else levels[1::2]:
        compare(pictures(side, side, 4 if side == 32 else 1), name, level)


@by_name
@pytest.mark.parametrize(("height", "width"), [(33, 47), (40, 21)])
def test_images_of_any_shape_follow_the_formula(name: str, height: int, width: int) -> None:
    for level in CORRUPTIONS[name].levels["tiny-c"][1::2]:
        compare(pictures(height, width), name, level)


def test_snow_on_a_colourless_photograph_is_that_of_the_formula() -> None:
    """Three equal channels often give a whole grey level, whose byte hangs on the last bit of the luminance."""
    colourless = np.repeat(pictures(64, 64, 4)[..., :1], 3, axis=-1)
    for level in CORRUPTIONS["snow"].levels["tiny-c"]:
        compare(colourless, "snow", level)


@by_name
def test_a_grey_image_is_that_of_three_equal_channels(name: str) -> None:
    grey = pictures(32, 40)[..., :1]
    for level in CORRUPTIONS[name].levels["cifar-c"]:
        found = corrupted(grey, name, level)
        coloured = corrupted(np.repeat(grey, 3, axis=-1), name, level).astype(float)
        if name == "spatter":  # its colours have a luminance
            luminance = coloured @ np.array([0.299, 0.587, 0.114])
            clipped = coloured.max(axis=-1) == 255

            assert abs(found[..., 0] - luminance)[~clipped].max() <= 1
        else:
            np.testing.assert_array_equal(found, coloured[..., :1])


def imagemagick(image: Image, radius: float, sigma: float, angle: float) -> Image:
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "PNG")
    command = ["convert", "png:-", "-motion-blur", f"{radius}x{sigma}{angle:+.6f}", "png:-"]
    done = subprocess.run(command, input=file.getvalue(), capture_output=True, check=True)
    return np.asarray(PIL.Image.open(io.BytesIO(done.stdout)).convert("RGB"))


def imagemagick_version() -> str:
    if not shutil.which("convert"):
        return ""
    return subprocess.run(["convert", "-version"], capture_output=True, text=True, check=False).stdout


@pytest.mark.skipif("ImageMagick" not in imagemagick_version(), reason="needs ImageMagick's convert")
@pytest.mark.parametrize(("radius", "sigma"), [(6, 1), (9, 2.5), (10, 3), (20, 15)])
@pytest.mark.parametrize("angle", [-45, -31.25, 0, 12.5, 44.0, -100.0])
def test_motion_blur_is_imagemagicks(radius: float, sigma: float, angle: float) -> None:
    image = pictures(48, 60)[0]
    ours = np.empty((3, 48, 60), np.uint8)
    weights = motion_weights(radius, sigma)
    blur_along(image.transpose(2, 0, 1).copy(), line(len(weights), angle), weights, ours)
    difference = abs(ours.transpose(1, 2, 0).astype(int) - imagemagick(image, radius, sigma, angle))

    assert difference.max() <= (0 if "ImageMagick 6.9.11-60 Q16 " in imagemagick_version() else 1)


def test_glass_copies_pixels_instead_of_swapping_them() -> None:
    """As the published code does: a shuffle that swapped would leave every colour as often as it was."""
    image = np.arange(32 * 32 * 3, dtype=np.uint32).reshape(1, 32, 32, 3).astype(np.uint8)
    shuffled = corrupted(image, "glass_blur", (0.05, 1, 1))

    assert not np.array_equal(np.sort(shuffled.ravel()), np.sort(image.ravel()))


def test_black_images_and_unreachable_thresholds_give_whole_images() -> None:
    black = np.zeros((1, 16, 16, 3), np.uint8)

    assert not corrupted(black, "fog", (1.0, 2.0)).any()
    np.testing.assert_array_equal(corrupted(black + 77, "spatter", (0.1, 0.01, 1.0, 5.0, 0.5, 0)), black + 77)
    np.testing.assert_array_equal(corrupted(black + 77, "elastic_transform", (0.0, 0.0, 0.0)), black + 77)


def test_uniform_numbers_are_the_words_and_normal_numbers_their_quantiles() -> None:
    keys = np.array([5, -77, 2**62])
    halves = words(torch.from_numpy(keys), 40_000).numpy().view(np.uint32).astype(np.uint64)
    low, high = halves[:, ::2], halves[:, 1::2]
    drawn = uniforms(keys, 20_000)

    np.testing.assert_array_equal(hashed(keys, 20_000), low | high << np.uint64(32))
    np.testing.assert_array_equal(hashed(keys, 10, 7), hashed(keys, 17)[:, 7:])
    np.testing.assert_allclose(drawn, hashed(keys, 20_000) / 2.0**64, atol=1e-15)
    np.testing.assert_allclose(normals(keys, 20_000), special.ndtri(drawn), rtol=1e-13, atol=1e-14)


def test_draws_follow_their_laws() -> None:
    keys = image_keys(3, "a law", torch.arange(200)).numpy()

    assert stats.kstest(uniforms(keys, 1000).ravel(), "uniform").pvalue > 1e-4
    assert stats.kstest(normals(keys, 1000).ravel(), "norm").pvalue > 1e-4
    assert abs(np.corrcoef(normals(keys, 1000)[:, ::100].T)[np.triu_indices(10, 1)]).max() < 5 / math.sqrt(200)


def test_maps_of_fog_have_the_histogram_and_spectrum_of_numpys_draws() -> None:
    """Heights by quantiles, power by frequency: as of maps whose draws come from another generator."""
    side, decay, count = 32, 2.0, 200
    rng = np.random.default_rng(0)
    keys = image_keys(0, "fog", torch.arange(count)).numpy()
    ours = np.stack([uniforms(keys[i : i + 1], side * side).reshape(side, side) for i in range(count)])
    for heights in ours:
        fill_plasma(heights, decay)
    theirs = np.stack([plasma(rng.random((side, side)), decay) for _ in range(count)])

    quantiles = np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(np.quantile(ours, quantiles), np.quantile(theirs, quantiles), atol=0.03)
    power = [np.log((abs(np.fft.rfft2(maps)) ** 2).mean(axis=0)[1:9, 1:9]) for maps in (ours, theirs)]
    assert abs(power[0] - power[1]).max() < 6 * math.sqrt(2 / count)
    assert abs(power[0] - power[1]).mean() < 2 * math.sqrt(2 / count)


@pytest.mark.parametrize(("name", "low", "high"), [("motion_blur", -45, 45)])
def test_angles_are_uniform(name: str, low: float, high: float) -> None:
    level = CORRUPTIONS[name].levels["cifar-c"][4]
    keys = image_keys(0, purpose(name, level), torch.arange(2000)).numpy()
    angles = low + (high - low) * uniforms(keys, 1)[:, 0]

    assert stats.kstest(angles, stats.uniform(low, high - low).cdf).pvalue > 1e-4
