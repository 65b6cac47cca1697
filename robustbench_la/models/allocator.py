"""Keeping freed memory in the process. By default glibc returns large blocks to the system and page-faults them in again."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def keep_freed_memory() -> None:
    """Let malloc reuse the memory of tensors: up to twice as fast on a CPU, with the same numbers. Linux with glibc only.

    This holds for the whole process until it ends: commands call it, and so do Python's functions that measure.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
