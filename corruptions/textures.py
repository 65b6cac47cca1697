"""The published photographs of frost: where they are, and whether they are those. They are not part of this package."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

TEXTURES: Mapping[str, str] = MappingProxyType(
    {
        "frost1.png": "ff9f907860bd7a835d459e32f9d588062b7f61ee267343cc7222b56753a14755",
        "frost2.png": "fe211a89b336999c207a852ce05818d4545d0b57c5beadd824b4cc9d9a9b6137",
        "frost3.png": "2d0d50b4a9bb213f38b024ef7768731bb83cc08d2f26b5766bbc167cdfa0e504",
        "frost4.jpg": "3f8b91ca1a9fa7167b09e773da53f5ae60d0a1fd88f02a783f6e328a72887f6e",
        "frost5.jpg": "5fc6a19df4a429ba68abdcc8f8a4278d4c9f81c9ccafd2c92ab0c8cf8992ebd2",
    }
)
"""File -> SHA-256. The published code has a sixth, frost6.jpg, which it never draws."""
_PACKAGE = "imagecorruptions"
_HOW = "install larobust[frost], or name the folder that has them with --frost-textures DIR"
_given: list[Path] = []


def look_in(folder: Path) -> None:
    """Take the photographs from a folder, rather than from the package that has them.

    Args:
        folder: With the files of ``TEXTURES``.

    Raises:
        ValueError: If one is not there, or is another file.
    """
    _read(folder)  # before it is taken, so that a bad folder changes nothing
    _given[:] = [folder]
    _cached.cache_clear()


def missing() -> str | None:
    """Why there are no photographs, as a clause that says what to do; None if all are there."""
    folder = _folder()
    if folder is None:
        return f"frost needs the published photographs of frost; {_HOW}"
    try:
        _cached(folder)
    except ValueError as error:
        return str(error)
    return None


def photographs() -> tuple[NDArray[np.uint8], ...]:
    """The photographs, each uint8 (H, W, 3) in the order red, green, blue.

    Raises:
        ValueError: If they are missing.
    """
    import PIL.Image

    if (reason := missing()) is not None:
        raise ValueError(reason)
    folder = _folder()
    assert folder is not None
    return tuple(np.asarray(PIL.Image.open(io.BytesIO(content)).convert("RGB")) for content in _cached(folder))


def _folder() -> Path | None:
    """Where the photographs should be: as given, or in the installed package, which is found but not imported."""
    if _given:
        return _given[0]
    spec = importlib.util.find_spec(_PACKAGE)
    places = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(places))) / "frost" if places else None


@functools.cache
def _cached(folder: Path) -> tuple[bytes, ...]:
    return _read(folder)


def _read(folder: Path) -> tuple[bytes, ...]:
    """The content of the files, checked."""
    contents = []
    for name, digest in TEXTURES.items():
        path = folder / name
        if not path.is_file():
            raise ValueError(f"frost needs {name}, which is not in {folder}; {_HOW}")
        content = path.read_bytes() if path.stat().st_size < 1 << 22 else b""
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"{path} is not the published {name} (its SHA-256 differs); {_HOW}")
        contents.append(content)
    return tuple(contents)
