"""Datasets: decoded once to 8-bit arrays. Imports no torch; torchvision only where a dataset is read through it."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from robustbench_la.errors import RunError, UserError, did_you_mean, first_line, lookup
from robustbench_la.progress import Meter, silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

Split = Literal["train", "test"]
_IN_MEMORY = 512 * 2**20
"""Bytes above which the decoded images are put into a temporary file and mapped."""
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"})
_GREY_SAMPLE = 200
"""How many files are looked at to tell whether a folder's images are grey."""
_UNREADABLE = (RuntimeError, OSError, ValueError, EOFError, AssertionError, TypeError, KeyError, IndexError)
"""What torchvision's readers raise over damaged files."""
_SUBSET_SEED = 0
"""Of the permutation that --limit takes the first images of."""


@dataclass(frozen=True, slots=True)
class Choice:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A dataset before decoding: its labels are known, its images are given one by one."""

    labels: Sequence[int]
    classes: tuple[str, ...]
    image: Callable[[int], Image]
    """The image of an id."""
    describe: Callable[[int], str]
    """What to call the image of an id in an error."""
    resize: int | None = None
    """Default shorter side in pixels."""
    crop: int | None = None
    """Default side of the centre crop in pixels."""
    array: NDArray[np.uint8] | None = field(default=None, repr=False)
    """All images (N, C, H, W), where the dataset is an array already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A line of the table."""

    summary: str
    needs_root: bool
    open: Callable[[Path, Split, bool], Source]
    """From (root, split, whether to download)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a network must fit."""

    classes: int
    channels: int
    height: int
    """In pixels, of the first image."""
    width: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A dataset whose images have not been decoded yet."""

    choice: Choice
    source: Source

    def shape(self) -> Shape:
        """Classes and size, from the first image alone."""
        channels, height, width = _pixels(self.source, 0, self.choice).shape
        return Shape(len(self.source.classes), channels, height, width)

    def decode(self, *, limit: int | None = None, meter: Meter = silent) -> ImageSet:
        """Decode all images, or the first ``limit`` of a fixed permutation."""
        import numpy as np

        source = self.source
        ids = _chosen(len(source.labels), limit)
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
        )


def open_dataset(choice: Choice, *, split: Split = "test", download: bool = False) -> Opened:
    """Find a dataset's labels and images. Raises: UserError for what is missing or unreadable."""
    kind, _, root = choice.name.partition(":")
    dataset = lookup(DATASETS, kind, kind="dataset")
    if dataset.needs_root != bool(root):
        said = f"say where it is: --data {kind}:FOLDER" if dataset.needs_root else f"{kind} is built in and takes no folder"
        raise UserError(f"{said} (not {choice.name})")
    source = dataset.open(Path(root).expanduser(), split, download)
    return Opened(Choice(choice.name, choice.resize or source.resize, choice.crop or source.crop), source)


def load(
    choice: Choice, *, split: Split = "test", limit: int | None = None, download: bool = False, meter: Meter = silent
) -> ImageSet:
    """Open and decode a dataset. Raises: UserError for what is missing, unreadable or of unequal size."""
    return open_dataset(choice, split=split, download=download).decode(limit=limit, meter=meter)


def _chosen(total: int, limit: int | None) -> NDArray[np.int64]:
    """The ids to take: all, or the first ``limit`` of a permutation that depends on ``total`` alone, in rising order."""
    import numpy as np

    if limit is None or limit >= total:
        return np.arange(total, dtype=np.int64)
    # Sorting by hash rather than a library's shuffle: the choice stays the same for ever.
    order = sorted(range(total), key=lambda i: hashlib.blake2b(f"{_SUBSET_SEED}/{i}".encode(), digest_size=16).digest())
    return np.array(sorted(order[:limit]), dtype=np.int64)


