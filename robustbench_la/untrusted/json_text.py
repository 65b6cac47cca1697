"""JSON that came from anywhere, checked for size, depth, numbers and repeated keys."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from robustbench_la.errors import UserError
from robustbench_la.untrusted.content import not_utf_8, place, read_bytes, repeated

LARGEST = 16 * 2**20
"""The largest file that is read, in bytes; a baseline of 50,000 images of 1,000 classes under 76 conditions takes 7 million."""
_MOST_MARKS = 150_000
"""The largest number of values: an empty list takes two bytes in the file but a hundred times as much in memory."""
_LONGEST_NUMBER = 40
_DEEPEST = 24
_OUTSIDE_TEXTS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


def read_json(path: Path, *, largest: int = LARGEST, deepest: int = _DEEPEST) -> object:
    """Read a JSON file.

    Args:
        path: The file.
        largest: The most bytes that it may have.
        deepest: How deep its values may be nested.

    Returns:
        Its content; numbers are finite, and whole ones below 2^62.

    Raises:
        FileNotFoundError: If it does not exist.
        UserError: If it cannot be read, or is beyond the bounds; the message does not name the file.
    """
    content = read_bytes(path, largest=largest)
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > _MOST_MARKS or content.count(b'"') > 4 * _MOST_MARKS:
        raise UserError("holds more values than any file of its kind")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf_8(content, error) from None
    _check_depth(text, deepest)
    try:
        document: object = json.loads(
            text, parse_int=_whole, parse_float=_number, parse_constant=_number, object_pairs_hook=_each_once
        )
    except json.JSONDecodeError as error:
        raise UserError(f"line {error.lineno}, column {error.colno}: not readable as JSON ({error.msg})") from None
    except RecursionError:
        raise UserError("nested too deeply") from None
    return document


def _check_depth(text: str, deepest: int) -> None:
    depth = 0
    for found in _OUTSIDE_TEXTS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > deepest:
            raise UserError(f"{place(text, found.start())}: nested more than {deepest} deep")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise UserError(f"the key {str(repeated(name for name, _ in pairs))[:40]!r} is given twice")
    return table


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER or abs(int(digits)) >= 2**62:
        raise UserError(f"the number {digits[:12]}... is too large")
    return int(digits)


def _number(digits: str) -> float:
    if len(digits) > _LONGEST_NUMBER or not math.isfinite(float(digits)):
        raise UserError(f"the number {digits[:12]} is not finite, or too long")
    return float(digits)
