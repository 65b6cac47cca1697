"""The bytes and the text of a file that came from anywhere. Its format: yaml_text.py, json_text.py, csv_text.py."""

from __future__ import annotations

import re
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path

from robustbench_la.errors import UserError, first_line
from robustbench_la.files import open_regular

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that no name or setting needs: controls except tab and newline, marks of direction, halves of surrogates."""


def read_bytes(path: Path, *, largest: int) -> bytes:
    """The content of a regular file.

    Args:
        path: The file. Pipes, which would wait for ever, and devices, which may never end, are refused.
        largest: The most bytes that it may have.

    Returns:
        Its bytes.

    Raises:
        FileNotFoundError: If it does not exist.
        UserError: If it cannot be read, or is too large; the message does not name it.
    """
    try:
        with BufferedReader(open_regular(path)) as file:
            content = file.read(largest + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # a null byte in its name is a ValueError
        raise UserError(f"cannot be read ({getattr(error, 'strerror', None) or first_line(error)})") from None
    if len(content) > largest:
        raise UserError(f"larger than {largest / 2**20:.0f} MiB, the most that is read of such a file")
    return content


def read_text(path: Path, *, largest: int) -> str:
    """The content of a file of UTF-8 text, without a byte order mark; arguments and errors as of ``read_bytes``."""
    content = read_bytes(path, largest=largest)
    if content.startswith(_UTF_16):
        raise UserError("UTF-16 text; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf_8(content, error) from None


def not_utf_8(content: bytes, error: UnicodeDecodeError) -> UserError:
    """The error about bytes that are no UTF-8 text, with their line."""
    line = content.count(b"\n", 0, error.start) + 1
    return UserError(f"line {line}: not UTF-8 text")


def place(text: str, index: int) -> str:
    r"""Line and column of a character of a text.

    >>> place("ab\ncd", 4)
    'line 2, column 2'
    """
    line, column = text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
    return f"line {line}, column {column}"


def named(character: str) -> str:
    r"""A character that cannot be shown, in words.

    >>> named("\x1b")
    'the control character U+001B'
    """
    return f"the control character U+{ord(character):04X}"


def repeated(names: Iterable[str]) -> str | None:
    """The first name that is there twice; None if none is.

    >>> repeated(["a", "b", "a"])
    'a'
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