def _pixels(source: Source, index: int, choice: Choice) -> NDArray[np.uint8]:
    """One image, (C, H, W)."""
    import numpy as np

    image = _opened(source, index)
    if choice.resize is not None or choice.crop is not None:
        image = _resized(image, choice.resize, choice.crop)
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _decode(source: Source, ids: NDArray[np.int64], choice: Choice, meter: Meter) -> NDArray[np.uint8]:
    """The images of ``ids``, (N, C, H, W), in threads (decoders release the interpreter)."""

    first = _pixels(source, int(ids[0]), choice)
    images = _room((len(ids), *first.shape))
    with contextlib.ExitStack() as stack, meter("decoding", len(ids)) as advance:
        pool = ThreadPoolExecutor(os.cpu_count())
        stack.callback(pool.shutdown, cancel_futures=True)  # an error or Ctrl-C does not wait for the rest
        decoded = pool.map(lambda index: _pixels(source, index, choice), map(int, ids))
        for place, (index, array) in enumerate(zip(map(int, ids), decoded, strict=True)):
            if array.shape != first.shape:
                raise UserError(
                    f"images of unequal size: {source.describe(int(ids[0]))} is {_size(first)}, {source.describe(index)} is "
                    f"{_size(array)}; give --resize and --crop"
                )
            images[place] = array
            advance(1)
    return images


def _size(array: NDArray[np.uint8]) -> str:
    channels, height, width = array.shape
    return f"{width}x{height} px with {channels} channel{'s' if channels > 1 else ''}"


def _opened(source: Source, index: int) -> Image:
    import PIL.Image

    try:
        return source.image(index)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise UserError(f"cannot decode {source.describe(index)}: {first_line(error)}") from None


def _resized(image: Image, resize: int | None, crop: int | None) -> Image:
    from torchvision.transforms import functional

    if resize is not None:
        image = functional.resize(image, [resize])
    if crop is not None:
        if min(image.size) < crop:
            raise UserError(f"--crop {crop} from an image of {image.size[0]}x{image.size[1]} px; give a larger --resize")
        image = functional.center_crop(image, [crop, crop])
    return image


def _room(shape: tuple[int, ...]) -> NDArray[np.uint8]:
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


def _digits(root: Path, split: Split, download: bool) -> Source:
    """scikit-learn's 1,797 handwritten digits, 8x8, 17 grey levels; 1,297 to train and 500 to test, stratified, fixed."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    train, test = train_test_split(np.arange(1797), test_size=500, stratify=digits.target, random_state=0)
    chosen = np.sort(train if split == "train" else test)
    images = np.rint(digits.images[chosen] * (255 / 16)).astype(np.uint8)[:, None]
    return _from_array(images, digits.target[chosen].tolist(), tuple(map(str, range(10))))


def _from_array(images: NDArray[np.uint8], labels: Sequence[int], classes: tuple[str, ...]) -> Source:
    """A dataset that is an array (N, C, H, W) already."""
    import PIL.Image

    def image(index: int) -> Image:
        pixels = images[index]
        return PIL.Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))

    return Source(labels=list(labels), classes=classes, image=image, describe=lambda index: f"image {index}", array=images)


def _torchvision(name: str) -> Callable[[Path, Split, bool], Source]:
    """A reader of one of torchvision's array datasets."""

    def open_(root: Path, split: Split, download: bool) -> Source:
        import numpy as np
        import torchvision

        try:
            dataset = getattr(torchvision.datasets, name)(root, train=split == "train", download=download)
        except _UNREADABLE as error:
            raise UserError(f"cannot read {name} in {root}: {first_line(error)} (--download fetches it)") from None
        images = np.asarray(dataset.data)
        images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
        labels = [int(label) for label in dataset.targets]
        return _from_array(images, labels, tuple(map(str, dataset.classes)))

    return open_


