"""Sets in the form of ImageNet-C: <corruption>/<severity>/<wnid>/ of image files, decoded when they are needed."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_la.errors import UserError
from robustbench_la.images.folders import class_folders, image_files
from robustbench_la.images.picture_files import decoded, silenced
from robustbench_la.images.published.base import NAME, PublishedSet, in_paper_order, no_set, source_of, unfinished
from robustbench_la.images.source import Source, Split
from robustbench_la.progress import Meter, silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_GROUPS = ("blur", "digital", "extra", "noise", "weather")
"""The archives of ImageNet-C, which some unpack into folders of their own."""
_WORDNET = re.compile(r"n\d{8}")
_LEVEL = re.compile(r"\d{1,3}(\.\d{1,4})?")


def tree_reader(
    name: str, *, side: int, images: int, wnids: Sequence[str] | None = None, classes: int = 1000
) -> Callable[[Path, Split, bool], Source]:
    """A reader for a set in this form.

    Args:
        name: Of the set.
        side: Of its images as published, in pixels.
        images: Their number in each condition as published.
        wnids: The WordNet ids that may occur, all classes of a network; None for any.
        classes: The number of classes where ``wnids`` is None.

    Returns:
        A function of (root, split, whether to download).
    """

    def open_(root: Path, split: Split, download: bool) -> Source:
        return source_of(_Tree(name, root, side, images, wnids, classes))

    return open_


class _Tree(PublishedSet):
    def __init__(self, name: str, root: Path, side: int, images: int, wnids: Sequence[str] | None, classes: int) -> None:
        if not root.is_dir():
            raise UserError(f"no folder {str(root)!r}; give {name}:DIR with <corruption>/<severity>/<wnid>/ of images")
        self._folders = {
            path.name: levels for path in _corruptions(root) if NAME.fullmatch(path.name) and (levels := _levels(path))
        }
        if not self._folders:
            raise no_set(root) or UserError(
                f"{root} holds no set; give {name}:DIR with <corruption>/<severity>/<wnid>/ of images"
            )
        self.name, self._root, self._published = name, root, (side, images)
        self.held = {name: tuple(self._folders[name]) for name in in_paper_order(self._folders)}
        self._files = functools.cache(self._listed)
        corruption, severities = next(iter(self.held.items()))
        files = self._files(corruption, severities[0])
        found = list(dict.fromkeys(path.parent.name for path in files))
        self.classes = _classes(name, root, found, wnids, classes)
        numbers = {wnid: number for number, wnid in enumerate(self.classes)}
        self.labels = [numbers[path.parent.name] for path in files]
        self._keys = [(path.parent.name, path.stem) for path in files]
        with silenced():
            width, height = decoded(files[0], "RGB").size
        self.shape = (3, height, width)
        self._modified = (height, width) != (side, side) or len(files) != images
        self.remarks = unfinished(root)
        if len(found) < len(self.classes):
            self.remarks += (f"images for {len(found):,} of {len(self.classes):,} outputs; the others are never right",)

    def identify(self, corruption: str, severity: int | None, meter: Meter = silent) -> tuple[str, bool]:
        files = self._files(corruption, severity)
        keys = [(path.parent.name, path.stem) for path in files]
        if keys != self._keys:
            odd = sorted(set(keys) ^ set(self._keys))
            where = f"{corruption}/{severity}"
            raise UserError(
                f"{where} of {self._root} holds other images than {next(iter(self.held))}, such as {'/'.join(odd[0])}"
                if odd
                else f"{where} of {self._root} holds its images in another order than {next(iter(self.held))}"
            )
        digest = hashlib.md5(usedforsecurity=False)
        with meter(f"checking {corruption} {severity}", len(files)) as advance:
            for path in files:
                digest.update(f"{path.parent.name}/{path.name} {path.stat().st_size}\n".encode())
                advance(1)
        return digest.hexdigest(), self._modified

    def read(self, corruption: str, severity: int | None, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
        import numpy as np

        files = self._files(corruption, severity)
        images = np.empty((len(ids), *self.shape), dtype=np.uint8)
        with silenced(), ThreadPoolExecutor(os.cpu_count()) as pool:
            for place, array in enumerate(pool.map(self._pixels, [files[index] for index in ids.tolist()])):
                images[place] = array
        return images

    def _pixels(self, path: Path) -> NDArray[np.uint8]:
        import numpy as np

        array = np.asarray(decoded(path, "RGB")).transpose(2, 0, 1)
        if array.shape != self.shape:
            raise UserError(
                f"cannot read {path}: {array.shape[2]}x{array.shape[1]} px, others {self.shape[2]}x{self.shape[1]} px; images "
                "of a published set are not resized"
            )
        return array

    def _listed(self, corruption: str, severity: int | None) -> list[Path]:
        folder = self._folders[corruption][severity or 0]
        files = [path for wnid in class_folders(folder) for path in image_files(wnid)]
        if not files:
            raise UserError(f"{folder} holds no folders of images")
        return files


def _corruptions(root: Path) -> list[Path]:
    """The folders of corruptions, also those within the folders of archives."""
    folders = class_folders(root)
    inner = [path for folder in folders if folder.name in _GROUPS for path in class_folders(folder)]
    return [*(folder for folder in folders if folder.name not in _GROUPS), *inner]


def _levels(folder: Path) -> dict[int, Path]:
    """The severity of each folder of a corruption: its name, or its place where names are levels such as ``4.75``."""
    folders = [path for path in class_folders(folder) if _LEVEL.fullmatch(path.name)]
    if all(path.name in "12345" for path in folders):
        return {int(path.name): path for path in folders}
    if len(folders) != 5:
        raise UserError(
            f"{folder} holds {len(folders)} levels ({', '.join(path.name for path in folders)}), and severities are five"
        )
    return dict(enumerate(sorted(folders, key=lambda path: float(path.name)), 1))


def _classes(name: str, root: Path, found: Sequence[str], wnids: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """The classes of a network for this set. Raises UserError for folders that are none of them."""
    known = None if wnids is None else set(wnids)
    for wnid in found:
        if not _WORDNET.fullmatch(wnid) or (known is not None and wnid not in known):
            raise UserError(f"{wnid!r} in {root} is no class of {name}, whose folders are named by WordNet ids such as n01440764")
    if wnids is not None:
        return tuple(sorted(wnids))
    if len(found) != count:
        raise UserError(f"{root} holds images of {len(found)} classes, and {name} has {count}")
    return tuple(sorted(found))
