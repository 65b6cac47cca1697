"""What is kept of a layer, or of a network as a whole, as JSON in one column of a store: what may be in it, and its types."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from robustbench_la.records.layers import STATISTICS
from robustbench_la.store.rows import DamagedRowError, parsed

_LONGEST_NAME = 2**12


def statistics(text: object, *, whole: bool) -> dict[str, Any]:
    """Read the JSON of a row.

    Args:
        text: What the store holds.
        whole: Whether the row describes a whole network.

    Returns:
        The statistics by name, texts as they are.

    Raises:
        DamagedRowError: For what larobust cannot have written.
    """
    row = parsed(text, "statistics")
    if not isinstance(row, dict):
        raise DamagedRowError("statistics are not a mapping")
    for name, value in row.items():
        fits = (_OF_NETWORK if whole else _OF_LAYER).get(name, _is_plain)
        if not (_is_name(name) and fits(value)):
            raise DamagedRowError(f"the statistic {name[:40]!r} is {str(value)[:40]!r}")
    return row


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_NAME


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_name, value))


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_number(value: object) -> bool:
    return value is None or (type(value) is int and abs(value) < 2**63) or (type(value) is float and math.isfinite(value))


def _is_plain(value: object) -> bool:
    """Whether it is a number or a list of numbers, as whatever a newer version keeps."""
    return _is_number(value) or (isinstance(value, list) and all(map(_is_number, value)))


def _is_packed(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_name, value)) and all(isinstance(packed, str) for packed in value.values())


_OF_LAYER: Mapping[str, Callable[[object], bool]] = MappingProxyType(
    {"function": _is_name, "elements": _is_count, "images": _is_count, **dict.fromkeys(STATISTICS, _is_number)}
)
_OF_NETWORK: Mapping[str, Callable[[object], bool]] = MappingProxyType(
    {
        "images": _is_count,
        "layers": _is_count,
        "threshold": _is_number,
        "unreached": _are_names,
        "skipped": _are_names,
        "per_image": _is_packed,
    }
)
