"""The file of results: what was measured is neither lost, nor stored twice, nor measured again. Its tables: schema.py."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from robustbench_la.errors import UserError, first_line
from robustbench_la.files import check_writable
from robustbench_la.records.cells import Cell, RunSetting
from robustbench_la.records.network_id import NETWORK, NetworkRecord
from robustbench_la.records.packing import unpack_classes
from robustbench_la.store import rows as stored_rows
from robustbench_la.store.database import connect, damaged, explained, transaction
from robustbench_la.store.layer_rows import LayerRow
from robustbench_la.store.rows import MEASURED, PASS, SETTING
from robustbench_la.store.schema import EVERYTHING, KEY_MATCHES, NETWORK_MATCHES, Selection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEFAULT = Path("runs/results.sqlite")
_PATIENCE = 60.0
"""Seconds to wait for another process that writes."""
_BATCH = 500
"""Cells that are merged in one transaction."""
_SETTING = tuple(name for name in SETTING if name != "fingerprint")
_LAYER = {"layer": (str,), "index": (int,)}
_SAME_LAYER = f"SELECT id, statistics FROM layers WHERE {KEY_MATCHES} AND layer = :layer AND position = :position"
_JOINED = "JOIN networks n ON n.id = c.network JOIN settings s ON s.id = c.setting JOIN datasets d ON d.id = c.dataset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A cell as it lies in a store."""

    id: int
    """Of this file; ``Store.predictions`` takes it."""
    setting: RunSetting
    """Of the run that measured it; shared by all cells of that run."""
    cell: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What became of the cells and layer records of another store."""

    added: int
    there: int
    """The same key, and the same answers where it is a cell."""
    conflicting: tuple[Cell, ...]
    """The same key with other answers: what was there first stays."""


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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def add(self, setting: RunSetting, cells: Iterable[Cell], *, labels: bytes | None = None, replace: bool = False) -> int:
        """Store cells of one run in one transaction, and give the number of those that were not there.

        labels: of the images, as ``pack_classes`` packs them; needed once.  replace: put them in the place of what is there.
        """
        with transaction(self._connection, self.path):
            dataset = self._dataset(setting.fingerprint, labels)
            run = self._setting(setting, dataset)
            return sum(self._add(cell, dataset, run, setting.precision, replace=replace)[1] for cell in cells)

    def _add(self, cell: Cell, dataset: int, setting: int, precision: str, *, replace: bool = False) -> tuple[int, bool]:
        """Store a cell and its predictions unless its key is there: its id, and whether it is new."""
        row = {name: getattr(cell, name) for name in MEASURED} | stored_rows.pass_columns(cell.pass_)
        row |= {"network": self._network(cell.network), "dataset": dataset, "setting": setting, "precision": precision}
        there = self._connection.execute(f"SELECT id FROM cells WHERE {KEY_MATCHES}", row).fetchone()
        if there and not replace:
            return there[0], False
        if there:
            self._connection.execute("DELETE FROM cells WHERE id = ?", there)
        number = self._insert("cells", row)
        self._insert("predictions", {"cell": number, "classes": cell.predictions})
        return number, not there

    def add_layers(self, setting: RunSetting, rows: Sequence[LayerRow], *, replace: bool = False) -> int:
        """Store layer records of one run in one transaction, and give the number of those that were not there.

        replace: the rows take the place of all that are there of their networks and conditions.
        """
        with transaction(self._connection, self.path):
            dataset = self._dataset(setting.fingerprint, None)
            run = self._setting(setting, dataset)
            known = self._forget_layers(rows, dataset, setting.precision) if replace else 0
            return sum(self._add_layer(row, dataset, run, setting.precision) for row in rows) - known

    def _forget_layers(self, rows: Sequence[LayerRow], dataset: int, precision: str) -> int:
        """Drop all layers of the networks and conditions of ``rows``, and give the number of ``rows`` that were there."""
        wanted = [self._layer_key(row, dataset, precision) for row in rows]
        known = sum(self._connection.execute(_SAME_LAYER, own).fetchone() is not None for own in wanted)
        self._connection.executemany(f"DELETE FROM layers WHERE {KEY_MATCHES}", wanted)
        return known

    def _layer_key(self, row: LayerRow, dataset: int, precision: str) -> dict[str, Any]:
        return {
            **stored_rows.pass_columns(row.pass_),
            "layer": row.layer,
            "position": row.index,
            "network": self._network(row.network),
            "dataset": dataset,
            "precision": precision,
        }

    def _add_layer(self, row: LayerRow, dataset: int, setting: int, precision: str) -> bool:
        statistics = json.dumps(dict(row.statistics), allow_nan=False)
        own = self._layer_key(row, dataset, precision) | {"setting": setting, "statistics": statistics}
        there = self._connection.execute(_SAME_LAYER, own).fetchone()
        if there and _tells_more(row.statistics, json.loads(there[1])):
            self._connection.execute(
                "UPDATE layers SET statistics = ?, setting = ? WHERE id = ?", (own["statistics"], setting, there[0])
            )
        elif not there:
            self._insert("layers", own)
        return not there

    def _dataset(self, fingerprint: str, labels: bytes | None) -> int:
        self._connection.execute("INSERT INTO datasets (fingerprint) VALUES (?) ON CONFLICT DO NOTHING", (fingerprint,))
        number, known = self._connection.execute(
            "SELECT id, labels IS NOT NULL FROM datasets WHERE fingerprint = ?", (fingerprint,)
        ).fetchone()
        if labels is not None and not known:
            self._connection.execute("UPDATE datasets SET labels = ? WHERE id = ?", (labels, number))
        return int(number)

    def _setting(self, setting: RunSetting, dataset: int) -> int:
        row = {name: getattr(setting, name) for name in _SETTING} | {"dataset": dataset, "data": _text(setting.data)}
        row["versions"] = json.dumps(dict(setting.versions), sort_keys=True)
        same = " AND ".join(f'"{name}" IS :{name}' for name in row)
        there = self._connection.execute(f"SELECT id FROM settings WHERE {same}", row).fetchone()
        return int(there[0]) if there else self._insert("settings", row)

    def _network(self, network: NetworkRecord) -> int:
        row = network.as_dict()
        there = self._connection.execute(f"SELECT id FROM networks WHERE {NETWORK_MATCHES}", row).fetchone()
        return int(there[0]) if there else self._insert("networks", {**row, "checkpoint": _text(row["checkpoint"])})

    def _insert(self, table: str, row: Mapping[str, object]) -> int:
        names = ", ".join(f'"{name}"' for name in row)
        cursor = self._connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in row)})", dict(row)
        )
        return int(cursor.lastrowid or 0)

    def cells(self, selection: Selection = EVERYTHING, *, predictions: bool = False) -> list[Stored]:
        """The cells of a selection in the order in which they came.

        predictions: with them; they take a hundred times as much memory as all else (``Store.predictions`` gives those of one).
        """
        return list(self._stream(selection, predictions=predictions))

    def _stream(self, selection: Selection, *, predictions: bool, after: int = 0, most: int = -1) -> Iterator[Stored]:
        """Cells with an id above ``after``, at most ``most`` of them (-1: all)."""
        where, wanted = selection.where()
        columns = [f"c.{name}" for name in ("id", "setting", "network", *PASS, *MEASURED)]
        packed, join = ("p.classes", "JOIN predictions p ON p.cell = c.id") if predictions else ("x''", "")
        query = f"SELECT {', '.join(columns)}, {packed} FROM cells c {_JOINED} {join} WHERE {where} AND c.id > ?"
        query += " ORDER BY c.id LIMIT ?"
        settings, networks, found = self._read(query, [*wanted, after, most])
        split = len(PASS)
        for number, run, of, *values, classes in found:
            try:
                under = stored_rows.pass_of(*values[:split])
                cell = stored_rows.cell(networks[of], under, tuple(values[split:]), classes)
            except ValueError as error:
                raise damaged(self.path, first_line(error)) from None
            yield Stored(id=number, setting=settings[run], cell=cell)

    def _read(
        self, query: str, wanted: Sequence[object]
    ) -> tuple[dict[int, RunSetting], dict[int, NetworkRecord], list[tuple[Any, ...]]]:
        """The settings, the networks, and the rows of a query, all as they were at one moment."""
        with explained(self.path):
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
            try:
                settings[number] = stored_rows.setting(tuple(values))
            except ValueError as error:
                raise damaged(self.path, f"what a run was made with: {first_line(error)}") from None
        return settings

    def _networks(self) -> dict[int, NetworkRecord]:
        networks = {}
        for number, *values in self._connection.execute(f"SELECT id, {', '.join(NETWORK)} FROM networks"):
            try:
                networks[number] = stored_rows.network(tuple(values))
            except ValueError as error:
                raise damaged(self.path, f"a network: {first_line(error)}") from None
        return networks

    def predictions(self, stored: Stored) -> NDArray[np.uint16]:
        """The predicted class of each image of a cell, in the order of ids: (N,)."""
        cell = stored.cell
        # Another cell may have got its number meanwhile, but hardly with the same figures.
        query = "SELECT classes FROM predictions JOIN cells c ON c.id = cell WHERE cell = ? AND c.nll_sum = ? AND c.seconds = ?"
        with explained(self.path):
            row = self._connection.execute(query, (stored.id, cell.nll_sum, cell.seconds)).fetchone()
        return self._unpacked(row[0] if row else None, cell.total)

    def labels(self, fingerprint: str) -> NDArray[np.uint16]:
        """The label of each image of a dataset, in the order of ids: (N,); where a prediction is equal, it is correct."""
        with explained(self.path):
            query = "SELECT max(s.images) FROM settings s JOIN datasets d ON d.id = s.dataset WHERE d.fingerprint = ?"
            (images,) = self._connection.execute(query, (fingerprint,)).fetchone()
        return self._unpacked(self._packed_labels(fingerprint), images if isinstance(images, int) else 0)

    def _packed_labels(self, fingerprint: str) -> bytes | None:
        with explained(self.path):
            row = self._connection.execute("SELECT labels FROM datasets WHERE fingerprint = ?", (fingerprint,)).fetchone()
        return row[0] if row else None

    def _unpacked(self, packed: bytes | None, count: int) -> NDArray[np.uint16]:
        if packed is None:
            raise UserError(f"{self.path} does not hold what was to be read from it (was it forgotten meanwhile?)")
        try:
            return unpack_classes(packed, count)
        except UserError as error:
            raise damaged(self.path, str(error)) from None

    def layers(self, selection: Selection = EVERYTHING, *, statistics: bool = True) -> list[tuple[RunSetting, LayerRow]]:
        """Layer records as they were given, each with the setting of its run, in the order in which they came.

        statistics: with them; without, what a record is of is read in a hundredth of the time.
        """
        return [(setting, row) for _, setting, row in self._stream_layers(selection, statistics=statistics)]

    def _stream_layers(
        self, selection: Selection, *, statistics: bool = True, after: int = 0, most: int = -1
    ) -> Iterator[tuple[int, RunSetting, LayerRow]]:
        """Layer records with an id above ``after``, at most ``most`` of them (-1: all), behind their ids."""
        where, wanted = selection.where()
        columns = ", ".join(f"c.{name}" for name in (*PASS, "layer", "position"))
        text = "c.statistics" if statistics else "'{}'"
        query = f"SELECT c.id, c.setting, c.network, {text}, {columns} FROM layers c {_JOINED} WHERE {where} AND c.id > ?"
        settings, networks, found = self._read(f"{query} ORDER BY c.id LIMIT ?", [*wanted, after, most])
        split = len(PASS)
        for number, run, of, packed, *told in found:
            try:
                row = LayerRow(
                    network=networks[of],
                    pass_=stored_rows.pass_of(*told[:split]),
                    statistics=dict(json.loads(packed)),
                    **stored_rows.checked(tuple(told[split:]), _LAYER),
                )
            except (ValueError, TypeError, RecursionError):
                raise damaged(self.path, "the statistics of a layer") from None
            yield number, settings[run], row

    def merge(self, other: Store) -> Merged:
        """Take over what another store holds and this one lacks.

        In many small transactions, so that processes that write to either file need not wait for long; if interrupted, do it
        again.
        """
        added, there, last = 0, 0, 0
        conflicting: list[Cell] = []
        while batch := list(other._stream(EVERYTHING, predictions=True, after=last, most=_BATCH)):
            last = batch[-1].id
            with transaction(self._connection, self.path):
                for stored in batch:
                    number, new = self._add(stored.cell, *self._run(stored.setting, other), stored.setting.precision)
                    if new:
                        added += 1
                    elif self._same_answers(number, stored.cell):
                        there += 1
                    else:
                        conflicting.append(stored.cell)
        last = 0
        while records := list(other._stream_layers(EVERYTHING, after=last, most=_BATCH)):
            last = records[-1][0]
            with transaction(self._connection, self.path):
                for _, setting, row in records:
                    new = self._add_layer(row, *self._run(setting, other), setting.precision)
                    added, there = added + new, there + (not new)
        return Merged(added=added, there=there, conflicting=tuple(conflicting))

    def _run(self, setting: RunSetting, other: Store) -> tuple[int, int]:
        """The dataset and the setting of a run that another store holds, taken over from there."""
        dataset = self._dataset(setting.fingerprint, other._packed_labels(setting.fingerprint))
        return dataset, self._setting(setting, dataset)

    def _same_answers(self, number: int, cell: Cell) -> bool:
        """Whether a cell here says the same of each image; not how that is packed, which depends on the version of zlib."""
        query = "SELECT correct, correct_top5, total, classes FROM cells JOIN predictions ON cell = id WHERE id = ?"
        *counts, packed = self._connection.execute(query, (number,)).fetchone()
        if counts != [cell.correct, cell.correct_top5, cell.total]:
            return False
        if packed == cell.predictions:
            return True
        one, other = (self._unpacked(classes, cell.total) for classes in (packed, cell.predictions))
        return one.tobytes() == other.tobytes()

    def forget(self, selection: Selection) -> tuple[int, int]:
        """Remove the cells and the layer records of a selection, and give their numbers; those of whole networks do not count."""
        where, wanted = selection.where()
        with transaction(self._connection, self.path):
            of_layers = f"SELECT count(*) FROM layers c {_JOINED} WHERE {where} AND c.position >= 0"
            records = self._connection.execute(of_layers, wanted).fetchone()[0]
            gone = [
                self._connection.execute(
                    f"DELETE FROM {table} WHERE id IN (SELECT c.id FROM {table} c {_JOINED} WHERE {where})", wanted
                ).rowcount
                for table in ("cells", "layers")
            ]
            for table, column in (("networks", "network"), ("settings", "setting"), ("datasets", "dataset")):
                used = f"SELECT {column} FROM cells UNION SELECT {column} FROM layers"
                self._connection.execute(f"DELETE FROM {table} WHERE id NOT IN ({used})")
        return gone[0], records


def _tells_more(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether one record of a layer or a network has all of the other's statistics, and more."""
    own, others = ({*side, *(f"per image: {name}" for name in side.get("per_image", ()))} for side in (one, other))
    return own > others


def _text(name: str) -> str:
    """A file name that is no text (bytes that are not UTF-8), as text."""
    return name.encode(errors="surrogateescape").decode(errors="replace")
