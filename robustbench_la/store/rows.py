"""Rows of a store become records. What larobust cannot have written is refused, and no name reaches a terminal as it may not.

A file of results comes from anywhere: its columns may hold other types than the tables say, and texts that clear a screen.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from types import NoneType
from typing import Any

from robustbench_la.records.cells import Cell, Condition, Setting, decode_level, encode_level
from robustbench_la.text import printable

_Kinds = Mapping[str, tuple[type, ...]]
NETWORK: _Kinds = {
    **dict.fromkeys(("checkpoint", "sha256", "architecture"), (str,)),
    "code": (str, NoneType),
    **dict.fromkeys(("activation", "activation_level"), (str,)),
    "alpha": (float, NoneType),
    "normalization": (str,),
    "training_seed": (int, NoneType),
}
"""What tells a network, in the order of a record's fields."""
CONDITION: _Kinds = {
    "corruption": (str,),
    "severity": (int, NoneType),
    "parameters": (str,),
    "profile": (str, NoneType),
}
MEASURED: _Kinds = {
    "noise_seed": (int, NoneType),
    "correct": (int,),
    "correct_top5": (int, NoneType),
    "total": (int,),
    "nll_sum": (float,),
    "seconds": (float,),
    "calibration": (bytes,),
}
"""Of a cell, beside its predictions."""
SETTING: _Kinds = {
    "data": (str,),
    **dict.fromkeys(("images", "dataset_images"), (int,)),
    **dict.fromkeys(("resize", "crop"), (int, NoneType)),
    **dict.fromkeys(("device", "precision"), (str,)),
    **dict.fromkeys(("batch_size", "threads"), (int,)),
    **dict.fromkeys(("started", "versions", "host"), (str,)),
    "commit": (str, NoneType),
    "dirty": (int, NoneType),
    "fingerprint": (str,),
}


def checked(values: tuple[Any, ...], kinds: _Kinds) -> dict[str, Any]:
    """Values by the names of ``kinds``, texts made printable. Raises: ValueError for one of another type."""
    row = dict(zip(kinds, values, strict=True))
    for name, value in row.items():
        if type(value) not in kinds[name]:
            raise ValueError(f"{name} is {str(value)[:40]!r}")
        if type(value) is str:
            row[name] = printable(value)
    return row


@functools.lru_cache(maxsize=4096)
@functools.lru_cache(maxsize=4096)
def condition(*values: Any) -> Condition:
    """From the columns of CONDITION. Raises: ValueError."""
    row = checked(values, CONDITION)
    return Condition(**{**row, "parameters": decode_level(row["parameters"])})


def condition_columns(of: Condition) -> dict[str, Any]:
    """The columns of CONDITION."""
    return {name: getattr(of, name) for name in CONDITION} | {"parameters": encode_level(of.parameters)}


def cell(network: tuple[Any, ...], of: Condition, measured: tuple[Any, ...], predictions: bytes) -> Cell:
    """From the columns of NETWORK and MEASURED. Raises: ValueError."""
    row = checked(measured, MEASURED)
    right, top5 = row["correct"], row["correct_top5"]
    if not (0 <= right <= row["total"] and row["total"] > 0 and (top5 is None or 0 <= top5 <= row["total"])):
        raise ValueError(f"{right} of {row['total']} images are correct")
    if not math.isfinite(row["nll_sum"]):
        raise ValueError("a likelihood is not finite")
    return Cell(**checked(network, NETWORK), condition=of, predictions=predictions, **row)


def setting(values: tuple[Any, ...]) -> Setting:
    """From the columns of SETTING. Raises: ValueError."""
    row = checked(values, SETTING)
    if not 0 < row["images"] <= row["dataset_images"]:
        raise ValueError(f"{row['images']} of {row['dataset_images']} images")
    try:
        versions = json.loads(row["versions"])
    except RecursionError:
        raise ValueError("versions are nested too deeply") from None
    if not isinstance(versions, dict) or not all(isinstance(value, str) for value in versions.values()):
        raise ValueError("versions are no table")
    row |= {
        "versions": {printable(name): printable(value) for name, value in versions.items()},
        "dirty": None if row["dirty"] is None else bool(row["dirty"]),
    }
    return Setting(**row)
