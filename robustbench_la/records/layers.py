"""Measurements of activations as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from robustbench_la.records.cells import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE = 10_000
"""Number of images whose individual values are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStats(Record):
    """One activation call of one checkpoint under one condition: noise on the images, or (``inject:...``) on pre-activations."""

    layer: str
    """Module path and call: ``layer1.0.act1``, or ``layer1.0/relu[1]`` for a call made by no activation module."""
    index: int
    """Position of the call in the forward pass, from 0."""
    function: str
    """The activation that was called; a network may use several."""
    elements: int
    """D: the number of elements per image, over all axes except the batch."""
    images: int
    statistics: Mapping[str, float | None]
    """By the names of STATISTICS; None if undefined: a relative value if the activation is 0 everywhere; the bound, its parts and
    saturation if the activation is not value x scale."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON and CSV: flat."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        hidden = ("network", "pass_", "statistics")
        return self.flat() | {name: value for name, value in values.items() if name not in hidden} | dict(self.statistics)


QUANTILES = (5, 25, 50, 75, 95)
"""In percent, across images."""


def _spread(name: str, what: str, *, quantiles: bool) -> dict[str, str]:
    rows = {f"{name}_mean": f"{what}: mean over images", f"{name}_std": f"{what}: standard deviation over images (n - 1)"}
    if quantiles:
        rows |= {f"{name}_q{percent:02d}": f"{what}: {percent} % quantile over images" for percent in QUANTILES}
    return rows


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
        "saturation_clean": "fraction of elements whose scale is below the threshold, clean images",
        "saturation_noisy": "the same, noisy images",
        "activation_mean_mean": "activation of each element averaged over clean images: mean over elements",
        "activation_mean_abs": "the same: mean absolute value over elements",
        "activation_mean_std": "the same: standard deviation over elements (n)",
        **_spread("sigma", "standard deviation of an image's clean pre-activation (D - 1)", quantiles=True),
        **{f"normalizer_q{percent:02d}": f"sqrt(sigma^2 + alpha): {percent} % quantile over images" for percent in QUANTILES},
        "normalizer_above_1": "fraction of images whose sqrt(sigma^2 + alpha) exceeds 1",
        "cosine_mean": "cosine similarity of clean and noisy activation: mean over images",
    }
)
"""The statistics of a layer, by name. Images whose activation is 0 everywhere have no relative value and no cosine, so they are
left out of these two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFluctuation:
    """All layers of one checkpoint under one condition."""

    layers: tuple[LayerStats, ...]
    """In the order of the calls."""
    threshold: float | None
    """Of the scale, for saturation; None if only the fluctuation was measured."""
    unreached: tuple[str, ...]
    """Paths of activation modules that the forward pass never called."""
    skipped: tuple[str, ...]
    """Calls on tensors without an axis for the images."""
    sample: NDArray[np.int64] = field(repr=False)
    """Ids of the images whose individual values are kept."""
    per_image: Mapping[str, NDArray[np.float64]] = field(repr=False)
    """Per image of the sample, means over layers in float32 precision: ``fluctuation``, ``relative``, ``input_fluctuation``."""
    activation_means: tuple[NDArray[np.float64], ...] = field(repr=False)
    """Per layer, (D,): the activation averaged over clean images. Empty if only the fluctuation was measured."""
