"""CIFAR-10 and CIFAR-100 from their published files: pickles, of which only those with the published sums are read."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustbench_la.errors import UserError, first_line
from robustbench_la.images.published_files import download as fetch
from robustbench_la.images.published_files import read_bounded
from robustbench_la.images.source import Source, Split, from_array

if TYPE_CHECKING:
    import numpy as np

_MOST_BYTES = 160 * 2**20
"""The training images of CIFAR-100 have 155,249,918 bytes."""


def cifar_reader(name: str) -> Callable[[Path, Split, bool], Source]:
    """A reader for a dataset in these files.

    Args:
        name: As torchvision calls it, which knows the names and MD5 sums of its files.

    Returns:
        A function of (root, split, whether to download).
    """

    def open_(root: Path, split: Split, download: bool) -> Source:
        import numpy as np
        import torchvision

        published = getattr(torchvision.datasets, name)
        if download:
            fetch(name, root)
        folder = root / published.base_folder
        files = published.train_list if split == "train" else published.test_list
        batches = [_checked(name, folder / file, md5) for file, md5 in files]
        meta = _checked(name, folder / published.meta["filename"], published.meta["md5"])
        try:
            images = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
            labels = [int(label) for batch in batches for label in batch.get("labels") or batch["fine_labels"]]
            classes = tuple(map(str, meta[published.meta["key"]]))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"cannot read {name} in {root}: {first_line(error)}") from None
        if images.dtype != np.uint8 or len(images) != len(labels) or not 0 <= min(labels) <= max(labels) < len(classes):
            raise UserError(
                f"cannot read {name} in {root}: {len(images):,} images and {len(labels):,} labels do not fit together"
            )
        return from_array(images, labels, classes)

    return open_


def _checked(name: str, path: Path, md5: str) -> dict[str, Any]:
    """What is in a file, if it is the published one."""
    if not path.exists():
        raise UserError(f"cannot read {name} in {path.parent.parent}: no file {path} (--download downloads it)")
    content = read_bounded(path, _MOST_BYTES)
    if not _is_published(content, md5):
        raise UserError(
            f"cannot read {name} in {path.parent.parent}: {path.name} is corrupted, or not the published file, whose MD5 sum is "
            f"{md5} (--download downloads it)"
        )
    try:
        unpickled = _Unpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # what a pickle is made of may raise anything
        raise UserError(f"cannot read {name} in {path}: {first_line(error)}") from None
    if not isinstance(unpickled, dict):
        raise UserError(f"cannot read {name} in {path}: it holds no dictionary")
    return unpickled


def _is_published(content: bytes, md5: str) -> bool:
    return hashlib.md5(content, usedforsecurity=False).hexdigest() == md5


class _Unpickler(pickle.Unpickler):
    """Builds arrays of numbers and plain containers, and calls nothing else whatever the pickle asks for."""

    def find_class(self, module: str, name: str) -> Any:
        import _codecs

        import numpy as np

        package = module.replace("numpy._core", "numpy.core")
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): _empty_array,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): _codecs.encode,
        }
        if (package, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no data")
        return allowed[package, name]


def _empty_array(kind: object, shape: object, code: object) -> np.ndarray[Any, Any]:
    """What numpy's pickles fill with bytes; numpy's own function would first make room for any shape."""
    import numpy as np

    return np.ndarray((0,), dtype=np.int8)
