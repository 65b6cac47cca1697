"""Stores that are hard to open: read-only places, leftovers of other journals, special files, forked processes, strange names."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from made_up_answers import SMALL, fill
from test_store import LAYER, cell, setting, unprivileged  # noqa: F401  # a fixture

from robustbench_la.errors import RunError, UserError
from robustbench_la.store.schema import Selection
from robustbench_la.store.store import Store

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    fill(tmp_path / "x.sqlite", SMALL, seeds=(11,), activations=("silu",))
    return tmp_path / "x.sqlite"


def _write_ahead(path: Path) -> sqlite3.Connection:
    """Let a store have a write-ahead log, as an SQLite client may have set, with a change that only the log holds."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("UPDATE settings SET host = 'there'")
    return connection


def test_a_write_ahead_log_that_was_left_is_read(path: Path, tmp_path: Path) -> None:
    connection = _write_ahead(path)
    copy = tmp_path / "copy.sqlite"
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    connection.close()

    with Store(copy, reading=True) as store:
        assert {stored.setting.host for stored in store.cells()} == {"there"}


@pytest.mark.parametrize("log", [False, True])
def test_a_store_with_a_write_ahead_log_is_read_where_nothing_may_be_written(
    path: Path,
    unprivileged: Path,  # noqa: F811
    log: bool,
) -> None:
    """If its log is empty; otherwise what the log holds would be missed in silence, so the store is refused."""
    unprivileged_user = os.geteuid()
    os.seteuid(os.getuid())
    connection = _write_ahead(path)
    if not log:
        connection.close()
    for suffix in ("", "-wal") if log else ("",):
        shutil.copy(f"{path}{suffix}", f"{unprivileged / 'wal.sqlite'}{suffix}")
        (unprivileged / f"wal.sqlite{suffix}").chmod(0o444)
    connection.close()
    os.seteuid(unprivileged_user)
    if log:
        with pytest.raises(UserError, match=r"copy it, together with wal\.sqlite-wal, to a folder where you may write"):
            Store(unprivileged / "wal.sqlite", reading=True)
    else:
        with Store(unprivileged / "wal.sqlite", reading=True) as store:
            assert {stored.setting.host for stored in store.cells()} == {"there"}


@pytest.mark.parametrize("reading", [False, True])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, reading: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(UserError):
            Store(path, reading=reading)


def test_a_store_that_is_deleted_meanwhile_is_told(path: Path) -> None:
    with Store(path) as store:
        path.unlink()
        with pytest.raises(RunError, match="was moved or deleted while"):
            store.add(setting(), [cell()])


def test_a_gigabyte_of_nothing_is_refused_at_once(path: Path, tmp_path: Path) -> None:
    sparse = tmp_path / "sparse.sqlite"
    sparse.touch()
    os.truncate(sparse, 2**30)
    with pytest.raises(UserError, match="not an SQLite file"):
        Store(sparse, reading=True)
    os.truncate(path, 2**30)
    with Store(path, reading=True) as store:  # what is behind the pages of a store is not looked at
        assert len(store.cells()) == len(SMALL)


def test_a_process_that_was_forked_opens_its_own(path: Path) -> None:
    """SQLite's locks belong to the process that took them: what a child writes could be lost, or damage the file."""
    with Store(path) as store:
        child = os.fork()
        if not child:
            code = 1
            try:
                store.cells()
            except UserError as error:
                code = 0 if "before this process was forked" in str(error) else 2
            store.close()
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert store.add(setting(), [cell()]) == 1


def test_a_thousand_names_are_one_filter(path: Path) -> None:
    names = tuple(f"runs/{number}.pt" for number in range(2000))
    with Store(path, reading=True) as store:
        assert store.cells(Selection(checkpoints=names, data=names)) == []
        assert len(store.cells(Selection(checkpoints=(*names, "silu-11"), data=(*names, "mnist:*")))) == len(SMALL)


def test_names_that_are_no_text_are_found_again(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.sqlite")
    with Store(path) as store:
        store.add(setting(data="folder:\udcff"), [cell(checkpoint="a\udcff.pt", architecture="\udcff.py:f")])
    with Store(path, reading=True) as store:
        assert len(store.cells(Selection(checkpoints=("a\udcff.pt",)))) == 1
        assert len(store.cells(Selection(data=("folder:\udcff",), architectures=("\udcff.py:f",)))) == 1


def test_statistics_of_a_layer_never_stand_for_what_was_checked(tmp_path: Path) -> None:
    import dataclasses

    row = dataclasses.replace(LAYER, statistics={**LAYER.statistics, "checkpoint": 1, "sha256": 2, "layer": 3, "index": 4})
    plain = LAYER.as_dict()

    assert {name: row.as_dict()[name] for name in plain} == plain
