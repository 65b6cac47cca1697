"""What a set of corrupted images was made from and with: a file next to them, by which an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from robustbench_la.errors import UserError
from robustbench_la.files import write_whole
from robustbench_la.images.written_sets import MANIFEST as MANIFEST
from robustbench_la.records.cells import Condition
from robustbench_la.text import quoted
from robustbench_la.untrusted.json_text import read_json
from robustbench_la.writing.layouts import severity_folder

_VERSION = 1
_KIND = "larobust_set"
Settings = Mapping[str, Any]


def conditions_as_settings(conditions: Sequence[Condition]) -> dict[str, dict[str, list[float]]]:
    """Corruption -> severity, or custom level, as its folder is called -> the numbers of the level."""
    levels: dict[str, dict[str, list[float]]] = {}
    for condition in conditions:
        levels.setdefault(condition.corruption, {})[severity_folder(condition)] = list(condition.parameters)
    return levels


def names_digest(names: Sequence[str]) -> str:
    """What tells sets of the same images under other names apart."""
    return hashlib.sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()


def read_manifest(output: Path) -> Settings | None:
    """The settings of the set in a folder; None if there is none.

    Raises:
        UserError: If there is a manifest that cannot be read.
    """
    path = output / MANIFEST
    try:
        content = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UserError as error:
        raise UserError(f"{path}: {error}; give another folder with -o") from None
    if not isinstance(content, dict) or content.get(_KIND) != _VERSION:
        raise UserError(f"{path} is no {_KIND} {_VERSION}; give another folder with -o")
    return content


def keep(output: Path, settings: Settings) -> None:
    """Write the manifest, whole."""
    text = json.dumps({_KIND: _VERSION, **settings}, indent=1, ensure_ascii=True)
    write_whole(output / MANIFEST, text + "\n")


def check_same(output: Path, settings: Settings) -> None:
    """Raise UserError if the set in a folder was made with other settings than these; what is not given is not compared."""
    kept = read_manifest(output)
    if kept is None:
        return
    for name, describe in _DIFFERENCES.items():
        if name in settings and kept.get(name) != settings[name]:
            raise UserError(
                f"{output} holds images {describe(kept.get(name), settings[name])}; give the settings it was begun with, or "
                "another folder with -o"
            )


def _conditions(kept: object, asked: Mapping[str, Mapping[str, object]]) -> str:
    """How sets of conditions differ: by the first that only one of them has, or that has another level."""
    old, new = _flat(kept if isinstance(kept, dict) else {}), _flat(asked)
    for word, more in (("also", old.keys() - new.keys()), ("not", new.keys() - old.keys())):
        if more:
            return f"of other corruptions or severities ({word} {quoted(min(more))})"
    changed = next((name for name in new if new[name] != old[name]), None)
    return f"with another level of {changed}" if changed else "of corruptions in another order"


def _flat(conditions: Mapping[str, Any]) -> dict[str, object]:
    return {
        f"{corruption} {severity}": level
        for corruption, levels in conditions.items()
        if isinstance(levels, dict)
        for severity, level in levels.items()
    }


def _versions(kept: object, asked: Mapping[str, str]) -> str:
    kept = kept if isinstance(kept, dict) else {}
    name = next((name for name in asked if kept.get(name) != asked[name]), "")
    return f"written with {name} {_said(kept.get(name))}, not {asked.get(name)}" if name else "written with other libraries"


def _size(shape: object) -> str:
    """Height, width and channels in words."""
    if not isinstance(shape, list) or len(shape) != 3:
        return "another size"
    return f"{_said(shape[1])}x{_said(shape[0])} px with {_said(shape[2])} channel{'' if shape[2] == 1 else 's'}"


def _said(value: object) -> str:
    return quoted(str(value))


_DIFFERENCES: Mapping[str, Callable[[Any, Any], str]] = {
    "format": lambda kept, asked: f"in format {_said(kept)}, not {asked}",
    "noise_seed": lambda kept, asked: f"with noise seed {_said(kept)}, not {asked}",
    "noise_version": lambda kept, asked: f"with version {_said(kept)} of the noise, not {asked}",
    "profile": lambda kept, asked: f"with levels of profile {_said(kept)}, not {asked}",
    "conditions": _conditions,
    "versions": _versions,
    "shape": lambda kept, asked: f"of {_size(kept)}, not {_size(asked)}",
    "images": lambda kept, asked: f"made of {_said(kept)} images, not of {asked}",
    "fingerprint": lambda kept, asked: "made of images or labels that are not those given",
    "names": lambda kept, asked: "whose files are named otherwise",
}
"""Name of a setting -> how to say that it differs, given the value kept and the value asked for. The name of the dataset is not
compared: the fingerprint tells whether the images are the same, wherever they are now."""
