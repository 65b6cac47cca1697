"""Writing a file whole or not at all, and finding out early that it cannot be written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from robustbench_la.errors import RunError, UserError


def check_writable(path: Path) -> None:
    """Raise UserError unless a file can be made at ``path``; makes nothing."""
    try:
        is_folder, folder = path.is_dir(), path.absolute().parent
        while not folder.exists():
            folder = folder.parent
    except PermissionError:
        raise UserError(f"cannot write {path}: no permission to look into its folder") from None
    except (OSError, ValueError) as error:  # a name that is too long, or holds a zero byte
        raise UserError(f"cannot write {str(path)[:80]}: {getattr(error, 'strerror', None) or error}") from None
    if is_folder:
        raise UserError(f"{path} is a folder; give a file name")
    if not folder.is_dir():
        raise UserError(f"cannot write {path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {path}: no permission to write in {folder}")


def is_there(path: Path) -> bool:
    """Whether it is a file; what cannot even be asked (a name too long, a folder without permission) is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_missing(path: Path) -> bool:
    """Whether nothing is there; what cannot be asked is not missing: to open it will say why."""
    try:
        return not path.exists()
    except (OSError, ValueError):
        return False


def check_outputs(outputs: Sequence[Path], inputs: Mapping[str, Iterable[Path]]) -> None:
    """Raise UserError for files that cannot be written, or that would overwrite an input or each other.

    inputs: what each is, such as ``the store``, and where.
    """
    for place, path in enumerate(outputs):
        check_writable(path)
        for what, sources in inputs.items():
            if any(path.resolve() == source.resolve() for source in sources):
                raise UserError(f"{path} would overwrite {what}")
        if any(path.resolve() == other.resolve() for other in outputs[:place]):
            raise UserError(f"{path} is named for two different outputs")


def write_whole(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path``; whatever happens meanwhile, either the old or the new content is there."""
    check_writable(path)
    path = path.resolve()  # a link stays a link
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
