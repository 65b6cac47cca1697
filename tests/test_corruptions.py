"""What every corruption must do, whichever it is."""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_photographs import photographs
from torch import Tensor

from corruptions import CORRUPTIONS, GROUPS, PROFILES, level_of, names_of, profile_for
from corruptions.apply import corrupt, prepared, purpose
from corruptions.channel import Channel
from corruptions.draws import image_keys
from corruptions.registry import names_with_level

ALL = list(CORRUPTIONS.values())
NEEDS_FILES = pytest.mark.skipif(CORRUPTIONS["frost"].missing() is not None, reason="needs the published photographs of frost")
by_corruption = pytest.mark.parametrize(
    "entry", [pytest.param(entry, id=entry.name, marks=NEEDS_FILES if entry.name == "frost" else ()) for entry in ALL]
)


def pictures(count: int, channels: int = 3, height: int = 32, width: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


@by_corruption
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_batch_size_changes_no_pixel(entry, batch: int) -> None:
    images, ids = pictures(100), torch.arange(100)
    level = entry.levels["cifar-c"][4]
    whole = corrupt(images, entry.name, level, ids=ids)
    parts = [corrupt(images[i : i + batch], entry.name, level, ids=ids[i : i + batch]) for i in range(0, len(images), batch)]

    assert torch.equal(torch.cat(parts), whole)


@by_corruption
def test_order_and_subset_change_no_pixel(entry) -> None:
    images, ids = pictures(40), torch.arange(40) + 1000
    level = entry.levels["cifar-c"][2]
    whole = corrupt(images, entry.name, level, ids=ids)
    chosen = torch.tensor([31, 2, 17, 5])

    assert torch.equal(corrupt(images[chosen], entry.name, level, ids=ids[chosen]), whole[chosen])


@by_corruption
def test_the_number_of_threads_changes_no_pixel(entry) -> None:
    images, ids = pictures(64), torch.arange(64)
    level = entry.levels["cifar-c"][4]
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(corrupt(images, entry.name, level, ids=ids))
    finally:
        torch.set_num_threads(before)

    assert torch.equal(*results)


@by_corruption
@pytest.mark.parametrize("channels", [1, 3])
def test_threads_and_batches_change_no_pixel_of_large_images(entry, channels: int) -> None:
    images, ids = pictures(3, channels, 96, 224), torch.tensor([4, 0, 2**40])
    level = entry.levels["imagenet-c"][2]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        single = [corrupt(images[i : i + 1], entry.name, level, ids=ids[i : i + 1]) for i in range(3)]
        torch.set_num_threads(2)
        whole = corrupt(images, entry.name, level, ids=ids)
    finally:
        torch.set_num_threads(before)

    assert torch.equal(torch.cat(single), whole)


@by_corruption
def test_images_may_be_a_part_of_a_larger_array(entry) -> None:
    images, ids = pictures(4, 3, 20, 18)[::2, :, :, ::2], torch.tensor([4, 0])
    seen, copied = (corrupt(each, entry.name, entry.levels["cifar-c"][2], ids=ids) for each in (images, images.contiguous()))

    assert torch.equal(seen, copied)


@by_corruption
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("side", [32, 224])
def test_the_device_changes_no_pixel(entry, side: int) -> None:
    images, ids = pictures(20, 3, side, side), torch.arange(20)
    for profile in PROFILES:
        for level in entry.levels[profile]:
            on_gpu = corrupt(images.cuda(), entry.name, level, ids=ids.cuda()).cpu()

            assert torch.equal(on_gpu, corrupt(images, entry.name, level, ids=ids))


@by_corruption
@settings(deadline=None, max_examples=15)
@given(
    count=st.integers(0, 3),
    channels=st.integers(1, 5),
    height=st.integers(1, 33),
    width=st.integers(1, 33),
    seed=st.integers(-(2**70), 2**70),
)
def test_any_shape_and_seed_is_taken_and_the_input_is_left_alone(entry, count, channels, height, width, seed) -> None:
    images = pictures(count, 1 + 2 * (channels % 2) if entry.channels else channels, height, width)
    before = images.clone()
    noisy = corrupt(images, entry.name, entry.levels["tiny-c"][4], ids=torch.arange(count), seed=seed)

    assert noisy.dtype == torch.uint8
    assert noisy.shape == images.shape
    assert torch.equal(images, before)


@by_corruption
def test_a_higher_severity_does_more_harm(entry) -> None:
    images = torch.from_numpy(photographs(32, 25)[:25]).float().mul(0.4).add(60).to(torch.uint8)
    keys = partial(image_keys, 0, "the same draws for all severities", torch.arange(25))
    for profile in PROFILES:
        corrupted = [prepared(entry.name, level)(images, keys) for level in entry.levels[profile]]
        harm = [(after.float() - images.float()).square().mean().item() for after in corrupted]

        assert min(harm) > 0
        if entry.noisier:
            assert harm == sorted(harm)
            assert (entry.levels[profile][0] < entry.levels[profile][4]) == (entry.noisier == "higher")


@by_corruption
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), float("-inf"), 1e30])
def test_a_level_out_of_range_is_refused(entry, value: float) -> None:
    usual = entry.levels["cifar-c"][4]
    for index, parameter in enumerate(entry.parameters):
        called = "level" if len(usual) == 1 else parameter.name
        with pytest.raises(ValueError, match=f"{entry.name} takes a {called} (above 0|from .*) (and|up) "):
            corrupt(pictures(1), entry.name, (*usual[:index], value, *usual[index + 1 :]), ids=torch.arange(1))


