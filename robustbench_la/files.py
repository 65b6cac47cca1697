"""Reading regular files only, writing files atomically, and finding out early that a file cannot be written."""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from io import BufferedReader, FileIO
from pathlib import Path

from robustbench_la.errors import RunError, UserError

_TEMPORARY = ".larobust-unfinished-"
"""How files begin that are being written."""
_ABANDONED = 3600.0
"""Seconds after which one of them is no longer being written."""
_DESCRIPTORS = "/proc/self/fd"


def check_writable(path: Path) -> None:
    """Raise UserError unless a file can be written at ``path``; leaves nothing behind."""
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.stat()  # which says what is wrong with a name, where is_dir may only say no
        is_folder, folder = path.is_dir(), path.absolute().parent
        while not folder.exists():
            folder = folder.parent
    except PermissionError:
        raise UserError(f"cannot write {path}: no permission to access its folder") from None
    except (OSError, ValueError) as error:  # a name that is too long, or contains a null byte
        raise UserError(f"cannot write {str(path)[:80]}: {getattr(error, 'strerror', None) or error}") from None
    if is_folder:
        raise UserError(f"{path} is a folder; give a file name")
    if not folder.is_dir():
        raise UserError(f"cannot write {path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {path}: no permission to write in {folder}")
    if path.exists() and not path.is_file():  # a device or a pipe
        return
    try:  # permissions do not tell everything: a file system may be full of rules of its own, as /proc is
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"cannot write {path}: no file can be made in {folder} ({error.strerror})") from None


_LARGE = 64 * 2**20
"""Bytes from which on a file is asked for holes."""
_EXTENTS = 1000
"""How many pieces of a file are looked at: one with more holes has as many pieces that are stored."""


def read_regular(path: Path, what: str, *, largest: int | None = None) -> bytes:
    """Read a whole file that somebody else may have made. Anything but a regular file is not even opened: a pipe could block.

    Args:
        path: The file.
        what: What it should be, with its article, for errors.
        largest: The most bytes it may have; None for as many as there is memory for.

    Raises:
        UserError: If it cannot be read, is no regular file, is mostly holes, or does not fit into memory; the message starts with
            the path.
    """
    try:
        with BufferedReader(open_regular(path)) as file:
            size = os.fstat(file.fileno()).st_size
            _check_size(path, file.fileno(), size, largest)
            return file.read(size)
    except NotRegularError as error:
        raise UserError(f"{path}: {error.kind}, not {what}") from None
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    except MemoryError:
        raise UserError(f"{path}: too large for the memory of this machine") from None


class NotRegularError(OSError):
    """What is at a path is no regular file: reading it might wait for ever, or never end."""

    def __init__(self, kind: str) -> None:
        """kind: what it is, with its article."""
        super().__init__(errno.EINVAL, f"it is no regular file but {kind}")
        self.kind = kind


def open_regular(path: Path) -> FileIO:
    """Open a file for reading. Anything but a regular file is not even opened: a pipe could block.

    Raises:
        NotRegularError: If it is none.
        OSError: If it cannot be opened.
        ValueError: If its name holds a null byte.
    """
    if (kind := _kind_of(path.stat().st_mode)) is not None:
        raise NotRegularError(kind)
    file = FileIO(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)))
    if (kind := _kind_of(os.fstat(file.fileno()).st_mode)) is not None:  # it was replaced meanwhile
        file.close()
        raise NotRegularError(kind)
    return file


def _kind_of(mode: int) -> str | None:
    """What a file is that is not a regular one."""
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    return None if stat.S_ISREG(mode) else kinds.get(stat.S_IFMT(mode), "a device")


def _check_size(path: Path, descriptor: int, size: int, largest: int | None) -> None:
    """Raise UserError for a file that is too large, or of which only a small part is stored."""
    if largest is not None and size > largest:
        raise UserError(f"{path}: {size:,} bytes, more than the {largest:,} that are read")
    if size > _LARGE and (stored := _stored(descriptor, size)) < size / 4:
        raise UserError(
            f"{path}: of its {size:,} bytes only {stored:,} are stored, as an interrupted download leaves it; download it again"
        )
    if (free := free_memory()) is not None and 2 * size > free:
        raise UserError(
            f"{path}: {size / 2**30:.1f} GiB, but only {free / 2**30:.1f} GiB of memory are free; twice its size is needed"
        )


