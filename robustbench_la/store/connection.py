"""A connection to a file that may come from anywhere: nothing in it can run, fill the memory or keep a query from ending."""

from __future__ import annotations

import functools
import os
import re
import shlex
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from robustbench_la.errors import UserError
from robustbench_la.store.schema import DERIVED, is_named, level_as_text
from robustbench_la.text import is_printable, printable

_LONGEST = 64 * 2**20
"""Bytes of the largest value or row; the predictions of 30 million images."""
_OBJECTS = 1000
"""Tables and indices that are looked at; a store has a dozen."""
_STEPS = 10_000_000
"""Steps of SQLite's machine that a statement may take in any file, a fraction of a second ..."""
_STEPS_PER_BYTE = 100
"""... and for each byte of the file. A cell takes about one for each of its bytes."""
_STRIDE = 1_000_000
_STATISTICS = (  # what ANALYZE makes
    ("table", "sqlite_stat1", "sqlite_stat1", "CREATETABLEsqlite_stat1(tbl,idx,stat)"),
    ("table", "sqlite_stat4", "sqlite_stat4", "CREATETABLEsqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"),
)

_DROPPABLE = ("table", "index", "view", "trigger")
_PLAIN = re.compile("(?!sqlite_)[A-Za-z_][A-Za-z0-9_]{0,59}")
"""Names that need no quotes, keywords aside."""

_Object = tuple[object, ...]
"""Type, name, table and SQL, without its white space, of something in the schema."""


class Connection(sqlite3.Connection):
    """A connection whose statements end, and that only the process that opened it uses."""

    def __init__(self, database: str, **options: Any) -> None:
        super().__init__(database, **options)
        self._process = os.getpid()
        self._steps = 0
        for category, most in (
            (sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST),
            (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
            (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1),  # what deletes the predictions of a deleted cell counts as one
        ):
            self.setlimit(category, most)
        if hasattr(self, "setconfig"):  # from Python 3.12 on
            for name, value in (("DEFENSIVE", True), ("ENABLE_TRIGGER", False), ("ENABLE_VIEW", False)):
                self.setconfig(getattr(sqlite3, f"SQLITE_DBCONFIG_{name}"), value)
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0", "foreign_keys = ON"):
            self.execute(f"PRAGMA {pragma}")
        self.create_function("named", 3, is_named, deterministic=True)
        self.create_function("level_as_text", 1, level_as_text, deterministic=True)

    def bound_queries(self, path: Path) -> None:
        """Interrupt any statement that takes longer than a file of the size of ``path`` can need."""

        def too_long() -> bool:
            self._steps += _STRIDE
            return self._steps > _STEPS and self._steps > _STEPS + _STEPS_PER_BYTE * path.stat().st_size

        self.set_progress_handler(too_long, _STRIDE)

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
        """Run a statement. Raises UserError in a process that was forked from the one that opened the file."""
        self._check_process()
        self._steps = 0
        return super().execute(sql, values)

    def executemany(self, sql: str, values: Iterable[Any], /) -> sqlite3.Cursor:
        """Run a statement for each of several values. Raises as ``execute`` does."""
        self._check_process()
        self._steps = 0
        return super().executemany(sql, values)

    def close(self) -> None:
        """Close the file; in a forked process nothing is done, as SQLite would end the transactions of the other process."""
        if os.getpid() == self._process:
            super().close()

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise UserError("a store was opened before this process was forked; open it in the process that uses it")


def foreign_object(connection: Connection, path: Path, migrations: tuple[tuple[str, ...], ...], *, newest: bool) -> str | None:
    """What a file holds, or lacks, other than the tables and indices that larobust makes: it could run in any statement.

    Args:
        connection: To the file.
        path: The file.
        migrations: Those that lead to its schema.
        newest: Whether that is the schema of this version.

    Returns:
        A phrase that names what is damaged; None if there is nothing.

    Raises:
        UserError: If it holds something that somebody else added to it.
    """
    # The index of networks depends on the properties that a version knows; in an older file it is dropped unread.
    expected = _made_by(migrations, DERIVED if newest else ())
    query = f"SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT {_OBJECTS}"
    found = [(*names, "".join(sql.split()) if isinstance(sql, str) else sql) for *names, sql in connection.execute(query)]
    if not newest:
        found = [entry for entry in found if entry[:3] != ("index", "one_network", "networks")]
    for kind, name, table, _ in (entry for entry in found if entry not in expected and entry not in _STATISTICS):
        made = any(entry[:2] == (kind, name) for entry in expected)
        what = f"{printable(str(kind)[:20])} {printable(str(name)[:60])!r}"
        if made or kind not in _DROPPABLE or not is_printable(str(name), longest=60):
            return f"its {what} is not as larobust makes it"
        on = f" on {printable(str(table)[:60])!r}" if name != table else ""
        quoted = '"{}"'.format(str(name).replace('"', '""'))
        statement = shlex.quote(f"DROP {str(kind).upper()} {name if _PLAIN.fullmatch(str(name)) else quoted}")
        raise UserError(
            f"{path} holds the {what}{on}, which larobust did not make; drop it: sqlite3 {shlex.quote(str(path))} {statement}"
        )
    if missing := sorted(str(name) for _, name, *_ in expected.difference(found)):
        return f"{missing[0]!r} is missing"
    return None


@functools.lru_cache(maxsize=32)
def _made_by(migrations: tuple[tuple[str, ...], ...], derived: tuple[str, ...]) -> frozenset[_Object]:
    """The schema of a new file after these migrations."""
    memory = sqlite3.connect(":memory:")
    try:
        memory.create_function("level_as_text", 1, level_as_text, deterministic=True)
        for statement in (statement for statements in (*migrations, derived) for statement in statements):
            memory.execute(statement)
        rows = memory.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    finally:
        memory.close()
    return frozenset((*names, "".join(sql.split()) if sql else sql) for *names, sql in rows)
