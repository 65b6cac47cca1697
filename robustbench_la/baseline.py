"""The file of a baseline: a snapshot as readable JSON, one line a condition. What is read is believed only where it adds up."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import re
import stat
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from corruptions import CORRUPTIONS
from corruptions.registry import SEVERITIES
from robustbench_la.errors import NotComparableError, UserError, first_line
from robustbench_la.files import write_whole
from robustbench_la.layer_records import SAMPLE
from robustbench_la.packing import pack_classes, unpack_classes
from robustbench_la.records import CLEAN, Condition
from robustbench_la.snapshot import Answers, Fluctuation, Snapshot

VERSION = 1
LARGEST = 16 * 2**20
"""Bytes of a file that is read at all; 50,000 images of 1,000 classes under 76 conditions take 7 million."""
_MOST_MARKS = 300_000
"""Values that JSON may hold: an empty list takes two bytes in the file and a hundred times as much in memory."""
_MOST_ANSWERS = 20_000_000
_MOST_IMAGES = 2_000_000
"""Of one baseline: more than any dataset of images that are classified one by one; their ids alone take 16 MB."""
_LONGEST_NUMBER = 40
_LONGEST_TEXT = 4096

_Kinds = Mapping[str, tuple[type | None, ...]]
_NETWORK: _Kinds = {
    **dict.fromkeys(("checkpoint", "sha256", "architecture", "activation", "normalization"), (str,)),
    "alpha": (float, int, None),
}
_DATA: _Kinds = {
    **{"name": (str,), "fingerprint": (str,), "images": (int,), "dataset_images": (int,)},
    **{"resize": (int, None), "crop": (int, None)},
}
_PLAN: _Kinds = {"profile": (str, None), "precision": (str,), "noise_seed": (int,), "noise_seeds": (int,)}
_CONDITION: _Kinds = {
    **{"corruption": (str,), "severity": (int, None), "parameter": (float, int, None), "profile": (str, None)},
    "noise_seed": (int, None),
}
_GIVEN: _Kinds = {"arch": (str,), "activation": (str,), "alpha": (float, int), "normalize": (str,)}


def write(path: Path, snapshot: Snapshot) -> int:
    """Write a baseline whole or not at all, and give its size in bytes."""
    content = encode(snapshot)
    write_whole(path, content)
    return len(content)


def encode(snapshot: Snapshot) -> bytes:
    """The content of the file.

    Predictions are kept as what differs (by XOR) from those on the clean images, and these as what differs from the labels:
    mostly zeros, which zlib takes to a few bytes a hundred.
    """
    clean = next((one.predictions for one in snapshot.answers if one.condition == CLEAN), snapshot.labels)
    conditions = [
        {
            **dataclasses.asdict(one.condition),
            "noise_seed": one.noise_seed,
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
        "network": {name: getattr(snapshot, name) for name in _NETWORK},
        "data": {
            "name": snapshot.data,
            "images": snapshot.images,
            **{name: getattr(snapshot, name) for name in ("dataset_images", "resize", "crop", "fingerprint")},
        },
        "plan": {
            "profile": snapshot.profile,
            "precision": snapshot.precision,
            "noise_seed": snapshot.seed,
            "noise_seeds": snapshot.noise_seeds,
        },
        "given": dict(snapshot.given),
        "provenance": dict(snapshot.provenance),
        "ids": _text(zlib.compress(steps.tobytes(), level=9)),
        "labels": _text(pack_classes(snapshot.labels)),
        "conditions": conditions,
        "layers": list(snapshot.layers),
        "fluctuations": fluctuations,
    }
    return ("{\n" + ",\n".join(f' "{name}": {_lines(part)}' for name, part in parts.items()) + "\n}\n").encode()


def _lines(part: object) -> str:
    """JSON; of a list of tables each on its own line."""
    if isinstance(part, list) and part and isinstance(part[0], dict):
        return "[\n" + ",\n".join("  " + _line(row) for row in part) + "\n ]"
    return _line(part)


def _line(part: object) -> str:
    return json.dumps(part, allow_nan=False, ensure_ascii=False)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _text(packed: bytes) -> str:
    return base64.b64encode(packed).decode()


def read(path: Path, *, remedy: str = "") -> Snapshot:
    """Read a baseline.

    remedy: the command that makes one, to be named where there is none. Raises: NotComparableError for a file that is not there
    or of another version, UserError for one that does not hold what it should; in at most a second, and 150 MB.
    """
    try:
        return _decode(_parse(_content(path, remedy)))
    except (NotComparableError, UserError) as error:
        raise type(error)(f"{path}: {error}") from None


def _content(path: Path, remedy: str) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for ever, a device may never end
            _refuse("not a file")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise NotComparableError("there is no baseline" + (f"; make one with: {remedy}" if remedy else "")) from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read ({getattr(error, 'strerror', None) or first_line(error)})") from None
    if len(content) > LARGEST:
        _refuse(f"larger than any baseline ({LARGEST / 2**20:.0f} MiB)")
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > _MOST_MARKS:
        _refuse("holds more values than any baseline")
    return content


def _parse(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content.decode(), parse_int=_whole, parse_float=_number, parse_constant=_number)
    except UnicodeDecodeError:
        _refuse("not a baseline (not UTF-8 text)")
    except RecursionError:
        _refuse("not a baseline (nested too deeply)")
    except json.JSONDecodeError as error:
        _refuse(f"line {error.lineno} is not JSON ({error.msg})")
    if not isinstance(document, dict) or "larobust_baseline" not in document:
        _refuse("not a baseline of larobust")
    version = document["larobust_baseline"]
    if isinstance(version, bool) or version != VERSION:
        raise NotComparableError(f"a baseline of version {_shown(version)}; this larobust reads version {VERSION}")
    return document


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER or abs(int(digits)) >= 2**62:
        _refuse(f"the number {digits[:12]}... is too large")
    return int(digits)


def _number(digits: str) -> float:
    if len(digits) > _LONGEST_NUMBER or not math.isfinite(float(digits)):
        _refuse(f"the number {digits[:12]} is not finite, or too long")
    return float(digits)


def _decode(document: Mapping[str, Any]) -> Snapshot:
    network, data, plan = (_table(document, *part) for part in (("network", _NETWORK), ("data", _DATA), ("plan", _PLAN)))
    images = data.pop("images")
    rows, measured = _rows(document, "conditions"), _rows(document, "fluctuations")
    kept = images * max(1, len(rows)) + min(images, SAMPLE) * len(measured)
    if not 1 <= images <= min(data["dataset_images"], _MOST_IMAGES) or kept > _MOST_ANSWERS:
        _refuse(f"{images} images of {data['dataset_images']} under {len(rows)} conditions are not to be had")
    if not re.fullmatch("[0-9a-f]{64}", data["fingerprint"]) or not re.fullmatch("[0-9a-f]{64}", network["sha256"]):
        _refuse("a SHA-256 has 64 digits from 0 to f")
    seeds = range(plan["noise_seed"], plan["noise_seed"] + plan["noise_seeds"])
    if not 1 <= len(seeds) <= 10_000:
        _refuse("plan: noise_seeds is between 1 and 10,000")
    labels = _classes(document, "labels", images)
    names = document.get("layers")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        _refuse("layers is a list of names")
    return Snapshot(
        **network,
        data=_printable(data.pop("name"), "data: name"),
        **data,
        profile=plan["profile"],
        precision=plan["precision"],
        seed=plan["noise_seed"],
        noise_seeds=plan["noise_seeds"],
        ids=_ids(document, images, data["dataset_images"]),
        labels=labels,
        answers=_answers(rows, labels, seeds),
        layers=tuple(_printable(name, "layers") for name in names),
        fluctuations=_fluctuations(measured, len(names), images, seeds),
        given=_table(document, "given", {name: _GIVEN[name] for name in _keys(document, "given") if name in _GIVEN}),
        provenance=_table(document, "provenance", dict.fromkeys(_keys(document, "provenance"), (str, bool, None))),
    )


def _answers(rows: list[Any], labels: NDArray[np.uint16], seeds: range) -> tuple[Answers, ...]:
    found: dict[object, Answers] = {}
    clean = labels
    for place, row in enumerate(rows):
        condition, seed = _condition(row, "conditions", seeds)
        name = f"condition {condition}"
        if condition == CLEAN and place:  # the others are kept as what differs from it
            _refuse("conditions: clean comes first, and once")
        predictions = _classes(row, "predictions", len(labels), name) ^ (labels if condition == CLEAN else clean)
        if condition == CLEAN:
            clean = predictions
        one = Answers(condition=condition, noise_seed=seed, predictions=predictions)
        correct = int(np.count_nonzero(predictions == labels))
        if _table(row, None, {"correct": (int,)}, name)["correct"] != correct:
            _refuse(f"{name}: correct is {row['correct']}, but its predictions are right for {correct} of {len(labels)} images")
        if found.setdefault(one.key, one) is not one:
            _refuse(f"{name} is there twice")
    return tuple(found.values())


def _fluctuations(rows: list[Any], layers: int, images: int, seeds: range) -> tuple[Fluctuation, ...]:
    found: dict[object, Fluctuation] = {}
    for row in rows:
        condition, seed = _condition(row, "fluctuations", seeds)
        name = f"fluctuation under {condition}"
        sample = _table(row, None, {"sample": (int,)}, name)["sample"]
        means = [row.get(which) for which in ("absolute", "relative")]
        for values in means:
            right = isinstance(values, list) and len(values) == layers
            if not right or not all(value is None or (_is(value, (int, float)) and value >= 0) for value in values):
                _refuse(f"{name}: a number for each of {layers} layers is needed")
        if seed is None or sample != min(images, SAMPLE):
            _refuse(f"{name}: a sample of {sample} images, or no noise")
        one = Fluctuation(
            condition=condition,
            noise_seed=seed,
            absolute=tuple(means[0] or ()),
            relative=tuple(means[1] or ()),
            per_image=_classes(row, "per_image", sample, name),
        )
        if found.setdefault(one.key, one) is not one:
            _refuse(f"{name} is there twice")
    return tuple(found.values())


def _condition(row: object, where: str, seeds: range) -> tuple[Condition, int | None]:
    values = _table(row, None, _CONDITION, where)
    seed = values.pop("noise_seed")
    condition = Condition(**values)
    if condition.corruption == "clean":
        right = condition == CLEAN and seed is None
    else:
        named = condition.severity in SEVERITIES and condition.profile is not None
        own = condition.severity is None and condition.profile is None
        right = condition.parameter is not None and seed in seeds and (named or own)
    if not right:
        _refuse(f"{where}: {condition} with severity {condition.severity} and noise seed {seed} does not fit the plan")
    if condition.parameter is not None:
        if condition.corruption not in CORRUPTIONS:
            raise NotComparableError(f"not comparable; it holds {condition}, a corruption that this larobust does not know")
        try:
            CORRUPTIONS[condition.corruption].check(condition.parameter)
        except ValueError as error:
            _refuse(f"{where}: {error}")
    return condition, seed


def _ids(document: Mapping[str, Any], images: int, total: int) -> NDArray[np.int64]:
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(_bytes(document, "ids", "ids"), 4 * images + 1)
    except zlib.error as error:
        _refuse(f"ids cannot be read ({first_line(error)})")
    ids = np.cumsum(np.frombuffer(content[: len(content) // 4 * 4], dtype="<u4").astype(np.int64)) - 1
    if len(content) != 4 * images or not stream.eof or ids[0] < 0 or (np.diff(ids) < 1).any() or ids[-1] >= total:
        _refuse(f"ids are not {images} images of {total}")
    return ids


def _classes(row: Mapping[str, Any], key: str, count: int, where: str = "") -> NDArray[np.uint16]:
    where = f"{where}: {key}" if where else key
    try:
        return unpack_classes(_bytes(row, key, where), count)
    except UserError as error:
        _refuse(f"{where}: {error}" if where not in str(error) else str(error))


def _bytes(row: Mapping[str, Any], key: str, where: str) -> bytes:
    try:
        return base64.b64decode(row.get(key, ""), validate=True)
    except (TypeError, ValueError):
        _refuse(f"{where}: not base64 text")


def _rows(document: Mapping[str, Any], key: str) -> list[Any]:
    rows = document.get(key)
    if not isinstance(rows, list):
        _refuse(f"{key} is a list, not {_shown(rows)}")
    return rows


def _table(value: object, key: str | None, kinds: _Kinds, where: str = "") -> dict[str, Any]:
    """The entries of a table that ``kinds`` names, each of one of the kinds that it allows."""
    table = value.get(key) if key is not None and isinstance(value, dict) else value
    where = where or str(key)
    if not isinstance(table, dict):
        _refuse(f"{where}: a table is needed, not {_shown(table)}")
    for name, allowed in kinds.items():
        if name not in table:
            _refuse(f"{where}: {name} is missing")
        if not _is(table[name], allowed):
            _refuse(f"{where}: {name} is {_shown(table[name])}")
        if isinstance(table[name], str):
            _printable(table[name], f"{where}: {name}")
    return {name: table[name] for name in kinds}


def _keys(document: Mapping[str, Any], name: str) -> list[str]:
    _table(document, name, {})
    return list(document[name])


def _is(value: object, allowed: tuple[type | None, ...]) -> bool:
    """Whether a value is of one of the kinds; True is no 1."""
    return (value is None and None in allowed) or type(value) in allowed


def _printable(text: str, where: str) -> str:
    """``text``, unless it could take the terminal, an XML file or a workflow's log in hand."""
    if len(text) > _LONGEST_TEXT or not text.isprintable():
        _refuse(f"{where} is no name ({_shown(text)})")
    return text


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, (list, dict)) else f"a {type(value).__name__}"
    return text if len(text) <= 40 else f"{text[:37]}..."


def _refuse(message: str) -> NoReturn:
    raise UserError(message)
