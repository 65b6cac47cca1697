"""One folder per corruption and severity, with a folder per class, as in ImageNet-C: it appears when all its images are there."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robustbench_la.records.cells import Condition
from robustbench_la.writing import layouts
from robustbench_la.writing.preparing import Writing

_PART = ".part-"
"""How files begin that are being written."""


class ClassFolders:
    """The folder of one condition."""

    def __init__(self, writing: Writing, condition: Condition, unfinished: Path, pool: ThreadPoolExecutor) -> None:
        """pool: encodes images."""
        severity = layouts.severity_folder(condition)
        self.final = writing.output / condition.corruption / severity
        self.images = len(writing.names)
        self._folder = unfinished / f"{condition.corruption}-{severity}"
        self._writing, self._condition, self._pool = writing, condition, pool

    def missing(self) -> Iterator[tuple[Condition, NDArray[np.intp]]]:
        """The condition, and the positions of the images that are not there; makes the folders of all."""
        finished, names = self.final.is_dir(), self._writing.names
        there = self._there(self.final if finished else self._folder)
        positions = np.array([position for position, name in enumerate(names) if name not in there], dtype=np.intp)
        if not len(positions):
            return
        if finished:  # after a loss of power, or somebody removed files
            self.final.rename(self._folder)
        for folder in {name.rpartition("/")[0] for name in names}:
            (self._folder / folder).mkdir(parents=True, exist_ok=True)
        yield self._condition, positions

    def _there(self, folder: Path) -> set[str]:
        """The files that are there, each of them whole: a file gets its name last, and is empty only after a loss of power."""
        names: set[str] = set()
        for path, _, files in os.walk(folder):
            for file in files:
                if file.startswith(_PART):
                    (Path(path) / file).unlink()
                elif (Path(path) / file).stat().st_size:
                    names.add((Path(path) / file).relative_to(folder).as_posix())
        return names

    def store(self, positions: NDArray[np.intp], pixels: NDArray[np.uint8]) -> int:
        """Write images, and return how many bytes these are. pixels: uint8 (N, C, H, W)."""
        return sum(self._pool.map(self._store_one, positions.tolist(), pixels))

    def _store_one(self, position: int, pixels: NDArray[np.uint8]) -> int:
        path = self._folder / self._writing.names[position]
        raw = layouts.encoded(pixels, self._writing.format)
        part = path.with_name(f"{_PART}{threading.get_ident()}")
        try:
            part.write_bytes(raw)
            part.replace(path)
        except OSError:  # the disk is full
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        return len(raw)

    def close(self) -> None:
        """Nothing is open between two calls."""

    def finish(self) -> None:
        """Give the folder, which is whole now, its name."""
        if not self.final.is_dir():
            self.final.parent.mkdir(exist_ok=True)
            self._folder.rename(self.final)
