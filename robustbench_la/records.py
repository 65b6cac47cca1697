"""What was measured, as plain data: counts and sums, never rates."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from robustbench_la.errors import UserError, first_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

SCHEMA = 1
CALIBRATION_BINS = 15
"""Of equal width over [0, 1], as usual for the expected calibration error (Guo et al. 2017, "On calibration of modern neural
networks", section 2)."""


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


class Key(NamedTuple):
    """What a cell is a measurement of, by content: on the same images, at the same precision, equal keys have equal results."""

    sha256: str
    architecture: str
    code: str | None
    activation: str
    alpha: float | None
    normalization: str
    condition: Condition
    noise_seed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One checkpoint under one condition."""

    checkpoint: str
    """Path as it was given."""
    sha256: str
    """Of the checkpoint's file."""
    architecture: str
    code: str | None = None
    """SHA-256 of the user's file that builds the network; None for an architecture of the table."""
    activation: str
    activation_level: str
    """``layer`` or ``element``."""
    alpha: float | None
    """LayerAct's alpha; None at the element level."""
    normalization: str
    """A name of NORMALIZATIONS, or means/standard deviations."""
    training_seed: int | None
    condition: Condition
    noise_seed: int | None
    """None for clean images, which have no noise."""
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
    """Predicted class of each image in the order of ids, see ``pack_classes``; empty where they were left in the store."""
    calibration: bytes = field(default=b"", repr=False)
    """Images, correct ones and confidence by bin of confidence, see ``pack_calibration``; empty where not measured."""

    @property
    def key(self) -> Key:
        """What it is a measurement of."""
        return Key(
            self.sha256,
            self.architecture,
            self.code,
            self.activation,
            self.alpha,
            self.normalization,
            self.condition,
            self.noise_seed,
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON: flat, and without what is packed."""
        row = asdict(self)
        del row["predictions"], row["calibration"]
        condition = row.pop("condition")
        return {
            "checkpoint": row.pop("checkpoint"),
            **{key: row.pop(key) for key in ("activation", "activation_level")},
            **condition,
            **row,
        }


def pack_classes(classes: ArrayLike) -> bytes:
    """Compress classes (predicted ones or labels), each below 65,536: at most one or two bytes each.

    The first byte says how many bytes a class takes; the zlib stream behind it holds all low bytes, then all high ones, which
    compresses better than pairs.

    >>> unpack_classes(pack_classes([3, 1, 999]))
    array([  3,   1, 999], dtype=uint16)
    """
    import numpy as np

    array = np.asarray(classes, dtype="<u2")
    planes = array.view(np.uint8).reshape(-1, 2).T
    width = 2 if planes[1].any() else 1
    return bytes([width]) + zlib.compress(planes[:width].tobytes(), level=6)


def unpack_classes(packed: bytes, count: int | None = None) -> NDArray[np.uint16]:
    """What ``pack_classes`` packed, (N,). count: of classes that there must be; nothing beyond them is decompressed.

    Raises: UserError for bytes that are damaged or empty, or hold another number of classes.
    """
    import numpy as np

    try:
        width = packed[0]
        if width not in (1, 2):
            raise ValueError(f"{width} bytes a class")
        stream = zlib.decompressobj()
        content = stream.decompress(packed[1:], 0 if count is None else width * count + 1)
        if not stream.eof or (count is not None and len(content) != width * count):
            raise ValueError("incomplete, or of another number of images")
        planes = np.frombuffer(content, dtype=np.uint8).reshape(width, -1).astype(np.uint16)
        array: NDArray[np.uint16] = planes[0] if width == 1 else planes[0] + 256 * planes[1]
        return array
    except (IndexError, ValueError, zlib.error) as error:
        raise UserError(f"predictions that cannot be read ({first_line(error)})") from None


def pack_calibration(confidence: ArrayLike, correct: ArrayLike) -> bytes:
    """Sums by bin of confidence, of which the expected calibration error is made.

    confidence: the largest softmax probability, (N,).  correct: whether the prediction is the label, bool (N,).
    A bin holds (lower, upper], as in Guo et al. 2017; 0 belongs to the first.

    >>> unpack_calibration(pack_calibration([0.05, 0.99, 1.0], [False, True, False]))[:, [0, 14]]
    array([[1.  , 2.  ],
           [0.  , 1.  ],
           [0.05, 1.99]])
    """
    import numpy as np

    values = np.asarray(confidence, dtype=np.float64)
    bins = np.clip(np.ceil(values * CALIBRATION_BINS) - 1, 0, CALIBRATION_BINS - 1).astype(np.int64)
    sums = [np.bincount(bins, weights, CALIBRATION_BINS) for weights in (None, np.asarray(correct, dtype=np.float64), values)]
    return np.stack(sums).astype("<f8").tobytes()


def unpack_calibration(packed: bytes) -> NDArray[np.float64]:
    """Images, correct ones, and the sum of their confidence: (3, CALIBRATION_BINS).

    Raises: UserError for bytes that are damaged or empty.
    """
    import numpy as np

    if len(packed) != 3 * 8 * CALIBRATION_BINS:
        raise UserError(f"calibration that cannot be read ({len(packed)} bytes)")
    return np.frombuffer(packed, dtype="<f8").reshape(3, CALIBRATION_BINS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all cells of one run share: the images, the machine, the program."""

    data: str
    """The dataset as it was asked for, such as ``mnist:data``."""
    fingerprint: str
    """SHA-256 of the decoded images and labels that were measured on."""
    images: int
    """How many were measured on."""
    dataset_images: int
    """How many the whole dataset has."""
    resize: int | None
    """Pixels of the shorter side; None where images were not resized."""
    crop: int | None
    """Pixels of the square that was cut; None where nothing was."""
    device: str
    precision: str
    batch_size: int
    threads: int
    started: str
    """UTC, ISO 8601."""
    versions: Mapping[str, str]
    """Of larobust, python, torch, numpy."""
    host: str
    """Operating system and processor."""
    commit: str | None
    """Of git in the working directory; None outside a repository."""
    dirty: bool | None
    """Whether something was not committed there."""

    @property
    def partial(self) -> bool:
        """Whether images of the dataset were left out."""
        return self.images < self.dataset_images

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "partial": self.partial}


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
    """Commit of the working directory and whether it was dirty; None outside a repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStats:
    """One activation call of one checkpoint under one condition."""

    checkpoint: str
    """Path as it was given."""
    sha256: str
    architecture: str
    code: str | None = None
    """As in Cell."""
    activation: str
    """The network's."""
    activation_level: str
    """``layer`` or ``element``."""
    alpha: float | None
    normalization: str
    training_seed: int | None
    condition: Condition
    """Noise on the images, or (``inject:...``) on each pre-activation."""
    noise_seed: int
    layer: str
    """Module path and call: ``layer1.0.act1``, or ``layer1.0/relu[1]`` for a call that is no activation module's."""
    index: int
    """Order of the call in the forward pass, from 0."""
    function: str
    """What was called; networks may hold several."""
    elements: int
    """D: numbers an image, over all axes but the batch."""
    images: int
    statistics: Mapping[str, float | None]
    """By the names of STATISTICS; None where there is no such number (a relative value of an activation that is all 0)."""

    @property
    def key(self) -> Key:
        """What the layers of one network under one condition are a measurement of."""
        return Key(
            self.sha256,
            self.architecture,
            self.code,
            self.activation,
            self.alpha,
            self.normalization,
            self.condition,
            self.noise_seed,
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON and CSV: flat."""
        row = asdict(self)
        statistics, condition = row.pop("statistics"), row.pop("condition")
        return {
            **{key: row.pop(key) for key in ("checkpoint", "activation", "activation_level")},
            **condition,
            **row,
            **statistics,
        }


QUANTILES = (5, 25, 50, 75, 95)
"""In percent, across images."""


def _spread(name: str, what: str, *, quantiles: bool) -> dict[str, str]:
    found = {f"{name}_mean": f"{what}: mean over images", f"{name}_std": f"{what}: standard deviation over images (n - 1)"}
    if quantiles:
        found |= {f"{name}_q{percent:02d}": f"{what}: {percent} % quantile over images" for percent in QUANTILES}
    return found


STATISTICS: Mapping[str, str] = MappingProxyType(
    {
        **_spread("fluctuation", "L1 norm of g(noisy) - g(clean)", quantiles=True),
        "fluctuation_per_element_mean": "fluctuation_mean / D",
        "fluctuation_per_element_std": "fluctuation_std / D",
        **_spread("relative", "fluctuation / L1 norm of g(clean)", quantiles=True),
        **_spread("input_fluctuation", "L1 norm of noisy - clean pre-activation", quantiles=False),
        "gain": "fluctuation_mean / input_fluctuation_mean",
        "bound_mean": "upper bound of the fluctuation, sum of its two parts: mean over images",
        "bound_scale_moved_mean": "sum of |y| |s(noisy) - s(clean)|: mean over images",
        "bound_shift_passed_mean": "sum of |noisy y - y| |s(noisy)|: mean over images",
        "tightness_mean": "fluctuation / upper bound: mean over images",
        "tightness_max": "fluctuation / upper bound: largest over images, at most 1",
        "saturation_clean": "share of elements whose scale is below the threshold, clean images",
        "saturation_noisy": "the same, noisy images",
        "activation_mean_mean": "activation averaged over clean images, each element by itself: mean over elements",
        "activation_mean_abs": "the same: mean absolute value over elements",
        "activation_mean_std": "the same: standard deviation over elements (n)",
        **_spread("sigma", "standard deviation of an image's clean pre-activation (D - 1)", quantiles=True),
        **{f"normalizer_q{percent:02d}": f"sqrt(sigma^2 + alpha): {percent} % quantile over images" for percent in QUANTILES},
        "normalizer_above_1": "share of images whose sqrt(sigma^2 + alpha) exceeds 1",
        "cosine_mean": "cosine similarity of clean and noisy activation: mean over images",
    }
)
"""What is known of a layer, by name. Images whose activation is 0 everywhere have no relative value and no cosine: left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFluctuation:
    """All layers of one checkpoint under one condition."""

    layers: tuple[LayerStats, ...]
    """In the order of the calls."""
    threshold: float | None
    """Of the scale, for saturation; None where only the fluctuation was asked for."""
    unreached: tuple[str, ...]
    """Activation modules that no image reached."""
    skipped: tuple[str, ...]
    """Calls on a tensor without an axis for the images."""
    sample: NDArray[np.int64] = field(repr=False)
    """Ids of the images whose own values are kept."""
    per_image: Mapping[str, NDArray[np.float64]] = field(repr=False)
    """Of each image of the sample, means over layers, to float32: ``fluctuation``, ``relative``, ``input_fluctuation``."""
    activation_means: tuple[NDArray[np.float64], ...] = field(repr=False)
    """For each layer, (D,): the activation averaged over clean images. Empty where only the fluctuation was asked for."""


def document(cells: Sequence[Cell], provenance: Provenance) -> dict[str, Any]:
    """The JSON document of an evaluation."""
    return {"schema": SCHEMA, "cells": [cell.as_dict() for cell in cells], "provenance": asdict(provenance)}
