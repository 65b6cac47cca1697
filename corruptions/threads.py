"""Work on many images shared among threads, each piece by itself, so that the number of threads cannot change a result."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

_PIECE = 1 << 16
"""Values that a thread works on at a time: for fewer, waking another thread does not pay."""


def in_pieces(count: int, size: int, work: Callable[[slice], object], *, piece: int = _PIECE) -> None:
    """Do the work on ``count`` items, on as many threads as torch uses.

    Args:
        count: How many items there are.
        size: How many values each of them has.
        work: Does the work on the items of a slice; should not hold the GIL.
        piece: How many values a thread works on at a time.
    """
    step = max(1, piece // max(size, 1))
    slices = [slice(start, min(start + step, count)) for start in range(0, count, step)]
    threads = min(torch.get_num_threads(), len(slices))
    if threads <= 1:
        work(slice(0, count))
    else:
        list(_pool(threads).map(work, slices))


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads kept for the next call: starting one takes as long as blurring a hundred small images."""
    return ThreadPoolExecutor(threads, thread_name_prefix="corruptions")


if hasattr(os, "register_at_fork"):
    # A forked process does not inherit its parent's threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)
