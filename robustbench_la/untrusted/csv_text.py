"""CSV that came from anywhere: rows with the names of their columns, and the line of each."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from robustbench_la.errors import UserError, first_line
from robustbench_la.untrusted.content import CONTROL, named, place, read_text, repeated

LARGEST = 2**20
"""The largest file that is read, in bytes: about 10,000 rows."""
_LONGEST_TEXT = 4096


def read_csv(path: Path, *, delimiter: str = ",") -> Iterator[tuple[int, dict[str, str]]]:
    """Read a CSV file whose first line names the columns; empty lines are passed over.

    Args:
        path: The file.
        delimiter: Between the values of a row.

    Yields:
        The number of the line at which a row ends, and its values by the names of their columns.

    Raises:
        FileNotFoundError: If it does not exist.
        UserError: If it cannot be read, or a row does not fit the columns; the message does not name the file.
    """
    text = read_text(path, largest=LARGEST).replace("\r\n", "\n").replace("\r", "\n")
    if (wrong := CONTROL.search(text)) is not None:
        raise UserError(f"{place(text, wrong.start())}: not readable as CSV ({named(wrong[0])})")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    names: list[str] = []
    try:
        for row in reader:
            if not row:
                continue
            if any(len(value) > _LONGEST_TEXT for value in row):
                raise UserError(f"line {reader.line_num}: a value of more than {_LONGEST_TEXT:,} characters is too long")
            if not names:
                names = [name.strip() for name in row]
                if (twice := repeated(names)) is not None:
                    raise UserError(f"line {reader.line_num}: the column {twice[:40]!r} is there twice")
                continue
            if len(row) > len(names):
                raise UserError(f"line {reader.line_num}: more values than columns")
            yield reader.line_num, dict(zip(names, row + [""] * (len(names) - len(row)), strict=True))
    except csv.Error as error:
        raise UserError(f"line {reader.line_num}: not readable as CSV ({first_line(error)})") from None
