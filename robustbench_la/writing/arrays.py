"""One array of images per corruption, as in CIFAR-10-C: written row by row, so that its length says where to go on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robustbench_la.records.cells import Condition
from robustbench_la.writing import layouts
from robustbench_la.writing.preparing import Writing


class ArrayFile:
    """The file of one corruption."""

    def __init__(self, writing: Writing, conditions: Sequence[Condition], unfinished: Path) -> None:
        """conditions: those of one corruption, in the order of their severities."""
        name = f"{conditions[0].corruption}.npy"
        self.final = writing.output / name
        shape = layouts.array_shape(writing.images, len(conditions))
        self.images = shape[0]
        self._path, self._conditions, self._header = unfinished / name, conditions, layouts.array_header(shape)
        self._row = shape[1] * shape[2] * shape[3]
        self._file: FileIO | None = None
        self._done = self.images if self.final.exists() else self._rows_there()

    @property
    def bytes_missing(self) -> int:
        """How much the file will still grow."""
        return (self.images - self._done) * self._row

    def _rows_there(self) -> int:
        """How many whole images an interrupted run left."""
        try:
            with self._path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size - len(self._header)
                return max(0, size // self._row) if file.read(len(self._header)) == self._header else 0
        except FileNotFoundError:
            return 0

    def missing(self) -> Iterator[tuple[Condition, NDArray[np.intp]]]:
        """The conditions of which images are missing, and the positions of these images."""
        count = self.images // len(self._conditions)
        for number, condition in enumerate(self._conditions):
            positions = np.arange(max(0, self._done - number * count), count)
            if len(positions):
                yield condition, positions

    def store(self, positions: NDArray[np.intp], pixels: NDArray[np.uint8]) -> int:
        """Write the next rows, and return how many bytes these are. pixels: uint8 (N, C, H, W)."""
        if self._file is None:
            self._file = self._opened()
        rest = memoryview(pixels.transpose(0, 2, 3, 1).tobytes())
        size = len(rest)
        while rest:
            rest = rest[self._file.write(rest) :]
        return size

    def _opened(self) -> FileIO:
        file = FileIO(self._path, "r+" if self._path.exists() else "x+")
        if not self._done:
            file.truncate(0)
            file.write(self._header)
        file.truncate(len(self._header) + self._done * self._row)  # without the image that was being written
        file.seek(0, os.SEEK_END)
        return file

    def close(self) -> None:
        """Let go of the file, whole or not."""
        if self._file is not None:
            self._file.close()

    def finish(self) -> None:
        """Give the file, which is whole now, its name."""
        if self.final.exists():
            return
        if self._file is not None:
            os.fsync(self._file.fileno())
        self.close()
        self._path.replace(self.final)
