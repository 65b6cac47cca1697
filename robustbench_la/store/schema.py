"""The tables of a store, the migrations from older schemas, and filters for cells. Opens no connections."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePath
from types import NoneType

from corruptions.registry import Level
from robustbench_la.records.cells import Condition, encode_level
from robustbench_la.records.networks import IDENTITY, NETWORK, UNSAID
from robustbench_la.text import valid

APPLICATION_ID = int.from_bytes(b"LARB", "big")
"""Written into the file header: an SQLite file with another number is not ours."""

# In SQL, NULLs are never equal, so columns that may be NULL are replaced inside indices. Predictions have their own table to keep
# that of the cells small: cells are read all at once, predictions one by one.
_CONDITION_1 = """
    corruption TEXT NOT NULL, severity INTEGER, profile TEXT, parameter REAL, noise_seed INTEGER,
"""
_KEY_1 = "network, dataset, precision, corruption, ifnull(severity, -1), ifnull(profile, ''), ifnull(parameter, -1), "
_KEY_1 += "ifnull(noise_seed, '')"
_FIRST = (
    "CREATE TABLE datasets (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, labels BLOB)",
    """CREATE TABLE settings (
        id INTEGER PRIMARY KEY, dataset INTEGER NOT NULL REFERENCES datasets,
        data TEXT NOT NULL, images INTEGER NOT NULL, dataset_images INTEGER NOT NULL, resize INTEGER, crop INTEGER,
        device TEXT NOT NULL, precision TEXT NOT NULL, batch_size INTEGER NOT NULL, threads INTEGER NOT NULL,
        started TEXT NOT NULL, versions TEXT NOT NULL, host TEXT NOT NULL, "commit" TEXT, dirty INTEGER
    )""",
    """CREATE TABLE networks (
        id INTEGER PRIMARY KEY, checkpoint TEXT NOT NULL, sha256 TEXT NOT NULL, architecture TEXT NOT NULL, code TEXT,
        activation TEXT NOT NULL, activation_level TEXT NOT NULL, alpha REAL, normalization TEXT NOT NULL, training_seed INTEGER
    )""",
    f"""CREATE TABLE cells (
        id INTEGER PRIMARY KEY, network INTEGER NOT NULL REFERENCES networks, dataset INTEGER NOT NULL REFERENCES datasets,
        setting INTEGER NOT NULL REFERENCES settings, precision TEXT NOT NULL, {_CONDITION_1}
        correct INTEGER NOT NULL, correct_top5 INTEGER, total INTEGER NOT NULL, nll_sum REAL NOT NULL, seconds REAL NOT NULL,
        calibration BLOB NOT NULL
    )""",
    f"CREATE UNIQUE INDEX one_cell ON cells ({_KEY_1})",
    "CREATE TABLE predictions (cell INTEGER PRIMARY KEY REFERENCES cells ON DELETE CASCADE, classes BLOB NOT NULL)",
    f"""CREATE TABLE layers (
        id INTEGER PRIMARY KEY, network INTEGER NOT NULL REFERENCES networks, dataset INTEGER NOT NULL REFERENCES datasets,
        setting INTEGER NOT NULL REFERENCES settings, precision TEXT NOT NULL, {_CONDITION_1}
        layer TEXT NOT NULL, position INTEGER NOT NULL, statistics TEXT NOT NULL
    )""",
    f"CREATE UNIQUE INDEX one_layer ON layers ({_KEY_1}, layer, position)",
)
_MISSING = {str: "''", int: "-1", float: "-1", bool: "-1"}
_SQL_TYPES = {str: "TEXT", int: "INTEGER", float: "REAL", bool: "INTEGER"}


def _comparable(expression: str, kinds: tuple[type, ...]) -> str:
    return f"ifnull({expression}, {_MISSING[kinds[0]]})" if NoneType in kinds else expression


def network_columns(*names: str) -> tuple[str, ...]:
    """A migration that adds a column for each of these fields of NetworkRecord to older files, filled with its default."""
    columns = ((name, _SQL_TYPES[NETWORK[name][0]], UNSAID[name]) for name in names)
    return tuple(
        f"ALTER TABLE networks ADD COLUMN {name} {kind}" + ("" if default is None else f" NOT NULL DEFAULT {_literal(default)}")
        for name, kind, default in columns
    )


def _literal(default: object) -> str:
    """A default in SQL; SQLite has no booleans."""
    return repr(int(default) if isinstance(default, bool) else default)


# A level consists of several numbers, so it is kept as text: see encode_level.
_KEY = "network, dataset, precision, corruption, ifnull(severity, -1), ifnull(profile, ''), parameters, ifnull(noise_seed, '')"
_SECOND = (
    *(
        statement
        for table in ("cells", "layers")
        for statement in (
            f"DROP INDEX one_{table[:-1]}",
            f"ALTER TABLE {table} ADD COLUMN parameters TEXT NOT NULL DEFAULT ''",
            f"UPDATE {table} SET parameters = level_as_text(parameter)",
            f"ALTER TABLE {table} DROP COLUMN parameter",
        )
    ),
    f"CREATE UNIQUE INDEX one_cell ON cells ({_KEY})",
    f"CREATE UNIQUE INDEX one_layer ON layers ({_KEY}, layer, position)",
)
_THIRD = (
    "ALTER TABLE settings ADD COLUMN assumed TEXT NOT NULL DEFAULT '[]'",
    *network_columns("activations_seen", "architecture_label"),
)
# Before this column, the random words of a noise did not depend on its level: those are other draws.
_KEY_WITH_VERSION = _KEY.replace("parameters,", "parameters, noise_version,")
_NOISE_VERSION = (
    *(
        statement
        for table in ("cells", "layers")
        for statement in (
            f"DROP INDEX one_{table[:-1]}",
            f"ALTER TABLE {table} ADD COLUMN noise_version INTEGER NOT NULL DEFAULT 2",
            f"UPDATE {table} SET noise_version = 1 "
            "WHERE corruption IN ('gaussian_noise', 'shot_noise', 'impulse_noise', 'speckle_noise')",
        )
    ),
    f"CREATE UNIQUE INDEX one_cell ON cells ({_KEY_WITH_VERSION})",
    f"CREATE UNIQUE INDEX one_layer ON layers ({_KEY_WITH_VERSION}, layer, position)",
)


def _another_key(name: str, kind: str, key: str) -> tuple[str, ...]:
    """Statements that add a column to cells and layers, as a part of what tells their rows apart.

    Args:
        name: Of the column.
        kind: Its SQL type.
        key: All columns that tell rows apart, the new one included.
    """
    return (
        *(
            statement
            for table in ("cells", "layers")
            for statement in (f"DROP INDEX one_{table[:-1]}", f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
        ),
        f"CREATE UNIQUE INDEX one_cell ON cells ({key})",
        f"CREATE UNIQUE INDEX one_layer ON layers ({key}, layer, position)",
    )


_KEY_WITH_JPEG = _KEY_WITH_VERSION.replace("noise_version,", "noise_version, ifnull(jpeg, -1),")
_JPEG = _another_key("jpeg", "INTEGER", _KEY_WITH_JPEG)
# Before, the random words of injected noise did not depend on its level.
_INJECTED = ("UPDATE layers SET noise_version = 1 WHERE corruption LIKE 'inject:%'",)
_KEY_WITH_PREBUILT = _KEY_WITH_JPEG.replace("ifnull(jpeg, -1),", "ifnull(jpeg, -1), ifnull(prebuilt, ''),")
_PREBUILT = _another_key("prebuilt", "TEXT", _KEY_WITH_PREBUILT)
_LABEL_SET = ("ALTER TABLE settings ADD COLUMN label_set TEXT",)
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    _FIRST,
    _SECOND,
    _THIRD,
    network_columns("recipe", "weights"),
    network_columns("exchange"),
    network_columns("weights_key"),
    _NOISE_VERSION,
    network_columns("stochastic"),
    _JPEG,
    _INJECTED,
    _PREBUILT,
    _LABEL_SET,
)
"""MIGRATIONS[n] takes a file from schema n to n + 1; an empty file has schema 0. Released migrations are never changed."""


def level_as_text(parameter: object) -> str:
    """For migrations: the text of a level that was a single number, or NULL for clean images."""
    return encode_level((float(parameter),)) if isinstance(parameter, (int, float)) else "" if parameter is None else "?"


JOINED = "JOIN networks n ON n.id = c.network JOIN settings s ON s.id = c.setting JOIN datasets d ON d.id = c.dataset"
"""Joins a cell or a layer (``c``) with its network, setting and dataset."""
KEY_MATCHES = """network = :network AND dataset = :dataset AND precision = :precision AND corruption = :corruption
    AND ifnull(severity, -1) = ifnull(:severity, -1) AND ifnull(profile, '') = ifnull(:profile, '')
    AND parameters = :parameters AND noise_version = :noise_version
    AND ifnull(jpeg, -1) = ifnull(:jpeg, -1) AND ifnull(prebuilt, '') = ifnull(:prebuilt, '')
    AND ifnull(noise_seed, '') = ifnull(:noise_seed, '')"""
"""Finds a cell with the index ``one_cell``."""

NETWORK_MATCHES = " AND ".join(
    f"{_comparable(name, kinds)} = {_comparable(f':{name}', kinds)}" for name, kinds in IDENTITY.items()
)
"""Finds a network with the index ``one_network``."""
DERIVED = (
    "DROP INDEX IF EXISTS one_network",
    f"CREATE UNIQUE INDEX one_network ON networks ({', '.join(_comparable(name, kinds) for name, kinds in IDENTITY.items())})",
)
"""The index that depends on the fields of NetworkId, recreated after every migration."""

_SHORTEST_DIGEST = 8
"""The fewest characters that are accepted as the beginning of a SHA-256."""


def is_named(checkpoint: str, sha256: str, word: str) -> bool:
    """Whether a word names a checkpoint: its path, file name or stem, a glob pattern for these, or the start of its SHA-256.

    >>> [is_named("runs/silu-11.pt", "ab" * 32, word) for word in ("silu-11", "runs/*.pt", "abababab", "silu", "runs")]
    [True, True, True, False, False]
    """
    names = (checkpoint, PurePath(checkpoint).name, PurePath(checkpoint).stem)
    if any(name == word or fnmatchcase(name, word) for name in names):
        return True
    return len(word) >= _SHORTEST_DIGEST and sha256.startswith(word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A filter for cells: each field that is not empty must match with one of its words."""

    checkpoints: tuple[str, ...] = ()
    """Words for ``is_named``."""
    sha256: tuple[str, ...] = field(default=(), repr=False)
    """Of checkpoints, in full."""
    architectures: tuple[str, ...] = ()
    activations: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    """Names, or patterns such as ``mnist:*``."""
    corruptions: tuple[str, ...] = ()
    """At every level."""
    levels: tuple[tuple[str, Level], ...] = ()
    """Corruptions at one custom level, in addition to those at every level."""
    severities: tuple[int, ...] = ()
    noise_seeds: tuple[int, ...] = ()
    fingerprints: tuple[str, ...] = field(default=(), repr=False)
    precisions: tuple[str, ...] = ()

    def where(self) -> tuple[str, list[object]]:
        """The filter in SQL.

        Returns:
            A condition on cells (or layers) ``c``, networks ``n``, settings ``s`` and datasets ``d``, and its values.
        """
        clauses: list[str] = []
        values: list[object] = []
        if self.checkpoints:  # evaluated once per network, not once per cell
            named = "SELECT x.id FROM networks x, json_each(?) word WHERE named(x.checkpoint, x.sha256, word.value)"
            clauses.append(f"c.network IN ({named})")
            values.append(_words(self.checkpoints))
        if self.data:
            same = "SELECT x.id FROM settings x, json_each(?) word WHERE x.data = word.value OR x.data GLOB word.value"
            clauses.append(f"c.setting IN ({same})")
            values.append(_words(self.data))
        if self.corruptions or self.levels:
            named = f"c.corruption IN ({', '.join('?' * len(self.corruptions))})"
            at_level = ["c.corruption = ? AND c.parameters = ? AND c.severity IS NULL AND c.prebuilt IS NULL"] * len(self.levels)
            clauses.append(f"({' OR '.join([named, *at_level])})")
            values += [*self.corruptions, *(value for name, level in self.levels for value in (name, encode_level(level)))]
        exact: tuple[tuple[str, tuple[object, ...]], ...] = (
            ("n.sha256", self.sha256),
            ("ifnull(n.architecture_label, n.architecture)", self.architectures),
            ("n.activation", self.activations),
            ("c.severity", self.severities),
            ("c.noise_seed", self.noise_seeds),
            ("d.fingerprint", self.fingerprints),
            ("c.precision", self.precisions),
        )
        for column, wanted in exact:
            if wanted:
                clauses.append(f"{column} IN (SELECT value FROM json_each(?))")
                values.append(_words(wanted))
        return " AND ".join(clauses) or "1", values

    def fits(self, condition: Condition) -> bool:
        """Whether a condition matches the filter's corruptions, levels and severities."""
        at_level = condition.is_custom and (condition.corruption, condition.parameters) in self.levels
        named = condition.corruption in self.corruptions or at_level or not (self.corruptions or self.levels)
        return named and (not self.severities or condition.severity in self.severities)


def _words(words: Sequence[object]) -> str:
    """Any number of values as one: SQLite bounds the number of values and the length of a statement."""
    return json.dumps([valid(word) if isinstance(word, str) else word for word in words])


EVERYTHING = Selection()
