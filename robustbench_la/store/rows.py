"""Converts rows of a store to records, rejecting what larobust cannot have written.

A store may come from anywhere: its columns may hold other types than the tables declare. Names stay whole, whatever characters
they hold: what shows them makes them printable. The columns and their types follow from the fields of the records.
"""

from __future__ import annotations

import functools
import json
import math
from types import NoneType
from typing import Any

from robustbench_la.records.cells import Cell, Condition, Pass, RunSetting, decode_level, encode_level
from robustbench_la.records.networks import NETWORK, Kinds, NetworkRecord, kinds_of

PASS: Kinds = {**kinds_of(Condition), "parameters": (str,), "noise_seed": (int, NoneType)}
"""Columns of a condition and the seed of its noise; a level is kept as text."""
MEASURED: Kinds = {name: kinds for name, kinds in kinds_of(Cell).items() if name not in ("network", "pass_", "predictions")}
"""Columns of a cell, except its predictions."""
SETTING: Kinds = {name: (str,) if name in ("versions", "assumed") else kinds for name, kinds in kinds_of(RunSetting).items()}
"""Columns of the setting of a run. SQLite has neither mappings nor sequences, so these are kept as JSON."""
_JSON = ("versions", "assumed")


_LONGEST_TEXT = 2**16
"""Characters of a text; names of files have at most 4,096."""
_LONGEST_JSON = 2**20
"""Characters of JSON; individual values of 10,000 images take a fifth of it."""
MOST_IMAGES = 2**24
"""More than any labelled dataset has."""
_MOST_NATS = 4e38
"""Of one image: more than float32 can express."""
_ANY_SIGN = ("noise_seed", "training_seed", "index")


class DamagedRowError(ValueError):
    """A row holds what larobust cannot have written."""


# Not with pydantic: in strict mode it takes as long for rows of this size.
def checked(values: tuple[Any, ...], kinds: Kinds) -> dict[str, Any]:
    """Values by the names of ``kinds``: texts as they are, and 0 and 1 booleans where these are meant, which SQLite lacks.

    Raises DamagedRowError for a value of another type, an infinite number, a negative count, or a text without end.
    """
    row = dict(zip(kinds, values, strict=True))
    for name, value in row.items():
        kind = type(value)
        if bool in kinds[name] and kind is int and value in (0, 1):
            row[name] = bool(value)
        elif (
            kind not in kinds[name]
            or (kind is float and not math.isfinite(value))
            or (kind is int and value < 0 and name not in _ANY_SIGN)
            or (kind is str and len(value) > (_LONGEST_JSON if name in _JSON else _LONGEST_TEXT))
        ):
            raise DamagedRowError(f"{name} is {str(value)[:40]!r}")
    return row


def parsed(text: object, what: str) -> Any:
    """JSON of a store. Raises DamagedRowError for what is not JSON, or without end."""
    if not isinstance(text, str) or len(text) > _LONGEST_JSON:
        raise DamagedRowError(f"{what} are {str(text)[:40]!r}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # also integers of thousands of digits
        raise DamagedRowError(f"{what} are not JSON") from None


def network(values: tuple[Any, ...]) -> NetworkRecord:
    """A network from the columns of NETWORK. Raises DamagedRowError for what larobust cannot have written."""
    return NetworkRecord(**checked(values, NETWORK))


@functools.lru_cache(maxsize=4096)
def pass_of(*values: Any) -> Pass:
    """A pass from the columns of PASS. Raises DamagedRowError for what larobust cannot have written."""
    row = checked(values, PASS)
    seed, level = row.pop("noise_seed"), decode_level(row.pop("parameters"))
    if row["severity"] not in (None, 0, 1, 2, 3, 4, 5):
        raise DamagedRowError(f"severity is {row['severity']}")
    if row["prebuilt"] is not None and (level or row["profile"] is None or seed is not None):
        raise DamagedRowError("images of a published set have no level and no noise seed")
    return Pass(Condition(**row, parameters=level), seed)


def pass_columns(of: Pass) -> dict[str, Any]:
    """The columns of PASS, from a pass."""
    condition, seed = of
    row = {name: getattr(condition, name) for name in PASS if name != "noise_seed"}
    return row | {"parameters": encode_level(condition.parameters), "noise_seed": seed}


def cell(of: NetworkRecord, under: Pass, measured: tuple[Any, ...], predictions: bytes) -> Cell:
    """A cell from the columns of MEASURED. Raises DamagedRowError for what larobust cannot have written."""
    row = checked(measured, MEASURED)
    correct, top5 = row["correct"], row["correct_top5"]
    if not (correct <= row["total"] and 0 < row["total"] <= MOST_IMAGES and (top5 is None or top5 <= row["total"])):
        raise DamagedRowError(f"{correct} of {row['total']} images are correct")
    if abs(row["nll_sum"]) > _MOST_NATS * row["total"]:
        raise DamagedRowError(f"nll_sum is {row['nll_sum']}")
    if not isinstance(predictions, bytes):
        raise DamagedRowError(f"predictions are {str(predictions)[:40]!r}")
    return Cell(network=of, pass_=under, predictions=predictions, **row)


def setting(values: tuple[Any, ...]) -> RunSetting:
    """The setting of a run from the columns of SETTING. Raises DamagedRowError for what larobust cannot have written."""
    row = checked(values, SETTING)
    if not 0 < row["images"] <= min(row["dataset_images"], MOST_IMAGES):
        raise DamagedRowError(f"{row['images']} of {row['dataset_images']} images")
    versions, assumed = parsed(row["versions"], "versions"), parsed(row["assumed"], "assumptions")
    if not isinstance(versions, dict) or not all(isinstance(value, str) for value in versions.values()):
        raise DamagedRowError("versions are not a mapping of texts")
    if not isinstance(assumed, list) or not all(isinstance(value, str) for value in assumed):
        raise DamagedRowError("what was assumed is not a list of texts")
    row["versions"] = versions
    row["assumed"] = tuple(assumed)
    return RunSetting(**row)
