"""What was measured of activations, as plain data."""

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
"""Images whose own values are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStats(Record):
    """One activation call of one checkpoint under one condition: noise on the images, or (``inject:...``) on pre-activations."""

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
    """By the names of STATISTICS; None where there is no such number: a relative value of an activation that is all 0; the bound,
    its parts and saturation of one that is not value x scale."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON and CSV: flat."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        hidden = ("network", "pass_", "statistics")
        return self.flat() | {name: value for name, value in own.items() if name not in hidden} | dict(self.statistics)


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