def _stored(descriptor: int, size: int) -> int:
    """The bytes of a file that are no holes, as far as its file system tells."""
    if not hasattr(os, "SEEK_DATA"):
        return size
    stored = end = 0
    try:
        for _ in range(_EXTENTS):
            start = os.lseek(descriptor, end, os.SEEK_DATA)
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
            stored += end - start
            if end >= size:
                break
        else:
            return size
    except OSError:  # there is nothing but a hole from here on, or the file system does not tell
        stored = stored if end else 0
    os.lseek(descriptor, 0, os.SEEK_SET)
    return stored


def free_memory() -> int | None:
    """Bytes of memory that a program can still get; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def is_there(path: Path) -> bool:
    """Whether ``path`` is a file; False if that cannot be determined (name too long, no permission for the folder)."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def at_home(path: str) -> Path:
    """A path, with ``~`` as the home folder; as it is where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def exists(path: Path) -> bool:
    """Whether there is a file or a folder at ``path``; False if that cannot be determined, as of a name that is too long."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_missing(path: Path) -> bool:
    """Whether nothing exists at ``path``; False if that cannot be determined: opening the file will then report why."""
    try:
        return not path.exists()
    except (OSError, ValueError):
        return False


def is_same(path: Path, other: Path) -> bool:
    """Whether two paths lead to the same place; False if that cannot be determined, as of a name with a null byte."""
    try:
        return path.resolve() == other.resolve()
    except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle
        return False


def kind_at(path: Path) -> str | None:
    """What is at a path if it is no regular file, with its article; None for one, and where nothing is.

    Raises:
        OSError: If that cannot be determined.
        ValueError: If the path is none.
    """
    try:
        return _kind_of(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None


def similar_files(path: Path) -> str:
    """The end of a message about a missing file: those next to it with a similar name; empty if there are none."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except (OSError, ValueError):
        return ""
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.55)
    return f"; did you mean {', '.join(str(path.parent / name) for name in near)}?" if near else ""


def check_outputs(outputs: Sequence[Path], inputs: Mapping[str, Iterable[Path]]) -> None:
    """Check the files that a command is about to write.

    Args:
        outputs: Where to write.
        inputs: Description of an input, such as ``the store``, -> its paths.

    Raises:
        UserError: If a file cannot be written, or would overwrite an input or another output.
    """
    for index, path in enumerate(outputs):
        check_writable(path)
        for description, sources in inputs.items():
            if any(is_same(path, source) for source in sources):
                raise UserError(f"{path} would overwrite {description}; give another file name")
        if any(is_same(path, other) for other in outputs[:index]):
            raise UserError(f"{path} is given for two different outputs; give each its own file")


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file atomically: whatever happens in between, it holds either its old or its new content.

    Args:
        path: Where to write; missing folders are created.
        content: The whole content; a text is written as UTF-8, with escapes for what is none, such as bytes of a file name.

    Raises:
        UserError: If nothing can be written at ``path``.
        RunError: If writing fails, for example because no space is left.
    """
    check_writable(path)
    raw = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    path = path.resolve()  # a symbolic link stays one
    temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        if path.exists() and not path.is_file():  # a device or a pipe cannot be replaced
            path.write_bytes(raw)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        try:
            _write_new(temporary, raw)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from None


def _write_new(path: Path, raw: bytes) -> None:
    """Write a file that gets its name when it is complete, if the file system can do that: killed earlier, it leaves nothing."""
    descriptor = None
    if hasattr(os, "O_TMPFILE") and Path(_DESCRIPTORS).is_dir():
        with contextlib.suppress(OSError):  # a network file system
            descriptor = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o666)
    named = descriptor is None
    if descriptor is None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
        if not named:  # src_dir_fd has no effect but this: the link leads to the file, not to the entry of /proc
            os.link(f"{_DESCRIPTORS}/{file.fileno()}", path, src_dir_fd=file.fileno())


def _remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed while they wrote have left in a folder."""
    for left in folder.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):  # another process removed it, or it is not ours
            if time.time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()
