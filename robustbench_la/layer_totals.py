"""One layer over all images: means, spreads and quantiles in memory that does not grow with the number of images."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.draws import image_keys
from robustbench_la.fluctuation import CleanSums, NoisySums
from robustbench_la.records import QUANTILES

SAMPLE = 10_000
"""Images whose own values are kept."""


class Sample:
    """Which images' own values are kept, for quantiles, intervals and figures: SAMPLE of them, drawn by a hash of their ids.

    Up to SAMPLE images all are, and quantiles are exact. Beyond, they are those of a random sample without replacement: the rank
    of a quantile p is off by a standard error of sqrt(p (1 - p) / SAMPLE), half a percentage point at the most. Every network
    keeps the same images, so their differences stay paired.
    """

    def __init__(self, ids: NDArray[np.int64]) -> None:
        keys = image_keys(0, "sample of images", torch.from_numpy(ids)).numpy()
        kept = np.sort(np.argsort(keys, kind="stable")[:SAMPLE])
        self.ids = ids[kept]
        self.slots = np.full(len(ids), -1, dtype=np.int64)
        """For each image the row of its values; -1 where they are not kept."""
        self.slots[kept] = np.arange(len(kept))

    def put(self, store: NDArray[np.float64], where: slice, values: NDArray[np.float64]) -> None:
        """Write the ``values`` of the images at ``where`` into ``store``, one number an image of the sample."""
        slots = self.slots[where]
        store[slots[slots >= 0]] = values[slots >= 0]


class Moments:
    """Mean and standard deviation of numbers that come in parts; those that are NaN are left out."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, 0.0, 0.0
        self.largest = -math.inf

    def update(self, values: NDArray[np.float64]) -> None:
        """Parts are joined as Chan, Golub & LeVeque 1983 ("Algorithms for computing the sample variance") do."""
        values = values[~np.isnan(values)]
        if not len(values):
            return
        count, mean = len(values), float(values.mean())
        delta, total = mean - self.mean, self.count + count
        self.squares += float(np.square(values - mean).sum()) + delta * delta * self.count * count / total
        self.mean += delta * count / total
        self.count = total
        self.largest = max(self.largest, float(values.max()))

    def spread(self, name: str) -> dict[str, float | None]:
        """``name_mean`` and ``name_std`` (n - 1)."""
        return {
            f"{name}_mean": self.mean if self.count else None,
            f"{name}_std": math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else None,
        }


class CleanTotals:
    """What one layer does with clean images."""

    def __init__(self, layer: str, function: str, elements: int, sample: Sample, images: int) -> None:
        self.layer, self.function, self.elements, self.images = layer, function, elements, images
        self.sample = sample
        self.activation = torch.zeros(elements, dtype=torch.float64)
        """Summed over images."""
        self.saturated = 0.0
        self.sigma = Moments()
        self.above = Moments()
        self.sigmas = np.empty(len(sample.ids))

    def update(self, where: slice, sums: CleanSums, activation: Tensor, alpha: float) -> None:
        """sums: of the images at ``where``.  activation: theirs, float32 (N, D)."""
        self.activation = self.activation.to(activation.device)
        self.activation += activation.sum(0, dtype=torch.float64)
        self.saturated += float(sums.saturated.sum())
        sigma = sums.sigma.cpu().numpy()
        self.sigma.update(sigma)
        self.above.update((np.square(sigma) + alpha > 1).astype(np.float64))
        self.sample.put(self.sigmas, where, sigma)

    def activation_mean(self) -> NDArray[np.float64]:
        """The activation averaged over images, (D,)."""
        return (self.activation / self.images).cpu().numpy()

    def statistics(self, alpha: float) -> dict[str, float | None]:
        """By the names of records.STATISTICS."""
        mean = self.activation_mean()
        return {
            "saturation_clean": self.saturated / (self.images * self.elements),
            "activation_mean_mean": float(mean.mean()),
            "activation_mean_abs": float(np.abs(mean).mean()),
            "activation_mean_std": float(mean.std()),
            **self.sigma.spread("sigma"),
            **_quantiles("sigma", self.sigmas),
            **_quantiles("normalizer", np.sqrt(np.square(self.sigmas) + alpha)),
            "normalizer_above_1": self.above.mean,
        }


class NoisyTotals:
    """What one layer does with images under one noise, beside the clean ones."""

    KEPT = ("fluctuation", "relative", "input_fluctuation")
    """The values of each image that are kept for the sample."""

    def __init__(self, elements: int, sample: Sample, images: int) -> None:
        self.elements, self.images, self.sample = elements, images, sample
        self.moments: dict[str, Moments] = {}
        self.saturated = 0.0
        self.kept: dict[str, NDArray[np.float64]] = {}

    def update(self, where: slice, values: Mapping[str, Tensor]) -> None:
        """values: of the images at ``where``, float64 (N,) each."""
        for name, tensor in values.items():
            array = tensor.cpu().numpy()
            self.moments.setdefault(name, Moments()).update(array)
            if name in self.KEPT:
                self.sample.put(self.kept.setdefault(name, np.empty(len(self.sample.ids))), where, array)

    def update_all(self, where: slice, clean: CleanSums, noisy: NoisySums) -> None:
        """All statistics of the images at ``where``."""
        self.saturated += float(noisy.saturated.sum())
        self.update(
            where,
            {
                "fluctuation": noisy.fluctuation,
                "relative": (noisy.fluctuation / clean.activation).where(clean.activation > 0, math.nan),
                "input_fluctuation": noisy.input_fluctuation,
                "bound": noisy.bound,
                "bound_scale_moved": noisy.scale_moved,
                "bound_shift_passed": noisy.shift_passed,
                "tightness": noisy.fluctuation / noisy.bound,
                "cosine": noisy.cosine,
            },
        )

    def statistics(self) -> dict[str, float | None]:
        """By the names of records.STATISTICS."""
        fluctuation = self.moments["fluctuation"].spread("fluctuation")
        found = {
            **fluctuation,
            **_quantiles("fluctuation", self.kept["fluctuation"]),
            **{
                f"fluctuation_per_element{part}": None if value is None else value / self.elements
                for part, value in (("_mean", fluctuation["fluctuation_mean"]), ("_std", fluctuation["fluctuation_std"]))
            },
        }
        if len(self.moments) == 1:  # only the fluctuation was asked for
            return found
        moved = self.moments["input_fluctuation"]
        tightness = self.moments["tightness"]
        return {
            **found,
            **self.moments["relative"].spread("relative"),
            **_quantiles("relative", self.kept["relative"]),
            **moved.spread("input_fluctuation"),
            "gain": self.moments["fluctuation"].mean / moved.mean if moved.mean > 0 else None,
            **{f"{name}_mean": self.moments[name].mean for name in ("bound", "bound_scale_moved", "bound_shift_passed")},
            "tightness_mean": tightness.mean if tightness.count else None,
            "tightness_max": tightness.largest if tightness.count else None,
            "saturation_noisy": self.saturated / (self.images * self.elements),
            "cosine_mean": self.moments["cosine"].mean if self.moments["cosine"].count else None,
        }


def _quantiles(name: str, values: NDArray[np.float64]) -> dict[str, float | None]:
    """Linear between neighbours, as numpy and R (type 7) have them; over the values that are not NaN."""
    known = values[~np.isnan(values)]
    found = np.quantile(known, [percent / 100 for percent in QUANTILES]) if len(known) else [None] * len(QUANTILES)
    return {f"{name}_q{percent:02d}": None if q is None else float(q) for percent, q in zip(QUANTILES, found, strict=True)}
