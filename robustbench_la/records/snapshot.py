"""Snapshots: the predictions of a checkpoint for each image under a plan; both sides of a robustness gate. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from robustbench_la.errors import NotComparableError
from robustbench_la.records.cells import ImageSetting, OfPass, RunSetting
from robustbench_la.records.image_digests import ImageDigests, Measured, what_differs
from robustbench_la.records.layers import NetworkFluctuation
from robustbench_la.records.networks import NetworkRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers(OfPass):
    """The predictions of a checkpoint for all images in one pass."""

    predictions: NDArray[np.uint16] = field(repr=False)
    """The predicted classes, (N,), in the order of the ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fluctuation(OfPass):
    """How much the activations of a checkpoint fluctuated in one pass."""

    absolute: tuple[float | None, ...]
    """Per layer, the L1 norm of g(noisy) - g(clean): mean over images."""
    relative: tuple[float | None, ...]
    """The same divided by the L1 norm of g(clean); None if that is 0 for every image."""
    per_image: NDArray[np.uint16] = field(repr=False)
    """Per image of the sample, the mean of the relative fluctuation over layers, see ``quantise``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(ImageSetting):
    """One checkpoint, measured."""

    network: NetworkRecord
    profile: str | None
    """Of the levels; None if unknown, because a store does not record it separately."""
    seed: int
    """Of the noise; the first of ``noise_seeds``."""
    noise_seeds: int
    ids: NDArray[np.int64] = field(repr=False)
    """The index of each image in the whole dataset, (N,), ascending."""
    labels: NDArray[np.uint16] = field(repr=False)
    """(N,)"""
    answers: tuple[Answers, ...] = ()
    layers: tuple[str, ...] = ()
    """Names of the activation calls, if fluctuation was measured."""
    fluctuations: tuple[Fluctuation, ...] = ()
    given: Mapping[str, str | float] = field(default_factory=lambda: MappingProxyType({}))
    """What the user had to specify to load the checkpoint: arch, activation, layeract_alpha, normalize."""
    provenance: Mapping[str, str | bool | None] = field(default_factory=lambda: MappingProxyType({}))
    """When, where and with which versions it was measured."""
    content: ImageDigests | None = field(default=None, repr=False)
    """Of each image; None if that is not known, as in stores and older baselines."""

    @property
    def images(self) -> int:
        """Number of images measured on."""
        return len(self.labels)

    @property
    def corruptions(self) -> frozenset[str]:
        """The names of those that were measured."""
        return frozenset(answers.condition.corruption for answers in self.answers)

    def correct(self, answers: Answers) -> NDArray[np.bool_]:
        """Which images were classified correctly, (N,)."""
        correct: NDArray[np.bool_] = answers.predictions == self.labels
        return correct


def snapshot_of(
    setting: RunSetting,
    network: NetworkRecord,
    *,
    ids: NDArray[np.int64],
    labels: NDArray[np.uint16],
    profile: str | None,
    seed: int,
    noise_seeds: int,
) -> Snapshot:
    """A snapshot without answers yet: what is known of a network and of the run that measures it."""
    return Snapshot(
        **{entry.name: getattr(setting, entry.name) for entry in fields(ImageSetting)},
        network=network,
        ids=ids,
        labels=labels,
        profile=profile,
        seed=seed,
        noise_seeds=noise_seeds,
        provenance=setting.origin,
    )


def with_fluctuations(snapshot: Snapshot, measured: Sequence[NetworkFluctuation]) -> Snapshot:
    """Add to a snapshot what a gate needs to know about its activations.

    Args:
        snapshot: Of one checkpoint.
        measured: Its fluctuation, one record per pass, measured with all statistics (not only the fluctuation).

    Returns:
        A new snapshot.
    """
    return replace(
        snapshot,
        layers=tuple(layer.layer for layer in measured[0].layers) if measured else (),
        fluctuations=tuple(
            Fluctuation(
                pass_=record.layers[0].pass_,
                absolute=tuple(layer.statistics["fluctuation_mean"] for layer in record.layers),
                relative=tuple(layer.statistics["relative_mean"] for layer in record.layers),
                per_image=quantise(record.per_image["relative"]),
            )
            for record in measured
        ),
    )


_STEPS = 32
"""Steps per doubling: each value is kept to within 1.1 %, the mean over a thousand images to within 0.03 %."""
_ONE = 2**15
_UNKNOWN = 2**16 - 1


def quantise(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Round values on a logarithmic scale of 32 steps per doubling: they compress to about 7 bits each, float64 hardly at all.

    Both sides of a comparison are rounded, so equal values stay equal. 0 and NaN are preserved.

    Args:
        values: Not negative.

    Returns:
        uint16 codes of the same shape.

    >>> unquantise(quantise(np.array([0.0, 1.0, 0.25, np.nan])))
    array([0.  , 1.  , 0.25,  nan])
    """
    with np.errstate(divide="ignore"):
        codes = np.clip(np.nan_to_num(np.round(_STEPS * np.log2(values)), nan=0.0) + _ONE, 1, _UNKNOWN - 1)
    return np.where(np.isnan(values), _UNKNOWN, np.where(values == 0, 0, codes)).astype(np.uint16)


