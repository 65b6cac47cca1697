"""Stores in which any value, any page or the schema itself was changed: read, or refused in one line, by every command."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fuzzing import assert_harmless, fuzz, larobust
from hypothesis import example, given
from hypothesis import strategies as st

import robustbench_la as la
from robustbench_la.errors import UserError
from robustbench_la.store.connection import Connection

_COMMANDS: tuple[tuple[str, ...], ...] = (
    ("compare", "--store", "STORE"),
    ("compare", "--store", "STORE", "--metric", "ece", "--format", "json"),
    ("compare", "--store", "STORE", "--layers"),
    ("results", "--store", "STORE"),
    ("results", "--store", "STORE", "--detail"),
    ("results", "--store", "STORE", "--json"),
    ("results", "--store", "STORE", "--csv"),
    ("merge", "STORE", "-o", "MERGED"),
    ("merge", "GOOD", "-o", "STORE"),
    ("forget", "--store", "STORE", "--noise", "gaussian", "--yes"),
    ("check", "--baseline", "BASELINE", "--results", "STORE", "--ckpt", "la_silu"),
)
_COLUMNS = {
    "datasets": ("fingerprint", "labels"),
    "settings": (
        "dataset", "data", "images", "dataset_images", "resize", "crop", "device", "precision", "batch_size", "threads",
        "started", "versions", "host", '"commit"', "dirty", "assumed",
    ),
    "networks": (
        "checkpoint", "sha256", "architecture", "code", "activation", "activation_level", "alpha", "normalization",
        "training_seed", "activations_seen", "architecture_label", "recipe", "weights", "exchange", "weights_key", "stochastic",
    ),
    "cells": (
        "id", "network", "dataset", "setting", "precision", "corruption", "severity", "profile", "noise_seed", "correct",
        "correct_top5", "total", "nll_sum", "seconds", "calibration", "parameters", "noise_version", "jpeg",
    ),
    "predictions": ("cell", "classes"),
    "layers": (
        "network", "dataset", "setting", "precision", "corruption", "severity", "noise_seed", "layer", "position", "statistics",
        "parameters", "noise_version", "jpeg",
    ),
}  # fmt: skip
_TEXTS = (
    "", "\x1b[31m", "::error::x\n::error::y", "\u202eevil", "=HYPERLINK(1)", "a\0b", "x" * 100_000, "[" * 100_000, "7" * 5000,
    '{"a": NaN}', '{"sha256": "x", "layers": []}', '{"images": -1}', '{"layers": 2, "per_image": 3}', "[1, [2]]", '"x"', "null",
    "1/2", "nan", "1e999", "clean", "inject:x",
)  # fmt: skip
_BLOBS = (b"", b"\xff", b"\x01" + zlib.compress(bytes(50_000_000)), b"\x02" + zlib.compress(b""), bytes(360), b"\xff" * 360)
_VALUES = st.one_of(
    st.none(),
    st.sampled_from([-1, 0, 1, 6, 2**31, 2**63 - 1, -(2**63)]),
    st.sampled_from([-1.0, 0.5, 1e308, float("inf"), float("-inf")]),
    st.sampled_from(_TEXTS),
    st.text(max_size=20).filter(str.isascii),
    st.sampled_from(_BLOBS),
    st.binary(max_size=40),
)
_CHANGES = st.lists(
    st.tuples(
        st.sampled_from([(table, column) for table, columns in _COLUMNS.items() for column in columns]),
        st.one_of(_VALUES, st.sampled_from(["NOT UTF-8"])),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
)
_SCRIPTS = {
    "a trigger on what is deleted": "CREATE TRIGGER evil BEFORE DELETE ON cells BEGIN DELETE FROM networks; END",
    "a trigger on what is added": "CREATE TRIGGER evil AFTER INSERT ON cells BEGIN UPDATE cells SET correct = 0; END",
    "a view in the place of a table": (
        "ALTER TABLE networks RENAME TO others; CREATE VIEW networks AS WITH RECURSIVE n(id) AS "
        "(SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT n.id, o.* FROM n, others o"
    ),
    "another view": "CREATE VIEW extra AS SELECT * FROM cells",
    "a virtual table": "CREATE VIRTUAL TABLE extra USING fts5(x)",
    "a computed column": "ALTER TABLE cells ADD COLUMN extra AS (hex(zeroblob(1000000)))",
    "a constraint that takes all memory": (
        "CREATE TABLE extra (x CHECK (length(hex(zeroblob(1000000))) > x)); INSERT INTO extra VALUES (1)"
    ),
    "an index on an expression": "CREATE INDEX extra ON cells (abs(correct))",
    "another column": "ALTER TABLE cells ADD COLUMN extra TEXT DEFAULT 'x'",
    "a missing table": "DROP TABLE predictions",
    "a missing index": "DROP INDEX one_cell",
    "a table without columns of ours": "DROP TABLE layers; CREATE TABLE layers (x)",
    "a name that controls a terminal": 'CREATE TABLE "\x1b[31m::error::" (x)',
    "a newer schema": "PRAGMA user_version = 2000000000",
    "an impossible schema": "PRAGMA user_version = -5",
    "an older schema": "PRAGMA user_version = 3",
    "another program": "PRAGMA application_id = 7",
    "neither program nor schema": "PRAGMA application_id = 0; PRAGMA user_version = 0",
}  # fmt: skip


@pytest.fixture(scope="module")
def good(digits_pair: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store as the commands write it, and a baseline that fits it."""
    folder = tmp_path_factory.mktemp("good")
    flags = ["--noise", "gaussian", "--severity", "1,3", "--limit", "60"]
    networks = [word for path in digits_pair for word in ("--ckpt", str(path))]
    store = ["--store", str(folder / "GOOD")]
    for words in (
        ["eval", *networks, *flags, *store],
        ["fluctuation", *networks, *flags, *store],
        ["baseline", "--ckpt", str(digits_pair[0]), *flags, "-o", str(folder / "BASELINE")],
    ):
        assert larobust(*words).code == 0
    return folder


