"""The law of each noise against formulas of the published code, written here with scipy.stats."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from corruptions import CORRUPTIONS, PROFILES
from corruptions.apply import corrupt, prepared
from corruptions.channel import Channel, sample_with_torch

GREY = np.arange(256)
LEVELS = [
    (name, profile, *level)
    for name in ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise")
    for profile in PROFILES
    for level in CORRUPTIONS[name].levels[profile]
]


def truncated(values: np.ndarray) -> np.ndarray:
    """The published code's last step."""
    return np.uint8(np.clip(values, 0, 1) * 255)


def continuous(x: int, sigma: float) -> np.ndarray:
    """Law of trunc(255 clip(x / 255 + N(0, sigma^2), 0, 1))."""
    edges = stats.norm(loc=x / 255, scale=sigma).cdf(np.arange(1, 256) / 255)
    return np.diff(np.concatenate([[0.0], edges, [1.0]]))


def law(name: str, x: int, level: float) -> np.ndarray:
    """P(out | x), for each of 256 values, from the definition."""
    if name == "gaussian_noise":
        return continuous(x, level)
    if name == "speckle_noise":
        return continuous(x, level * x / 255) if x else (GREY == 0).astype(float)
    if name == "impulse_noise":
        return (1 - level) * (x == GREY) + level / 2 * (GREY == 0) + level / 2 * (GREY == 255)
    counts = np.arange(0, int(level + 20 * np.sqrt(level) + 50))
    result = np.zeros(256)
    np.add.at(result, truncated(counts / level), stats.poisson(x / 255 * level).pmf(counts))
    return result


@pytest.mark.parametrize(("name", "profile", "level"), LEVELS)
def test_the_table_is_the_law_of_the_published_code(name: str, profile: str, level: float) -> None:
    operator = prepared(name, level)
    expected = np.stack([law(name, x, level) for x in GREY])

    assert isinstance(operator, Channel)
    np.testing.assert_allclose(operator.probabilities, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "profile", "level"), LEVELS)
def test_the_samples_follow_the_law_by_chi_square_on_the_full_table(name: str, profile: str, level: float) -> None:
    each = 2048
    images = torch.arange(256, dtype=torch.uint8).repeat(8, each // 8).view(8, 1, 256, each // 8)
    noisy = corrupt(images, name, level, ids=torch.arange(8), seed=5)
    observed = np.zeros((256, 256))
    np.add.at(observed, (images.numpy().ravel(), noisy.numpy().ravel()), 1)
    expected = np.stack([law(name, x, level) for x in GREY]) * each
    statistic, freedom = 0.0, 0
    for seen, due in zip(observed, expected, strict=True):
        common = due >= 5
        rare_seen, rare_due = seen[~common].sum(), due[~common].sum()
        statistic += ((seen[common] - due[common]) ** 2 / due[common]).sum()
        if rare_due >= 5:
            statistic += (rare_seen - rare_due) ** 2 / rare_due
        else:
            assert rare_seen <= stats.poisson(rare_due).isf(1e-9)
        freedom += int(common.sum()) + int(rare_due >= 5) - 1

    assert freedom == 0 or 1e-6 < stats.chi2(freedom).sf(statistic) < 1 - 1e-6


def test_impossible_values_never_come() -> None:
    black = torch.zeros(4, 3, 64, 64, dtype=torch.uint8)

    assert corrupt(black, "shot_noise", 3, ids=torch.arange(4)).max() == 0
    assert corrupt(black, "speckle_noise", 0.6, ids=torch.arange(4)).max() == 0


def test_neighbouring_words_are_independent() -> None:
    """Correlation between values of one image, and between images, is what chance allows."""
    images = torch.full((64, 1, 64, 64), 128, dtype=torch.uint8)
    noise = corrupt(images, "gaussian_noise", 0.1, ids=torch.arange(64)).flatten(1).double()
    noise = (noise - noise.mean()) / noise.std()
    count = noise.numel()

    for lag in (1, 2, 3, 64):
        assert abs(float((noise[:, lag:] * noise[:, :-lag]).mean())) < 5 / np.sqrt(count)
    assert abs(float((noise[1:] * noise[:-1]).mean())) < 5 / np.sqrt(count)


@pytest.mark.parametrize("table", [np.ones((256, 256)), np.full((3, 3), 1 / 3), -np.eye(256)])
def test_a_channel_refuses_what_is_not_a_distribution(table: np.ndarray) -> None:
    with pytest.raises(ValueError, match="channel"):
        Channel(table)


def test_the_alias_table_gives_back_its_law_exactly() -> None:
    """Summed over all columns, thresholds and aliases are the quantised probabilities."""
    operator = prepared("gaussian_noise", 0.1)
    assert isinstance(operator, Channel)
    entries = operator._tables[torch.device("cpu")].view(256, 256).numpy().astype(np.int64)
    alias, kept = entries & 255, (entries >> 8) + (1 << 23)
    mass = np.zeros((256, 256), dtype=np.int64)
    rows, columns = np.indices((256, 256))
    np.add.at(mass, (rows, columns), kept)
    np.add.at(mass, (rows, alias), (1 << 24) - kept)

    assert (mass.sum(axis=1) == 1 << 32).all()
    np.testing.assert_allclose(mass / 2.0**32, operator.probabilities, rtol=0, atol=2.0**-32)


@pytest.mark.parametrize("shape", [(5, 3, 8, 8), (3, 1, 5, 7), (2, 1, 1, 1)])
def test_the_loop_and_torch_sample_the_same_bytes(shape: tuple[int, ...]) -> None:
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    channel = prepared("shot_noise", (12.0,))
    keys = torch.arange(shape[0]) * 7919 - 3
    table = channel._tables[torch.device("cpu")]

    assert torch.equal(channel(images, lambda: keys).flatten(1), sample_with_torch(table, images.flatten(1), keys))
