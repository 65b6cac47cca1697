"""The store: a file that keeps results, so that nothing is lost, stored twice or measured again. For its tables see schema.py."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from robustbench_la.errors import UserError
from robustbench_la.files import check_writable
from robustbench_la.records.cells import Cell, RunSetting
from robustbench_la.records.networks import NetworkRecord
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
"""Seconds to wait for another process that is writing."""


def check(path: Path) -> None:
    """Raise UserError unless ``path`` is a writable store, or one can be created there; changes nothing."""
    check_writable(path)
    if path.exists():
        Store(path, reading=True).close()
        if not os.access(path, os.W_OK):
            raise UserError(f"cannot write {path}: no permission")


class Store:
    """An open store. Every change is one transaction, so a process may be killed at any moment."""

    def __init__(self, path: Path, *, reading: bool = False, patience: float = _PATIENCE) -> None:
        """Open a store, or create one, with arguments and errors as in ``database.connect``."""
        self.path = path
        self._connection = connect(path, reading=reading, patience=patience)
        self.reader = Reader(self._connection, path)
        self.writer = Writer(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def transaction(self) -> AbstractContextManager[None]:
        """A context for one atomic change, see ``database.transaction``."""
        return transaction(self._connection, self.path)

    def add(self, setting: RunSetting, cells: Iterable[Cell], *, labels: bytes | None = None, replace: bool = False) -> int:
        """Store the cells of a run in one transaction.

        Args:
            setting: Of the run.
            cells: The cells, with their predictions.
            labels: Of the images, packed by ``pack_classes``; needed once per dataset.
            replace: Replace existing cells with the same key; otherwise these are kept.

        Returns:
            The number of cells that were new.
        """
        with self.transaction():
            dataset = self.writer.dataset(setting.fingerprint, labels)
            run = self.writer.setting(setting, dataset)
            return sum(self.writer.add_cell(cell, dataset, run, setting.precision, replace=replace)[1] for cell in cells)

    def add_layers(self, setting: RunSetting, rows: Sequence[LayerRow], *, replace: bool = False) -> int:
        """Store the layer records of a run in one transaction.

        Args:
            setting: Of the run.
            rows: The records.
            replace: First delete all existing records of the same networks and passes.

        Returns:
            The number of records that were new.
        """
        with self.transaction():
            dataset = self.writer.dataset(setting.fingerprint, None)
            run = self.writer.setting(setting, dataset)
            replaced = self.writer.forget_layers(rows, dataset, setting.precision) if replace else 0
            return sum(self.writer.add_layer(row, dataset, run, setting.precision) for row in rows) - replaced

    def describe(self, networks: Iterable[NetworkRecord]) -> None:
        """Let what is known about networks now, such as their training seeds, replace what is stored about them.

        Args:
            networks: Those that are not stored are ignored.
        """
        with self.transaction():
            for network in networks:
                self.writer.describe(network)

    def cells(self, selection: Selection = EVERYTHING, *, predictions: bool = False) -> list[Stored]:
        """Read cells.

        Args:
            selection: Which cells.
            predictions: Whether to read their predictions, too; they take a hundred times the memory of everything else
                (``Store.predictions`` reads those of a single cell).

        Returns:
            The cells, in the order in which they were added.
        """
        return list(self.reader.cells(selection, predictions=predictions))

    def corruptions(self) -> frozenset[str]:
        """The names of the corruptions of all cells and layer records."""
        return self.reader.corruptions()

    def predictions(self, stored: Stored) -> NDArray[np.uint16]:
        """The predicted class of each image of a cell, in the order of the ids: (N,)."""
        return self.reader.predictions(stored)

    def labels(self, fingerprint: str) -> NDArray[np.uint16]:
        """The label of each image of a dataset, in the order of the ids: (N,)."""
        return self.reader.labels(fingerprint)

    def layers(self, selection: Selection = EVERYTHING, *, statistics: bool = True) -> list[tuple[RunSetting, LayerRow]]:
        """Read layer records.

        Args:
            selection: Which records.
            statistics: Whether to read their statistics, too; without them reading takes a hundredth of the time.

        Returns:
            The records in the order in which they were added, each with the setting of its run.
        """
        return [(setting, row) for _, setting, row in self.reader.layers(selection, statistics=statistics)]

    def forget(self, selection: Selection) -> tuple[int, int]:
        """Delete the cells and layer records of a selection, and whatever nothing refers to any more.

        Args:
            selection: What to delete.

        Returns:
            The number of cells and of layer records deleted; rows for whole networks are not counted.
        """
        where, wanted = selection.where()
        with self.transaction():
            of_layers = f"SELECT count(*) FROM layers c {JOINED} WHERE {where} AND c.position >= 0"
            records = self._connection.execute(of_layers, wanted).fetchone()[0]
            deleted = [
                self._connection.execute(
                    f"DELETE FROM {table} WHERE id IN (SELECT c.id FROM {table} c {JOINED} WHERE {where})", wanted
                ).rowcount
                for table in ("cells", "layers")
            ]
            for table, column in (("networks", "network"), ("settings", "setting"), ("datasets", "dataset")):
                used = f"SELECT {column} FROM cells UNION SELECT {column} FROM layers"
                self._connection.execute(f"DELETE FROM {table} WHERE id NOT IN ({used})")
        return deleted[0], records
