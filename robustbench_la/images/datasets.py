"""The table of datasets, and which reader each has. Nothing is decoded here: see decoding.py. Imports no torch until it must."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from robustbench_la.errors import UserError, did_you_mean
from robustbench_la.images.cifar import cifar_reader
from robustbench_la.images.folders import open_folder
from robustbench_la.images.imagenet import open_imagenet
from robustbench_la.images.mnist import mnist_reader
from robustbench_la.images.published.table import READERS
from robustbench_la.images.source import Source, Split, from_array
from robustbench_la.records.published_sets import PUBLISHED_SETS


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A row of the table."""

    summary: str
    needs_root: bool
    open: Callable[[Path, Split, bool], Source]
    """Takes (root, split, whether to download)."""


def _digits(root: Path, split: Split, download: bool) -> Source:
    """scikit-learn's 1,797 handwritten digits, 8x8, 17 grey levels; a fixed stratified split: 1,297 to train, 500 to test."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    train, test = train_test_split(np.arange(1797), test_size=500, stratify=digits.target, random_state=0)
    chosen = np.sort(train if split == "train" else test)
    images = np.rint(digits.images[chosen] * (255 / 16)).astype(np.uint8)[:, None]
    return from_array(images, digits.target[chosen].tolist(), tuple(map(str, range(10))))


DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
        "digits": Dataset(summary="scikit-learn's 1,797 real 8x8 digits; built in", needs_root=False, open=_digits),
        "mnist": Dataset(summary="28x28 grey, 10 classes", needs_root=True, open=mnist_reader("MNIST")),
        "fashion-mnist": Dataset(summary="28x28 grey, 10 classes", needs_root=True, open=mnist_reader("FashionMNIST")),
        "cifar10": Dataset(summary="32x32 colour, 10 classes", needs_root=True, open=cifar_reader("CIFAR10")),
        "cifar100": Dataset(summary="32x32 colour, 100 classes", needs_root=True, open=cifar_reader("CIFAR100")),
        "imagenet": Dataset(
            summary="1,000 classes; shorter side to 256 px, centre crop of 224 px", needs_root=True, open=open_imagenet
        ),
        "folder": Dataset(
            summary="one sub-folder of image files per class; or train/ and val/ (or test/) containing them",
            needs_root=True,
            open=open_folder,
        ),
        **{name: Dataset(summary=PUBLISHED_SETS[name], needs_root=True, open=reader) for name, reader in READERS.items()},
    }
)


def check_classes(classes: int, name: str) -> None:
    """Raise UserError for data of a single class, on which every answer would be right."""
    if classes < 2:
        raise UserError(
            f"{name} has a single class, so every answer would be right; give images of at least two classes, "
            "for folder:DIR one sub-folder per class"
        )


def check_name(name: str) -> None:
    """Raise UserError unless ``name`` is a valid dataset name; nothing is opened."""
    kind = name.partition(":")[0]
    if kind not in DATASETS:
        hint = f"; for a folder of images use folder:{name}" if name and Path(name).is_dir() else did_you_mean(kind, DATASETS)
        raise UserError(f"unknown dataset {kind!r}{hint}")
