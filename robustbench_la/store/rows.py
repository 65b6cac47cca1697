"""Converts rows of a store to records, rejecting what larobust cannot have written and making names safe for a terminal.

A store may come from anywhere: its columns may hold other types than the tables declare, and texts with control characters. The
columns and their types follow from the fields of the records.
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
"""Columns of a condition and the seed of its noise; a level is kept as text."""
MEASURED: Kinds = {name: kinds for name, kinds in kinds_of(Cell).items() if name not in ("network", "pass_", "predictions")}
"""Columns of a cell, except its predictions."""
SETTING: Kinds = {name: (str,) if name in ("versions", "assumed") else kinds for name, kinds in kinds_of(RunSetting).items()}
"""Columns of the setting of a run. SQLite has neither mappings nor sequences, so these are kept as JSON."""


# Not with pydantic: in strict mode it takes as long for rows of this size, and it does not make texts printable.
def checked(values: tuple[Any, ...], kinds: Kinds) -> dict[str, Any]:
    """Values by the names of ``kinds``: texts made printable, and 0 and 1 booleans where these are meant, which SQLite lacks.

    Raises ValueError for a value of another type.
    """
    row = dict(zip(kinds, values, strict=True))
    for name, value in row.items():
        if bool in kinds[name] and type(value) is int and value in (0, 1):
            row[name] = bool(value)
        elif type(value) not in kinds[name]:
            raise ValueError(f"{name} is {str(value)[:40]!r}")
        if type(value) is str:
            row[name] = printable(value)
    return row


def network(values: tuple[Any, ...]) -> NetworkRecord:
    """A network from the columns of NETWORK. Raises ValueError for what larobust cannot have written."""
    return NetworkRecord(**checked(values, NETWORK))


@functools.lru_cache(maxsize=4096)
def pass_of(*values: Any) -> Pass:
    """A pass from the columns of PASS. Raises ValueError for what larobust cannot have written."""
    row = checked(values, PASS)
    seed, level = row.pop("noise_seed"), decode_level(row.pop("parameters"))
    return Pass(Condition(**row, parameters=level), seed)


def pass_columns(of: Pass) -> dict[str, Any]:
    """The columns of PASS, from a pass."""
    condition, seed = of
    row = {name: getattr(condition, name) for name in PASS if name != "noise_seed"}
    return row | {"parameters": encode_level(condition.parameters), "noise_seed": seed}


def cell(of: NetworkRecord, under: Pass, measured: tuple[Any, ...], predictions: bytes) -> Cell:
    """A cell from the columns of MEASURED. Raises ValueError for what larobust cannot have written."""
    row = checked(measured, MEASURED)
    correct, top5 = row["correct"], row["correct_top5"]
    if not (0 <= correct <= row["total"] and row["total"] > 0 and (top5 is None or 0 <= top5 <= row["total"])):
        raise ValueError(f"{correct} of {row['total']} images are correct")
    if not math.isfinite(row["nll_sum"]):
        raise ValueError("a likelihood is not finite")
    return Cell(network=of, pass_=under, predictions=predictions, **row)


def setting(values: tuple[Any, ...]) -> RunSetting:
    """The setting of a run from the columns of SETTING. Raises ValueError for what larobust cannot have written."""
    row = checked(values, SETTING)
    if not 0 < row["images"] <= row["dataset_images"]:
        raise ValueError(f"{row['images']} of {row['dataset_images']} images")
    try:
        versions, assumed = json.loads(row["versions"]), json.loads(row["assumed"])
    except RecursionError:
        raise ValueError("versions are nested too deeply") from None
    if not isinstance(versions, dict) or not all(isinstance(value, str) for value in versions.values()):
        raise ValueError("versions are not a mapping of texts")
    if not isinstance(assumed, list) or not all(isinstance(value, str) for value in assumed):
        raise ValueError("what was assumed is not a list of texts")
    row["versions"] = {printable(name): printable(value) for name, value in versions.items()}
    row["assumed"] = tuple(map(printable, assumed))
    return RunSetting(**row)
