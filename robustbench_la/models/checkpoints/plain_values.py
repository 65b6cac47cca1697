"""What plain values a checkpoint may hold: keys whose hash costs little, collections that are soon searched."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

import torch

_LEVELS = 7
"""How deep the content of a checkpoint is ever searched."""
_MOST_SEARCHED = 2**20
"""Values that such a search may meet: collections may hold the same collection many times."""
_LARGEST_KEY = 2**64
"""Of the whole numbers up to here at most 17 have the same hash; a dictionary of larger ones may take quadratic time."""
_MOST_PARTS = 12
"""Of a tuple that is a key, with tuples in it; its hash is computed each time."""


class DamagedError(Exception):
    """The file cannot be a checkpoint that torch wrote."""


class NotAllowedError(Exception):
    """The file needs an object that only code could build; the message is its name."""


class TooMuchError(NotAllowedError):
    """The file holds only what is allowed, but much more of it than weights need."""


def plain_key(key: object) -> Any:
    """A key of a dictionary, if it is a plain value, whose hash costs little.

    Raises:
        DamagedError: If it is a number that no counter reaches.
        NotAllowedError: If it is another object.
    """
    if type(key) is str:
        return key
    waiting, parts = [key], 0
    while waiting:
        part = waiting.pop()
        parts += 1
        if type(part) is tuple and len(part) + len(waiting) + parts <= _MOST_PARTS:
            waiting += part
        elif isinstance(part, int) and abs(part) >= _LARGEST_KEY:
            raise DamagedError("a dictionary with a key that is a int of more than 64 bits")
        elif part is not None and not isinstance(part, (str, bytes, float, int, torch.dtype, torch.device)):
            raise NotAllowedError(f"a dictionary with a key that is a {type(part).__name__}")
    return key


def _children(value: object) -> Iterable[object]:
    if isinstance(value, argparse.Namespace):
        return vars(value).values()
    return value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple, set, frozenset)) else ()


def check_extent(content: object) -> None:
    """Raise DamagedError if whoever searches the content, some levels deep, would meet the same values again and again."""
    level: dict[int, tuple[object, int]] = {id(content): (content, 1)}
    met = 1
    for _ in range(_LEVELS):
        below: dict[int, tuple[object, int]] = {}
        for value, times in level.values():
            for child in _children(value):
                met += times
                if isinstance(child, (dict, list, tuple, set, frozenset, argparse.Namespace)) and child:
                    below[id(child)] = (child, below.get(id(child), (child, 0))[1] + times)
        if met > _MOST_SEARCHED:
            raise DamagedError("collections that hold the same collections again and again")
        level = below
