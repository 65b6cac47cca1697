"""Classification results as plain data: counts and sums, never rates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, NamedTuple

from corruptions import CORRUPTIONS, NOISE_VERSION
from corruptions.registry import Level
from robustbench_la.records.networks import NetworkId, NetworkRecord

Source = Literal["prebuilt", "generated"]
"""Where corrupted images come from: read from a published set, or corrupted by larobust."""
IMAGENET = "imagenet-1k"
"""Stands for images of all 1,000 classes of ImageNet, as their classes say, in ``RunSetting.label_set``."""
SCHEMA = 2
"""Version of the JSON documents that contain records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is done to the images: nothing, or one corruption at one level."""

    corruption: str
    """A name of corruptions.CORRUPTIONS or of a published set, or ``clean``."""
    severity: int | None
    """1 to 5 under a profile; 0 for clean; None for a custom level, and in a published set that has a single level."""
    parameters: Level
    """The physical level, one number per parameter of the corruption; empty for clean, and for images of a published set."""
    profile: str | None
    """The level table of the severity, or the name of a published set; None for clean and for a custom level."""
    noise_version: int = NOISE_VERSION
    """How its random words were keyed, see ``corruptions.NOISE_VERSION``; the current version if nothing is random."""
    jpeg: int | None = None
    """The quality of the JPEG as which corrupted images were stored first; None if they were not."""
    prebuilt: str | None = None
    """The digest of the images of a published set; None for images that were corrupted here, and for clean ones."""

    def __str__(self) -> str:
        if self.prebuilt is not None:
            return f"{self.corruption}{f' {self.severity}' if self.severity else ''}, {self.profile}"
        if not self.parameters:
            return self.corruption
        text = f"{self.corruption}={self.level_text}" if self.severity is None else f"{self.corruption} {self.severity}"
        return text if self.jpeg is None else f"{text}, JPEG {self.jpeg}"

    @property
    def is_random(self) -> bool:
        """Whether random words were drawn here."""
        return self.prebuilt is None and self.corruption in CORRUPTIONS and CORRUPTIONS[self.corruption].random

    @property
    def source(self) -> Source:
        """Whether the images are read from a published set."""
        return "generated" if self.prebuilt is None else "prebuilt"

    @property
    def is_custom(self) -> bool:
        """Whether it is a custom level, instead of a severity or a published set."""
        return self.severity is None and self.prebuilt is None

    @property
    def parameter(self) -> float | None:
        """The physical level if it is a single number."""
        return self.parameters[0] if len(self.parameters) == 1 else None

    @property
    def level_text(self) -> str:
        """The physical level for display, such as ``0.05`` or ``1.5/2``; for full precision see ``encode_level``."""
        return "/".join(f"{value:g}" for value in self.parameters)

    @property
    def level(self) -> float | str | None:
        """The physical level as a table value: a number if there is only one, else text."""
        return self.parameter if len(self.parameters) < 2 else self.level_text

    def as_dict(self) -> dict[str, Any]:
        """For JSON: with ``parameter`` if there is only one, and with all ``parameters`` by name."""
        return {
            "corruption": self.corruption,
            "severity": self.severity,
            "parameter": self.parameter,
            "profile": self.profile,
            "parameters": dict(zip(_parameter_names(self.corruption, len(self.parameters)), self.parameters, strict=True)),
            "noise_version": self.noise_version,
            "jpeg": self.jpeg,
            "prebuilt": self.prebuilt,
        }


CLEAN = Condition(corruption="clean", severity=0, parameters=(), profile=None)


def _parameter_names(corruption: str, count: int) -> tuple[str, ...]:
    entry = CORRUPTIONS.get(corruption)
    if entry is not None and len(entry.parameters) == count:
        return tuple(parameter.name for parameter in entry.parameters)
    return ("level",) if count == 1 else tuple(f"level_{number}" for number in range(1, count + 1))


def encode_level(level: Level) -> str:
    """A level as text with full precision; equal levels have equal texts.

    >>> encode_level((0.05,)), encode_level((1.5, 2.0)), encode_level(())
    ('0.05', '1.5/2', '')
    """
    return "/".join(repr(value).removesuffix(".0") for value in level)


def decode_level(text: str) -> Level:
    """The level that ``encode_level`` encoded. Raises ValueError for any other text.

    >>> decode_level("1.5/2")
    (1.5, 2.0)
    """
    level = tuple(map(float, text.split("/"))) if text else ()
    if not all(map(math.isfinite, level)) or encode_level(level) != text:
        raise ValueError(f"{text[:40]!r} is not a level")
    return level


class Pass(NamedTuple):
    """One pass over the images: under a condition, with one seed of its noise."""

    condition: Condition
    noise_seed: int | None
    """None for clean images, and for those of published sets."""


class Key(NamedTuple):
    """What a record is a measurement of, by content: equal keys on the same images at the same precision have equal results."""

    network: NetworkId
    pass_: Pass


@dataclass(frozen=True, slots=True, kw_only=True)
class OfPass:
    """Something measured in one pass."""

    pass_: Pass

    @property
    def condition(self) -> Condition:
        """The condition of its pass."""
        return self.pass_.condition

    @property
    def noise_seed(self) -> int | None:
        """The noise seed of its pass."""
        return self.pass_.noise_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(OfPass):
    """One network in one pass."""

    network: NetworkRecord

    @property
    def key(self) -> Key:
        """What it is a measurement of."""
        return Key(self.network.id, self.pass_)

    def flat(self) -> dict[str, Any]:
        """The network and the pass for JSON, with what readers look for first in front."""
        network = self.network.as_dict()
        first = {name: network.pop(name) for name in ("checkpoint", "activation", "activation_level")}
        return {**first, **self.condition.as_dict(), **network, "noise_seed": self.noise_seed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(Record):
    """How one checkpoint classified under one condition."""

    correct: int
    """Number of images whose largest logit is that of the label."""
    correct_top5: int | None
    """Number of images whose label is among the five largest logits; None with fewer than 10 classes."""
    total: int
    nll_sum: float
    """Sum over images of the negative log-likelihood, in nats."""
    seconds: float
    """Wall time of its share of the run."""
    predictions: bytes = field(repr=False)
    """The predicted class of each image in the order of the ids, see ``pack_classes``; empty if not read from the store."""
    calibration: bytes = field(default=b"", repr=False)
    """Images, correct ones and confidence by bin of confidence, see calibration.py; empty if not measured."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: flat, without the packed fields."""
        hidden = ("network", "pass_", "predictions", "calibration")
        return self.flat() | {field.name: getattr(self, field.name) for field in fields(self) if field.name not in hidden}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSetting:
    """The images of a measurement, and the arithmetic on them. A field added here is stored and compared everywhere."""

    data: str
    """The dataset as given, such as ``mnist:data``."""
    fingerprint: str
    """SHA-256 of the decoded images and labels that were measured on."""
    dataset_images: int
    """Number of images in the whole dataset."""
    resize: int | None
    """Length of the shorter side after resizing, in pixels; None if the images were not resized."""
    crop: int | None
    """Side of the centre crop, in pixels; None if the images were not cropped."""
    precision: str
    """``float32``, or ``bfloat16 autocast``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSetting(ImageSetting):
    """What all cells of one run share: the images, the machine, the program."""

    images: int
    """Number of images measured on."""
    device: str
    batch_size: int
    threads: int
    started: str
    """UTC, ISO 8601."""
    versions: Mapping[str, str]
    """Of larobust, python, torch, numpy."""
    host: str
    """Operating system and processor."""
    commit: str | None
    """The git commit of the working directory; None outside a repository."""
    dirty: bool | None
    """Whether it had uncommitted changes."""
    assumed: tuple[str, ...] = ()
    """What neither a file nor the user said about the networks, a statement each: ``normalization none``, ``layeract_alpha
    1e-05``; with the names of the networks if it was assumed for some of them only."""
    label_set: str | None = None
    """IMAGENET if the dataset has images of all its classes; empty for other classes; None if an older larobust measured it."""

    @property
    def partial(self) -> bool:
        """Whether images of the dataset were left out."""
        return self.images < self.dataset_images

    @property
    def origin(self) -> dict[str, str | bool | None]:
        """When, where and with which versions it was measured, as a flat mapping."""
        names = ("started", "host", "device", "commit", "dirty")
        return {**{name: getattr(self, name) for name in names}, **self.versions}

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "partial": self.partial}


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where numbers come from: enough to reproduce them."""

    started: str
    """UTC, ISO 8601."""
    wall_time_s: float
    checkpoints: Mapping[str, Mapping[str, Any]]
    """By name: SHA-256, network, activation, normalization, remarks."""
    dataset: Mapping[str, Any]
    """Name, fingerprint, images, total, partial, shape, classes."""
    seed: int
    """Of the noise; the first of ``noise_seeds``."""
    noise_seeds: Sequence[int]
    profile: str
    device: str
    precision: str
    batch_size: int
    threads: int
    versions: Mapping[str, str]
    host: str
    """Operating system and processor."""
    git: Mapping[str, Any] | None
    """Commit of the working directory, and whether it had uncommitted changes; None outside a repository."""
    assumed: Sequence[str] = ()
    """As in RunSetting."""
