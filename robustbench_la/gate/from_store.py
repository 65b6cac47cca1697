"""What a store holds of a checkpoint becomes a snapshot: the half of the gate that measures nothing. Imports no torch."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from robustbench_la.activations import ACTIVATIONS
from robustbench_la.errors import NotComparableError, NothingSelectedError, UserError, lookup
from robustbench_la.files import is_there
from robustbench_la.records.answers import Answers, Snapshot, differences, with_fluctuations
from robustbench_la.records.cells import Cell, Pass
from robustbench_la.records.layers import SAMPLE, NetworkFluctuation
from robustbench_la.store import layer_rows
from robustbench_la.store.schema import Selection
from robustbench_la.store.store import Store, Stored


def from_store(
    path: Path, baseline: Snapshot, checkpoint: str | None = None, said: Mapping[str, str | float] = MappingProxyType({})
) -> Snapshot:
    """What a store holds of a checkpoint on the images of a baseline.

    checkpoint: a file, whose content is then looked for; or a name, a pattern, or the beginning of a SHA-256; None for the only
    one that is there.  said: which of its measurements, where one file was measured in several ways: arch, activation, alpha,
    UserError where there are several, NotComparableError where there are only measurements that the baseline cannot judge.
    """
    if "activation" in said:
        lookup(ACTIVATIONS, str(said["activation"]), kind="activation")
    is_file = checkpoint is not None and is_there(Path(checkpoint))
    word = _digest(checkpoint) if checkpoint is not None and is_file else checkpoint
    with Store(path, reading=True) as store:
        rows = [row for row in store.cells(Selection(checkpoints=() if word is None else (word,))) if _as_said(row.cell, said)]
        if not rows:
            which = (
                "" if word is None else f" of {checkpoint} as it is now (SHA-256 {word[:12]})" if is_file else f" of {checkpoint}"
            ) + "".join(f", {name} {value}" for name, value in said.items())
            raise NothingSelectedError(f"{path} holds no results{which}")
        groups: dict[tuple[object, ...], list[Stored]] = {}
        for row in rows:
            groups.setdefault((row.cell.network.id, row.setting.fingerprint, row.setting.precision), []).append(row)
        candidates = [_snapshot(own[0], baseline, store) for own in groups.values()]
        told = [differences(baseline, candidate, names=("the baseline", str(path))) for candidate in candidates]
        fitting = [place for place, found in enumerate(told) if not found]
        if not fitting:
            raise NotComparableError("not comparable; " + "; ".join(sorted(told, key=len)[0]))
        if len(fitting) > 1:
            fits = [candidates[place].network for place in fitting]
            names = sorted({f"{one.checkpoint} ({one.sha256[:8]}) with {one.activation}" for one in fits})
            raise UserError(
                f"{path} holds several networks on these images: {', '.join(names)}; say which with --ckpt, --activation"
            )
        own = list(groups.values())[fitting[0]]
        moved = _fluctuations(store, own, {one.pass_ for one in baseline.fluctuations}) if baseline.fluctuations else []
        answers = tuple(Answers(pass_=row.cell.pass_, predictions=store.predictions(row)) for row in own)
    if any(len(one.predictions) != baseline.images for one in answers):
        raise UserError(f"{path} is damaged: a cell holds another number of predictions than the images it was measured on")
    seeds = {one.noise_seed for one in answers if one.noise_seed is not None} or {baseline.seed}
    frame = replace(candidates[fitting[0]], seed=min(seeds), noise_seeds=len(seeds), answers=answers)
    return with_fluctuations(frame, moved)


def _as_said(cell: Cell, said: Mapping[str, str | float]) -> bool:
    network = cell.network
    own = {
        "arch": network.architecture,
        "activation": network.activation,
        "layeract_alpha": network.alpha,
        "normalize": network.normalization,
    }
    return all(own[name] == value for name, value in said.items())


def _fluctuations(store: Store, cells: Sequence[Stored], wanted: Container[Pass]) -> list[NetworkFluctuation]:
    """What was measured with the relative values, of one checkpoint's ``cells``, under the ``wanted`` noises."""
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
    """One without answers. A store keeps ids only as a part of the fingerprint: where that fits, they are the baseline's."""
    setting = stored.setting
    same = setting.fingerprint == baseline.fingerprint
    return Snapshot(
        network=stored.cell.network,
        data=setting.data,
        fingerprint=setting.fingerprint,
        dataset_images=setting.dataset_images,
        resize=setting.resize,
        crop=setting.crop,
        profile=None,
        precision=setting.precision,
        seed=baseline.seed,
        noise_seeds=1,
        ids=baseline.ids if same else np.broadcast_to(np.int64(0), setting.images),
        labels=store.labels(setting.fingerprint) if same else np.broadcast_to(np.uint16(0), setting.images),
        provenance={"started": setting.started, "host": setting.host, "device": setting.device, **setting.versions},
    )


def _digest(name: str) -> str:
    import hashlib

    try:
        with Path(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror})") from None
