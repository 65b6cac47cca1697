"""What a checkpoint answered, image by image, under a plan: both sides of a robustness gate. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from robustbench_la.errors import NotComparableError
from robustbench_la.records.cells import OfPass
from robustbench_la.records.layers import NetworkFluctuation
from robustbench_la.records.network_id import NetworkRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers(OfPass):
    """What a checkpoint said to every image in one pass."""

    predictions: NDArray[np.uint16] = field(repr=False)
    """The predicted class, (N,), in the order of ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fluctuation(OfPass):
    """How much the activations of a checkpoint moved in one pass."""

    absolute: tuple[float | None, ...]
    """For each layer, L1 norm of g(noisy) - g(clean): mean over images."""
    relative: tuple[float | None, ...]
    """The same over the L1 norm of g(clean); None where that is 0 for every image."""
    per_image: NDArray[np.uint16] = field(repr=False)
    """Of each image of the sample, the mean of the relative value over layers, see ``quantise``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One checkpoint, measured."""

    network: NetworkRecord
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
                pass_=one.layers[0].pass_,
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
        ("normalization", one.network.normalization, other.network.normalization),
        ("precision", one.precision, other.precision),
    ):
        if left != right:
            found.append(told(what, left, right))
    if one.fingerprint != other.fingerprint:
        found.append(told("data (fingerprint)", f"{one.data} {one.fingerprint[:12]}", f"{other.data} {other.fingerprint[:12]}"))
    elif not found and not (np.array_equal(one.ids, other.ids) and np.array_equal(one.labels, other.labels)):
        found.append(f"labels or ids of the images: those in {names[0]} are not those that its fingerprint was made of")
    return found


def check_comparable(one: Snapshot, other: Snapshot) -> None:
    """Raise NotComparableError, naming everything that differs, unless both saw the same images in the same way."""
    if found := differences(one, other):
        raise NotComparableError("not comparable; " + "; ".join(found))
