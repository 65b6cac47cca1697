"""What was measured, as plain data: counts and sums, never rates."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is done to the images: nothing, or one corruption at one level."""

    corruption: str
    """A name of corruptions.CORRUPTIONS, or ``clean``."""
    severity: int | None
    """1 to 5 under a profile; 0 for clean; None for a level of the user's own."""
    parameter: float | None
    """The physical level; None for clean."""
    profile: str | None
    """The level table that the severity was read in; None for clean and for a level of the user's own."""

    def __str__(self) -> str:
        if self.parameter is None:
            return self.corruption
        return f"{self.corruption}={self.parameter:g}" if self.severity is None else f"{self.corruption} {self.severity}"


CLEAN = Condition(corruption="clean", severity=0, parameter=None, profile=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One checkpoint under one condition."""

    checkpoint: str
    """Path as it was given."""
    sha256: str
    """Of the checkpoint's file."""
    architecture: str
    activation: str
    activation_level: str
    """``layer`` or ``element``."""
    alpha: float | None
    """LayerAct's alpha; None at the element level."""
    training_seed: int | None
    condition: Condition
    noise_seed: int
    correct: int
    """Images whose largest logit is the label's."""
    correct_top5: int | None
    """Images whose label is among the five largest logits; None with fewer than 10 classes."""
    total: int
    nll_sum: float
    """Sum over images of the negative log-likelihood, in nats."""
    seconds: float
    """Wall time of its share of the run."""
    predictions: bytes = field(repr=False)
    """Predicted class of each image in the order of ids: little-endian uint16, zlib."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: flat, and without the predictions."""
        row = asdict(self)
        del row["predictions"]
        condition = row.pop("condition")
        return {
            "checkpoint": row.pop("checkpoint"),
            **{key: row.pop(key) for key in ("activation", "activation_level")},
            **condition,
            **row,
        }


def pack_predictions(classes: Sequence[int]) -> bytes:
    """Compress predicted classes, each below 65,536.

    >>> unpack_predictions(pack_predictions([3, 1, 999]))
    (3, 1, 999)
    """
    return zlib.compress(b"".join(int(label).to_bytes(2, "little") for label in classes), level=9)


def unpack_predictions(packed: bytes) -> tuple[int, ...]:
    """The predicted classes."""
    raw = zlib.decompress(packed)
    return tuple(int.from_bytes(raw[i : i + 2], "little") for i in range(0, len(raw), 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where numbers come from: enough to get them again."""

    started: str
    """UTC, ISO 8601."""
    wall_time_s: float
    checkpoints: Mapping[str, Mapping[str, Any]]
    """By name: SHA-256, network, activation, normalization, remarks."""
    dataset: Mapping[str, Any]
    """Name, fingerprint, images, total, partial, shape, classes."""
    seed: int
    """Of the noise."""
    profile: str
    device: str
    precision: str
    batch_size: int
    threads: int
    versions: Mapping[str, str]
    host: str
    """Operating system and processor."""
    git: Mapping[str, Any] | None
    """Commit of the working directory and whether it was dirty; None outside a repository."""


def document(cells: Sequence[Cell], provenance: Provenance) -> dict[str, Any]:
    """The JSON document of an evaluation."""
    return {"schema": SCHEMA, "cells": [cell.as_dict() for cell in cells], "provenance": asdict(provenance)}
