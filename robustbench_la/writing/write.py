"""Writing a set of corrupted images, or what is missing of it. Images are stored while the next batch is corrupted."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from robustbench_la.errors import RunError
from robustbench_la.files import write_whole
from robustbench_la.measuring.forward import corrupted_images
from robustbench_la.progress import Advance, Meter, silent
from robustbench_la.writing import layouts, manifest
from robustbench_la.writing.arrays import ArrayFile
from robustbench_la.writing.class_folders import ClassFolders
from robustbench_la.writing.flushing import flush
from robustbench_la.writing.folder import claimed
from robustbench_la.writing.preparing import Writing

LABELS = "labels.npy"
_ENCODING = 1 << 10
"""Bytes that a PNG or JPEG file may take beyond its pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What one run wrote."""

    images: int
    there: int
    """Images that were there before."""
    size: int
    """Of what this run wrote, in bytes."""
    seconds: float


def write(writing: Writing, *, meter: Meter = silent) -> Written:
    """Write what is missing of a set.

    Args:
        writing: The images, the conditions and the folder.
        meter: Shows the progress, in images.

    Returns:
        What was written.

    Raises:
        UserError: If the folder holds a set with other settings.
        RunError: If another process writes there, or the disk is full or too small.
    """
    began, output = time.perf_counter(), writing.output
    try:
        with claimed(output) as unfinished, ExitStack() as stack:
            manifest.check_same(output, writing.settings)
            if manifest.read_manifest(output) is None:
                manifest.keep(output, writing.settings)
            pool = stack.enter_context(ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="encoding"))
            targets = _targets(writing, unfinished, pool)
            background = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="storing"))
            total = sum(target.images for target in targets)
            advance = stack.enter_context(meter("corrupting", total))
            done = [_write(target, writing, advance, background) for target in targets]
            flush(output)  # a loss of power now would leave files empty that the system has not written yet
    except OSError as error:
        raise RunError(f"cannot write to {output}: {error.strerror or error}; once it can, the same command goes on") from None
    images, size = sum(count for count, _ in done), sum(size for _, size in done)
    return Written(images=images, there=total - images, size=size, seconds=time.perf_counter() - began)


def largest_size(writing: Writing) -> int:
    """The most bytes that a set takes, without what its folders take; for arrays, what it takes."""
    more = 0 if writing.format == "npy" else len(writing.names) * (writing.images.images.shape[2] + _ENCODING)
    return len(writing.conditions) * (writing.images.images.nbytes + more)


def _targets(writing: Writing, unfinished: Path, pool: ThreadPoolExecutor) -> Sequence[ArrayFile | ClassFolders]:
    """The files or folders of the set; labels, and room for arrays."""
    if writing.format != "npy":
        return [ClassFolders(writing, condition, unfinished, pool) for condition in writing.conditions]
    ordered = sorted(writing.conditions, key=lambda one: (one.corruption, one.severity or 0))
    by_name = {name: list(same) for name, same in groupby(ordered, key=lambda one: one.corruption)}
    names = dict.fromkeys(one.corruption for one in writing.conditions)
    arrays = [ArrayFile(writing, by_name[name], unfinished) for name in names]
    needed, free = sum(array.bytes_missing for array in arrays), shutil.disk_usage(writing.output).free
    if needed > free:
        raise RunError(
            f"the arrays in {writing.output} take {size_text(needed)} more, but only {size_text(free)} are free; make room, or "
            "give fewer corruptions or --limit"
        )
    if not (writing.output / LABELS).exists():
        write_whole(writing.output / LABELS, layouts.label_array(writing.images, len(by_name[next(iter(names))])))
    return arrays


def _write(
    target: ArrayFile | ClassFolders, writing: Writing, advance: Advance, background: ThreadPoolExecutor
) -> tuple[int, int]:
    """Write what is missing of one file or folder. Returns the images and bytes written."""
    missing = list(target.missing())
    images, size = sum(len(positions) for _, positions in missing), 0
    advance(target.images - images)
    storing: Future[int] | None = None
    try:
        for condition, positions in missing:
            for start in range(0, len(positions), writing.batch_size):
                where = positions[start : start + writing.batch_size]
                batch = corrupted_images(writing.images, condition, where, seed=writing.seed, device=writing.device)
                size += storing.result() if storing else 0
                storing = background.submit(target.store, where, batch.cpu().numpy())
                advance(len(where))
        size += storing.result() if storing else 0
        target.finish()
    finally:
        wait([storing] if storing else [])
        target.close()
    return images, size


def size_text(size: int) -> str:
    """A number of bytes for readers.

    >>> size_text(35_000), size_text(3_500_000), size_text(5 * 2**30)
    ('34.2 KiB', '3.3 MiB', '5.0 GiB')
    """
    for power, unit in ((30, "GiB"), (20, "MiB")):
        if size >= 2**power:
            return f"{size / 2**power:.1f} {unit}"
    return f"{size / 2**10:.1f} KiB"
