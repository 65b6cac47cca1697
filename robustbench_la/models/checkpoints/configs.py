"""The config.json of a folder, which anybody may have written: read within bounds, and checked before a library sees it."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robustbench_la.errors import UserError
from robustbench_la.untrusted.json_text import read_json

_MOST_BYTES = 8 * 2**20
"""ImageNet-21k, with its names twice, takes 2 MB."""
_DEEPEST = 32
_LONGEST = 10_000
"""Characters of a text."""
_MOST_CLASSES = 2**20
_LARGEST = 10**12
"""Of any number."""
_CLASSES = re.compile(r"num_(labels|classes)")
_IMPLEMENTATION = re.compile(r"auto_map|.*_implementation")
"""Settings that may name code elsewhere."""
_COUNTED = re.compile(r"depth|layer|block|stage|repeat", re.IGNORECASE)
"""In names of settings that say how many times something is built."""
_WIDE = re.compile(r"channels|size|dim|kernel|configs", re.IGNORECASE)
"""In names of those that say how large it is, which the number of parameters bounds."""
_NUMBER = re.compile(r"0|[1-9][0-9]{0,6}")


def read_config(path: Path) -> dict[str, Any]:
    """Read a file of settings.

    Args:
        path: Of the file.

    Returns:
        The settings. Their texts, numbers and nesting are of a size that a network may need.

    Raises:
        UserError: If it is no JSON, no settings, or out of these bounds.
    """
    try:
        config = read_json(path, largest=_MOST_BYTES, deepest=_DEEPEST)
    except FileNotFoundError:
        raise UserError(f"{path.name}: no such file") from None
    except UserError as error:
        raise UserError(f"{path.name}: {error}") from None
    if not isinstance(config, dict):
        raise UserError(f"{path.name} holds no settings")
    for name, value in _values(config):
        if (fault := _fault(name, value)) is not None:
            raise UserError(f"{reprlib.repr(name)} in {path.name} {fault}")
    return config


def _fault(name: str, value: object) -> str | None:
    """What is wrong with a setting; None if nothing is."""
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"is a text of {len(value):,} characters"
    if isinstance(value, (int, float)) and not abs(value) <= (_MOST_CLASSES if _CLASSES.fullmatch(name) else _LARGEST):
        return f"is {reprlib.repr(value)}, which is too large"
    return None


def check_runs_nothing(config: Mapping[str, Any]) -> None:
    """Check that settings ask for no code that comes with the network, or from elsewhere.

    Args:
        config: The settings.

    Raises:
        UserError: If they do.
    """
    for name, value in _values(config):
        if _IMPLEMENTATION.fullmatch(name) and (name == "auto_map" or (isinstance(value, str) and re.search(r"[/:@]", value))):
            raise UserError(
                f"its config.json asks for Python code of its own ({name}), which is not run; give the weights with "
                "--arch FILE.py:CLASS if you trust that code"
            )


def _values(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every value, and every name, with the name that it stands under."""
    waiting: list[tuple[str, Any]] = [("settings", config)]
    while waiting:
        name, value = waiting.pop()
        yield name, value
        if isinstance(value, dict):
            waiting += value.items()
            waiting += [(key[:40], key) for key in value]
        elif isinstance(value, list):
            waiting += [(name, inner) for inner in value]


def check_counts(config: Mapping[str, Any], tensors: int) -> None:
    """Check that settings ask for no more layers than there are weights for: building millions would take hours.

    Args:
        config: The settings.
        tensors: Number of tensors in the weights.

    Raises:
        UserError: If they do.
    """
    for name, value in _values({key: value for key, value in config.items() if key not in ("id2label", "label2id")}):
        if not _COUNTED.search(name) or _WIDE.search(name):
            continue
        if isinstance(value, int) and not isinstance(value, bool) and value > max(tensors, 1):
            raise UserError(
                f"its config.json asks for {value:,} under {reprlib.repr(name)}, but the weights are {tensors:,} tensors"
            )


def whole_number(config: Mapping[str, Any], name: str) -> int | None:
    """A setting that counts something; None if it is not there.

    Args:
        config: The settings.
        name: Of the setting.

    Raises:
        UserError: If it is no whole number above 0.
    """
    value = config.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MOST_CLASSES):
        raise UserError(f"its {name} is {reprlib.repr(value)}, not a whole number from 1 to {_MOST_CLASSES:,}")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What a setting says of the classes, in the order of the outputs. It is there for readers: a network needs none of it."""

    names: tuple[str, ...] = ()
    """Empty if it gives none, or odd ones."""
    count: int | None = None
    """The number of entries; None if there are none."""
    fault: str | None = None
    """Why its names are left out."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What users must know."""
        return () if self.fault is None else (f"{self.fault}, so the names of its classes are left out",)


def labels_of(labels: object, name: str) -> Labels:
    """The names of classes; odd ones, such as ``{"LABEL_0": 0}`` or names that are numbered from 1 on, are left out.

    Args:
        labels: A list of names, or what each number is called.
        name: Of the setting, for remarks.

    Returns:
        The names, or why there are none.

    >>> labels_of({"1": "bee", "0": "ant"}, "id2label").names, labels_of({"1": "ant", "2": "bee"}, "id2label").fault
    (('ant', 'bee'), "its id2label does not number the classes from 0 on (['1', '2'])")
    """
    if not labels and isinstance(labels, dict | list | None):
        return Labels()
    if not isinstance(labels, dict | list):
        return Labels(fault=f"its {name} is {reprlib.repr(labels)}, not names of classes")
    count = len(labels)
    if isinstance(labels, dict):
        if not all(map(_NUMBER.fullmatch, labels)) or {int(key) for key in labels} != {*range(count)}:
            return Labels(count=count, fault=f"its {name} does not number the classes from 0 on ({reprlib.repr(list(labels))})")
        labels = [labels[key] for key in sorted(labels, key=int)]
    if wrong := [one for one in labels if not isinstance(one, str | int) or isinstance(one, bool)]:
        return Labels(count=count, fault=f"its {name} holds {reprlib.repr(wrong[0])}, which is no name of a class")
    return Labels(names=tuple(map(str, labels)), count=count)
