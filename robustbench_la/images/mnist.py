"""MNIST and Fashion-MNIST from their original files (IDX: a header of sizes, then bytes)."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_la.errors import UserError
from robustbench_la.images.published_files import download as fetch
from robustbench_la.images.published_files import read_bounded
from robustbench_la.images.source import Source, Split, from_array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_BYTES = 64 * 2**20
"""The training images have 47,040,016."""
_CLASSES = 10


def mnist_reader(name: str) -> Callable[[Path, Split, bool], Source]:
    """A reader for a dataset in these files.

    Args:
        name: As torchvision calls it, which also is the name of its folder.

    Returns:
        A function of (root, split, whether to download).
    """

    def open_(root: Path, split: Split, download: bool) -> Source:
        folder = root / name / "raw"
        stem = "train" if split == "train" else "t10k"
        if download:
            fetch(name, root)
        images = _idx(name, folder, f"{stem}-images-idx3-ubyte", axes=3)
        labels = _idx(name, folder, f"{stem}-labels-idx1-ubyte", axes=1)
        if len(images) != len(labels) or not images.size or labels.max() >= _CLASSES:
            raise UserError(
                f"cannot read {name} in {root}: {len(images):,} images of {images.shape[2]}x{images.shape[1]} px and "
                f"{len(labels):,} labels of {_CLASSES} classes do not fit together"
            )
        return from_array(images[:, None], labels.tolist(), _names(name))

    return open_


def _names(name: str) -> tuple[str, ...]:
    import torchvision

    return tuple(map(str, getattr(torchvision.datasets, name).classes))


def _idx(name: str, folder: Path, file: str, *, axes: int) -> NDArray[np.uint8]:
    """The array in a file, or in the packed file as it is published."""
    import numpy as np

    path = next((path for path in (folder / file, folder / f"{file}.gz") if path.exists()), None)
    if path is None:
        raise UserError(f"cannot read {name} in {folder.parent.parent}: no file {folder / file} (--download downloads it)")
    content = read_bounded(path, _MOST_BYTES)
    header = struct.Struct(f">HBB{axes}I")
    if len(content) < header.size:
        raise UserError(f"cannot read {name} in {path}: damaged, or no IDX file (--download downloads it)")
    zeros, kind, dimensions, *shape = header.unpack_from(content)
    if (zeros, kind, dimensions) != (0, 8, axes) or math.prod(shape) != len(content) - header.size:
        raise UserError(f"cannot read {name} in {path}: damaged, or not {axes}-dimensional bytes (--download downloads it)")
    # A copy that may be written to: torch warns of others.
    return np.frombuffer(content, dtype=np.uint8, offset=header.size).reshape(shape).copy()
