"""What a checkpoint answered, image by image, under a plan: both sides of a robustness gate. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from robustbench_la import layer_rows
from robustbench_la.errors import NotComparableError, NothingSelectedError, UserError
from robustbench_la.layer_records import SAMPLE, NetworkFluctuation
from robustbench_la.records import Cell, Condition, Setting
from robustbench_la.schema import Selection
from robustbench_la.store import Store, Stored

Pass = tuple[Condition, int | None]
"""A condition and the noise seed; the seed is None for clean images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a checkpoint said to every image under one condition."""

    condition: Condition
    noise_seed: int | None
    predictions: NDArray[np.uint16] = field(repr=False)
    """The predicted class, (N,), in the order of ids."""

    @property
    def key(self) -> Pass:
        """What tells it from the others."""
        return self.condition, self.noise_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Fluctuation:
    """How much the activations of a checkpoint moved under one condition."""

    condition: Condition
    noise_seed: int
    absolute: tuple[float | None, ...]
    """For each layer, L1 norm of g(noisy) - g(clean): mean over images."""
    relative: tuple[float | None, ...]
    """The same over the L1 norm of g(clean); None where that is 0 for every image."""
    per_image: NDArray[np.uint16] = field(repr=False)
    """Of each image of the sample, the mean of the relative value over layers, see ``quantise``."""

    @property
    def key(self) -> Pass:
        """What tells it from the others."""
        return self.condition, self.noise_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One checkpoint, measured."""

    checkpoint: str
    """Path as it was given."""
    sha256: str
    architecture: str
    activation: str
    alpha: float | None
    normalization: str
    data: str
    """The dataset as it was asked for."""
    fingerprint: str
    """SHA-256 of the decoded images, labels and ids."""
    dataset_images: int
    """How many the whole dataset has."""
    resize: int | None
    crop: int | None
    profile: str | None
    """Of the levels; None where it is not known, because a store does not keep it apart."""
    precision: str
    seed: int
    """Of the noise; the first of ``noise_seeds``."""
    noise_seeds: int
    ids: NDArray[np.int64] = field(repr=False)
    """Each image's index in the whole dataset, (N,), rising."""
    labels: NDArray[np.uint16] = field(repr=False)
    """(N,)"""
    answers: tuple[Answers, ...] = ()
    layers: tuple[str, ...] = ()
    """Names of the activation calls, where fluctuation was measured."""
    fluctuations: tuple[Fluctuation, ...] = ()
    given: Mapping[str, str | float] = field(default_factory=lambda: MappingProxyType({}))
    """What had to be said of the checkpoint for it to be read: arch, activation, alpha, normalize."""
    provenance: Mapping[str, str | bool | None] = field(default_factory=lambda: MappingProxyType({}))
    """When, where and with what it was measured."""

    @property
    def images(self) -> int:
        """How many were measured on."""
        return len(self.labels)

    def correct(self, answers: Answers) -> NDArray[np.bool_]:
        """Which images were classified as their labels say, (N,)."""
        right: NDArray[np.bool_] = answers.predictions == self.labels
        return right


def with_fluctuations(snapshot: Snapshot, measured: Sequence[NetworkFluctuation]) -> Snapshot:
    """The snapshot, and what a gate needs of what was ``measured`` of its activations with everything (not only fluctuation)."""
    return replace(
        snapshot,
        layers=tuple(layer.layer for layer in measured[0].layers) if measured else (),
        fluctuations=tuple(
            Fluctuation(
                condition=one.layers[0].condition,
                noise_seed=one.layers[0].noise_seed,
                absolute=tuple(layer.statistics["fluctuation_mean"] for layer in one.layers),
                relative=tuple(layer.statistics["relative_mean"] for layer in one.layers),
                per_image=quantise(one.per_image["relative"]),
            )
            for one in measured
        ),
    )


_STEPS = 32
"""Of a doubling: a value is kept to within 1.1 %, and the mean over a thousand images to within 0.03 %."""
_ONE = 2**15
_UNKNOWN = 2**16 - 1


