"""Reads untrusted JSON, within bounds of size and memory, and validates its types; invalid input raises a UserError."""

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
"""The largest file that is read, in bytes; 50,000 images of 1,000 classes under 76 conditions take 7 million."""
_MOST_MARKS = 300_000
"""The largest number of values: an empty list takes two bytes in the file but a hundred times as much in memory."""
_LONGEST_NUMBER = 40
_LONGEST_TEXT = 4096

Kinds = Mapping[str, tuple[type | None, ...]]


def as_json(kinds: tuple[type, ...]) -> tuple[type | None, ...]:
    """The Python types that a value may have after JSON decoding: an int may stand for a float."""
    whole = (int,) if float in kinds else ()
    return (*(None if kind is NoneType else kind for kind in kinds), *whole)


def read_json(path: Path) -> object:
    """The content of a JSON file.

    Raises:
        FileNotFoundError: If the file does not exist.
        UserError: If it cannot be read, is too large, or is not JSON.
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
    """The bytes of a base64 string in a JSON object."""
    try:
        return base64.b64decode(row.get(key, ""), validate=True)
    except (TypeError, ValueError):
        refuse(f"{where}: not base64 text")


def rows_of(document: Mapping[str, Any], key: str) -> list[Any]:
    """A list in a JSON object."""
    rows = document.get(key)
    if not isinstance(rows, list):
        refuse(f"{key} is a list, not {shown(rows)}")
    return rows


def table_of(value: object, key: str | None, kinds: Kinds, where: str = "") -> dict[str, Any]:
    """The entries of a JSON object that ``kinds`` names, each checked to have one of the types allowed there."""
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
    """The keys of a nested JSON object."""
    table_of(document, name, {})
    return list(document[name])


def is_kind(value: object, allowed: tuple[type | None, ...]) -> bool:
    """Whether a value has one of the types; True does not count as 1."""
    return (value is None and None in allowed) or type(value) in allowed


def name_of(text: str, where: str) -> str:
    """``text``, once checked to be safe to print in a terminal, an XML file or a workflow log."""
    if not is_printable(text, longest=_LONGEST_TEXT):
        refuse(f"{where} is not a name ({shown(text)})")
    return text


def shown(value: object) -> str:
    """A value, shortened for error messages."""
    text = repr(value) if not isinstance(value, (list, dict)) else f"a {type(value).__name__}"
    return text if len(text) <= 40 else f"{text[:37]}..."


def refuse(message: str) -> NoReturn:
    """Raise UserError."""
    raise UserError(message)