@by_corruption
def test_a_level_of_0_is_refused_where_nothing_would_be_done(entry) -> None:
    if len(entry.parameters) == 1:
        with pytest.raises(ValueError, match=f"{entry.name} takes a level (above 0|from)"):
            corrupt(pictures(1), entry.name, 0.0, ids=torch.arange(1))


@by_corruption
def test_fidelity_is_stated(entry) -> None:
    assert entry.fidelity.kind in ("equal bytes", "equal in law")
    assert entry.random == (entry.fidelity.kind == "equal in law")
    assert entry.fidelity.remark.endswith(".")


def test_seeds_names_and_ids_give_different_noise() -> None:
    images = torch.full((2, 3, 16, 16), 128, dtype=torch.uint8)
    ids = torch.arange(2)
    noise = corrupt(images, "gaussian_noise", 0.1, ids=ids, seed=0)

    assert not torch.equal(noise[0], noise[1])
    assert not torch.equal(noise, corrupt(images, "gaussian_noise", 0.1, ids=ids, seed=1))
    assert not torch.equal(noise, corrupt(images, "gaussian_noise", 0.1, ids=ids + 2**40, seed=0))


@by_corruption
def test_only_a_random_corruption_asks_for_keys(entry) -> None:
    asked: list[Tensor] = []

    def keys() -> Tensor:
        asked.append(torch.arange(1))
        return asked[-1]

    prepared(entry.name, entry.levels["cifar-c"][2])(pictures(1), keys)

    assert bool(asked) == entry.random


@by_corruption
def test_severities_draw_independently_and_equal_levels_draw_the_same(entry) -> None:
    """Words shared by severities would make a mean over severities less certain than it looks."""
    if not isinstance(prepared(entry.name, entry.levels["cifar-c"][0]), Channel):
        return  # a map over the image is tested below
    images, ids = torch.full((64, 1, 32, 32), 128, dtype=torch.uint8), torch.arange(64)
    levels = entry.levels["cifar-c"]
    noise = [corrupt(images, entry.name, level, ids=ids).double().flatten() - 128 for level in levels]
    correlation = np.corrcoef(torch.stack(noise).numpy())[np.triu_indices(5, 1)]

    assert abs(correlation).max() < 5 / np.sqrt(images.numel())
    level = levels[2][0] if len(levels[2]) == 1 else list(levels[2])  # as a plain number, where there is one
    assert torch.equal(corrupt(images, entry.name, level, ids=ids).double().flatten() - 128, noise[2])


@by_corruption
def test_the_level_is_part_of_the_key(entry) -> None:
    if not entry.random:
        return
    images, ids = pictures(2), torch.arange(2)
    first, second = entry.levels["cifar-c"][:2]
    operator = prepared(entry.name, first)
    own, other = (operator(images, partial(image_keys, 0, purpose(entry.name, level), ids)) for level in (first, second))

    assert torch.equal(own, corrupt(images, entry.name, first, ids=ids))
    assert not torch.equal(own, other)


