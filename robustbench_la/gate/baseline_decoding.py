"""The content of a baseline's file becomes a snapshot. Inconsistent content raises a UserError."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions import CORRUPTIONS, NOISE_VERSION
from corruptions.registry import SEVERITIES, Level, as_level
from robustbench_la.activations import ACTIVATIONS
from robustbench_la.errors import NotComparableError, UserError, first_line
from robustbench_la.gate.untrusted import (
    Kinds,
    as_json,
    bytes_of,
    is_kind,
    keys_of,
    name_of,
    refuse,
    rows_of,
    shown,
    table_of,
)
from robustbench_la.records.cells import CLEAN, Condition, ImageSetting, Pass
from robustbench_la.records.image_digests import DIGEST, ImageDigests
from robustbench_la.records.layers import SAMPLE
from robustbench_la.records.networks import NETWORK, UNSAID, NetworkRecord, defaults_of, kinds_of
from robustbench_la.records.packing import unpack_classes
from robustbench_la.records.snapshot import Answers, Fluctuation, Snapshot

SINGLE_NUMBER = 1
"""The older version, with single numbers as levels (``parameter``), which can still be read."""
_MOST_ANSWERS = 20_000_000
_MOST_IMAGES = 2_000_000
"""The largest number of images in a baseline, above any image classification dataset; their ids alone take 16 MB."""
MOST_NAMES = 8 * 2**20
"""The most characters that the names of all images take."""
_NETWORK: Kinds = {name: as_json(kinds) for name, kinds in NETWORK.items()}
OF_IMAGES: Kinds = {name: as_json(kinds) for name, kinds in kinds_of(ImageSetting).items() if name not in ("data", "precision")}
"""What a baseline's ``data`` holds besides the name and the number of images; the precision is part of its plan."""
_PLAN: Kinds = {"profile": (str, None), "precision": (str,), "noise_seed": (int,), "noise_seeds": (int,)}
_CONDITION: Kinds = {name: as_json(kinds) for name, kinds in kinds_of(Condition).items() if name != "parameters"}
_FORMER_GIVEN = {"alpha": "layeract_alpha"}
"""Names in older files -> current names."""


def decode(document: Mapping[str, Any]) -> Snapshot:
    data, plan = _data(document), table_of(document, "plan", _PLAN)
    network = _network(document)
    images = data.pop("images")
    rows, measured = rows_of(document, "conditions"), rows_of(document, "fluctuations")
    kept = images * max(1, len(rows)) + min(images, SAMPLE) * len(measured)
    if not 1 <= images <= min(data["dataset_images"], _MOST_IMAGES) or kept > _MOST_ANSWERS:
        refuse(f"{images} images of {data['dataset_images']} under {len(rows)} conditions are impossible")
    if not re.fullmatch("[0-9a-f]{64}", data["fingerprint"]) or not re.fullmatch("[0-9a-f]{64}", network.sha256):
        refuse("a SHA-256 has 64 digits from 0 to f")
    seeds = range(plan["noise_seed"], plan["noise_seed"] + plan["noise_seeds"])
    if not 1 <= len(seeds) <= 10_000:
        refuse("plan: noise_seeds is between 1 and 10,000")
    labels = _classes(document, "labels", images)
    names = document.get("layers")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        refuse("layers is a list of names")
    return Snapshot(
        network=network,
        data=name_of(data.pop("name"), "data: name"),
        **data,
        profile=plan["profile"],
        precision=plan["precision"],
        seed=plan["noise_seed"],
        noise_seeds=plan["noise_seeds"],
        ids=_ids(document, images, data["dataset_images"]),
        labels=labels,
        answers=_answers(rows, labels, seeds),
        layers=tuple(name_of(name, "layers") for name in names),
        fluctuations=_fluctuations(measured, len(names), images, seeds),
        given=_given(document),
        content=_content(document, images),
        provenance=table_of(document, "provenance", dict.fromkeys(keys_of(document, "provenance"), (str, bool, None))),
    )


def _given(document: Mapping[str, Any]) -> dict[str, str | float]:
    values = table_of(document, "given", dict.fromkeys(keys_of(document, "given"), (str, float, int, bool)))
    return {_FORMER_GIVEN.get(name, name): value for name, value in values.items()}


def _data(document: Mapping[str, Any]) -> dict[str, Any]:
    """What is recorded of the images; what older files do not record has its default."""
    data = document.get("data")
    table = {**defaults_of(ImageSetting), **data} if isinstance(data, dict) else data
    return table_of(table, None, {"name": (str,), "images": (int,), **OF_IMAGES}, "data")


def _network(document: Mapping[str, Any]) -> NetworkRecord:
    """The network of a document of any version; what older versions do not record is unknown."""
    network, unsaid = document.get("network"), dict(UNSAID)
    if not isinstance(network, dict):
        refuse(f"network: a table is needed, not {shown(network)}")
    if document["larobust_baseline"] == SINGLE_NUMBER:
        known = ACTIVATIONS.get(str(network.get("activation")))
        unsaid |= {"training_seed": None, "activation_level": "element" if known is None else known.level}
    return NetworkRecord(**table_of(unsaid | network, None, _NETWORK, "network"))


