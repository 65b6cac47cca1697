"""Image files as 8-bit pictures: what is refused before a pixel is decoded, and how each kind of file becomes grey or colour."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import logging
import mmap
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from robustbench_la.errors import UserError, first_line
from robustbench_la.files import open_regular

if TYPE_CHECKING:
    from PIL.Image import Image

Mode = Literal["L", "RGB"]

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What a file may contain, whatever its name. Pillow knows forty formats, of which some start other programs (EPS), and some
tell their true size only while they are decoded (AVIF)."""
_GREY = ("1", "L")

_MOST_BYTES = 64 * 2**20
"""The largest file."""
_LONGEST_SIDE = 2**15
_MOST_PIXELS = 2**26
_UNPROVEN_PIXELS = 2**22
"""Pixels that a file may declare however small it is. Of more, it must hold one byte per _PIXELS_PER_BYTE."""
_PIXELS_PER_BYTE = 1_400
"""Pictures of 8 bits in a single colour reach 1,029 in PNG, 1,336 in GIF, 690 in TIFF and 260 in JPEG."""
_MOST_FLAT_PIXELS = 2**25
"""Pixels of such pictures: 128 MiB in colour, as Pillow keeps them. Of more, it must be a photograph."""
_PHOTOGRAPH_PIXELS_PER_BYTE = 64
_MOST_SLOW_PIXELS, _MOST_SLOW_BYTES = 2**17, 2**21
"""For what Pillow decodes in Python, at a microsecond per byte."""
_MOST_TILE = 2**22
"""Pixels of a tile of a TIFF file, which is decoded whole even for a picture of one pixel."""
_MOST_SCANS = 32
"""Passes over a progressive JPEG of _UNPROVEN_PIXELS; more over a smaller one. Those of cameras and web sites have about ten."""
_MOST_HEADER_READS = 5_000
"""Pillow reads metadata piece by piece, and appends the pieces to each other: the time grows with the square of their number."""
_MOST_READS = 150_000
"""While decoding, for files that are cut into pieces of a few bytes."""
_MOST_TIFF_NUMBERS, _MOST_TIFF_HEADER = 2**20, 2**24
"""Bytes of lists in a TIFF file, each of whose numbers becomes a Python object; and of these with all that stays bytes."""
_TIFF_PLACES = (273, 279, 324, 325)
"""Tags of where strips and tiles are, and how long."""
_TIFF_BYTES = (1, 2, 7)
"""Types that stay bytes: colour profiles, data of Photoshop, texts."""
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
"""Of a part of a JPEG file with a length, or the end of the picture."""
_MOST_PARTS = 100_000


class _RefusedError(Exception):
    """A picture that is not decoded, for the reason given."""


class _Reading(io.BufferedReader):
    """A file whose reader may ask for so many pieces, and so many bytes, and no more."""

    pieces = 0
    total = 0
    most_pieces = _MOST_HEADER_READS
    most_total: int | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        self.pieces += 1
        data = super().read(size)
        self.total += len(data)
        if self.pieces > self.most_pieces:
            raise _RefusedError("it is cut into too many pieces to be read")
        if self.most_total is not None and self.total > self.most_total:
            raise _RefusedError(f"it describes itself in more than {self.most_total // 2**20} MiB, such as profiles")
        return data


def mode_of(path: Path) -> str | None:
    """The mode of a picture as Pillow names it, from the head of its file; None if it cannot be read."""
    try:
        with silenced(), _opened(path) as image:
            return image.mode
    except UserError:
        return None  # decoding reports what is wrong


def is_grey(mode: str) -> bool:
    """Whether a mode of Pillow holds one channel of at most 8 bits."""
    return mode in _GREY


def decoded(path: Path, mode: Mode) -> Image:
    """Decode a file as torchvision's ImageFolder does, with ``Image.convert``: the first frame, no rotation, no transparency.

    Args:
        path: The file.
        mode: What to convert it to.

    Returns:
        The picture.

    Raises:
        UserError: If it cannot be decoded, has more than 8 bits in its only channel, is unreasonably large, or is not grey
            although ``mode`` is.
    """
    with _opened(path) as image:
        if mode == "L" and not is_grey(image.mode):
            raise _RefusedError(f"its mode is {image.mode}, while the other images are grey")
        if image.mode.startswith(("I", "F")):  # Pillow would clip them to 255
            raise _RefusedError(f"its mode is {image.mode}: only images with 8 bits per channel are supported")
        if image.mode == mode:  # convert() would copy it
            image.load()
            return image
        return image.convert(mode)


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """What Pillow has to remark on files is not shown: it decodes them, or refuses them. Not for use in several threads."""
    _silence_libraries()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@functools.cache
