"""Writing to a store, row by row, inside the caller's transaction; nothing is stored twice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from sqlite3 import Connection
from typing import Any

from robustbench_la.records.cells import Cell, RunSetting
from robustbench_la.records.networks import NetworkRecord
from robustbench_la.store import rows as stored_rows
from robustbench_la.store.layer_json import statistics
from robustbench_la.store.layer_rows import LayerRow
from robustbench_la.store.rows import MEASURED, SETTING
from robustbench_la.store.schema import KEY_MATCHES, NETWORK_MATCHES
from robustbench_la.text import valid

_SETTING = tuple(name for name in SETTING if name != "fingerprint")
_SAME_LAYER = f"SELECT id, statistics FROM layers WHERE {KEY_MATCHES} AND layer = :layer AND position = :position"


class Writer:
    """Writes rows to the tables of an open store."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_cell(self, cell: Cell, dataset: int, setting: int, precision: str, *, replace: bool = False) -> tuple[int, bool]:
        """Store a cell and its predictions, unless there is one with the same key.

        Args:
            cell: The cell.
            dataset: Id of its dataset.
            setting: Id of the setting of its run.
            precision: Of the run.
            replace: Replace an existing cell.

        Returns:
            Its id, and whether it is new.
        """
        row = {name: getattr(cell, name) for name in MEASURED} | stored_rows.pass_columns(cell.pass_)
        row |= {"network": self._network(cell.network), "dataset": dataset, "setting": setting, "precision": precision}
        existing = self._connection.execute(f"SELECT id FROM cells WHERE {KEY_MATCHES}", row).fetchone()
        if existing and not replace:
            return existing[0], False
        if existing:
            self._connection.execute("DELETE FROM cells WHERE id = ?", existing)
        number = self._insert("cells", row)
        self._insert("predictions", {"cell": number, "classes": cell.predictions})
        return number, not existing

    def forget_layers(self, rows: Sequence[LayerRow], dataset: int, precision: str) -> int:
        """Delete all layers of the networks and passes of ``rows``; returns how many of ``rows`` existed."""
        keys = [self._layer_key(row, dataset, precision) for row in rows]
        existing = sum(self._connection.execute(_SAME_LAYER, key).fetchone() is not None for key in keys)
        self._connection.executemany(f"DELETE FROM layers WHERE {KEY_MATCHES}", keys)
        return existing

    def _layer_key(self, row: LayerRow, dataset: int, precision: str) -> dict[str, Any]:
        return {
            **stored_rows.pass_columns(row.pass_),
            "layer": valid(row.layer),
            "position": row.index,
            "network": self._network(row.network),
            "dataset": dataset,
            "precision": precision,
        }

    def add_layer(self, row: LayerRow, dataset: int, setting: int, precision: str) -> bool:
        """Store a layer record, unless there is one that has as many statistics; returns whether its key is new."""
        text = json.dumps(dict(row.statistics), allow_nan=False)
        columns = self._layer_key(row, dataset, precision) | {"setting": setting, "statistics": text}
        existing = self._connection.execute(_SAME_LAYER, columns).fetchone()
        if existing and _has_more(row.statistics, statistics(existing[1], whole=row.index < 0)):
            self._connection.execute(
                "UPDATE layers SET statistics = ?, setting = ? WHERE id = ?", (columns["statistics"], setting, existing[0])
            )
        elif not existing:
            self._insert("layers", columns)
        return not existing

    def dataset(self, fingerprint: str, labels: bytes | None) -> int:
        """The id of a dataset, stored if it is new; its labels are stored if they are missing."""
        self._connection.execute("INSERT INTO datasets (fingerprint) VALUES (?) ON CONFLICT DO NOTHING", (fingerprint,))
        number, has_labels = self._connection.execute(
            "SELECT id, labels IS NOT NULL FROM datasets WHERE fingerprint = ?", (fingerprint,)
        ).fetchone()
        if labels is not None and not has_labels:
            self._connection.execute("UPDATE datasets SET labels = ? WHERE id = ?", (labels, number))
        return int(number)

    def setting(self, setting: RunSetting, dataset: int) -> int:
        """The id of the setting of a run, stored if it is new."""
        row = {name: getattr(setting, name) for name in _SETTING} | {"dataset": dataset, "data": valid(setting.data)}
        row["versions"] = json.dumps(dict(setting.versions), sort_keys=True)
        row["assumed"] = json.dumps(setting.assumed)
        same = " AND ".join(f'"{name}" IS :{name}' for name in row)
        existing = self._connection.execute(f"SELECT id FROM settings WHERE {same}", row).fetchone()
        return int(existing[0]) if existing else self._insert("settings", row)

    def _network(self, network: NetworkRecord) -> int:
        row = _columns(network)
        existing = self._connection.execute(f"SELECT id FROM networks WHERE {NETWORK_MATCHES}", row).fetchone()
        if existing is None:
            return self._insert("networks", row)
        self.describe(network, only_gaps=True)
        return int(existing[0])

    def describe(self, network: NetworkRecord, *, only_gaps: bool = False) -> None:
        """Let what is known about a network now replace what is stored, or fill the gaps; ignored if not stored."""
        if known := network.known:
            gap = "ifnull({0}, '') = ''" if only_gaps else "{0} IS NOT :{0}"
            changes = ", ".join(f"{name} = CASE WHEN {gap.format(name)} THEN :{name} ELSE {name} END" for name in known)
            differs = " OR ".join(gap.format(name) for name in known)
            self._connection.execute(f"UPDATE networks SET {changes} WHERE {NETWORK_MATCHES} AND ({differs})", _columns(network))

    def _insert(self, table: str, row: Mapping[str, object]) -> int:
        names = ", ".join(f'"{name}"' for name in row)
        cursor = self._connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in row)})", dict(row)
        )
        return int(cursor.lastrowid or 0)


def _columns(network: NetworkRecord) -> dict[str, Any]:
    return {name: valid(value) if isinstance(value, str) else value for name, value in network.as_dict().items()}


def _has_more(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether a new record of a layer or a network has all statistics of the old one, and more."""
    ours, theirs = ({*side, *(f"per image: {name}" for name in side.get("per_image", ()))} for side in (new, old))
    return ours > theirs