def _answers(rows: list[Any], labels: NDArray[np.uint16], seeds: range) -> tuple[Answers, ...]:
    found: dict[object, Answers] = {}
    clean = labels
    for index, row in enumerate(rows):
        condition, seed = _condition(row, "conditions", seeds)
        name = f"condition {condition}"
        if condition == CLEAN and index:  # the other predictions are stored relative to it
            refuse("conditions: clean comes first, and once")
        predictions = _classes(row, "predictions", len(labels), name) ^ (labels if condition == CLEAN else clean)
        if condition == CLEAN:
            clean = predictions
        one = Answers(pass_=Pass(condition, seed), predictions=predictions)
        correct = int(np.count_nonzero(predictions == labels))
        if table_of(row, None, {"correct": (int,)}, name)["correct"] != correct:
            refuse(f"{name}: correct is {row['correct']}, but its predictions are right for {correct} of {len(labels)} images")
        if found.setdefault(one.pass_, one) is not one:
            refuse(f"{name} is there twice")
    return tuple(found.values())


def _fluctuations(rows: list[Any], layers: int, images: int, seeds: range) -> tuple[Fluctuation, ...]:
    found: dict[object, Fluctuation] = {}
    for row in rows:
        condition, seed = _condition(row, "fluctuations", seeds)
        name = f"fluctuation under {condition}"
        sample = table_of(row, None, {"sample": (int,)}, name)["sample"]
        means = [row.get(which) for which in ("absolute", "relative")]
        for values in means:
            right = isinstance(values, list) and len(values) == layers
            if not right or not all(value is None or (is_kind(value, (int, float)) and value >= 0) for value in values):
                refuse(f"{name}: a number for each of {layers} layers is needed")
        if seed is None or sample != min(images, SAMPLE):
            refuse(f"{name}: a sample of {sample} images, or no noise")
        one = Fluctuation(
            pass_=Pass(condition, seed),
            absolute=tuple(means[0] or ()),
            relative=tuple(means[1] or ()),
            per_image=_classes(row, "per_image", sample, name),
        )
        if found.setdefault(one.pass_, one) is not one:
            refuse(f"{name} is there twice")
    return tuple(found.values())


def _condition(row: object, where: str, seeds: range) -> tuple[Condition, int | None]:
    oldest = {"noise_version": _oldest_version(row)}
    known = {**defaults_of(Condition), **oldest, **row} if isinstance(row, dict) else row
    values = table_of(known, None, {**_CONDITION, "noise_seed": (int, None)}, where)
    seed = values.pop("noise_seed")
    condition = Condition(**values, parameters=_level(row, where))
    if condition.corruption == "clean":
        right = condition == CLEAN and seed is None
    else:
        named = condition.severity in SEVERITIES and condition.profile is not None
        own = condition.severity is None and condition.profile is None
        here = len(condition.parameters) > 0 and seed in seeds and (named or own)
        read = not condition.parameters and seed is None and (named or condition.severity is None) and condition.jpeg is None
        right = here if condition.prebuilt is None else read and bool(condition.profile)
    if not right:
        refuse(f"{where}: {condition} with severity {condition.severity} and noise seed {seed} does not fit the plan")
    if condition.parameters:
        if condition.corruption not in CORRUPTIONS:
            raise NotComparableError(f"not comparable; it holds {condition}, a corruption that this larobust does not know")
        try:
            CORRUPTIONS[condition.corruption].check(condition.parameters)
        except ValueError as error:
            refuse(f"{where}: {error}")
    return condition, seed


def _oldest_version(row: object) -> int:
    """The noise version of a condition in files that do not record it: their random words did not depend on the level."""
    entry = CORRUPTIONS.get(str(row.get("corruption"))) if isinstance(row, dict) else None
    return NOISE_VERSION if entry is None or not entry.random else 1


def _level(row: object, where: str) -> Level:
    """The parameters of a level; in the older version a single number or null."""
    assert isinstance(row, dict)
    level = row.get("parameters")
    if level is None and "parameter" in row:
        level = [] if row["parameter"] is None else [row["parameter"]]
    if not isinstance(level, list) or not all(is_kind(value, (int, float)) for value in level):
        refuse(f"{where}: parameters is a list of numbers, not {shown(level)}")
    return as_level(level)


def _ids(document: Mapping[str, Any], images: int, total: int) -> NDArray[np.int64]:
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(bytes_of(document, "ids", "ids"), 4 * images + 1)
    except zlib.error as error:
        refuse(f"ids cannot be read ({first_line(error)})")
    ids = np.cumsum(np.frombuffer(content[: len(content) // 4 * 4], dtype="<u4").astype(np.int64)) - 1
    if len(content) != 4 * images or not stream.eof or ids[0] < 0 or (np.diff(ids) < 1).any() or ids[-1] >= total:
        refuse(f"ids are not {images} images of {total}")
    return ids


def _content(document: Mapping[str, Any], images: int) -> ImageDigests | None:
    """The content of each image; None in files that do not record it."""
    if "digests" not in document:
        return None
    digests = np.frombuffer(bytes_of(document, "digests", "digests"), dtype="u1")
    if len(digests) != DIGEST.itemsize * images:
        refuse(f"digests are not those of {images} images")
    names: tuple[str, ...] = ()
    if "files" in document:
        stream = zlib.decompressobj()
        try:
            text = stream.decompress(bytes_of(document, "files", "files"), MOST_NAMES + 1).decode()
        except (zlib.error, UnicodeDecodeError) as error:
            refuse(f"files cannot be read ({first_line(error)})")
        if not stream.eof or text.count("\n") != images - 1:
            refuse(f"files are not the names of {images} images")
        names = tuple(name_of(name, "files") for name in text.split("\n"))
    return ImageDigests(digests=digests.view(DIGEST), names=names)


def _classes(row: Mapping[str, Any], key: str, count: int, where: str = "") -> NDArray[np.uint16]:
    where = f"{where}: {key}" if where else key
    try:
        return unpack_classes(bytes_of(row, key, where), count)
    except UserError as error:
        refuse(f"{where}: {error}" if where not in str(error) else str(error))
