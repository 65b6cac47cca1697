"""Where decoded images are kept: in memory, or in an unnamed file whose pages are given back once they were read or written."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from typing import TYPE_CHECKING

from robustbench_la.errors import RunError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_IN_MEMORY = 512 * 2**20
"""Bytes above which images go into a memory-mapped temporary file."""
GIVEN_BACK = 64 * 2**20
"""Bytes of new images after which whoever fills such an array gives memory back."""


def room_for(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An uninitialised uint8 array in memory, or in an unnamed temporary file if it is large.

    Raises:
        RunError: If there is no room for it on disk.
    """
    import numpy as np

    size = math.prod(shape)
    if size <= _IN_MEMORY:
        return np.empty(shape, dtype=np.uint8)
    try:
        with tempfile.TemporaryFile(prefix="larobust-") as file:  # unnamed; the mapping keeps it alive
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)
    except OSError as error:
        room = f"{size / 2**30:.1f} GiB of decoded images in {tempfile.gettempdir()}"
        raise RunError(f"no room for {room}: {error.strerror}") from None


def give_back(images: NDArray[np.uint8]) -> None:
    """Give back the memory of a mapped file's pages; the next access reads them from the file again.

    Without this the whole file counts as memory of the process once every image was read. An array in memory is left alone.

    Args:
        images: As ``room_for`` made it, or a file mapped to be read.
    """
    mapping = getattr(images, "_mmap", None)
    # Of a private mapping ("c") the changes would be lost.
    if mapping is not None and getattr(images, "mode", "c") != "c" and hasattr(mapping, "madvise"):
        mapping.madvise(mmap.MADV_DONTNEED)
