"""An SQLite file opened, changed in transactions, and its errors in words. What is in it: schema.py.

The journal is SQLite's rollback journal, not its write-ahead log: that one needs memory shared between processes, which network
folders do not give, and keeps results in a second file that a copy of the first would lack. A commit costs a few flushes to disk,
milliseconds beside the seconds of a cell; writers wait for each other.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from robustbench_la.errors import RunError, UserError, first_line
from robustbench_la.files import check_writable
from robustbench_la.store.schema import APPLICATION_ID, DERIVED, MIGRATIONS, is_named, level_as_text


def connect(path: Path, *, reading: bool, patience: float) -> sqlite3.Connection:
    """Open a store with the tables of this version, or make one where there is none.

    reading: only to read; then the file must exist, and may lie where nothing can be written.
    patience: seconds to wait for another process that writes.
    Raises: UserError for what is no store that this version can read, RunError for what cannot be done here and now.
    """
    try:
        there, is_file = path.exists(), path.is_file()
    except PermissionError:
        raise UserError(f"no permission to look into the folder of {path}") from None
    if there and not is_file:
        raise UserError(f"{path} is not a file of results")
    if reading and not there:
        raise UserError(f"no results at {path}; `larobust eval` writes them, and --store FILE says where they are")
    if not reading:
        check_writable(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror}") from None
    # To read as well, rw: what a killed process left half-written could not be undone with ro.
    address = f"{path.absolute().as_uri()}?mode={'rw' if reading else 'rwc'}"
    with explained(path):
        connection = sqlite3.connect(address, uri=True, timeout=patience, isolation_level=None)
    try:
        with explained(path):
            connection = _up_to_date(connection, path, reading=reading)
            connection.create_function("named", 3, is_named, deterministic=True)
            return connection
    except BaseException:
        connection.close()
        raise


def _up_to_date(connection: sqlite3.Connection, path: Path, *, reading: bool) -> sqlite3.Connection:
    """The connection, its file brought to the schema of this version; to read an older one, a connection to a copy."""
    if reading:
        if _version(connection, path) == len(MIGRATIONS):
            return connection
        copy = sqlite3.connect("", isolation_level=None)  # a temporary file that nobody else sees
        connection.backup(copy)
        connection.close()
        connection = copy
    connection.execute("PRAGMA foreign_keys = ON")
    (fault,) = connection.execute("PRAGMA quick_check(1)").fetchone()  # a tenth of a second for 160 MB
    if fault != "ok":  # to write could make it worse
        raise damaged(path, fault.splitlines()[-1])
    connection.create_function("level_as_text", 1, level_as_text, deterministic=True)
    with transaction(connection, path):
        version = _version(connection, path)
        older = MIGRATIONS[version:]
        for statement in (statement for statements in (*older, *[DERIVED] * bool(older)) for statement in statements):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        if version == len(MIGRATIONS):  # then this was to find out, before anything is measured, that it can be written
            connection.execute("ROLLBACK")
    return connection


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema of the file; 0 for an empty one. Raises: UserError for a file that is not ours, or newer."""
    (application,), (version,), (tables,) = (
        connection.execute(query).fetchone()
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    if not application and not version and not tables:
        return 0
    if application != APPLICATION_ID:
        raise UserError(f"{path} is an SQLite file of another program, not results of larobust")
    if version < 1:
        raise damaged(path, f"schema {version}")
    if version > len(MIGRATIONS):
        raise UserError(
            f"{path} was written by a newer larobust (schema {version}; this one reads up to {len(MIGRATIONS)}); "
            "update larobust, or give another --store"
        )
    return int(version)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """All of it or nothing, whatever happens to the process or the machine meanwhile."""
    with explained(path):
        # IMMEDIATE: waits for other writers now, and not after something was read that they change.
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
    """SQLite's errors about a file, in words that tell a user what to mend."""
    try:
        yield
    except OverflowError as error:
        raise UserError(f"{path} cannot hold such a number ({first_line(error)})") from None
    except sqlite3.Error as error:
        extended = getattr(error, "sqlite_errorcode", None)  # None: an error of Python's sqlite3 itself
        code = None if extended is None else extended & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise RunError(f"no space left to write {path}; what it held before is still there") from None
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise RunError(f"{path} is held by another process, for longer than one waits here") from None
        if code == sqlite3.SQLITE_IOERR:
            raise RunError(f"{path} cannot be read or written ({first_line(error)}, {error.sqlite_errorname})") from None
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
            raise UserError(f"cannot open or write {path}: {first_line(error)}") from None
        if code == sqlite3.SQLITE_NOTADB:
            raise UserError(f"{path} is not a file of results (no SQLite file)") from None
        undecodable = code is None and isinstance(error, sqlite3.OperationalError)
        if code == sqlite3.SQLITE_CORRUPT or undecodable or (code == sqlite3.SQLITE_ERROR and "no such" in str(error)):
            raise damaged(path, first_line(error)) from None
        raise


def damaged(path: Path, what: str) -> UserError:
    """The error for a store whose content cannot be read."""
    return UserError(f"{path} is damaged ({what}); move it away, or put a copy in its place")
