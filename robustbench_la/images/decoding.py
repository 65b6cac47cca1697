"""Images: decoded once to 8-bit arrays. Imports no torch; torchvision only to resize and crop."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_la.errors import RunError, UserError, first_line, lookup
from robustbench_la.images.datasets import DATASETS, Source, Split
from robustbench_la.progress import Meter, silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

_IN_MEMORY = 512 * 2**20
"""Bytes above which the decoded images are put into a temporary file and mapped."""
_SUBSET_SEED = 0
"""Of the permutation that --limit takes the first images of."""


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """Which dataset, and the size its images are brought to."""

    name: str
    """``digits``, or ``kind:ROOT``."""
    resize: int | None = None
    """The shorter side is brought to so many pixels."""
    crop: int | None = None
    """A square of so many pixels is cut from the centre."""

    def __str__(self) -> str:
        sizes = ((" --resize", self.resize), (" --crop", self.crop))
        return self.name + "".join(f"{flag} {size}" for flag, size in sizes if size)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """Decoded images."""

    name: str
    """As it was asked for, such as ``mnist:data``."""
    images: NDArray[np.uint8]
    """(N, C, H, W)."""
    labels: NDArray[np.int64]
    """(N,), each below the number of classes."""
    ids: NDArray[np.int64]
    """(N,): each image's index in the whole dataset, rising."""
    classes: tuple[str, ...]
    total: int
    """Images in the whole dataset."""
    resize: int | None = None
    crop: int | None = None
    """As in ``ImageChoice``."""

    @property
    def partial(self) -> bool:
        """Whether images were left out."""
        return len(self.ids) < self.total

    def fingerprint(self) -> str:
        """SHA-256 of shape, ids, labels and pixels: the identity of what is measured on."""
        digest = hashlib.sha256(repr((self.images.shape, len(self.classes))).encode())
        for array in (self.ids, self.labels):
            digest.update(array.tobytes())
        step = max(1, 2**24 // max(1, self.images[:1].nbytes))
        for start in range(0, len(self.images), step):
            digest.update(self.images[start : start + step].tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Shape:
    """What a network must fit."""

    classes: int
    channels: int
    height: int
    """In pixels, of the first image."""
    width: int


@dataclass(frozen=True, slots=True)
class UndecodedImages:
    """A dataset whose images have not been decoded yet."""

    choice: ImageChoice
    source: Source

    def shape(self) -> Shape:
        """Classes and size, from the first image alone."""
        channels, height, width = _pixels(self.source, 0, self.choice).shape
        return Shape(len(self.source.classes), channels, height, width)

    def decode(self, *, limit: int | None = None, meter: Meter = silent) -> ImageSet:
        """Decode all images, or the first ``limit`` of a fixed permutation."""
        import numpy as np

        source = self.source
        ids = chosen_ids(len(source.labels), limit)
        if source.array is not None and self.choice.resize is None and self.choice.crop is None:
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
        )


def open_dataset(choice: ImageChoice, *, split: Split = "test", download: bool = False) -> UndecodedImages:
    """Find a dataset's labels and images. Raises: UserError for what is missing or unreadable."""
    kind, _, root = choice.name.partition(":")
    dataset = lookup(DATASETS, kind, kind="dataset")
    if dataset.needs_root != bool(root):
        said = f"say where it is: --data {kind}:FOLDER" if dataset.needs_root else f"{kind} is built in and takes no folder"
        raise UserError(f"{said} (not {choice.name})")
    source = dataset.open(Path(root).expanduser(), split, download)
    return UndecodedImages(ImageChoice(choice.name, choice.resize or source.resize, choice.crop or source.crop), source)


def load(
    choice: ImageChoice, *, split: Split = "test", limit: int | None = None, download: bool = False, meter: Meter = silent
) -> ImageSet:
    """Open and decode a dataset. Raises: UserError for what is missing, unreadable or of unequal size."""
    return open_dataset(choice, split=split, download=download).decode(limit=limit, meter=meter)


def chosen_ids(total: int, limit: int | None) -> NDArray[np.int64]:
    """The ids to take: all, or the first ``limit`` of a permutation that depends on ``total`` alone, in rising order."""
    import numpy as np

    if limit is None or limit >= total:
        return np.arange(total, dtype=np.int64)
    # Sorting by hash rather than a library's shuffle: the choice stays the same for ever.
    order = sorted(range(total), key=lambda i: hashlib.blake2b(f"{_SUBSET_SEED}/{i}".encode(), digest_size=16).digest())
    return np.array(sorted(order[:limit]), dtype=np.int64)


def _pixels(source: Source, index: int, choice: ImageChoice) -> NDArray[np.uint8]:
    """One image, (C, H, W)."""
    import numpy as np

    image = _opened(source, index)
    if choice.resize is not None or choice.crop is not None:
        image = resized(image, choice.resize, choice.crop)
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _decode(source: Source, ids: NDArray[np.int64], choice: ImageChoice, meter: Meter) -> NDArray[np.uint8]:
    """The images of ``ids``, (N, C, H, W), in threads (decoders release the interpreter)."""

    first = _pixels(source, int(ids[0]), choice)
    images = room_for((len(ids), *first.shape))
    with contextlib.ExitStack() as stack, meter("decoding", len(ids)) as advance:
        pool = ThreadPoolExecutor(os.cpu_count())
        stack.callback(pool.shutdown, cancel_futures=True)  # an error or Ctrl-C does not wait for the rest
        decoded = pool.map(lambda index: _pixels(source, index, choice), map(int, ids))
        for place, (index, array) in enumerate(zip(map(int, ids), decoded, strict=True)):
            if array.shape != first.shape:
                raise UserError(
                    f"images of unequal size: {source.describe(int(ids[0]))} is {size_text(first)}, {source.describe(index)} is "
                    f"{size_text(array)}; give --resize and --crop"
                )
            images[place] = array
            advance(1)
    return images


def size_text(array: NDArray[np.uint8]) -> str:
    channels, height, width = array.shape
    return f"{width}x{height} px with {channels} channel{'s' if channels > 1 else ''}"


def _opened(source: Source, index: int) -> Image:
    import PIL.Image

    try:
        return source.image(index)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise UserError(f"cannot decode {source.describe(index)}: {first_line(error)}") from None


def resized(image: Image, resize: int | None, crop: int | None) -> Image:
    from torchvision.transforms import functional

    if resize is not None:
        image = functional.resize(image, [resize])
    if crop is not None:
        if min(image.size) < crop:
            raise UserError(f"--crop {crop} from an image of {image.size[0]}x{image.size[1]} px; give a larger --resize")
        image = functional.center_crop(image, [crop, crop])
    return image


def room_for(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An array in memory, or in an unnamed temporary file where it is large."""
    import numpy as np

    size = math.prod(shape)
    if size <= _IN_MEMORY:
        return np.empty(shape, dtype=np.uint8)
    try:
        with tempfile.TemporaryFile(prefix="larobust-") as file:  # without a name; the map keeps it as long as it needs it
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)
    except OSError as error:
        room = f"{size / 2**30:.1f} GiB of decoded images in {tempfile.gettempdir()}"
        raise RunError(f"no room for {room}: {error.strerror}") from None