def _silence_libraries() -> None:
    """Logging of Pillow, and what its copy of libtiff would print on the standard error of the process."""
    import PIL._imaging

    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with contextlib.suppress(OSError, AttributeError):  # where libtiff is no library of its own
        set_handler = ctypes.CDLL(PIL._imaging.__file__).TIFFSetErrorHandler
        set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
        set_handler(None)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image]:
    """A picture whose size and metadata are within bounds, to be decoded in the block; every error names the file."""
    import PIL.Image

    try:
        with _Reading(open_regular(path)) as file:
            size = os.fstat(file.fileno()).st_size
            if size > _MOST_BYTES:
                raise _RefusedError(f"it has {size / 2**20:,.0f} MiB, and at most {_MOST_BYTES // 2**20} are read")
            if file.read(4)[:2] in (b"II", b"MM"):
                file.most_total = _MOST_TIFF_HEADER
                _check_tiff(file)
            with PIL.Image.open(file, formats=FORMATS) as image:
                _check_size(image, size)
                _check_work(image, file, size)
                file.most_pieces, file.most_total = _MOST_READS, None
                yield image
    except PIL.UnidentifiedImageError:
        raise UserError(
            f"cannot decode {path}: damaged, or no image; replace it, or move it out of the dataset (read are "
            f"{', '.join(FORMATS)})"
        ) from None
    except OSError as error:
        raise UserError(f"cannot decode {path}: {error.strerror or first_line(error)}") from None
    except Exception as error:  # decoders raise anything: RuntimeError, struct.error, SyntaxError, MemoryError, IndexError ...
        raise UserError(f"cannot decode {path}: {first_line(error)}") from None


def _check_size(image: Image, file_bytes: int) -> None:
    """Raise _RefusedError if a picture is too large, or larger than such a file can be meant to hold."""
    width, height = image.size
    pixels = width * height
    if max(width, height) > _LONGEST_SIDE or pixels > _MOST_PIXELS:
        raise _RefusedError(
            f"it has {width:,} x {height:,} pixels, and at most {_MOST_PIXELS:,} are read, {_LONGEST_SIDE:,} to a side; make it "
            "smaller"
        )
    per_byte = _PIXELS_PER_BYTE if pixels <= _MOST_FLAT_PIXELS else _PHOTOGRAPH_PIXELS_PER_BYTE
    if pixels > max(_UNPROVEN_PIXELS, file_bytes * per_byte):
        raise _RefusedError(f"a file of {file_bytes:,} bytes that declares {width:,} x {height:,} pixels is no photograph")


def _check_work(image: Image, file: _Reading, file_bytes: int) -> None:
    """Raise _RefusedError if decoding would take long, or much memory, although the picture itself is small."""
    import PIL.Image

    pixels = image.size[0] * image.size[1]
    tiles = getattr(image, "tile", [])
    slow = any(tile[0] in PIL.Image.DECODERS for tile in tiles)  # the registry of decoders that are written in Python
    if slow and (pixels > _MOST_SLOW_PIXELS or file_bytes > _MOST_SLOW_BYTES):
        raise _RefusedError(f"this kind of {image.format} file is read up to {_MOST_SLOW_PIXELS:,} pixels only; save it as PNG")
    if image.format == "TIFF":
        tile_pixels = 1
        for tag in (322, 323):  # width and length of a tile
            value = image.tag_v2.get(tag, 1)  # type: ignore[attr-defined]  # of TiffImageFile alone
            tile_pixels *= value if isinstance(value, int) else 1
        if tile_pixels > _MOST_TILE:
            raise _RefusedError(f"its tiles have {tile_pixels:,} pixels, and at most {_MOST_TILE:,} are read")
    elif "progressive" in image.info and _scans(file) * pixels > _MOST_SCANS * max(_UNPROVEN_PIXELS, pixels):
        raise _RefusedError("it is a progressive JPEG of too many scans; save it again")


def _check_tiff(file: _Reading) -> None:
    """Raise _RefusedError if the first picture of a TIFF file is described by more numbers than Pillow can take in."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    file.seek(0)
    head = file.read(16)
    try:
        tags = ImageFileDirectory_v2(head if head[2] == 43 else head[:8])
    except Exception:  # not a TIFF file, in one of many ways
        return
    file.seek(tags.next)
    tags.load(file)
    numbers = sum(
        len(content)
        for tag, content in tags._tagdata.items()  # read, but not yet made numbers
        if tag in _TIFF_PLACES or tags.tagtype[tag] not in _TIFF_BYTES
    )
    if numbers > _MOST_TIFF_NUMBERS:
        raise _RefusedError(f"it is cut into too many pieces to be read, or described by too many numbers ({numbers:,} bytes)")
    file.total = 0


def _scans(file: _Reading) -> int:
    """How often a JPEG file passes over its pixels, up to the end of its first picture; cameras put others behind it."""
    scans, place = 0, 2
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for _ in range(_MOST_PARTS):
            found = _MARKER.search(data, place)
            if found is None or found[0] == b"\xff\xd9":
                return scans
            scans += found[0] == b"\xff\xda"
            place = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    raise _RefusedError("it is cut into too many pieces to be read")
