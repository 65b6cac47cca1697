"""One layer over all images: means, spreads and quantiles in memory that does not grow with the number of images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.draws import image_keys
from robustbench_la.measuring.layer_sums import CleanSums, NoisySums
from robustbench_la.records.layers import QUANTILES, SAMPLE


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
        """Write the ``values``, (..., N), of the images at ``where`` into ``store``, (..., images of the sample)."""
        slots = self.slots[where]
        store[..., slots[slots >= 0]] = values[..., slots >= 0]


class Moments:
    """Means and standard deviations of numbers that come in parts, for each place of ``shape``; NaN are left out."""

    def __init__(self, shape: tuple[int, ...] = ()) -> None:
        self.count, self.mean, self.squares = (np.zeros(shape) for _ in range(3))
        self.largest = np.full(shape, -math.inf)

    def update(self, values: NDArray[np.float64]) -> None:
        """values: (*shape, N). Parts are joined as Chan, Golub & LeVeque 1983 do ("Computing the sample variance")."""
        known = ~np.isnan(values)
        count = known.sum(-1)
        mean = np.where(known, values, 0).sum(-1) / np.maximum(count, 1)
        squares = np.square(np.where(known, values - mean[..., None], 0)).sum(-1)
        delta, total = mean - self.mean, np.maximum(self.count + count, 1)
        self.squares += squares + np.square(delta) * self.count * count / total
        self.mean += delta * count / total
        self.count += count
        self.largest = np.maximum(self.largest, np.where(known, values, -math.inf).max(-1, initial=-math.inf))

    def spread(self, name: str, place: tuple[int, ...] = ()) -> dict[str, float | None]:
        """``name_mean`` and ``name_std`` (n - 1)."""
        count = self.count[place]
        return {
            f"{name}_mean": float(self.mean[place]) if count else None,
            f"{name}_std": math.sqrt(self.squares[place] / (count - 1)) if count > 1 else None,
        }


class LayerTotals:
    """What all layers of a network do with images under several noises, beside the clean ones."""

    NOISY = (
        "fluctuation",
        "relative",
        "input_fluctuation",
        "bound",
        "bound_scale_moved",
        "bound_shift_passed",
        "tightness",
        "cosine",
    )
    """Quantities of each image."""
    KEPT = 3
    """So many of them, the first, are kept for the sample."""

    def __init__(self, elements: Sequence[int], noises: int, sample: Sample, images: int, alpha: float, *, only: bool) -> None:
        """elements: D of each layer.  only: whether nothing but the fluctuation is measured."""
        self.elements, self.sample, self.images, self.alpha, self.only = elements, sample, images, alpha, only
        layers, quantities = len(elements), 1 if only else len(self.NOISY)
        self.moments = Moments((quantities, layers, noises))
        self.kept = np.empty((min(quantities, self.KEPT), layers, noises, len(sample.ids)))
        self.saturated, self.saturated_noisy = np.zeros(layers), np.zeros((layers, noises))
        self.sigma, self.above = Moments((layers,)), Moments((layers,))
        self.sigmas = np.empty((layers, len(sample.ids)))
        self.activations: list[Tensor | float] = [0.0] * layers
        """Of clean images, summed over them: float64 (D,) each."""

    def update_fluctuation(self, where: slice, values: NDArray[np.float64]) -> None:
        """values: fluctuation of the images at ``where``, (layers, noises, N)."""
        self.moments.update(values[None])
        self.sample.put(self.kept, where, values[None])

    def update(self, where: slice, clean: CleanSums, noisy: NoisySums) -> None:
        """All statistics of the images at ``where``: (layers, 4, N) and (layers, noises, 7, N)."""
        norm, squares = clean.activation[:, None], clean.squares[:, None]
        bound = noisy.bound
        dot = (squares + noisy.squares - noisy.squared_fluctuation) / 2  # 2 a b = a^2 + b^2 - (a - b)^2
        with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 is NaN: no such value
            relative = np.where(norm > 0, noisy.fluctuation / norm, math.nan)
            cosine = dot / np.sqrt(squares * noisy.squares)
            tightness = noisy.fluctuation / bound
        shown = (noisy.fluctuation, relative, noisy.input_fluctuation, bound, noisy.scale_moved, noisy.shift_passed, tightness)
        values = np.stack((*shown, np.where(np.isfinite(cosine), cosine, math.nan)))
        self.moments.update(values)
        self.sample.put(self.kept, where, values[: self.KEPT])
        self.saturated += clean.saturated.sum(-1)
        self.saturated_noisy += noisy.saturated.sum(-1)
        self.sigma.update(clean.sigma)
        self.above.update((np.square(clean.sigma) + self.alpha > 1).astype(np.float64))
        self.sample.put(self.sigmas, where, clean.sigma)

    def activation_mean(self, layer: int) -> NDArray[np.float64]:
        """The activation averaged over clean images, (D,)."""
        mean: NDArray[np.float64] = torch.as_tensor(self.activations[layer] / self.images).cpu().numpy()
        return mean

    def per_image(self, noise: int) -> dict[str, NDArray[np.float64]]:
        """Of each image of the sample, means over layers: those where it has the value; NaN where it has none."""
        kept = self.kept[:, :, noise]
        known = ~np.isnan(kept)
        with np.errstate(invalid="ignore"):  # 0 / 0
            means = np.where(known, kept, 0).sum(1) / known.sum(1)
        return dict(zip(self.NOISY, means, strict=False))

    def statistics(self, layer: int, noise: int) -> dict[str, float | None]:
        """Of one layer under one noise, by the names of layer_records.STATISTICS."""
        places = {name: (place, layer, noise) for place, name in enumerate(self.NOISY)}
        fluctuation = self.moments.spread("fluctuation", places["fluctuation"])
        found = {
            **fluctuation,
            **_quantiles("fluctuation", self.kept[places["fluctuation"]]),
            **{
                name.replace("fluctuation", "fluctuation_per_element"): None if value is None else value / self.elements[layer]
                for name, value in fluctuation.items()
            },
        }
        if self.only:
            return found
        spreads = {name: self.moments.spread(name, place) for name, place in places.items()}
        shift = spreads["input_fluctuation"]["input_fluctuation_mean"]
        mean = self.activation_mean(layer)
        numbers = self.images * self.elements[layer]
        tightest = float(self.moments.largest[places["tightness"]])
        return {
            **found,
            **spreads["relative"],
            **_quantiles("relative", self.kept[places["relative"]]),
            **spreads["input_fluctuation"],
            "gain": found["fluctuation_mean"] / shift if shift else None,  # type: ignore[operator]  # there are images
            **{f"{name}_mean": spreads[name][f"{name}_mean"] for name in self.NOISY[3:]},
            "tightness_max": None if tightest == -math.inf else tightest,
            "saturation_clean": _known(self.saturated[layer] / numbers),
            "saturation_noisy": _known(self.saturated_noisy[layer, noise] / numbers),
            "activation_mean_mean": float(mean.mean()),
            "activation_mean_abs": float(np.abs(mean).mean()),
            "activation_mean_std": float(mean.std()),
            **self.sigma.spread("sigma", (layer,)),
            **_quantiles("sigma", self.sigmas[layer]),
            **_quantiles("normalizer", np.sqrt(np.square(self.sigmas[layer]) + self.alpha)),
            "normalizer_above_1": float(self.above.mean[layer]),
        }


def _known(value: float) -> float | None:
    """None for what has no value: shares of a scale that there is not."""
    return None if math.isnan(value) else float(value)


def _quantiles(name: str, values: NDArray[np.float64]) -> dict[str, float | None]:
    """Linear between neighbours, as numpy and R (type 7) have them; over the values that are not NaN."""
    known = values[~np.isnan(values)]
    found = np.quantile(known, [percent / 100 for percent in QUANTILES]) if len(known) else [None] * len(QUANTILES)
    return {f"{name}_q{percent:02d}": None if q is None else float(q) for percent, q in zip(QUANTILES, found, strict=True)}
