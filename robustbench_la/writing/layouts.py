"""The layouts of the published sets: what files and folders are called, and how an image is stored in one. Writes nothing."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from robustbench_la.errors import UserError
from robustbench_la.images.jpeg import jpeg_bytes
from robustbench_la.records.cells import Condition, encode_level

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from robustbench_la.images.decoding import ImageSet

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "png": "folders as in ImageNet-C, without loss",
        "jpeg85": "folders as in ImageNet-C, JPEG of quality 85 as there",
        "npy": "one array per corruption, as in CIFAR-10-C",
    }
)
_SUFFIXES = {"png": ".png", "jpeg85": ".JPEG"}
QUALITY = 85
"""Of the JPEG files of ImageNet-C and Tiny-ImageNet-C."""
_COMPRESSION = 1
"""zlib's level for PNG: at 224 px, 6 takes one to four times as long, and its files are 1 to 18 % smaller."""
_PLAIN_NAME = re.compile(r"\w[\w .,()'&+-]*")


def severity_folder(condition: Condition) -> str:
    """The folder of a condition within that of its corruption: its severity, or its custom level.

    >>> severity_folder(Condition(corruption="fog", severity=None, parameters=(1.5, 2.0), profile=None))
    'level_1.5_2'
    """
    if condition.severity is None:
        return f"level_{encode_level(condition.parameters).replace('/', '_')}"
    return str(condition.severity)


def image_names(images: ImageSet, files: Sequence[str] | None, form: str) -> list[str]:
    """Where each image goes within the folder of a condition: the folder of its class, and a file.

    Args:
        images: The images.
        files: The paths of all images of the dataset, those left out too, within it; None if they are no files.
        form: ``png`` or ``jpeg85``.

    Returns:
        One path per image, with ``/`` between folders. Files keep the names they had, with another suffix; other images are
        named by their id.

    Raises:
        UserError: If two images would have the same name.
    """
    suffix = _SUFFIXES[form]
    if files is not None:
        names = _renamed(files, suffix)
        return [names[index] for index in images.ids.tolist()]
    folders, digits = class_folders(images.classes), len(str(images.total - 1))
    pairs = zip(images.ids.tolist(), images.labels.tolist(), strict=True)
    return [f"{folders[label]}/{index:0{digits}}{suffix}" for index, label in pairs]


def _renamed(files: Sequence[str], suffix: str) -> list[str]:
    """The files with another suffix, behind the old one where two would otherwise be the same."""
    stems = [file.rpartition(".")[0] for file in files]
    often = Counter(stem.casefold() for stem in stems)  # some file systems do not tell A from a
    names = [(file if often[stem.casefold()] > 1 else stem) + suffix for file, stem in zip(files, stems, strict=True)]
    first: dict[str, str] = {}
    for name, file in zip(names, files, strict=True):
        if (other := first.setdefault(name, file)) != file:
            raise UserError(f"{other} and {file} would both be written as {name}; rename one of them")
    return names


def class_folders(classes: Sequence[str]) -> list[str]:
    """Names for the folders of classes, whose sorted order is that of the labels, as readers of folders expect.

    Args:
        classes: What the dataset calls them.

    Returns:
        Their names, if these can be names of folders and are sorted; otherwise the labels.

    >>> class_folders(["cat", "dog"]), class_folders(["dog", "cat"])
    (['cat', 'dog'], ['0', '1'])
    """
    if list(classes) == sorted(set(classes)) and all(map(_PLAIN_NAME.fullmatch, classes)):
        return list(classes)
    return [f"{label:0{len(str(len(classes) - 1))}}" for label in range(len(classes))]


def encoded(pixels: NDArray[np.uint8], form: str) -> bytes:
    """One image as a file.

    Args:
        pixels: uint8 (1 or 3, H, W).
        form: ``png`` or ``jpeg85``.
    """
    import numpy as np
    import PIL.Image

    if form == "jpeg85":
        return jpeg_bytes(pixels, QUALITY)
    file = io.BytesIO()
    array = pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    PIL.Image.fromarray(array).save(file, "PNG", compress_level=_COMPRESSION)
    return file.getvalue()


def array_shape(images: ImageSet, severities: int) -> tuple[int, int, int, int]:
    """The shape of the array of one corruption: its images at severity 1, then those at severity 2 ...; channels last."""
    count, channels, height, width = images.images.shape
    return severities * count, height, width, channels


def array_header(shape: tuple[int, ...]) -> bytes:
    """The beginning of a .npy file of 8-bit values."""
    import numpy as np

    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue()


def label_array(images: ImageSet, severities: int) -> bytes:
    """labels.npy: the label of each row of an array, in the type of CIFAR-10-C's if the labels fit."""
    import numpy as np

    file = io.BytesIO()
    kind = np.uint8 if len(images.classes) <= 256 else np.int64
    np.save(file, np.tile(images.labels.astype(kind), severities), allow_pickle=False)
    return file.getvalue()
