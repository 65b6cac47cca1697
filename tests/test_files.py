"""Files are written whole or not at all, whatever their names are, and what a killed writer leaves is cleaned."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from robustbench_la import files
from robustbench_la.errors import RunError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")


@pytest.fixture(params=["unnamed until complete", "named at once"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of writing: not every file system makes files without a name."""
    if request.param == "named at once":
        monkeypatch.setattr(files, "_DESCRIPTORS", "/absent")


@pytest.mark.usefixtures("_way")
def test_the_old_content_stays_where_the_new_one_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.json"
    files.write_whole(path, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot write .*a\.json: No space left"):
        files.write_whole(path, "new")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_whole(path, "old")
    child = os.fork()
    if not child:
        os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        files.write_whole(path, "new")
        os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_left_long_ago_is_removed_by_the_next_writer(tmp_path: Path) -> None:
    left, recent, other = (tmp_path / name for name in (".larobust-unfinished-1", ".larobust-unfinished-2", ".other"))
    for path in (left, recent, other):
        path.touch()
    for path in (left, other):
        os.utime(path, (time.time() - 7200,) * 2)
    files.write_whole(tmp_path / "a.json", "new")

    assert {path.name for path in tmp_path.iterdir()} == {"a.json", recent.name, other.name}


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("name", [b"\xff\n\x1b.json", b"x" * 255], ids=["no text", "as long as can be"])
def test_any_name_and_any_text_are_written(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    files.write_whole(path, "of \udcff.pt")

    assert path.read_bytes() == rb"of \udcff.pt"
    assert [os.fsencode(entry.name) for entry in tmp_path.iterdir()] == [name]


def test_a_file_is_as_readable_as_the_mask_of_the_process_says(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        files.write_whole(tmp_path / "a.json", "new")
    finally:
        os.umask(mask)

    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_only_regular_files_are_opened(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x")

    with pytest.raises(OSError, match=r"it is no regular file but a (named pipe|folder)"):
        files.open_regular(tmp_path / "x")