# Bytes that must be the same on every machine and for ever: published numbers hang on them. Those of the noises changed once,
# before any release, with NOISE_VERSION 2.
FOREVER = {
    "gaussian_blur": "3077be3841bd4535",
    "gaussian_noise": "9aac884d2ab23622",
    "shot_noise": "4243717403df32b5",
    "impulse_noise": "1ddfd778a28d52f1",
    "speckle_noise": "edab80e5bbbd5437",
    "glass_blur": "96f35089307a225a",
    "motion_blur": "301e2e36fb526140",
    "snow": "30eeaa8ce32aab8d",
    "fog": "0b6c69b9f1997150",
    "elastic_transform": "55487c71e1a29832",
    "spatter": "6ad5c14e3188c637",
    "frost": "3c0d441c8f76a935",
    "defocus_blur": "594e00a039fad18c",
    "zoom_blur": "29dd0c6365b4d935",
    "brightness": "7fe78627ce2eee0a",
    "contrast": "e6bc3c8a3a40e0d9",
    "pixelate": "ac778ca410c8c143",
    "jpeg_compression": "22e224f4fdcb4dc3",
    "saturate": "accbae04d1937ad7",
}


@by_corruption
def test_the_bytes_are_those_of_every_other_machine(entry) -> None:
    images = (torch.arange(4 * 3 * 40 * 41) * 7919 % 256).to(torch.uint8).view(4, 3, 40, 41)
    noisy = corrupt(images, entry.name, entry.levels["imagenet-c"][2], ids=torch.tensor([0, 1, 5, 2**33]), seed=3)

    digest = hashlib.sha256(noisy.numpy().tobytes()).hexdigest()[:16]
    assert digest == FOREVER[entry.name], "this machine gives other bytes than every other machine"


@pytest.mark.parametrize(
    ("images", "ids", "words"),
    [
        (torch.zeros(1, 3, 4, 4), torch.arange(1), "images must be uint8"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), torch.arange(3), "images must be uint8"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.arange(3), "expected one id per image"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(images: Tensor, ids: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        corrupt(images, "gaussian_noise", 0.1, ids=ids)


def test_an_unknown_corruption_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown corruption 'fogg'"):
        corrupt(pictures(1), "fogg", 0.1, ids=torch.arange(1))


@pytest.mark.parametrize(
    ("height", "width", "profile"),
    [
        (8, 8, "cifar-c"),
        (48, 32, "cifar-c"),
        (49, 32, "tiny-c"),
        (128, 128, "tiny-c"),
        (129, 10, "imagenet-c"),
        (224, 224, "imagenet-c"),
        (299, 299, "imagenet-c-299"),
        (512, 512, "imagenet-c"),
    ],
)
def test_the_profile_follows_the_image_size(height: int, width: int, profile: str) -> None:
    assert profile_for(height, width) == profile


@pytest.mark.parametrize("severity", [0, 6, -1])
def test_a_severity_outside_1_to_5_is_refused(severity: int) -> None:
    with pytest.raises(ValueError, match="severity must be a whole number from 1 to 5"):
        level_of("gaussian_noise", severity=severity, profile="cifar-c")


def test_names_aliases_and_groups_are_understood() -> None:
    assert names_of("Gaussian") == ("gaussian_noise",)
    assert names_of("poisson") == ("shot_noise",)
    assert names_of("gaussian-blur") == names_with_level("blur") == ("gaussian_blur",)
    assert names_of("paper") == ("gaussian_noise", "shot_noise", "gaussian_blur")
    assert names_of("all") == tuple(CORRUPTIONS)
    assert names_of("nothing") == ()
    assert names_of("common") == tuple(name for group in ("noise", "blur", "weather", "digital") for name in names_of(group))
    assert names_of("all") == (*names_of("common"), *names_of("extra"))
    for group, members in GROUPS.items():
        if group not in ("common", "all", "paper"):
            assert ", ".join(names_of(group)) == members
    words = [word for entry in ALL for word in (entry.name, *entry.aliases)]
    assert len(words) == len(set(words))
    assert not set(words) & set(GROUPS)
