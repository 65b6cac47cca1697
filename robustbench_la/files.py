"""Writing files atomically, and finding out early that a file cannot be written."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from robustbench_la.errors import RunError, UserError


def check_writable(path: Path) -> None:
    """Raise UserError unless a file can be written at ``path``; leaves nothing behind."""
    try:
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


def is_there(path: Path) -> bool:
    """Whether ``path`` is a file; False if that cannot be determined (name too long, no permission for the folder)."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


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
            if any(path.resolve() == source.resolve() for source in sources):
                raise UserError(f"{path} would overwrite {description}; give another file name")
        if any(path.resolve() == other.resolve() for other in outputs[:index]):
            raise UserError(f"{path} is given for two different outputs; give each its own file")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically: whatever happens in between, it holds either its old or its new content.

    Args:
        path: Where to write; missing folders are created.
        content: The whole content.

    Raises:
        UserError: If nothing can be written at ``path``.
        RunError: If writing fails, for example because no space is left.
    """
    check_writable(path)
    path = path.resolve()  # a symbolic link stays one
    if path.exists() and not path.is_file():  # a device or a pipe cannot be replaced
        try:
            path.write_bytes(content)
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror}") from None
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from None
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
