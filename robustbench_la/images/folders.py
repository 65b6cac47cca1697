"""Folders of image files: which files there are, and which class each belongs to. Nothing is decoded here."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from robustbench_la.errors import UserError
from robustbench_la.images.picture_files import Mode, decoded, is_grey, mode_of
from robustbench_la.images.source import Source, Split

if TYPE_CHECKING:
    from PIL.Image import Image

_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""Those of torchvision's ImageFolder."""

_MOST_LINKED = 10_000
"""Folders of one class that links lead to: a link to a whole disk is a mistake."""

_GREY_SAMPLE = 200
"""How many files are inspected to decide whether a folder's images are grey."""


def open_folder(root: Path, split: Split, download: bool) -> Source:
    """One sub-folder of images per class; or folders ``train`` and ``val`` (or ``test``) that contain such sub-folders."""
    if not root.is_dir():
        raise UserError(f"no folder {str(root)!r}; give folder:DIR with one sub-folder of images per class")
    if is_split(root):
        names = ("train",) if split == "train" else ("val", "test")
        root = next(root / name for name in names if (root / name).is_dir())
    folders = class_folders(root)
    if not folders:
        raise UserError(f"{root} holds no class sub-folders; expected one sub-folder of images per class")
    if len(folders) == 1 and (better := _with_classes(folders[0])):
        raise UserError(f"{root} holds a single class, {folders[0].name!r}; did you mean folder:{better}?")
    samples = [(path, label) for label, folder in enumerate(folders) for path in image_files(folder)]
    return from_files(root, samples, tuple(folder.name for folder in folders))


def is_split(root: Path) -> bool:
    """Whether a folder keeps training and test images in separate sub-folders."""
    return (root / "train").is_dir() and any((root / name).is_dir() for name in ("val", "test"))


def class_folders(root: Path) -> list[Path]:
    """The sub-folders of a folder, except hidden ones, sorted by name.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        entries = [entry for entry in root.iterdir() if not entry.name.startswith(".") and entry.is_dir()]
    except OSError as error:
        _unreadable(error)
    return sorted(entries, key=lambda entry: entry.name)


def image_files(folder: Path) -> list[Path]:
    """The images of one class, sorted: those below its folder and below folders that it links to, except hidden ones.

    Args:
        folder: The folder of a class.

    Returns:
        At least one path.

    Raises:
        UserError: If there are none, a folder cannot be read, links lead to very many, or what is named as an image is no file.
    """
    files: list[str] = []  # as text, of which a hundred thousand are sorted and looked up sooner than paths
    for path, names in _folders_of(folder):
        pictures = (name for name in names if name.lower().endswith(_SUFFIXES) and not name.startswith("."))
        files += [os.path.join(path, name) for name in pictures]  # noqa: PTH118
    if not files:
        raise UserError(f"class folder {folder} holds no images")
    for file in files:
        if not os.path.isfile(file):  # noqa: PTH113
            kind = "no regular file" if os.path.exists(file) else "a link to nothing"  # noqa: PTH110
            raise UserError(f"cannot read {file}: it is {kind}; replace it, or move it out of the dataset")
    return list(map(Path, sorted(files, key=lambda file: file.replace(os.sep, "/"))))


def _folders_of(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The folder of a class and all below it, with what each holds; then those that links lead to, each once, so that it ends.

    Links back to a folder around the class are not followed, or it would get the images of the others.
    """
    entered: set[tuple[int, int]] = set()
    for around in (folder.absolute().parent, *folder.resolve().parents):
        with contextlib.suppress(OSError):
            entered.add(_identity_of(around.stat()))
    starts, most = [str(folder)], math.inf
    while starts:
        links: list[str] = []
        for start in starts:
            for path, subfolders, names in os.walk(start, onerror=_unreadable):  # which follows no link on its own
                if (identity := _identity(path)) in entered:
                    subfolders.clear()
                    continue
                entered.add(identity)
                if len(entered) > most:
                    raise UserError(f"class folder {folder} links to more than {_MOST_LINKED:,} folders, such as {start}")
                subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
                below = (os.path.join(path, name) for name in subfolders)  # noqa: PTH118
                links += filter(os.path.islink, below)
                yield path, names
        starts, most = links, min(most, len(entered) + _MOST_LINKED)


def _identity(path: str) -> tuple[int, int]:
    """What a folder is, whatever path leads to it."""
    try:
        return _identity_of(os.stat(path))  # noqa: PTH116
    except OSError as error:
        _unreadable(error)


def _identity_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _unreadable(error: OSError) -> NoReturn:
    raise UserError(f"cannot read the folder {error.filename}: {error.strerror}") from None


def _with_classes(folder: Path) -> Path | None:
    """The folder with several sub-folders of images: this one, or one below it; None if there is none."""
    for name, subfolders, _ in os.walk(folder):  # does not follow links, so that it ends
        path = Path(name)
        subfolders[:] = sorted(each for each in subfolders if not each.startswith("."))
        if is_split(path) or sum(_holds_images(path / each) for each in subfolders) > 1:
            return path
    return None


def _holds_images(folder: Path) -> bool:
    try:
        return any(path.name.lower().endswith(_SUFFIXES) for path in folder.iterdir())
    except OSError:
        return False


def from_files(
    root: Path,
    samples: Sequence[tuple[Path, int]],
    classes: tuple[str, ...],
    *,
    resize: int | None = None,
    crop: int | None = None,
) -> Source:
    """A dataset of image files: grey if all are grey, otherwise all are converted to colour.

    Args:
        root: The folder below which they are.
        samples: Each file with its label.
        classes: The name of each class.
        resize: Default for the shorter side, in pixels.
        crop: Default for the side of the centre crop, in pixels.

    Returns:
        The dataset, to be decoded.
    """
    inspected = samples[:: max(1, len(samples) // _GREY_SAMPLE)]
    modes = (mode_of(path) for path, _ in inspected)
    mode: Mode = "L" if all(found is None or is_grey(found) for found in modes) else "RGB"

    def image(index: int) -> Image:
        return decoded(samples[index][0], mode)

    return Source(
        labels=[label for _, label in samples],
        classes=classes,
        mode=mode,
        image=image,
        describe=lambda index: str(samples[index][0]),
        file=lambda index: samples[index][0].relative_to(root).as_posix(),
        resize=resize,
        crop=crop,
    )
