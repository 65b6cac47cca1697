"""Reading a store: rows of its tables become cells, layer records, predictions and labels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any

from robustbench_la.errors import UserError, first_line
from robustbench_la.records.cells import Cell, RunSetting
from robustbench_la.records.networks import NETWORK, NetworkRecord
from robustbench_la.records.packing import unpack_classes
from robustbench_la.store import rows as stored_rows
from robustbench_la.store.database import damaged, explained
from robustbench_la.store.layer_json import statistics as statistics_of
from robustbench_la.store.layer_rows import LayerRow
from robustbench_la.store.rows import MEASURED, MOST_IMAGES, PASS, SETTING
from robustbench_la.store.schema import EVERYTHING, JOINED, Selection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LAYER = {"layer": (str,), "index": (int,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A cell as kept in a store."""

    id: int
    """In this file; used by ``Store.predictions``."""
    setting: RunSetting
    """Of the run that measured it; shared by all cells of that run."""
    cell: Cell


class Reader:
    """Reads an open store. Every call sees a consistent snapshot of the file."""

    def __init__(self, connection: Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def cells(
        self, selection: Selection = EVERYTHING, *, predictions: bool = False, after: int = 0, most: int = -1
    ) -> Iterator[Stored]:
        """Read cells in the order of their ids.

        Args:
            selection: Which cells.
            predictions: Whether to read their predictions, too.
            after: Only cells with a larger id.
            most: The most cells to read; -1 for all.

        Yields:
            The cells.

        Raises:
            UserError: If the store is damaged.
        """
        where, wanted = selection.where()
        columns = [f"c.{name}" for name in ("id", "setting", "network", *PASS, *MEASURED)]
        packed, join = ("p.classes", "JOIN predictions p ON p.cell = c.id") if predictions else ("x''", "")
        query = f"SELECT {', '.join(columns)}, {packed} FROM cells c {JOINED} {join} WHERE {where} AND c.id > ?"
        query += " ORDER BY c.id LIMIT ?"
        settings, networks, rows = self._rows(query, [*wanted, after, most])
        split = len(PASS)
        for number, run, network, *values, classes in rows:
            with self._row("cells", number):
                pass_ = stored_rows.pass_of(*values[:split])
                cell = stored_rows.cell(networks[network], pass_, tuple(values[split:]), classes)
                stored = Stored(id=number, setting=settings[run], cell=cell)
                if cell.total > stored.setting.images:
                    raise ValueError(f"{cell.total} images instead of the {stored.setting.images} of its run")
            yield stored

    def corruptions(self) -> frozenset[str]:
        """The names of the corruptions of all cells and layer records. Raises UserError if the store is damaged."""
        with explained(self._path):
            names = self._connection.execute("SELECT corruption FROM cells UNION SELECT corruption FROM layers").fetchall()
        return frozenset(str(name) for (name,) in names)

    def layers(
        self, selection: Selection = EVERYTHING, *, statistics: bool = True, after: int = 0, most: int = -1
    ) -> Iterator[tuple[int, RunSetting, LayerRow]]:
        """Read layer records in the order of their ids.

        Args:
            selection: Which records.
            statistics: Whether to read their statistics, too.
            after: Only records with a larger id.
            most: The most records to read; -1 for all.

        Yields:
            Id, setting of the run, and record.

        Raises:
            UserError: If the store is damaged.
        """
        where, wanted = selection.where()
        columns = ", ".join(f"c.{name}" for name in (*PASS, "layer", "position"))
        text = "c.statistics" if statistics else "'{}'"
        query = f"SELECT c.id, c.setting, c.network, {text}, {columns} FROM layers c {JOINED} WHERE {where} AND c.id > ?"
        settings, networks, rows = self._rows(f"{query} ORDER BY c.id LIMIT ?", [*wanted, after, most])
        split = len(PASS)
        for number, run, network, packed, *rest in rows:
            with self._row("layers", number):
                place = stored_rows.checked(tuple(rest[split:]), _LAYER)
                row = LayerRow(
                    network=networks[network],
                    pass_=stored_rows.pass_of(*rest[:split]),
                    statistics=statistics_of(packed, whole=place["index"] < 0),
                    **place,
                )
                setting = settings[run]
            yield number, setting, row

    @contextlib.contextmanager
    def _row(self, table: str, number: object) -> Iterator[None]:
        """Name a row that larobust cannot have written."""
        try:
            yield
        except KeyError:
            raise damaged(self._path, f"row {number} of {table} belongs to no network or run") from None
        except ValueError as error:
            raise damaged(self._path, f"row {number} of {table}: {first_line(error)}") from None

    def _rows(
        self, query: str, wanted: Sequence[object]
    ) -> tuple[dict[int, RunSetting], dict[int, NetworkRecord], list[tuple[Any, ...]]]:
        """All settings, all networks, and the rows of a query, from one consistent snapshot."""
        with explained(self._path):
            self._connection.execute("BEGIN")
            try:
                return self._settings(), self._networks(), self._connection.execute(query, wanted).fetchall()
            finally:
                self._connection.execute("ROLLBACK")

    def _settings(self) -> dict[int, RunSetting]:
        columns = ", ".join(f'{"d" if name == "fingerprint" else "s"}."{name}"' for name in SETTING)
        query = f"SELECT s.id, {columns} FROM settings s JOIN datasets d ON d.id = s.dataset"
        settings = {}
        for number, *values in self._connection.execute(query):
            with self._row("settings", number):
                settings[number] = stored_rows.setting(tuple(values))
        return settings

    def _networks(self) -> dict[int, NetworkRecord]:
        networks = {}
        for number, *values in self._connection.execute(f"SELECT id, {', '.join(NETWORK)} FROM networks"):
            with self._row("networks", number):
                networks[number] = stored_rows.network(tuple(values))
        return networks

    def predictions(self, stored: Stored) -> NDArray[np.uint16]:
        """The predicted class of each image of a cell.

        Args:
            stored: The cell.

        Returns:
            (N,), in the order of the ids.

        Raises:
            UserError: If the store does not hold them any more, or is damaged.
        """
        cell = stored.cell
        # Another cell may have been given this id in the meantime, but hardly with the same likelihood and time.
        query = "SELECT classes FROM predictions JOIN cells c ON c.id = cell WHERE cell = ? AND c.nll_sum = ? AND c.seconds = ?"
        with explained(self._path):
            row = self._connection.execute(query, (stored.id, cell.nll_sum, cell.seconds)).fetchone()
        return self.unpacked(row[0] if row else None, cell.total)

    def labels(self, fingerprint: str) -> NDArray[np.uint16]:
        """The label of each image of a dataset.

        Args:
            fingerprint: Of the dataset.

        Returns:
            (N,), in the order of the ids.

        Raises:
            UserError: If the store does not hold them, or is damaged.
        """
        with explained(self._path):
            query = "SELECT max(s.images) FROM settings s JOIN datasets d ON d.id = s.dataset WHERE d.fingerprint = ?"
            (images,) = self._connection.execute(query, (fingerprint,)).fetchone()
        return self.unpacked(self.packed_labels(fingerprint), images if isinstance(images, int) else 0)

    def packed_labels(self, fingerprint: str) -> bytes | None:
        """The labels of a dataset, as ``pack_classes`` packed them; None if the store does not hold them."""
        with explained(self._path):
            row = self._connection.execute("SELECT labels FROM datasets WHERE fingerprint = ?", (fingerprint,)).fetchone()
        if row and not isinstance(row[0], bytes | None):
            raise damaged(self._path, f"the labels of dataset {fingerprint[:12]} are {str(row[0])[:40]!r}")
        return row[0] if row else None

    def unpacked(self, packed: bytes | None, count: int) -> NDArray[np.uint16]:
        """Unpack classes, (count,). Raises UserError if they are missing (None) or damaged."""
        if packed is None:
            raise UserError(
                f"{self._path} does not hold the predictions or labels to be read; were they deleted in the meantime?"
            )
        try:
            if not (isinstance(packed, bytes) and 0 <= count <= MOST_IMAGES):
                raise UserError(f"the classes of {count} images are {str(packed)[:40]!r}")
            return unpack_classes(packed, count)
        except UserError as error:
            raise damaged(self._path, str(error)) from None

    def same_answers(self, number: int, cell: Cell) -> bool:
        """Whether a stored cell has the same predictions as another; their compressed bytes may depend on the version of zlib.

        Args:
            number: Id of the stored cell.
            cell: The other cell.
        """
        query = "SELECT correct, correct_top5, total, classes FROM cells JOIN predictions ON cell = id WHERE id = ?"
        row = self._connection.execute(query, (number,)).fetchone()
        if row is None:
            raise damaged(self._path, f"row {number} of cells has no predictions")
        *counts, packed = row
        if counts != [cell.correct, cell.correct_top5, cell.total]:
            return False
        if packed == cell.predictions:
            return True
        ours, theirs = (self.unpacked(classes, cell.total) for classes in (packed, cell.predictions))
        return ours.tobytes() == theirs.tobytes()
