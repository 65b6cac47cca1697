"""Sets in the form of CIFAR-10-C: one npy file per corruption, of five blocks of the same images, severity 1 first."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_la.errors import UserError
from robustbench_la.images.published.base import NAME, PublishedSet, in_paper_order, no_set, source_of, unfinished
from robustbench_la.images.published.npy_files import labels_in, mapped_images, md5_of
from robustbench_la.images.source import Source, Split
from robustbench_la.images.storage import give_back
from robustbench_la.progress import Meter, silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SEVERITIES = (1, 2, 3, 4, 5)
_PUBLISHED_IMAGES = 10_000
_LABELS = "labels.npy"


def block_reader(
    name: str, folder: str, classes: tuple[str, ...], sums: Mapping[str, str]
) -> Callable[[Path, Split, bool], Source]:
    """A reader for a set in this form.

    Args:
        name: Of the set.
        folder: The name of the folder in its archive.
        classes: The name of each class.
        sums: The MD5 sums of its files by their names; empty if nobody published them.

    Returns:
        A function of (root, split, whether to download).
    """

    def open_(root: Path, split: Split, download: bool) -> Source:
        inner = root / folder
        return source_of(_Blocks(name, inner if inner.is_dir() and not (root / _LABELS).exists() else root, classes, sums))

    return open_


class _Blocks(PublishedSet):
    def __init__(self, name: str, root: Path, classes: tuple[str, ...], sums: Mapping[str, str]) -> None:
        if not root.is_dir():
            raise UserError(f"no folder {str(root)!r}; give {name}:DIR with {_LABELS} and one npy file per corruption")
        names = in_paper_order(
            path.stem for path in root.iterdir() if path.suffix == ".npy" and path.name != _LABELS and NAME.fullmatch(path.stem)
        )
        if not names:
            raise no_set(root) or UserError(
                f"{root} holds no npy files; give {name}:DIR with {_LABELS} and one npy file per corruption"
            )
        labels = labels_in(root / _LABELS, len(classes))
        blocks = labels.reshape(5, -1) if len(labels) % 5 == 0 else None
        if blocks is None:
            raise UserError(f"cannot read {root / _LABELS}: {len(labels):,} labels are not five equal blocks (published: 50,000)")
        if (blocks != blocks[0]).any():
            raise UserError(f"cannot read {root / _LABELS}: its five blocks differ, but all severities have one order")
        self.remarks = unfinished(root)
        self.name, self.classes, self.shape = name, classes, (3, 32, 32)
        self.labels = blocks[0].tolist()
        self.held = dict.fromkeys(names, _SEVERITIES)
        self._root, self._sums = root, sums
        self._images = functools.cache(self._mapped)
        self._sum = functools.cache(lambda name: md5_of(root / f"{name}.npy", self._meter))
        self._meter: Meter = silent

    def identify(self, corruption: str, severity: int | None, meter: Meter = silent) -> tuple[str, bool]:
        self._images(corruption)
        self._meter = meter
        digest = self._sum(corruption)
        wrong_labels = _LABELS in self._sums and self._sum("labels") != self._sums[_LABELS]
        if self._sums:
            return digest, digest != self._sums.get(f"{corruption}.npy") or wrong_labels
        return digest, len(self.labels) != _PUBLISHED_IMAGES

    def read(self, corruption: str, severity: int | None, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
        import numpy as np

        mapped = self._images(corruption)
        images = mapped[(severity or 1) * len(self.labels) - len(self.labels) + ids]
        give_back(mapped)  # or all files of the set would stay in memory
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))

    def _mapped(self, corruption: str) -> NDArray[np.uint8]:
        path = self._root / f"{corruption}.npy"
        channels, height, width = self.shape
        images = mapped_images(path, (height, width, channels))
        if len(images) != 5 * len(self.labels):
            raise UserError(f"cannot read {path}: {len(images):,} images, but {_LABELS} has {5 * len(self.labels):,} labels")
        return images
