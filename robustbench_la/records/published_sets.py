"""The names of published corrupted sets, which are measured as they are. Their readers: see images/published."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PUBLISHED_SETS: Mapping[str, str] = MappingProxyType(
    {
        "cifar10-c": "CIFAR-10-C as published: <corruption>.npy of 5 x 10,000 images, and labels.npy",
        "cifar100-c": "CIFAR-100-C as published, in the same form",
        "cifar10-c-bar": "CIFAR-10-C-bar, in the same form",
        "imagenet-c": "ImageNet-C as published: <corruption>/<severity>/<wnid>/*.JPEG of 224x224 px",
        "imagenet-c-bar": "ImageNet-C-bar, in the same form",
        "tiny-imagenet-c": "Tiny-ImageNet-C as published, in the same form, 64x64 px",
        "mnist-c": "MNIST-C as published: <corruption>/test_images.npy and test_labels.npy",
    }
)
"""Name -> what it is, for ``larobust list datasets``."""


def is_published(data: str | None) -> bool:
    """Whether ``--data`` names a published set.

    >>> is_published("cifar10-c:data"), is_published("cifar10:data")
    (True, False)
    """
    return data is not None and data.partition(":")[0] in PUBLISHED_SETS
