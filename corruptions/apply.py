"""What every corruption must do, done once: checks, keys, the call."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from corruptions.draws import image_keys
from corruptions.registry import CORRUPTIONS, Level, Operator, as_level


def corrupt(images: Tensor, name: str, level: float | Level, *, ids: Tensor, seed: int = 0) -> Tensor:
    """Corrupt a batch.

    images: uint8 (N, C, H, W).  name: a key of CORRUPTIONS.  level: the physical level, one number per parameter (a single one
    may be a plain number), see ``level_of``.  ids: int64 (N,), each image's index in the whole dataset: with ``seed`` and
    ``name`` they alone decide the noise.  Returns: uint8 (N, C, H, W).
    Raises: ValueError for another shape or type, or a level that the corruption does not take.

    >>> grey = torch.full((2, 1, 2, 2), 128, dtype=torch.uint8)
    >>> corrupt(grey, "gaussian_noise", 0.1, ids=torch.tensor([0, 1]))[:, 0].tolist()
    [[[115, 105], [176, 163]], [[165, 135], [129, 148]]]
    """
    if images.dtype != torch.uint8 or images.dim() != 4:
        raise ValueError(f"images are uint8 (N, C, H, W), not {images.dtype} {tuple(images.shape)}")
    if ids.shape != images.shape[:1]:
        raise ValueError(f"one id an image: {len(images)} images, ids of shape {tuple(ids.shape)}")
    operator = prepared(name, as_level(level))
    if images.numel() == 0:
        return images.clone()
    return operator(images, lambda: image_keys(seed, name, ids.to(images.device)))


@functools.lru_cache(maxsize=256)
def prepared(name: str, level: float | Level) -> Operator:
    """The operator of a corruption at a level; its tables are made once."""
    if name not in CORRUPTIONS:
        raise ValueError(f"unknown corruption {name!r}")
    entry = CORRUPTIONS[name]
    return entry.prepare(*entry.check(level))
