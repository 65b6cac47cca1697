"""MNIST-C: a folder per corruption, each with test images and labels as npy files; one level, and ``identity`` is clean."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_la.errors import UserError
from robustbench_la.images.published.base import NAME, PublishedSet, in_paper_order, source_of
from robustbench_la.images.published.npy_files import labels_in, mapped_images, md5_of
from robustbench_la.images.source import Source, Split
from robustbench_la.progress import Meter, silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_IMAGES, _LABELS, _CLEAN = "test_images.npy", "test_labels.npy", "identity"
_PUBLISHED_IMAGES = 10_000


def open_mnist_c(root: Path, split: Split, download: bool) -> Source:
    """The folder that holds those of the corruptions, or the one around it."""
    inner = root / "mnist_c"
    return source_of(_MnistC(inner if inner.is_dir() else root))


class _MnistC(PublishedSet):
    def __init__(self, root: Path) -> None:
        folders = (
            in_paper_order(path.name for path in root.iterdir() if NAME.fullmatch(path.name) and (path / _IMAGES).exists())
            if root.is_dir()
            else []
        )
        if not folders:
            raise UserError(f"{str(root)!r} holds no set; give mnist-c:DIR with <corruption>/{_IMAGES} and {_LABELS}")
        self.name, self.classes, self.shape = "mnist-c", tuple(map(str, range(10))), (1, 28, 28)
        self._root = root
        self._images = functools.cache(self._mapped)
        self._sum = functools.cache(lambda name: md5_of(root / name / _IMAGES, self._meter))
        self._meter: Meter = silent
        first = _CLEAN if _CLEAN in folders else folders[0]
        self.labels = labels_in(root / first / _LABELS, 10).tolist()
        self.clean = _CLEAN in folders
        self.held = {name: (None,) for name in folders if name != _CLEAN}
        if not self.held:
            raise UserError(f"{root} holds {_CLEAN} alone, the clean images; give mnist-c:DIR with corruptions, too")

    def identify(self, corruption: str, severity: int | None, meter: Meter = silent) -> tuple[str, bool]:
        self._images(corruption)
        self._meter = meter
        return self._sum(corruption), len(self.labels) != _PUBLISHED_IMAGES

    def read(self, corruption: str, severity: int | None, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
        import numpy as np

        return np.ascontiguousarray(self._images(corruption)[ids].transpose(0, 3, 1, 2))

    def _mapped(self, corruption: str) -> NDArray[np.uint8]:
        folder = self._root / (_CLEAN if corruption == "clean" else corruption)
        images = mapped_images(folder / _IMAGES, (28, 28, 1))
        if labels_in(folder / _LABELS, 10).tolist() != self.labels:
            raise UserError(f"cannot read {folder / _LABELS}: its labels are not those of the other corruptions of the set")
        if len(images) != len(self.labels):
            raise UserError(f"cannot read {folder / _IMAGES}: {len(images):,} images, but {_LABELS} has {len(self.labels):,}")
        return images
