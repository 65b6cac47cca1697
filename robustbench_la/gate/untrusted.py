"""Validates the types of JSON that came from anywhere; invalid input raises a UserError."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from types import NoneType
from typing import Any, NoReturn

from robustbench_la.errors import UserError
from robustbench_la.text import is_printable

_LONGEST_TEXT = 4096

Kinds = Mapping[str, tuple[type | None, ...]]


def as_json(kinds: tuple[type, ...]) -> tuple[type | None, ...]:
    """The Python types that a value may have after JSON decoding: an int may stand for a float."""
    whole = (int,) if float in kinds else ()
    return (*(None if kind is NoneType else kind for kind in kinds), *whole)


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
        what = "holds control characters" if len(text) <= _LONGEST_TEXT else f"has more than {_LONGEST_TEXT:,} characters"
        refuse(f"{where} {what} ({shown(text)})")
    return text


def shown(value: object) -> str:
    """A value, shortened for error messages."""
    text = repr(value) if not isinstance(value, (list, dict)) else f"a {type(value).__name__}"
    return text if len(text) <= 40 else f"{text[:37]}..."


def refuse(message: str) -> NoReturn:
    """Raise UserError."""
    raise UserError(message)
