"""The file of results: what was measured is neither lost, nor stored twice, nor measured again. Its tables: schema.py."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from robustbench_la.errors import UserError
from robustbench_la.files import check_writable
from robustbench_la.records.cells import Cell, RunSetting
from robustbench_la.store.database import connect, transaction
from robustbench_la.store.layer_rows import LayerRow
from robustbench_la.store.reading import Reader, Stored
from robustbench_la.store.schema import EVERYTHING, JOINED, Selection
from robustbench_la.store.writing import Writer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DEFAULT", "Store", "Stored", "check"]

DEFAULT = Path("runs/results.sqlite")
_PATIENCE = 60.0
"""Seconds to wait for another process that writes."""


def check(path: Path) -> None:
    """Raise UserError unless ``path`` is a store, or one can be made there; changes nothing."""
    check_writable(path)
    if path.exists():
        Store(path, reading=True).close()
        if not os.access(path, os.W_OK):
            raise UserError(f"cannot write {path}: no permission")


class Store:
    """One open file of results. Every change is one transaction: a process may be killed at any moment."""

    def __init__(self, path: Path, *, reading: bool = False, patience: float = _PATIENCE) -> None:
        """Open a store, or make one where there is none, with arguments and errors as in ``database.connect``."""
        self.path = path
        self._connection = connect(path, reading=reading, patience=patience)
        self.reader = Reader(self._connection, path)
        self.writer = Writer(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def transaction(self) -> AbstractContextManager[None]:
        """One change, as a whole or not at all, as in ``database.transaction``."""
        return transaction(self._connection, self.path)

    def add(self, setting: RunSetting, cells: Iterable[Cell], *, labels: bytes | None = None, replace: bool = False) -> int:
        """Store cells of one run in one transaction, and give the number of those that were not there.

        labels: of the images, as ``pack_classes`` packs them; needed once.  replace: put them in the place of what is there.
        """
        with self.transaction():
            dataset = self.writer.dataset(setting.fingerprint, labels)
            run = self.writer.setting(setting, dataset)
            return sum(self.writer.add_cell(cell, dataset, run, setting.precision, replace=replace)[1] for cell in cells)

    def add_layers(self, setting: RunSetting, rows: Sequence[LayerRow], *, replace: bool = False) -> int:
        """Store layer records of one run in one transaction, and give the number of those that were not there.

        replace: the rows take the place of all that are there of their networks and conditions.
        """
        with self.transaction():
            dataset = self.writer.dataset(setting.fingerprint, None)
            run = self.writer.setting(setting, dataset)
            known = self.writer.forget_layers(rows, dataset, setting.precision) if replace else 0
            return sum(self.writer.add_layer(row, dataset, run, setting.precision) for row in rows) - known

    def cells(self, selection: Selection = EVERYTHING, *, predictions: bool = False) -> list[Stored]:
        """The cells of a selection in the order in which they came.

        Args:
            selection: which.
            predictions: with them; they take a hundred times as much memory as all else (``Store.predictions`` gives those of
                one).
        """
        return list(self.reader.cells(selection, predictions=predictions))

    def predictions(self, stored: Stored) -> NDArray[np.uint16]:
        """The predicted class of each image of a cell, in the order of ids: (N,)."""
        return self.reader.predictions(stored)

    def labels(self, fingerprint: str) -> NDArray[np.uint16]:
        """The label of each image of a dataset, in the order of ids: (N,); where a prediction is equal, it is correct."""
        return self.reader.labels(fingerprint)

    def layers(self, selection: Selection = EVERYTHING, *, statistics: bool = True) -> list[tuple[RunSetting, LayerRow]]:
        """Layer records as they were given, each with the setting of its run, in the order in which they came.

        Args:
            selection: which.
            statistics: with them; without, what a record is of is read in a hundredth of the time.
        """
        return [(setting, row) for _, setting, row in self.reader.layers(selection, statistics=statistics)]

    def forget(self, selection: Selection) -> tuple[int, int]:
        """Remove the cells and the layer records of a selection, and give their numbers; those of whole networks do not count."""
        where, wanted = selection.where()
        with self.transaction():
            of_layers = f"SELECT count(*) FROM layers c {JOINED} WHERE {where} AND c.position >= 0"
            records = self._connection.execute(of_layers, wanted).fetchone()[0]
            gone = [
                self._connection.execute(
                    f"DELETE FROM {table} WHERE id IN (SELECT c.id FROM {table} c {JOINED} WHERE {where})", wanted
                ).rowcount
                for table in ("cells", "layers")
            ]
            for table, column in (("networks", "network"), ("settings", "setting"), ("datasets", "dataset")):
                used = f"SELECT {column} FROM cells UNION SELECT {column} FROM layers"
                self._connection.execute(f"DELETE FROM {table} WHERE id NOT IN ({used})")
        return gone[0], records
