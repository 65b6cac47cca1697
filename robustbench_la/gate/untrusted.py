"""JSON that anyone may have written: read within bounds of size and memory, and accepted only if it is what it should be.

Whatever is not, is a UserError of one line.
"""

from __future__ import annotations

import base64
import json
import math
import stat
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, NoReturn

from robustbench_la.errors import UserError, first_line
from robustbench_la.text import is_printable

LARGEST = 16 * 2**20
"""Bytes of a file that is read at all; 50,000 images of 1,000 classes under 76 conditions take 7 million."""
_MOST_MARKS = 300_000
"""Values that JSON may hold: an empty list takes two bytes in the file and a hundred times as much in memory."""
_LONGEST_NUMBER = 40
_LONGEST_TEXT = 4096

Kinds = Mapping[str, tuple[type | None, ...]]


def as_json(kinds: tuple[type, ...]) -> tuple[type | None, ...]:
    """The types in Python that a value may have once it was JSON: a whole number may stand for a float."""
    whole = (int,) if float in kinds else ()
    return (*(None if kind is NoneType else kind for kind in kinds), *whole)


def read_json(path: Path) -> object:
    """The content of a JSON file.

    Raises:
        FileNotFoundError: if there is none.
        UserError: if it cannot be read, or is too large.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for ever, a device may never end
            refuse("not a file")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read ({getattr(error, 'strerror', None) or first_line(error)})") from None
    if len(content) > LARGEST:
        refuse(f"larger than any baseline ({LARGEST / 2**20:.0f} MiB)")
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > _MOST_MARKS:
        refuse("holds more values than any baseline")
    try:
        document: object = json.loads(content.decode(), parse_int=_whole, parse_float=_number, parse_constant=_number)
    except UnicodeDecodeError:
        refuse("not a baseline (not UTF-8 text)")
    except RecursionError:
        refuse("not a baseline (nested too deeply)")
    except json.JSONDecodeError as error:
        refuse(f"line {error.lineno} is not JSON ({error.msg})")
    return document


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER or abs(int(digits)) >= 2**62:
        refuse(f"the number {digits[:12]}... is too large")
    return int(digits)


def _number(digits: str) -> float:
    if len(digits) > _LONGEST_NUMBER or not math.isfinite(float(digits)):
        refuse(f"the number {digits[:12]} is not finite, or too long")
    return float(digits)


def bytes_of(row: Mapping[str, Any], key: str, where: str) -> bytes:
    """What is base64 text in a table."""
    try:
        return base64.b64decode(row.get(key, ""), validate=True)
    except (TypeError, ValueError):
        refuse(f"{where}: not base64 text")


def rows_of(document: Mapping[str, Any], key: str) -> list[Any]:
    """A list in a table."""
    rows = document.get(key)
    if not isinstance(rows, list):
        refuse(f"{key} is a list, not {shown(rows)}")
    return rows


def table_of(value: object, key: str | None, kinds: Kinds, where: str = "") -> dict[str, Any]:
    """The entries of a table that ``kinds`` names, each of one of the kinds that it allows."""
    table = value.get(key) if key is not None and isinstance(value, dict) else value
    where = where or str(key)
    if not isinstance(table, dict):
        refuse(f"{where}: a table is needed, not {shown(table)}")
    for name, allowed in kinds.items():
        if name not in table:
            refuse(f"{where}: {name} is missing")
        if not is_kind(table[name], allowed):
            refuse(f"{where}: {name} is {shown(table[name])}")
        if isinstance(table[name], str):
            name_of(table[name], f"{where}: {name}")
    return {name: table[name] for name in kinds}


def keys_of(document: Mapping[str, Any], name: str) -> list[str]:
    """The keys of a table in a table."""
    table_of(document, name, {})
    return list(document[name])


def is_kind(value: object, allowed: tuple[type | None, ...]) -> bool:
    """Whether a value is of one of the kinds; True is no 1."""
    return (value is None and None in allowed) or type(value) in allowed


def name_of(text: str, where: str) -> str:
    """``text``, unless it could take the terminal, an XML file or a workflow's log in hand."""
    if not is_printable(text, longest=_LONGEST_TEXT):
        refuse(f"{where} is not a name ({shown(text)})")
    return text


def shown(value: object) -> str:
    """A value as an error may quote it."""
    text = repr(value) if not isinstance(value, (list, dict)) else f"a {type(value).__name__}"
    return text if len(text) <= 40 else f"{text[:37]}..."


def refuse(message: str) -> NoReturn:
    """Raise UserError."""
    raise UserError(message)
