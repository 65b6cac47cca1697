"""Rows of a store become records. What larobust cannot have written is refused, and no name reaches a terminal as it may not.

A file of results comes from anywhere: its columns may hold other types than the tables say, and texts that clear a screen. Which
columns there are, and of what types, follows from the fields of the records.
"""

from __future__ import annotations

import functools
import json
import math
from types import NoneType
from typing import Any

from robustbench_la.records.cells import Cell, Condition, Pass, RunSetting, decode_level, encode_level
from robustbench_la.records.networks import NETWORK, Kinds, NetworkRecord, kinds_of
from robustbench_la.text import printable

PASS: Kinds = {**kinds_of(Condition), "parameters": (str,), "noise_seed": (int, NoneType)}
"""Of a condition and the seed of its noise; a level is a text."""
MEASURED: Kinds = {name: kinds for name, kinds in kinds_of(Cell).items() if name not in ("network", "pass_", "predictions")}
"""Of a cell, beside its predictions."""
SETTING: Kinds = {
    name: (int, NoneType) if name == "dirty" else (str,) if name == "versions" else kinds
    for name, kinds in kinds_of(RunSetting).items()
}
"""SQLite has no booleans and no tables."""


# By hand: pydantic in strict mode takes as long for a row of this size, and does not make texts printable.
def checked(values: tuple[Any, ...], kinds: Kinds) -> dict[str, Any]:
    """Values by the names of ``kinds``, texts made printable; a ValueError for one of another type."""
    row = dict(zip(kinds, values, strict=True))
    for name, value in row.items():
        if type(value) not in kinds[name]:
            raise ValueError(f"{name} is {str(value)[:40]!r}")
        if type(value) is str:
            row[name] = printable(value)
    return row


def network(values: tuple[Any, ...]) -> NetworkRecord:
    """From the columns of NETWORK. A ValueError for what larobust cannot have written."""
    return NetworkRecord(**checked(values, NETWORK))


@functools.lru_cache(maxsize=4096)
def pass_of(*values: Any) -> Pass:
    """From the columns of PASS. A ValueError for what larobust cannot have written."""
    row = checked(values, PASS)
    seed, level = row.pop("noise_seed"), decode_level(row.pop("parameters"))
    return Pass(Condition(**row, parameters=level), seed)


def pass_columns(of: Pass) -> dict[str, Any]:
    """The columns of PASS."""
    condition, seed = of
    row = {name: getattr(condition, name) for name in PASS if name != "noise_seed"}
    return row | {"parameters": encode_level(condition.parameters), "noise_seed": seed}


def cell(of: NetworkRecord, under: Pass, measured: tuple[Any, ...], predictions: bytes) -> Cell:
    """From the columns of MEASURED. A ValueError for what larobust cannot have written."""
    row = checked(measured, MEASURED)
    right, top5 = row["correct"], row["correct_top5"]
    if not (0 <= right <= row["total"] and row["total"] > 0 and (top5 is None or 0 <= top5 <= row["total"])):
        raise ValueError(f"{right} of {row['total']} images are correct")
    if not math.isfinite(row["nll_sum"]):
        raise ValueError("a likelihood is not finite")
    return Cell(network=of, pass_=under, predictions=predictions, **row)


def setting(values: tuple[Any, ...]) -> RunSetting:
    """From the columns of SETTING. A ValueError for what larobust cannot have written."""
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
    return RunSetting(**row)
