"""The table of datasets, and how each is read. Nothing is decoded here: see decoding.py. Imports no torch until it must."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from robustbench_la.errors import UserError, did_you_mean, first_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

Split = Literal["train", "test"]

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"})

_GREY_SAMPLE = 200
"""How many files are inspected to decide whether a folder's images are grey."""

_UNREADABLE = (RuntimeError, OSError, ValueError, EOFError, AssertionError, TypeError, KeyError, IndexError)
"""What torchvision's readers raise for damaged files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A dataset before decoding: its labels are known, its images are opened one by one."""

    labels: Sequence[int]
    classes: tuple[str, ...]
    image: Callable[[int], Image]
    """Opens the image with a given id."""
    describe: Callable[[int], str]
    """How errors name the image with a given id."""
    resize: int | None = None
    """Default for the shorter side, in pixels."""
    crop: int | None = None
    """Default for the side of the centre crop, in pixels."""
    file: Callable[[int], str] | None = None
    """The path of the image with a given id within the dataset; None if the images are not files."""
    array: NDArray[np.uint8] | None = field(default=None, repr=False)
    """All images (N, C, H, W), if the dataset already is an array."""


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


def from_array(images: NDArray[np.uint8], labels: Sequence[int], classes: tuple[str, ...]) -> Source:
    """A dataset that already is an array.

    Args:
        images: uint8 (N, C, H, W).
        labels: One per image.
        classes: The name of each class.

    Returns:
        The dataset, to be decoded.
    """
    import PIL.Image

    def image(index: int) -> Image:
        pixels = images[index]
        return PIL.Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))

    return Source(labels=list(labels), classes=classes, image=image, describe=lambda index: f"image {index}", array=images)


def _torchvision(name: str) -> Callable[[Path, Split, bool], Source]:
    """A reader for one of torchvision's array datasets."""

    def open_(root: Path, split: Split, download: bool) -> Source:
        import numpy as np
        import torchvision

        try:
            dataset = getattr(torchvision.datasets, name)(root, train=split == "train", download=download)
        except _UNREADABLE as error:
            raise UserError(f"cannot read {name} in {root}: {_reason(error)} (--download downloads it)") from None
        images = np.asarray(dataset.data)
        images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
        labels = [int(label) for label in dataset.targets]
        return from_array(images, labels, tuple(map(str, dataset.classes)))

    return open_


def _reason(error: BaseException) -> str:
    """What torchvision says, without its advice to Python programmers."""
    return first_line(error).partition(". ")[0].rstrip(".")


def _imagenet(root: Path, split: Split, download: bool) -> Source:
    import torchvision

    try:
        dataset = torchvision.datasets.ImageNet(root, split="train" if split == "train" else "val")
    except _UNREADABLE as error:
        raise UserError(
            f"cannot read ImageNet in {root}: {_reason(error)}; for class folders alone, use folder:DIR with --resize 256 "
            "--crop 224"
        ) from None
    classes = tuple(names[0] for names in dataset.classes)
    samples = [(Path(path), label) for path, label in dataset.samples]
    return _from_files(Path(dataset.split_folder), samples, classes, resize=256, crop=224)


def _folder(root: Path, split: Split, download: bool) -> Source:
    """One sub-folder of images per class; or folders ``train`` and ``val`` (or ``test``) that contain such sub-folders."""
    if not root.is_dir():
        raise UserError(f"no folder {str(root)!r}; give folder:DIR with one sub-folder of images per class")
    if is_split(root):
        names = ("train",) if split == "train" else ("val", "test")
        root = next(root / name for name in names if (root / name).is_dir())
    folders = sorted(
        (entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")), key=lambda entry: entry.name
    )
    if not folders:
        raise UserError(f"{root} holds no class sub-folders; expected one sub-folder of images per class")
    if len(folders) == 1 and (better := _with_classes(folders[0])):
        raise UserError(f"{root} holds a single class, {folders[0].name!r}; did you mean folder:{better}?")
    samples = []
    for label, folder in enumerate(folders):
        files = [path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file()]
        files = sorted((path for path in files if not _is_hidden(path.relative_to(folder))), key=Path.as_posix)
        if not files:
            raise UserError(f"class folder {folder} holds no images")
        samples += [(path, label) for path in files]
    return _from_files(root, samples, tuple(folder.name for folder in folders))


def _with_classes(folder: Path) -> Path | None:
    """The folder with several sub-folders of images: this one, or one below it; None if there is none."""
    if is_split(folder):
        return folder
    subfolders = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not _is_hidden(Path(entry.name)))
    with_images = [entry for entry in subfolders if any(path.suffix.lower() in _SUFFIXES for path in entry.iterdir())]
    if len(with_images) > 1:
        return folder
    return next((match for entry in subfolders if (match := _with_classes(entry))), None)


def is_split(root: Path) -> bool:
    """Whether a folder keeps training and test images in separate sub-folders."""
    return (root / "train").is_dir() and any((root / name).is_dir() for name in ("val", "test"))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _from_files(
    root: Path,
    samples: Sequence[tuple[Path, int]],
    classes: tuple[str, ...],
    *,
    resize: int | None = None,
    crop: int | None = None,
) -> Source:
    """A dataset of image files below a folder: grey if all are grey, otherwise all are converted to colour."""
    import PIL.Image

    def is_grey(path: Path) -> bool:
        try:
            with PIL.Image.open(path) as image:
                return image.mode in ("1", "L")
        except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError):
            return True  # decoding will report what is wrong

    inspected = samples[:: max(1, len(samples) // _GREY_SAMPLE)]
    mode = "L" if all(is_grey(path) for path, _ in inspected) else "RGB"

    def image(index: int) -> Image:
        with PIL.Image.open(samples[index][0]) as file:
            if mode == "L" and file.mode not in ("1", "L"):
                raise ValueError(f"its mode is {file.mode}, while the other images are grey")
            if file.mode.startswith(("I", "F")):  # PIL would clip them to 255
                raise ValueError(f"its mode is {file.mode}: only images with 8 bits per channel are supported")
            return file.convert(mode)

    return Source(
        labels=[label for _, label in samples],
        classes=classes,
        image=image,
        describe=lambda index: str(samples[index][0]),
        file=lambda index: samples[index][0].relative_to(root).as_posix(),
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
            summary="one sub-folder of image files per class; or train/ and val/ (or test/) containing them",
            needs_root=True,
            open=_folder,
        ),
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
