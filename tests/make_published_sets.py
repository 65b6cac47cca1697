"""Makes small sets in the layouts of the published ones, from images of any dataset that larobust reads.

    python tests/make_published_sets.py folder:photos OUT --kind imagenet-c --noise brightness,contrast

A set has the images of the dataset under each corruption, in the layout of its kind.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from corruptions import level_of
from corruptions.apply import corrupt
from robustbench_la.images.decoding import ImageChoice, load

Images = Mapping[str, Sequence[NDArray[np.uint8]]]
"""Corruption -> for each severity, (N, C, H, W)."""


def corrupted(images: NDArray[np.uint8], names: Sequence[str], profile: str) -> Images:
    """Images (N, C, H, W) under each corruption, at five severities."""
    batch, ids = torch.from_numpy(images), torch.arange(len(images))
    return {
        name: [
            corrupt(batch, name, level_of(name, severity=severity, profile=profile), ids=ids, seed=0).numpy()
            for severity in range(1, 6)
        ]
        for name in names
    }


def write_blocks(root: Path, images: Images, labels: Sequence[int]) -> None:
    """In the form of CIFAR-10-C."""
    root.mkdir(parents=True, exist_ok=True)
    for name, levels in images.items():
        np.save(root / f"{name}.npy", np.ascontiguousarray(np.concatenate(levels).transpose(0, 2, 3, 1)))
    np.save(root / "labels.npy", np.tile(np.asarray(labels, dtype=np.uint8), 5))


def write_tree(
    root: Path, images: Images, files: Sequence[str], *, levels: Sequence[str] = ("1", "2", "3", "4", "5"), lossless: bool = False
) -> None:
    """In the form of ImageNet-C; files: ``wnid/name.JPEG`` of each image."""
    for name, severities in images.items():
        for level, pixels in zip(levels, severities, strict=True):
            for file, image in zip(files, pixels, strict=True):
                path = root / name / level / file
                path.parent.mkdir(parents=True, exist_ok=True)
                picture = Image.fromarray(image.transpose(1, 2, 0))
                picture.save(path.with_suffix(".png")) if lossless else picture.save(path, "JPEG", quality=85, optimize=True)


def write_mnist_c(root: Path, images: Mapping[str, NDArray[np.uint8]], labels: Sequence[int]) -> None:
    """In the form of MNIST-C; images: (N, 1, 28, 28) of each corruption, and of ``identity``."""
    for name, pixels in images.items():
        folder = root / "mnist_c" / name
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "test_images.npy", np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)))
        np.save(folder / "test_labels.npy", np.asarray(labels, dtype=np.int64))


def main() -> None:
    """Read arguments, write a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="such as folder:photos")
    parser.add_argument("output", type=Path)
    parser.add_argument("--kind", choices=("cifar10-c", "imagenet-c", "tiny-imagenet-c"), default="cifar10-c")
    parser.add_argument("--noise", default="brightness,contrast")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--png", action="store_true", help="image files without loss")
    own = parser.parse_args()
    sizes = {"imagenet-c": (256, 224), "tiny-imagenet-c": (64, 64), "cifar10-c": (None, None)}[own.kind]
    images = load(ImageChoice(own.data, *sizes), limit=own.limit)
    profile = {"cifar10-c": "cifar-c"}.get(own.kind, own.kind)
    made = corrupted(np.ascontiguousarray(images.images), own.noise.split(","), profile)
    if own.kind == "cifar10-c":
        write_blocks(own.output, made, images.labels.tolist())
    else:
        write_tree(own.output, made, images.files, lossless=own.png)


if __name__ == "__main__":
    main()
