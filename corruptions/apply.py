"""What every corruption has in common, done in one place: input checks, random keys, the call."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from corruptions.draws import image_keys
from corruptions.registry import CORRUPTIONS, Level, Operator, as_level


def corrupt(images: Tensor, name: str, level: float | Level, *, ids: Tensor, seed: int = 0) -> Tensor:
    """Corrupt a batch.

    Args:
        images: uint8 (N, C, H, W).
        name: A key of CORRUPTIONS.
        level: The physical level (see ``level_of``): one number per parameter, or a plain number if there is only one.
        ids: int64 (N,), the index of each image in the whole dataset. The random words depend on ``ids``, ``seed``, ``name`` and
            ``level`` only.
        seed: The noise seed, any integer.

    Returns:
        uint8 (N, C, H, W).

    Raises:
        ValueError: If the images or ids have another shape or dtype, or the corruption does not accept the level.

    >>> grey = torch.full((2, 1, 2, 2), 128, dtype=torch.uint8)
    >>> corrupt(grey, "gaussian_noise", 0.1, ids=torch.tensor([0, 1]))[:, 0].tolist()
    [[[118, 94], [165, 128]], [[121, 136], [149, 96]]]
    """
    if images.dtype != torch.uint8 or images.dim() != 4:
        raise ValueError(f"images must be uint8 (N, C, H, W), not {images.dtype} {tuple(images.shape)}")
    if ids.shape != images.shape[:1]:
        raise ValueError(f"expected one id per image: {len(images)} images, but ids of shape {tuple(ids.shape)}")
    numbers = as_level(level)
    operator = prepared(name, numbers)
    _check_channels(name, images.shape[1])
    if images.numel() == 0:
        return images.clone()
    return operator(images, lambda: image_keys(seed, purpose(name, numbers), ids.to(images.device)))


def _check_channels(name: str, channels: int) -> None:
    """Raise ValueError if the corruption does not take images of so many channels."""
    accepted = CORRUPTIONS[name].channels
    if accepted and channels not in accepted:
        raise ValueError(f"{name} takes images of {' or '.join(map(str, accepted))} channels, not {channels}")


def purpose(name: str, level: Level) -> str:
    """What the random words of a corruption at one level are for: its name, and each number exactly.

    >>> purpose("gaussian_noise", (0.1,))
    'gaussian_noise=0.1'
    """
    return f"{name}={'/'.join(map(repr, level))}"


@functools.lru_cache(maxsize=256)
def prepared(name: str, level: float | Level) -> Operator:
    """The operator of a corruption at one level, cached so that its tables are built only once."""
    if name not in CORRUPTIONS:
        raise ValueError(f"unknown corruption {name!r}")
    entry = CORRUPTIONS[name]
    return entry.prepare(*entry.check(level))