def _imagenet(root: Path, split: Split, download: bool) -> Source:
    import torchvision

    try:
        dataset = torchvision.datasets.ImageNet(root, split="train" if split == "train" else "val")
    except _UNREADABLE as error:
        raise UserError(f"cannot read ImageNet in {root}: {first_line(error)}") from None
    classes = tuple(names[0] for names in dataset.classes)
    return _from_files([(Path(path), label) for path, label in dataset.samples], classes, resize=256, crop=224)


def _folder(root: Path, split: Split, download: bool) -> Source:
    """Class sub-folders of images; or folders ``train`` and ``val`` or ``test`` that hold them."""
    if not root.is_dir():
        raise UserError(f"no folder {str(root)!r}")
    if is_split(root):
        names = ("train",) if split == "train" else ("val", "test")
        root = next(root / name for name in names if (root / name).is_dir())
    folders = sorted(
        (entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")), key=lambda entry: entry.name
    )
    if not folders:
        raise UserError(f"{root} holds no class sub-folders")
    samples = []
    for label, folder in enumerate(folders):
        files = [path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file()]
        files = sorted((path for path in files if not _is_hidden(path.relative_to(folder))), key=Path.as_posix)
        if not files:
            raise UserError(f"class folder {folder} holds no images")
        samples += [(path, label) for path in files]
    return _from_files(samples, tuple(folder.name for folder in folders))


def is_split(root: Path) -> bool:
    """Whether a folder holds training and test images apart."""
    return (root / "train").is_dir() and any((root / name).is_dir() for name in ("val", "test"))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _from_files(
    samples: Sequence[tuple[Path, int]], classes: tuple[str, ...], *, resize: int | None = None, crop: int | None = None
) -> Source:
    """Image files: all grey, or all made colour."""
    import PIL.Image

    def is_grey(path: Path) -> bool:
        try:
            with PIL.Image.open(path) as image:
                return image.mode in ("1", "L")
        except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError):
            return True  # decoding it will say what is wrong

    looked_at = samples[:: max(1, len(samples) // _GREY_SAMPLE)]
    mode = "L" if all(is_grey(path) for path, _ in looked_at) else "RGB"

    def image(index: int) -> Image:
        with PIL.Image.open(samples[index][0]) as file:
            if mode == "L" and file.mode not in ("1", "L"):
                raise ValueError(f"its mode is {file.mode}, while the other images are grey")
            if file.mode.startswith(("I", "F")):  # PIL would clip them to 255
                raise ValueError(f"its mode is {file.mode}: only images of 8 bits a channel are read")
            return file.convert(mode)

    return Source(
        labels=[label for _, label in samples],
        classes=classes,
        image=image,
        describe=lambda index: str(samples[index][0]),
        resize=resize,
        crop=crop,
    )


DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
        "digits": Dataset(summary="scikit-learn's 1,797 real 8x8 digits; built in", needs_root=False, open=_digits),
        "mnist": Dataset(summary="28x28 grey, 10 classes", needs_root=True, open=_torchvision("MNIST")),
        "fashion-mnist": Dataset(summary="28x28 grey, 10 classes", needs_root=True, open=_torchvision("FashionMNIST")),
        "cifar10": Dataset(summary="32x32 colour, 10 classes", needs_root=True, open=_torchvision("CIFAR10")),
        "cifar100": Dataset(summary="32x32 colour, 100 classes", needs_root=True, open=_torchvision("CIFAR100")),
        "imagenet": Dataset(
            summary="1,000 classes; shorter side to 256 px, centre crop of 224 px", needs_root=True, open=_imagenet
        ),
        "folder": Dataset(
            summary="class sub-folders of image files; or train/ and val/ or test/ that hold them",
            needs_root=True,
            open=_folder,
        ),
    }
)


def check_name(name: str) -> None:
    """Raise UserError unless ``name`` can be a dataset; looks at the name alone."""
    kind = name.partition(":")[0]
    if kind not in DATASETS:
        hint = f"; for a folder of images say folder:{name}" if name and Path(name).is_dir() else did_you_mean(kind, DATASETS)
        raise UserError(f"unknown dataset {kind!r}{hint}")
