"""Files of published datasets: downloaded by torchvision, and read whole, never more than the published ones have."""

from __future__ import annotations

import gzip
import os
import zlib
from io import BufferedReader
from pathlib import Path

from robustbench_la.errors import UserError, first_line
from robustbench_la.files import open_regular


def read_bounded(path: Path, most: int) -> bytes:
    """The content of a file, unpacked if its name ends in .gz.

    Args:
        path: The file.
        most: The most bytes that it may have, packed or unpacked.

    Returns:
        Its bytes.

    Raises:
        UserError: If it is no regular file, cannot be read, is damaged, or has more than ``most`` bytes.
    """
    try:
        with BufferedReader(open_regular(path)) as file:
            if os.fstat(file.fileno()).st_size > most:
                raise UserError(f"cannot read {path}: it has more than {most:,} bytes, so it is not the published file")
            content = (gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file).read(most + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or 'damaged'}") from None
    except (EOFError, zlib.error):
        raise UserError(f"cannot read {path}: damaged") from None
    if len(content) > most:
        raise UserError(f"cannot read {path}: it has more than {most:,} bytes, so it is not the published file")
    return content


def download(name: str, root: Path) -> None:
    """Let torchvision download what a folder lacks of a dataset.

    Args:
        name: As torchvision calls the dataset.
        root: The folder.

    Raises:
        UserError: If that fails.
    """
    import torchvision

    published = getattr(torchvision.datasets, name)
    dataset = published.__new__(published)  # without __init__, which would also unpickle what the folder holds
    dataset.root = str(root)
    try:
        dataset.download()
    except (RuntimeError, OSError, ValueError, EOFError) as error:
        raise UserError(f"cannot download {name} to {root}: {first_line(error)}") from None
