"""Turns the stored results of a checkpoint into a snapshot, so that the gate can judge without measuring. Needs no torch."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from robustbench_la.errors import NotComparableError, NothingSelectedError, UserError
from robustbench_la.files import is_there
from robustbench_la.other_activations import check_label
from robustbench_la.records.cells import Cell, Pass
from robustbench_la.records.layers import SAMPLE, NetworkFluctuation
from robustbench_la.records.snapshot import Answers, Snapshot, differences, snapshot_of, with_fluctuations
from robustbench_la.store import layer_rows
from robustbench_la.store.schema import Selection
from robustbench_la.store.store import Store, Stored

TELLING = {
    "arch": "architecture",
    "arch_label": "architecture_label",
    "exchange": "exchange",
    "key": "weights_key",
    "activation": "activation",
    "layeract_alpha": "alpha",
    "normalize": "normalization",
}
"""What may be said of a checkpoint -> the field of its record that tells it from others."""


def from_store(
    path: Path, baseline: Snapshot, checkpoint: str | None = None, given: Mapping[str, Any] = MappingProxyType({})
) -> Snapshot:
    """Load the stored results of a checkpoint on the images of a baseline.

    Args:
        path: The store's file.
        baseline: The baseline to judge by.
        checkpoint: An existing file, found by its content; or a name, a pattern, or the beginning of a SHA-256. None if the store
            has only one comparable network.
        given: Selects a measurement if one file was measured in several ways, by the names of ``TELLING``; normalize in the form
            of ``images.normalization.canonical``.

    Returns:
        The answers and fluctuations, without those that the baseline does not need.

    Raises:
        NothingSelectedError: If the store has no matching results.
        UserError: If several networks match.
        NotComparableError: If no matching measurement can be judged by the baseline.
    """
    if "activation" in given:
        check_label(str(given["activation"]))
    with Store(path, reading=True) as store:
        groups = _measurements(store, path, checkpoint, given)
        candidates = [_snapshot(rows[0], baseline, store) for rows in groups]
        index = _only_comparable(candidates, baseline, path)
        chosen = groups[index]
        moved = _fluctuations(store, chosen, {one.pass_ for one in baseline.fluctuations}) if baseline.fluctuations else []
        answers = tuple(Answers(pass_=row.cell.pass_, predictions=store.predictions(row)) for row in chosen)
    if any(len(one.predictions) != baseline.images for one in answers):
        raise UserError(f"{path} is damaged: the number of predictions of a cell is not the number of images it was measured on")
    seeds = {one.noise_seed for one in answers if one.noise_seed is not None} or {baseline.seed}
    snapshot = replace(candidates[index], seed=min(seeds), noise_seeds=len(seeds), answers=answers)
    return with_fluctuations(snapshot, moved)


def _measurements(store: Store, path: Path, checkpoint: str | None, given: Mapping[str, Any]) -> list[list[Stored]]:
    """The cells of a checkpoint, grouped by network, dataset and precision."""
    is_file = checkpoint is not None and is_there(Path(checkpoint))
    word = _digest(checkpoint) if checkpoint is not None and is_file else checkpoint
    rows = [row for row in store.cells(Selection(checkpoints=() if word is None else (word,))) if _is_as_given(row.cell, given)]
    if not rows:
        which = ""
        if word is not None:
            which = f" of {checkpoint} as it is now (SHA-256 {word[:12]})" if is_file else f" of {checkpoint}"
        raise NothingSelectedError(f"{path} holds no results{which}" + "".join(f", {name} {it}" for name, it in given.items()))
    groups: dict[tuple[object, ...], list[Stored]] = {}
    for row in rows:
        groups.setdefault((row.cell.network.id, row.setting.fingerprint, row.setting.precision), []).append(row)
    return list(groups.values())


def _only_comparable(candidates: Sequence[Snapshot], baseline: Snapshot, path: Path) -> int:
    """The index of the only candidate that the baseline can judge."""
    obstacles = [differences(baseline, candidate, names=("the baseline", str(path))) for candidate in candidates]
    comparable = [index for index, reasons in enumerate(obstacles) if not reasons]
    if not comparable:
        reasons = sorted(obstacles, key=len)[0]
        hint = "; a store does not keep which images they were, check --ckpt names those that differ"
        other_images = any(reason.startswith("data") for reason in reasons) and baseline.content is not None
        raise NotComparableError("not comparable; " + "; ".join(reasons) + hint * other_images)
    if len(comparable) > 1:
        networks = [candidates[index].network for index in comparable]
        names = sorted({f"{network.checkpoint} ({network.sha256[:8]}) with {network.activation}" for network in networks})
        raise UserError(
            f"{path} holds several networks on these images: {', '.join(names)}; specify one with --ckpt, --activation"
        )
    return comparable[0]


def _is_as_given(cell: Cell, given: Mapping[str, Any]) -> bool:
    words = {name: ",".join(value) if isinstance(value, list) else value for name, value in given.items()}
    return all(getattr(cell.network, TELLING[name]) == value for name, value in words.items())


def _fluctuations(store: Store, cells: Sequence[Stored], wanted: Container[Pass]) -> list[NetworkFluctuation]:
    """The fluctuations, with relative values, of one checkpoint's ``cells`` under the ``wanted`` conditions."""
    setting, keys = cells[0].setting, {row.cell.key for row in cells if row.cell.pass_ in wanted}
    selection = Selection(
        checkpoints=(cells[0].cell.network.sha256,), fingerprints=(setting.fingerprint,), precisions=(setting.precision,)
    )
    rows = (row for _, row in store.layers(selection))
    sample = np.arange(min(setting.images, SAMPLE))  # which images they are does not matter here: both sides have the same
    found = layer_rows.networks(rows, sample, keys).values()
    needed = {"fluctuation_mean", "relative_mean"}
    return [
        one for one in found if "relative" in one.per_image and all(needed <= layer.statistics.keys() for layer in one.layers)
    ]


def _snapshot(stored: Stored, baseline: Snapshot, store: Store) -> Snapshot:
    """A snapshot without answers. Stores keep ids only within the fingerprint: if that matches, they are the baseline's."""
    setting = stored.setting
    same = setting.fingerprint == baseline.fingerprint
    return snapshot_of(
        setting,
        stored.cell.network,
        ids=baseline.ids if same else np.broadcast_to(np.int64(0), setting.images),
        labels=store.labels(setting.fingerprint) if same else np.broadcast_to(np.uint16(0), setting.images),
        profile=None,
        seed=baseline.seed,
        noise_seeds=1,
    )


def _digest(name: str) -> str:
    import hashlib

    try:
        with Path(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror})") from None
