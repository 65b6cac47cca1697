"""Which classes the images of a dataset show: whether they are all those of ImageNet, whose names are WordNet ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from robustbench_la.records.cells import IMAGENET

WORDNET_IDS = "imagenet-1k-wnids.txt"
"""A file in this folder with the WordNet ids of the ImageNet-1k challenge, ILSVRC 2012, in their order (sorted), as listed in
timm's ``imagenet_synsets.txt``; one id per output."""


def wordnet_ids() -> tuple[str, ...]:
    """The WordNet ids of ImageNet's 1,000 classes, in the order of outputs."""
    return tuple(Path(__file__).with_name(WORDNET_IDS).read_text(encoding="ascii").split())


def label_set_of(classes: Sequence[str], labels: Sequence[int]) -> str:
    """What ``RunSetting.label_set`` records.

    Args:
        classes: The folder of each class.
        labels: Of all images of the dataset, also of those that are not measured on.

    Returns:
        IMAGENET if there are images of each of its classes; otherwise empty.

    >>> label_set_of(["cat", "dog"], [0, 1, 1])
    ''
    """
    ids = wordnet_ids() if len(classes) == 1000 else ()
    return IMAGENET if ids and set(classes) == set(ids) and len(set(labels)) == len(ids) else ""
