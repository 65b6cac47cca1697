"""The file of a baseline: a snapshot as readable JSON, one line per condition. How it is read back: baseline_decoding.py."""

from __future__ import annotations

import base64
import dataclasses
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from robustbench_la.errors import NotComparableError, UserError
from robustbench_la.files import write_whole
from robustbench_la.gate.baseline_decoding import MOST_NAMES, OF_IMAGES, SINGLE_NUMBER, decode
from robustbench_la.gate.recorded import ALPHA, smallest_falls
from robustbench_la.gate.untrusted import name_of, refuse, shown
from robustbench_la.gate.verdict import POWER
from robustbench_la.output.json_documents import json_text
from robustbench_la.records.cells import CLEAN
from robustbench_la.records.image_digests import DIGEST
from robustbench_la.records.packing import pack_classes
from robustbench_la.records.snapshot import Snapshot
from robustbench_la.text import is_printable, printable
from robustbench_la.untrusted.json_text import read_json

VERSION = 2


def write_baseline(path: Path, snapshot: Snapshot) -> int:
    """Write a baseline atomically.

    Args:
        path: The file to write.
        snapshot: The answers and fluctuations to store.

    Returns:
        The size of the file in bytes.
    """
    content = encode(snapshot)
    write_whole(path, content)
    return len(content)


def encode(snapshot: Snapshot) -> bytes:
    """The content of the file.

    Predictions are stored as the XOR with those on the clean images, and these as the XOR with the labels: mostly zeros, which
    zlib compresses to a few bytes per hundred. The smallest falls are for readers; they follow from the rest.
    """
    clean = next((one.predictions for one in snapshot.answers if one.condition == CLEAN), snapshot.labels)
    falls = smallest_falls(snapshot) if snapshot.answers else None
    conditions = [
        {
            **dataclasses.asdict(one.condition),
            "noise_seed": one.noise_seed,
            "smallest_fall": [] if falls is None else [_rounded(fall) for fall in falls.conditions[one.condition]],
            "correct": int(np.count_nonzero(snapshot.correct(one))),
            "predictions": _text(pack_classes(one.predictions ^ (snapshot.labels if one.condition == CLEAN else clean))),
        }
        for one in snapshot.answers
    ]
    fluctuations = [
        {
            **dataclasses.asdict(one.condition),
            "noise_seed": one.noise_seed,
            "absolute": [_rounded(value) for value in one.absolute],
            "relative": [_rounded(value) for value in one.relative],
            "sample": len(one.per_image),
            "per_image": _text(pack_classes(one.per_image)),
        }
        for one in snapshot.fluctuations
    ]
    steps = np.diff(snapshot.ids, prepend=-1).astype("<u4")
    parts: dict[str, object] = {
        "larobust_baseline": VERSION,
        "network": _network(snapshot),
        "data": {
            "name": printable(snapshot.data),
            "images": snapshot.images,
            **{name: getattr(snapshot, name) for name in OF_IMAGES},
        },
        "plan": {
            "profile": snapshot.profile,
            "precision": snapshot.precision,
            "noise_seed": snapshot.seed,
            "noise_seeds": snapshot.noise_seeds,
        },
        "smallest_falls": {"mean": None if falls is None else _rounded(falls.mean), "power": POWER, "alpha": ALPHA},
        "given": dict(snapshot.given),
        "provenance": dict(snapshot.provenance),
        "ids": _text(zlib.compress(steps.tobytes(), level=9)),
        "labels": _text(pack_classes(snapshot.labels)),
        **_content(snapshot),
        "conditions": conditions,
        "layers": list(map(printable, snapshot.layers)),
        "fluctuations": fluctuations,
    }
    return ("{\n" + ",\n".join(f' "{name}": {_lines(_printable(part))}' for name, part in parts.items()) + "\n}\n").encode()


def _printable(part: Any) -> Any:
    """Names as they are shown: a file with others would be refused when it is read."""
    if isinstance(part, dict):
        return {name: _printable(value) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return [_printable(value) for value in part]
    return printable(part) if isinstance(part, str) else part


def _network(snapshot: Snapshot) -> dict[str, Any]:
    """The network, with a name that can be read back: a file may have any name, but what tells networks apart may not."""
    network = {**snapshot.network.as_dict(), "checkpoint": printable(snapshot.network.checkpoint)}
    for name, value in network.items():
        if isinstance(value, str):
            name_of(value, f"cannot write a baseline: {name}")
    return network


def _content(snapshot: Snapshot) -> dict[str, str]:
    """The content of each image, if it is known: 5.3 characters for its digest, and about as many for its name."""
    content = snapshot.content
    if content is None:
        return {}
    names = "\n".join(content.names).encode(errors="replace")
    kept = content.names and len(names) <= MOST_NAMES and all(map(is_printable, content.names))
    digests = _text(content.digests.astype(DIGEST).tobytes())
    return {"digests": digests, **({"files": _text(zlib.compress(names, level=9))} if kept else {})}


def _lines(part: object) -> str:
    """JSON text, with each entry of a list of objects on its own line."""
    if isinstance(part, list) and part and isinstance(part[0], dict):
        return "[\n" + ",\n".join("  " + _line(row) for row in part) + "\n ]"
    return _line(part)


def _line(part: object) -> str:
    return json_text(part, indent=None, ascii_only=False)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _text(packed: bytes) -> str:
    return base64.b64encode(packed).decode()


def read_baseline(path: Path, *, remedy: str = "") -> Snapshot:
    """Read a baseline, in at most a second and 150 MB of memory whatever the file contains.

    Args:
        path: The baseline file.
        remedy: The command that creates a baseline, for the message if the file does not exist.

    Returns:
        The recorded answers and fluctuations.

    Raises:
        NotComparableError: If the file does not exist, or has an unsupported version.
        UserError: If the file is not a valid baseline.
    """
    try:
        return decode(_document(path, remedy))
    except (NotComparableError, UserError) as error:
        raise type(error)(f"{path}: {error}") from None


def corruptions_in(path: Path) -> Collection[str]:
    """The corruptions of a baseline; none if it cannot be read, which is reported where it is judged by."""
    try:
        return read_baseline(path).corruptions
    except UserError:
        return ()


def _document(path: Path, remedy: str) -> dict[str, Any]:
    try:
        document = read_json(path)
    except FileNotFoundError:
        raise NotComparableError("there is no baseline" + (f"; make one with: {remedy}" if remedy else "")) from None
    if not isinstance(document, dict) or "larobust_baseline" not in document:
        refuse("not a baseline of larobust")
    version = document["larobust_baseline"]
    if isinstance(version, bool) or version not in (SINGLE_NUMBER, VERSION):
        raise NotComparableError(f"a baseline of version {shown(version)}; this larobust reads versions up to {VERSION}")
    return document
