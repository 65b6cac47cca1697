"""Opens the SQLite file of a store, runs transactions, and translates SQLite's errors. For its tables see schema.py.

The journal is SQLite's rollback journal, not its write-ahead log: a WAL needs memory shared between processes, which network
file systems do not offer, and keeps results in a second file that is missed when only the first is copied. A commit costs a few
flushes to disk: milliseconds, compared with seconds per cell. Writers wait for each other.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from robustbench_la.errors import RunError, UserError, first_line
from robustbench_la.files import check_writable, exists, kind_at
from robustbench_la.store.connection import Connection, foreign_object
from robustbench_la.store.rows import DamagedRowError
from robustbench_la.store.schema import APPLICATION_ID, DERIVED, MIGRATIONS
from robustbench_la.text import printable

_NO_PATIENCE = 0.0


def connect(path: Path, *, reading: bool, patience: float) -> Connection:
    """Open a store with the tables of this version, or create one.

    Args:
        path: The file.
        reading: Open for reading only; then the file must exist, and may be on a read-only file system.
        patience: Seconds to wait for another process that is writing.

    Returns:
        The connection.

    Raises:
        UserError: If the file is not a store that this version can read.
        RunError: If it cannot be opened at the moment.
    """
    try:
        kind = kind_at(path)
    except PermissionError:
        raise UserError(f"cannot open {path}: no permission to access its folder") from None
    except (OSError, ValueError) as error:  # a name that is too long, or contains a null byte
        raise UserError(f"cannot open {path}: {getattr(error, 'strerror', None) or error}") from None
    if kind is not None:
        raise UserError(f"{path} is {kind}, not a store of results")
    if reading and not exists(path):
        raise UserError(f"no results at {path}; `larobust eval` writes them, --store FILE selects another store")
    if not reading:
        check_writable(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror}") from None
    with explained(path):
        connection = _open(path, reading=reading, patience=patience)
    try:
        with explained(path):
            return _up_to_date(connection, path, reading=reading)
    except BaseException:
        connection.close()
        raise


def _open(path: Path, *, reading: bool, patience: float) -> Connection:
    """Open the file, and take a first look into it, so that a folder in which nothing may be written is noticed here."""
    address = path.absolute().as_uri()
    # rw for reading, too: with ro, a transaction left unfinished by a killed process could not be rolled back.
    connection = _connection(f"{address}?mode={'rw' if reading else 'rwc'}", patience)
    try:
        connection.execute("PRAGMA schema_version").fetchone()
        return connection
    except sqlite3.OperationalError as error:
        connection.close()
        if not reading or error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
    for suffix in ("-journal", "-wal"):
        beside = path.with_name(path.name + suffix)
        if exists(beside) and beside.stat().st_size:
            raise UserError(
                f"{path} holds a change that was interrupted, and nothing may be written next to it to complete it; copy it, "
                f"together with {beside.name}, to a folder where you may write"
            )
    return _connection(f"{address}?mode=ro&immutable=1", patience)


def _connection(address: str, patience: float) -> Connection:
    return sqlite3.connect(address, uri=True, timeout=patience, isolation_level=None, factory=Connection)


def _up_to_date(connection: Connection, path: Path, *, reading: bool) -> Connection:
    """The connection, its file migrated to the schema of this version; to read an older file, a connection to a migrated copy."""
    connection.bound_queries(path)
    if version := _version(connection, path):
        if foreign := foreign_object(connection, path, MIGRATIONS[:version], newest=version == len(MIGRATIONS)):
            raise damaged(path, foreign)
        # Every page belongs to one table, so that no query yields more than the file holds. 160 MB take a tenth of a second.
        (fault,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if fault != "ok":  # writing could make it worse
            raise damaged(path, fault.splitlines()[-1])
    if reading:
        if version == len(MIGRATIONS):
            return connection
        copy = _connection("", _NO_PATIENCE)  # a private temporary file
        connection.backup(copy)
        connection.close()
        connection = copy
    with transaction(connection, path):
        version = _version(connection, path)
        older = MIGRATIONS[version:]
        for statement in (statement for statements in (*older, *[DERIVED] * bool(older)) for statement in statements):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        if version == len(MIGRATIONS):  # nothing to migrate: this only checked, before measuring, that the file is writable
            connection.execute("ROLLBACK")
    return connection


def _version(connection: Connection, path: Path) -> int:
    """The schema version of the file; 0 for an empty one. Raises UserError for a foreign or newer file."""
    (application,), (version,), (tables,) = (
        connection.execute(query).fetchone()
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    if not application and not version and not tables:
        return 0
    if application != APPLICATION_ID:
        raise UserError(f"{path} is an SQLite file of another program, not a store of larobust")
    if version < 1:
        raise damaged(path, f"schema {version}")
    if version > len(MIGRATIONS):
        raise UserError(
            f"{path} was written by a newer larobust (schema {version}; this one reads up to {len(MIGRATIONS)}); "
            "update larobust, or give another --store"
        )
    return int(version)


@contextlib.contextmanager
def transaction(connection: Connection, path: Path) -> Iterator[None]:
    """Run the statements inside the context in one transaction, atomic even if the process or the machine dies."""
    with explained(path):
        # IMMEDIATE: wait for other writers now, not after reading something that they may change.
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            if connection.in_transaction:
                connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Translate SQLite's errors about a file into messages that tell users what to do."""
    try:
        yield
    except DamagedRowError as error:
        raise damaged(path, first_line(error)) from None
    except UnicodeError as error:  # a message of SQLite's that names what is damaged
        raise damaged(path, first_line(error)) from None
    except OverflowError as error:
        raise UserError(f"{path} cannot store a number that large ({first_line(error)})") from None
    except sqlite3.Error as error:
        extended = getattr(error, "sqlite_errorcode", None)  # None: an error of Python's sqlite3 itself
        code = None if extended is None else extended & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise RunError(f"no space left to write {path}; its previous content is intact") from None
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise RunError(f"{path} is locked by another process, and waiting timed out; try again later") from None
        if code == sqlite3.SQLITE_IOERR:
            raise RunError(f"{path} cannot be read or written ({first_line(error)}, {error.sqlite_errorname})") from None
        if extended == sqlite3.SQLITE_READONLY_DBMOVED:
            raise RunError(f"{path} was moved or deleted while it was being written") from None
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
            raise UserError(f"cannot open or write {path}: {first_line(error)}") from None
        if code == sqlite3.SQLITE_NOTADB:
            raise UserError(f"{path} is not a store of results (not an SQLite file)") from None
        # Whatever else SQLite finds wrong is the file's fault: a text that is none, a constraint that its rows break, a value
        # of 100 MB, a query without an end. Statements of ours are tried by the tests.
        raise damaged(path, first_line(error)) from None


def damaged(path: Path, what: str) -> UserError:
    """The error for a store whose content cannot be read."""
    return UserError(f"{path} is damaged ({printable(what)}); move it away, or replace it with a backup")
