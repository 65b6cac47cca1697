"""Writing to a store, row by row, within a transaction of the caller: what is there already is not stored twice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any

from robustbench_la.records.cells import Cell, RunSetting
from robustbench_la.records.networks import NetworkRecord
from robustbench_la.store import rows as stored_rows
from robustbench_la.store.layer_rows import LayerRow
from robustbench_la.store.rows import MEASURED, SETTING
from robustbench_la.store.schema import KEY_MATCHES, NETWORK_MATCHES

if TYPE_CHECKING:
    pass

_SETTING = tuple(name for name in SETTING if name != "fingerprint")
_SAME_LAYER = f"SELECT id, statistics FROM layers WHERE {KEY_MATCHES} AND layer = :layer AND position = :position"


class Writer:
    """The tables of an open file of results."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_cell(self, cell: Cell, dataset: int, setting: int, precision: str, *, replace: bool = False) -> tuple[int, bool]:
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

    def forget_layers(self, rows: Sequence[LayerRow], dataset: int, precision: str) -> int:
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

    def add_layer(self, row: LayerRow, dataset: int, setting: int, precision: str) -> bool:
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

    def dataset(self, fingerprint: str, labels: bytes | None) -> int:
        self._connection.execute("INSERT INTO datasets (fingerprint) VALUES (?) ON CONFLICT DO NOTHING", (fingerprint,))
        number, known = self._connection.execute(
            "SELECT id, labels IS NOT NULL FROM datasets WHERE fingerprint = ?", (fingerprint,)
        ).fetchone()
        if labels is not None and not known:
            self._connection.execute("UPDATE datasets SET labels = ? WHERE id = ?", (labels, number))
        return int(number)

    def setting(self, setting: RunSetting, dataset: int) -> int:
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


def _tells_more(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether one record of a layer or a network has all of the other's statistics, and more."""
    own, others = ({*side, *(f"per image: {name}" for name in side.get("per_image", ()))} for side in (one, other))
    return own > others


def _text(name: str) -> str:
    """A file name that is no text (bytes that are not UTF-8), as text."""
    return name.encode(errors="surrogateescape").decode(errors="replace")
