"""Images, decoded once to 8-bit arrays. Imports no torch, and torchvision only to resize and crop."""

from __future__ import annotations

import contextlib
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from robustbench_la.errors import UserError, first_line, lookup
from robustbench_la.files import at_home
from robustbench_la.images.datasets import DATASETS
from robustbench_la.images.label_sets import label_set_of
from robustbench_la.images.picture_files import silenced
from robustbench_la.images.sizing import channels_remark, resized
from robustbench_la.images.source import Source, Split
from robustbench_la.images.storage import GIVEN_BACK, give_back, room_for
from robustbench_la.images.written_sets import corrupted_remark
from robustbench_la.progress import Meter, silent
from robustbench_la.records.published_sets import is_published

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from robustbench_la.images.published.base import PublishedSet

IN_MEMORY = "memory"
"""The name of arrays that a Python program gives without a name."""
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
_SUBSET_SEED = 0
"""Seed of the permutation from which --limit takes the first images."""


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """Which dataset, and how its images are resized and cropped."""

    name: str
    """``digits``, or ``kind:DIR``."""
    resize: int | None = None
    """Length of the shorter side after resizing, in pixels."""
    crop: int | None = None
    """Side of the square cut from the centre, in pixels."""
    interpolation: str = "bilinear"
    """How pixels are resized, one of INTERPOLATIONS."""
    squash: bool = False
    """Whether images are resized to a square, instead of their shorter side only."""
    channels: int | None = None
    """3 repeats grey images in three channels, 1 makes colour images grey; None leaves them as they are."""

    @property
    def changes(self) -> bool:
        """Whether images are not simply taken as they are."""
        return not self.resize is self.crop is self.channels is None

    def __str__(self) -> str:
        sizes = ((" --resize", self.resize), (" --crop", self.crop))
        flags = "".join(f"{flag} {size}" for flag, size in sizes if size)
        how = (
            f" ({self.interpolation}{', to a square' if self.squash else ''})"
            if self.resize and self != replace(self, interpolation="bilinear", squash=False)
            else ""
        )
        return f"{self.name}{flags}{how}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """Decoded images."""

    name: str
    """The dataset as given, such as ``mnist:data``."""
    images: NDArray[np.uint8]
    """(N, C, H, W); of a published corrupted set only a few, under one condition."""
    labels: NDArray[np.int64]
    """(N,), each below the number of classes."""
    ids: NDArray[np.int64]
    """(N,): the index of each image in the whole dataset, ascending."""
    classes: tuple[str, ...]
    total: int
    """Number of images in the whole dataset."""
    resize: int | None = None
    crop: int | None = None
    """As in ``ImageChoice``."""
    remarks: tuple[str, ...] = ()
    """What was done to images or labels, for the user to read."""
    label_set: str = ""
    """As in ``RunSetting``."""
    files: tuple[str, ...] = field(default=(), repr=False)
    """Paths within the dataset, (N,); empty if the images are not files."""
    published: PublishedSet | None = field(default=None, repr=False)
    """What reads the images of each condition, if this is a published corrupted set."""

    @property
    def partial(self) -> bool:
        """Whether images were left out."""
        return len(self.ids) < self.total

    def fingerprint(self) -> str:
        """SHA-256 of shape, ids, labels and pixels, which in published sets ``Condition.prebuilt`` identifies instead."""
        if self.published is not None:
            shape = (self.published.name, len(self.ids), *self.images.shape[1:])
            digest = hashlib.sha256(repr((shape, len(self.classes))).encode())
            return hashlib.sha256(digest.digest() + self.ids.tobytes() + self.labels.tobytes()).hexdigest()
        digest = hashlib.sha256(repr((self.images.shape, len(self.classes))).encode())
        for array in (self.ids, self.labels):
            digest.update(array.tobytes())
        step = max(1, 2**24 // max(1, self.images[:1].nbytes))
        for start in range(0, len(self.images), step):
            digest.update(self.images[start : start + step].tobytes())
            give_back(self.images)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Shape:
    """What a network must match: the number of classes and the size of the images."""

    classes: int
    channels: int
    height: int
    """Of the first image, in pixels."""
    width: int


@dataclass(frozen=True, slots=True)
class UndecodedImages:
    """A dataset that has been opened, but whose images are not decoded yet."""

    choice: ImageChoice
    source: Source
    remarks: tuple[str, ...] = ()
    """As in ``ImageSet``."""
    labels_given: bool = False
    """Whether the user said which output each class is."""

    def shape(self) -> Shape:
        """Number of classes and image size, from the first image only."""
        if self.source.published is not None:
            return Shape(len(self.source.classes), *self.source.published.shape)
        with silenced():
            channels, height, width = _pixels(self.source, 0, self.choice).shape
        return Shape(len(self.source.classes), channels, height, width)

    def image(self, index: int) -> NDArray[np.uint8]:
        """One image, (C, H, W). Raises UserError if it cannot be decoded."""
        return _pixels(self.source, index, self.choice)

    def decode(self, *, limit: int | None = None, meter: Meter = silent) -> ImageSet:
        """Decode the images.

        Args:
            limit: Decode only this many images, the first of a fixed permutation; None for all.
            meter: Shows the progress.

        Returns:
            The images in ascending order of their ids.

        Raises:
            UserError: If an image cannot be decoded, or the images differ in size.
            RunError: If there is no room for them on disk.
        """
        import numpy as np

        source = self.source
        ids = chosen_ids(len(source.labels), limit)
        if source.published is not None:
            images = source.published.sample(ids)
        elif source.array is not None and not self.choice.changes:
            images = np.ascontiguousarray(source.array[ids])
        else:
            images = _decode(source, ids, self.choice, meter)
        return ImageSet(
            name=self.choice.name,
            images=images,
            labels=np.asarray(source.labels, dtype=np.int64)[ids],
            ids=ids,
            classes=source.classes,
            total=len(source.labels),
            resize=self.choice.resize,
            crop=self.choice.crop,
            remarks=self.remarks,
            label_set=label_set_of(source.classes, source.labels) if source.label_set is None else source.label_set,
            files=() if source.file is None else tuple(map(source.file, ids.tolist())),
            published=source.published,
        )


def open_dataset(choice: ImageChoice, *, split: Split = "test", download: bool = False) -> UndecodedImages:
    """Open a dataset without decoding it.

    Args:
        choice: The dataset, and the size of its images.
        split: Which part of it.
        download: Whether a missing dataset may be downloaded.

    Returns:
        The dataset, with the default sizes filled in.

    Raises:
        UserError: If it is unknown, missing or unreadable.
    """
    kind, _, root = choice.name.partition(":")
    dataset = lookup(DATASETS, kind, kind="dataset")
    if split == "train" and is_published(choice.name):
        raise UserError(f"{kind} holds corrupted test images, on which nothing is trained; give other --data")
    if dataset.needs_root != bool(root):
        problem = f"specify its folder: --data {kind}:DIR" if dataset.needs_root else f"{kind} is built in and takes no folder"
        raise UserError(f"{problem} (not {choice.name})")
    if download and is_published(choice.name):
        raise UserError(f"--download has no effect on {kind}: published sets are not downloaded; omit it, and give their folder")
    try:
        source = dataset.open(at_home(root), split, download)
    except UserError:
        raise
    except (OSError, RuntimeError, ValueError) as error:  # no folder can have such a name, or nobody may read it
        raise UserError(f"cannot read {choice.name}: {getattr(error, 'strerror', None) or first_line(error)}") from None
    if source.published is not None:
        return UndecodedImages(choice, source, source.published.remarks)
    written = corrupted_remark(at_home(root)) if kind == "folder" else ()
    resize, crop = choice.resize or source.resize, choice.crop or source.crop
    return UndecodedImages(replace(choice, resize=resize, crop=crop), source, (*channels_remark(source.mode, choice), *written))


def load(
    choice: ImageChoice, *, split: Split = "test", limit: int | None = None, download: bool = False, meter: Meter = silent
) -> ImageSet:
    """Open and decode a dataset, with arguments and errors as in ``open_dataset`` and ``UndecodedImages.decode``."""
    return open_dataset(choice, split=split, download=download).decode(limit=limit, meter=meter)


def chosen_ids(total: int, limit: int | None) -> NDArray[np.int64]:
    """The ids of the images to use.

    Args:
        total: Number of images in the dataset.
        limit: How many to use, the first of a permutation that depends on ``total`` only; None for all.

    Returns:
        int64 (N,), ascending.
    """
    import numpy as np

    if limit is None or limit >= total:
        return np.arange(total, dtype=np.int64)
    # Sorted by hash rather than shuffled by a library, so that the choice never changes.
    order = sorted(range(total), key=lambda i: hashlib.blake2b(f"{_SUBSET_SEED}/{i}".encode(), digest_size=16).digest())
    return np.array(sorted(order[:limit]), dtype=np.int64)


def _pixels(source: Source, index: int, choice: ImageChoice) -> NDArray[np.uint8]:
    """One image, (C, H, W)."""
    import numpy as np

    image = source.image(index)
    if choice.changes:
        image = resized(image, choice)
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _decode(source: Source, ids: NDArray[np.int64], choice: ImageChoice, meter: Meter) -> NDArray[np.uint8]:
    """The images with these ids, (N, C, H, W), decoded in threads (the decoders release the GIL)."""
    with contextlib.ExitStack() as stack, silenced(), meter("decoding", len(ids)) as advance:
        first = _pixels(source, int(ids[0]), choice)
        images, step = room_for((len(ids), *first.shape)), max(1, GIVEN_BACK // first.nbytes)
        pool = ThreadPoolExecutor(os.cpu_count())
        stack.callback(pool.shutdown, cancel_futures=True)  # after an error or Ctrl-C, do not wait for the rest
        decoded = pool.map(lambda index: _pixels(source, index, choice), map(int, ids))
        for position, (index, array) in enumerate(zip(map(int, ids), decoded, strict=True)):
            if array.shape != first.shape:
                raise UserError(
                    f"the images differ in size: {source.describe(int(ids[0]))} is {size_text(first)}, "
                    f"{source.describe(index)} is {size_text(array)}; give --resize and --crop"
                )
            images[position] = array
            if position % step == 0:
                give_back(images)
            advance(1)
    return images


def size_text(array: NDArray[np.uint8]) -> str:
    """The size of an image (C, H, W), as errors state it."""
    channels, height, width = array.shape
    return f"{width}x{height} px with {channels} channel{'s' if channels > 1 else ''}"
