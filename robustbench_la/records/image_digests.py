"""Which images of two measurements differ: by short digests of their pixels, and their names where these are known."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from robustbench_la.text import counted

DIGEST = np.dtype("<u4")
"""Four bytes for each image: one of four billion images that differ is taken for the same, in its place."""
_NAMED = 3
"""The largest number of images that a message names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDigests:
    """The content of each image that was measured on."""

    digests: NDArray[np.uint32] = field(repr=False)
    """Of the pixels, (N,), in the order of the ids."""
    names: tuple[str, ...] = field(default=(), repr=False)
    """Paths within the dataset, in that order; empty if the images are not files."""
    classes: tuple[str, ...] = ()
    """Names of all class folders; empty if the images are not files, or that is not known (baselines do not record it)."""

    def renamed(self, classes: Sequence[str]) -> str:
        """How the class folders of these images are called elsewhere; empty if all are there, or the images are not files."""
        folders = [name.split("/")[:-1] for name in self.names]
        levels = zip(*folders, strict=False)  # those that all images have
        own = next((sorted(different) for level in levels if len(different := set(level)) > 1), [])
        gone = [name for name in own if name not in classes]
        if not gone or not classes:
            return ""
        new = [name for name in classes if name not in own]
        if not new:
            classes_are = "class {} is" if len(gone) == 1 else "classes {} are"
            return f"the {classes_are.format(_listed(gone))} missing here"
        return f"the classes have other names: {_listed(gone)} in the baseline, {_listed(new)} here"


@dataclass(frozen=True, slots=True)
class Measured:
    """The images of one side."""

    ids: NDArray[np.int64]
    labels: NDArray[np.integer]
    content: ImageDigests


def digests_of(images: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The digest of each image.

    Args:
        images: (N, C, H, W).

    Returns:
        (N,)
    """
    content = b"".join(
        hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=DIGEST.itemsize).digest() for image in images
    )
    return np.frombuffer(content, dtype=DIGEST)


def what_differs(one: Measured, other: Measured) -> str:
    """How many of the images of ``one``, the baseline, are others here, and the first of them.

    Images are compared by their place, or by content where that explains more: a file that was added or removed moves those
    behind it.

    >>> def made(*values):
    ...     digests = ImageDigests(digests=np.array(values, dtype="<u4"), names=tuple(f"{value}.png" for value in values))
    ...     return Measured(np.arange(len(values)), np.zeros(len(values)), digests)
    >>> what_differs(made(1, 2, 3), made(1, 2, 4))
    '1 of 3 images differs (4.png)'
    >>> what_differs(made(1, 2, 3), made(1, 3))
    '1 of the 3 images is not here (2.png)'
    """
    if renamed := one.content.renamed(other.content.classes):
        return renamed
    missing, added = _left_over(one, other), _left_over(other, one)
    if len(missing) == len(one.ids) > _NAMED:
        return f"none of the {len(one.ids):,} images is here"
    if np.array_equal(one.ids, other.ids):
        where = np.flatnonzero((one.content.digests != other.content.digests) | (one.labels != other.labels))
        count = len(where)
        if len(missing) == count:  # otherwise files moved: some are in another place
            return f"{count:,} of {len(one.ids):,} images differ{'s' * (count == 1)}{_examples(other, where)}" if count else ""
        if not len(missing):
            return f"the images are the same in another order: {count:,} of {len(one.ids):,} moved{_examples(other, where)}"
    parts = []
    if len(missing):
        verb = "is" if len(missing) == 1 else "are"
        parts.append(f"{len(missing):,} of the {len(one.ids):,} images {verb} not here{_examples(one, missing)}")
    if len(added):
        parts.append(f"{counted(len(added), 'image')} here {'is' if len(added) == 1 else 'are'} new{_examples(other, added)}")
    return ", ".join(parts)


def _left_over(one: Measured, other: Measured) -> NDArray[np.int64]:
    """The places of images of ``one`` that ``other`` does not have."""
    there = Counter(zip(other.content.digests.tolist(), other.labels.tolist(), strict=True))
    left = []
    for place, key in enumerate(zip(one.content.digests.tolist(), one.labels.tolist(), strict=True)):
        if there[key]:
            there[key] -= 1
        else:
            left.append(place)
    return np.array(left, dtype=np.int64)


def _examples(side: Measured, places: NDArray[np.int64]) -> str:
    names: Sequence[str] = side.content.names
    return f" ({_listed([names[place] if names else f'image {side.ids[place]}' for place in places.tolist()])})"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + ", ..." * (len(names) > _NAMED)