def quantise(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Values that are not negative, as whole numbers of 1/32 of a doubling: 7 bits each where 64 would compress to nothing.

    Both sides of a comparison go through it, so equal values stay equal. 0 and NaN are kept as they are.

    >>> unquantise(quantise(np.array([0.0, 1.0, 0.25, np.nan])))
    array([0.  , 1.  , 0.25,  nan])
    """
    with np.errstate(divide="ignore"):
        codes = np.clip(np.nan_to_num(np.round(_STEPS * np.log2(values)), nan=0.0) + _ONE, 1, _UNKNOWN - 1)
    return np.where(np.isnan(values), _UNKNOWN, np.where(values == 0, 0, codes)).astype(np.uint16)


def unquantise(codes: NDArray[np.uint16]) -> NDArray[np.float64]:
    """What ``quantise`` kept of the values."""
    values = np.exp2((codes.astype(np.float64) - _ONE) / _STEPS)
    return np.where(codes == _UNKNOWN, np.nan, np.where(codes == 0, 0.0, values))


def differences(one: Snapshot, other: Snapshot, *, names: tuple[str, str] = ("the baseline", "this measurement")) -> list[str]:
    """What keeps two snapshots from being compared image by image, in words; nothing where they can be."""

    def told(what: str, left: object, right: object) -> str:
        return f"{what}: {left} in {names[0]}, {right} in {names[1]}"

    found = []
    if one.images != other.images:
        found.append(told("number of images", f"{one.images:,}", f"{other.images:,}"))
    for what, left, right in (
        ("resize", one.resize, other.resize),
        ("crop", one.crop, other.crop),
        ("normalization", one.normalization, other.normalization),
        ("precision", one.precision, other.precision),
    ):
        if left != right:
            found.append(told(what, left, right))
    if one.fingerprint != other.fingerprint:
        found.append(told("data (fingerprint)", f"{one.data} {one.fingerprint[:12]}", f"{other.data} {other.fingerprint[:12]}"))
    return found


def check_comparable(one: Snapshot, other: Snapshot) -> None:
    """Raise NotComparableError, naming everything that differs, unless both saw the same images in the same way."""
    if found := differences(one, other):
        raise NotComparableError("not comparable; " + "; ".join(found))


def from_store(path: Path, baseline: Snapshot, checkpoint: str | None = None) -> Snapshot:
    """What a store holds of a checkpoint on the images of a baseline.

    checkpoint: a file, whose content is then looked for; or a name, a pattern, or the beginning of a SHA-256; None for the only
    one that is there. Raises: NothingSelectedError where there is none, UserError where there are several, NotComparableError
    where there are only measurements that the baseline cannot judge.
    """
    is_file = checkpoint is not None and Path(checkpoint).is_file()
    word = _digest(checkpoint) if checkpoint is not None and is_file else checkpoint
    with Store(path, reading=True) as store:
        rows = store.cells(Selection(checkpoints=() if word is None else (word,)))
        if not rows:
            said = (
                "" if word is None else f" of {checkpoint} as it is now (SHA-256 {word[:12]})" if is_file else f" of {checkpoint}"
            )
            raise NothingSelectedError(f"{path} holds no results{said}")
        groups: dict[tuple[object, ...], list[Stored]] = {}
        for row in rows:
            cell = row.cell
            network = (cell.sha256, cell.architecture, cell.code, cell.activation, cell.alpha)
            groups.setdefault((*network, cell.normalization, row.setting.fingerprint, row.setting.precision), []).append(row)
        candidates = [_snapshot(own[0].setting, own[0].cell, baseline) for own in groups.values()]
        told = [differences(baseline, candidate, names=("the baseline", str(path))) for candidate in candidates]
        fitting = [place for place, found in enumerate(told) if not found]
        if not fitting:
            raise NotComparableError("not comparable; " + "; ".join(sorted(told, key=len)[0]))
        if len(fitting) > 1:
            names = ", ".join(sorted({f"{candidates[place].checkpoint} ({candidates[place].sha256[:8]})" for place in fitting}))
            raise UserError(f"{path} holds several checkpoints on these images: {names}; say which with --ckpt")
        own = list(groups.values())[fitting[0]]
        moved = _fluctuations(store, own) if baseline.fluctuations else []
        answers = tuple(
            Answers(condition=row.cell.condition, noise_seed=row.cell.noise_seed, predictions=store.predictions(row))
            for row in own
        )
    if any(len(one.predictions) != baseline.images for one in answers):
        raise UserError(f"{path} is damaged: a cell holds another number of predictions than the images it was measured on")
    return with_fluctuations(_snapshot(own[0].setting, own[0].cell, baseline, answers), moved)


def _fluctuations(store: Store, cells: Sequence[Stored]) -> list[NetworkFluctuation]:
    """What was measured with the relative values, of one checkpoint's ``cells``."""
    setting, wanted = cells[0].setting, {row.cell.key for row in cells}
    selection = Selection(
        checkpoints=(cells[0].cell.sha256,), fingerprints=(setting.fingerprint,), precisions=(setting.precision,)
    )
    rows = (row for _, row in store.layers(selection))
    sample = np.arange(min(setting.images, SAMPLE))  # which images they are does not matter here: both sides have the same
    found = layer_rows.networks(rows, sample, wanted).values()
    return [one for one in found if "relative" in one.per_image]


def _snapshot(setting: Setting, cell: Cell, baseline: Snapshot, answers: tuple[Answers, ...] = ()) -> Snapshot:
    """One from a store, which keeps ids and labels only as parts of the fingerprint: where that fits, they are the baseline's."""
    same = setting.fingerprint == baseline.fingerprint
    seeds = [one.noise_seed for one in answers if one.noise_seed is not None] or [baseline.seed]
    return Snapshot(
        checkpoint=cell.checkpoint,
        sha256=cell.sha256,
        architecture=cell.architecture,
        activation=cell.activation,
        alpha=cell.alpha,
        normalization=cell.normalization,
        data=setting.data,
        fingerprint=setting.fingerprint,
        dataset_images=setting.dataset_images,
        resize=setting.resize,
        crop=setting.crop,
        profile=None,
        precision=setting.precision,
        seed=min(seeds),
        noise_seeds=len(set(seeds)),
        ids=baseline.ids if same else np.arange(setting.images, dtype=np.int64),
        labels=baseline.labels if same else np.zeros(setting.images, dtype=np.uint16),
        answers=answers,
        provenance={"started": setting.started, "host": setting.host, "device": setting.device, **setting.versions},
    )


def _digest(name: str) -> str:
    import hashlib

    try:
        with Path(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror})") from None
