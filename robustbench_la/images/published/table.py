"""Which reader each published set has, and the names of its classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from robustbench_la.images.published.blocks import block_reader
from robustbench_la.images.published.mnist_c import open_mnist_c
from robustbench_la.images.published.sums import CIFAR_10_C, CIFAR_100_C
from robustbench_la.images.published.trees import tree_reader
from robustbench_la.images.source import Source, Split

_CIFAR_10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FINE_LABELS = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle caterpillar
cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl
hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road
rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank
telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
_CIFAR_100 = tuple(_FINE_LABELS.split())
_IMAGENET = tuple((Path(__file__).parents[1] / "imagenet-1k-wnids.txt").read_text(encoding="ascii").split())

READERS: Mapping[str, Callable[[Path, Split, bool], Source]] = MappingProxyType(
    {
        "cifar10-c": block_reader("cifar10-c", "CIFAR-10-C", _CIFAR_10, CIFAR_10_C),
        "cifar100-c": block_reader("cifar100-c", "CIFAR-100-C", _CIFAR_100, CIFAR_100_C),
        "cifar10-c-bar": block_reader("cifar10-c-bar", "CIFAR-10-C-bar", _CIFAR_10, {}),
        "imagenet-c": tree_reader("imagenet-c", side=224, images=50_000, wnids=_IMAGENET),
        "imagenet-c-bar": tree_reader("imagenet-c-bar", side=224, images=50_000, wnids=_IMAGENET),
        "tiny-imagenet-c": tree_reader("tiny-imagenet-c", side=64, images=10_000, classes=200),
        "mnist-c": open_mnist_c,
    }
)
"""Name -> a function of (root, split, whether to download)."""