def run(good: Path, words: tuple[str, ...], store: Path) -> None:
    """Run a command on a store and on copies of the good files."""
    with contextlib.suppress(FileNotFoundError):
        (store.parent / "MERGED").unlink()
    names = {"STORE": store, "MERGED": store.parent / "MERGED", "GOOD": good / "GOOD", "BASELINE": good / "BASELINE"}
    assert_harmless(larobust(*(str(names.get(word, word)) for word in words)))


@contextlib.contextmanager
def _without_constraints(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection by which NULL can be put into any column; afterwards the schema is as it was."""
    for change in ("replace(sql, ' NOT NULL', '         ')", None):
        if change is None:
            connection = sqlite3.connect(path, isolation_level=None)
            yield connection
            connection.close()
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA writable_schema = ON")
        if change is not None:
            before = connection.execute("SELECT sql, rowid FROM sqlite_master").fetchall()
            connection.execute(f"UPDATE sqlite_master SET sql = {change} WHERE type = 'table'")
        else:
            connection.executemany("UPDATE sqlite_master SET sql = ? WHERE rowid = ?", before)
        connection.close()


@fuzz()
@given(command=st.sampled_from(_COMMANDS), changes=_CHANGES)
@example(command=_COMMANDS[0], changes=[(("cells", "total"), 2**63 - 1, True), (("settings", "images"), 2**63 - 1, True)])
@example(command=_COMMANDS[1], changes=[(("cells", "calibration"), b"\xff" * 360, True)])
@example(command=_COMMANDS[8], changes=[(("predictions", "classes"), None, True)])
@example(command=_COMMANDS[8], changes=[(("layers", "statistics"), "[1, [2]]", True)])
@example(command=_COMMANDS[9], changes=[(("networks", "checkpoint"), "NOT UTF-8", True)])
def test_any_value_in_any_column_is_harmless(
    good: Path,
    tmp_path_factory: pytest.TempPathFactory,
    command: tuple[str, ...],
    changes: list[tuple[tuple[str, str], object, bool]],
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.sqlite"
    shutil.copy(good / "GOOD", path)
    with _without_constraints(path) as connection:
        for (table, column), value, everywhere in changes:
            which = "" if everywhere else f" WHERE rowid = (SELECT max(rowid) FROM {table})"
            with contextlib.suppress(sqlite3.IntegrityError):  # two rows of one key
                if value == "NOT UTF-8":
                    connection.execute(f"UPDATE {table} SET {column} = CAST(x'61ff1b' AS TEXT){which}")
                else:
                    connection.execute(f"UPDATE {table} SET {column} = ?{which}", (value,))
    run(good, command, path)


@fuzz()
@given(
    command=st.sampled_from(_COMMANDS),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6),
    length=st.one_of(st.just(1.0), st.floats(0, 1)),
)
@example(command=_COMMANDS[0], edits=[(0.4375, b"\x80")], length=1.0)
def test_any_bytes_in_any_page_are_harmless(
    good: Path,
    tmp_path_factory: pytest.TempPathFactory,
    command: tuple[str, ...],
    edits: list[tuple[float, bytes]],
    length: float,
) -> None:
    raw = bytearray((good / "GOOD").read_bytes())
    for place, content in edits:
        start = int(place * (len(raw) if place > 0.5 else 4096))  # half of them in the header and the schema
        raw[start : start + len(content)] = content
    path = tmp_path_factory.getbasetemp() / "bytes.sqlite"
    path.write_bytes(raw[: int(length * len(raw))])
    run(good, command, path)


@fuzz()
@given(content=st.binary(max_size=5000), header=st.booleans())
def test_any_bytes_are_harmless(good: Path, tmp_path_factory: pytest.TempPathFactory, content: bytes, header: bool) -> None:
    path = tmp_path_factory.getbasetemp() / "other.sqlite"
    path.write_bytes(b"SQLite format 3\0" * header + content)
    run(good, _COMMANDS[3], path)


@pytest.mark.parametrize("script", _SCRIPTS)
def test_nothing_in_the_schema_runs(good: Path, tmp_path: Path, script: str) -> None:
    """Whatever is not as larobust makes it is refused by its name, by every command, and nothing is changed."""
    path = tmp_path / "x.sqlite"
    shutil.copy(good / "GOOD", path)
    connection = sqlite3.connect(path)
    connection.executescript(_SCRIPTS[script])
    connection.close()
    before = path.read_bytes()

    for command in _COMMANDS[2:]:
        names = {"STORE": path, "MERGED": tmp_path / "MERGED", "GOOD": good / "GOOD", "BASELINE": good / "BASELINE"}
        outcome = larobust(*(str(names.get(word, word)) for word in command))
        assert_harmless(outcome)
        assert outcome.code == 2, (command, outcome)
        assert str(path) in outcome.stderr
    assert path.read_bytes() == before


@pytest.mark.skipif(not hasattr(sqlite3.Connection, "setconfig"), reason="needs Python 3.12")
def test_sqlite_is_in_its_defensive_mode(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.sqlite", factory=Connection)
    connection.executescript("CREATE TABLE t (x); CREATE VIEW v AS SELECT 1; PRAGMA writable_schema = ON")

    for statement in ("DELETE FROM sqlite_master", "UPDATE sqlite_master SET sql = ''", "SELECT * FROM v"):
        with pytest.raises(sqlite3.Error, match=r"may not be modified|prohibited"):
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "drop"),
    [
        ("CREATE VIEW v AS SELECT 1", "'DROP VIEW v'"),
        ("CREATE TABLE notes (text)", "'DROP TABLE notes'"),
        ("CREATE INDEX fast ON cells(correct)", "'DROP INDEX fast'"),
        ('CREATE VIEW "my view" AS SELECT 1', "'DROP VIEW \"my view\"'"),
    ],
)
def test_what_a_user_added_to_a_store_is_not_called_damage(good: Path, tmp_path: Path, statement: str, drop: str) -> None:
    path = tmp_path / "x.sqlite"
    shutil.copy(good / "GOOD", path)
    sqlite3.connect(path).executescript(statement)
    outcome = larobust("results", "--store", str(path))

    assert outcome.code == 2
    assert "damaged" not in outcome.stderr
    assert f"larobust did not make; drop it: sqlite3 {path} {drop}" in outcome.stderr
    sqlite3.connect(path).executescript(drop.strip("'"))
    assert larobust("results", "--store", str(path)).code == 0


def _rows(path: Path) -> None:
    view = la.open_store(path)
    print(view, len(view), view.to_pandas(), view.to_pandas("layers"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: sqlite3.connect(path).executescript("UPDATE cells SET correct = 'x'"), "damaged"),
        (lambda path: sqlite3.connect(path).executescript("CREATE VIEW extra AS SELECT 1"), "larobust did not make"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged"),
    ],
)
def test_python_is_told_in_one_line_too(good: Path, tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "x.sqlite"
    shutil.copy(good / "GOOD", path)
    _rows(path)
    damage(path)
    with pytest.raises(UserError, match=message) as caught:
        _rows(path)

    assert len(str(caught.value).splitlines()) == 1