def unquantise(codes: NDArray[np.uint16]) -> NDArray[np.float64]:
    """The rounded values that ``quantise`` encoded, as float64."""
    values = np.exp2((codes.astype(np.float64) - _ONE) / _STEPS)
    return np.where(codes == _UNKNOWN, np.nan, np.where(codes == 0, 0.0, values))


_COMPARED = tuple(entry.name for entry in fields(ImageSetting) if entry.name not in ("data", "fingerprint", "dataset_images"))
"""What must be equal besides the images themselves: a dataset may have another name on another machine."""


def differences(one: Snapshot, other: Snapshot, *, names: tuple[str, str] = ("the baseline", "this measurement")) -> list[str]:
    """List what prevents an image-by-image comparison of two snapshots.

    Args:
        one: A snapshot.
        other: Another one.
        names: What to call the two.

    Returns:
        One phrase per difference; empty if they can be compared.
    """

    def phrase(what: str, left: object, right: object) -> str:
        return f"{what}: {left} in {names[0]}, {right} in {names[1]}"

    reasons = []
    if one.images != other.images:
        reasons.append(phrase("number of images", f"{one.images:,}", f"{other.images:,}"))
    sides = [{name: getattr(side, name) for name in _COMPARED} for side in (one, other)]
    sides = [{**values, "normalization": side.network.normalization} for values, side in zip(sides, (one, other), strict=True)]
    reasons += [phrase(name.replace("_", " "), left, sides[1][name]) for name, left in sides[0].items() if left != sides[1][name]]
    if one.fingerprint != other.fingerprint:
        reasons.append(phrase("data (fingerprint)", *(f"{side.data} {side.fingerprint[:12]}" for side in (one, other))))
        reasons += _other_images(one, other, phrase)
    elif not reasons and not (np.array_equal(one.ids, other.ids) and np.array_equal(one.labels, other.labels)):
        reasons.append(f"labels or ids of the images: those in {names[0]} do not match its fingerprint")
    return reasons


def _other_images(one: Snapshot, other: Snapshot, phrase: Callable[[str, object, object], str]) -> list[str]:
    """Which images are others, as far as that is known."""
    if one.dataset_images != other.dataset_images and one.images < one.dataset_images:  # so that another part of it was chosen
        return [phrase("images in the dataset", f"{one.dataset_images:,}", f"{other.dataset_images:,}")]
    if one.content is None or other.content is None or (one.resize, one.crop) != (other.resize, other.crop):
        return []
    found = what_differs(*(Measured(side.ids, side.labels, side.content) for side in (one, other) if side.content is not None))
    return [found or "each image is the same, but not the number of classes"]


def check_comparable(one: Snapshot, other: Snapshot) -> None:
    """Raise NotComparableError, naming every difference, unless both used the same images and preprocessing."""
    if reasons := differences(one, other):
        raise NotComparableError("not comparable; " + "; ".join(reasons))
