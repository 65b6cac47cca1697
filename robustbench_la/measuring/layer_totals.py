"""Statistics of layers over all images: means, deviations and quantiles, in memory independent of the number of images."""

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
    """The images whose individual values are kept, for quantiles, intervals and figures: SAMPLE of them, chosen by a hash of ids.

    Up to SAMPLE images all are kept, and quantiles are exact. Beyond that they come from a random sample without replacement: the
    rank of a quantile p then has a standard error of sqrt(p (1 - p) / SAMPLE), at most half a percentage point. All networks keep
    the same images, so differences between them stay paired.
    """

    def __init__(self, ids: NDArray[np.int64]) -> None:
        keys = image_keys(0, "sample of images", torch.from_numpy(ids)).numpy()
        kept = np.sort(np.argsort(keys, kind="stable")[:SAMPLE])
        self.ids = ids[kept]
        self.slots = np.full(len(ids), -1, dtype=np.int64)
        """Per image, the column of its values; -1 if they are not kept."""
        self.slots[kept] = np.arange(len(kept))

    def put(self, store: NDArray[np.float64], where: slice, values: NDArray[np.float64]) -> None:
        """Keep the values of a batch.

        Args:
            store: The values kept, (..., images of the sample); modified.
            where: Positions of the images of the batch.
            values: (..., N).
        """
        slots = self.slots[where]
        store[..., slots[slots >= 0]] = values[..., slots >= 0]


class Moments:
    """Running means and standard deviations of numbers that arrive in batches, one per entry of ``shape``; NaN are left out."""

    def __init__(self, shape: tuple[int, ...] = ()) -> None:
        self.count, self.mean, self.squares = (np.zeros(shape) for _ in range(3))
        self.largest = np.full(shape, -math.inf)

    def update(self, values: NDArray[np.float64]) -> None:
        """Add a batch, (*shape, N). Batches are combined as in Chan, Golub & LeVeque 1983 ("Computing the sample variance")."""
        defined = ~np.isnan(values)
        count = defined.sum(-1)
        mean = np.where(defined, values, 0).sum(-1) / np.maximum(count, 1)
        squares = np.square(np.where(defined, values - mean[..., None], 0)).sum(-1)
        delta, total = mean - self.mean, np.maximum(self.count + count, 1)
        self.squares += squares + np.square(delta) * self.count * count / total
        self.mean += delta * count / total
        self.count += count
        self.largest = np.maximum(self.largest, np.where(defined, values, -math.inf).max(-1, initial=-math.inf))

    def spread(self, name: str, index: tuple[int, ...] = ()) -> dict[str, float | None]:
        """``name_mean`` and ``name_std`` (n - 1) of the entry at ``index``; None if undefined."""
        count = self.count[index]
        return {
            f"{name}_mean": float(self.mean[index]) if count else None,
            f"{name}_std": math.sqrt(self.squares[index] / (count - 1)) if count > 1 else None,
        }


class LayerTotals:
    """Statistics of all layers of a network, under several noises, compared with clean images."""

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
    """Quantities per image."""
    KEPT = 3
    """How many of them, from the first, are kept per image of the sample."""

    def __init__(self, elements: Sequence[int], noises: int, sample: Sample, images: int, alpha: float, *, only: bool) -> None:
        """Start with no images.

        Args:
            elements: D of each layer.
            noises: Number of noises.
            sample: The images whose individual values are kept.
            images: Number of images that will be added.
            alpha: LayerAct's alpha, for the normalizer.
            only: Whether only the fluctuation is measured.
        """
        self.elements, self.sample, self.images, self.alpha, self.only = elements, sample, images, alpha, only
        layers, quantities = len(elements), 1 if only else len(self.NOISY)
        self.moments = Moments((quantities, layers, noises))
        self.kept = np.empty((min(quantities, self.KEPT), layers, noises, len(sample.ids)))
        self.saturated, self.saturated_noisy = np.zeros(layers), np.zeros((layers, noises))
        self.sigma, self.above = Moments((layers,)), Moments((layers,))
        self.sigmas = np.empty((layers, len(sample.ids)))
        self.activations: list[Tensor | float] = [0.0] * layers
        """Per layer, the activation summed over clean images: float64 (D,)."""

    def update_fluctuation(self, where: slice, values: NDArray[np.float64]) -> None:
        """Add the fluctuation of the images at ``where``, (layers, noises, N)."""
        self.moments.update(values[None])
        self.sample.put(self.kept, where, values[None])

    def update(self, where: slice, clean: CleanSums, noisy: NoisySums) -> None:
        """Add the sums of the images at ``where``: (layers, 4, N) and (layers, noises, 7, N)."""
        norm, squares = clean.activation[:, None], clean.squares[:, None]
        bound = noisy.bound
        dot = (squares + noisy.squares - noisy.squared_fluctuation) / 2  # 2 a b = a^2 + b^2 - (a - b)^2
        with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 is NaN: undefined
            relative = np.where(norm > 0, noisy.fluctuation / norm, math.nan)
            cosine = dot / np.sqrt(squares * noisy.squares)
            tightness = noisy.fluctuation / bound
        others = (noisy.fluctuation, relative, noisy.input_fluctuation, bound, noisy.scale_moved, noisy.shift_passed, tightness)
        values = np.stack((*others, np.where(np.isfinite(cosine), cosine, math.nan)))
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
        """Per image of the sample, means over the layers that have a value; NaN if none has.

        Args:
            noise: Index of the noise.

        Returns:
            Name of the quantity -> (images of the sample,).
        """
        kept = self.kept[:, :, noise]
        defined = ~np.isnan(kept)
        with np.errstate(invalid="ignore"):  # 0 / 0
            means = np.where(defined, kept, 0).sum(1) / defined.sum(1)
        return dict(zip(self.NOISY, means, strict=False))

    def statistics(self, layer: int, noise: int) -> dict[str, float | None]:
        """The statistics of one layer under one noise.

        Args:
            layer: Index of the layer.
            noise: Index of the noise.

        Returns:
            By the names of records.layers.STATISTICS; None if undefined.
        """
        indices = {name: (index, layer, noise) for index, name in enumerate(self.NOISY)}
        fluctuation = self.moments.spread("fluctuation", indices["fluctuation"])
        statistics = {
            **fluctuation,
            **_quantiles("fluctuation", self.kept[indices["fluctuation"]]),
            **{
                name.replace("fluctuation", "fluctuation_per_element"): None if value is None else value / self.elements[layer]
                for name, value in fluctuation.items()
            },
        }
        if self.only:
            return statistics
        spreads = {name: self.moments.spread(name, index) for name, index in indices.items()}
        shift = spreads["input_fluctuation"]["input_fluctuation_mean"]
        mean = self.activation_mean(layer)
        numbers = self.images * self.elements[layer]
        tightest = float(self.moments.largest[indices["tightness"]])
        return {
            **statistics,
            **spreads["relative"],
            **_quantiles("relative", self.kept[indices["relative"]]),
            **spreads["input_fluctuation"],
            "gain": statistics["fluctuation_mean"] / shift if shift else None,  # type: ignore[operator]  # there are images
            **{f"{name}_mean": spreads[name][f"{name}_mean"] for name in self.NOISY[3:]},
            "tightness_max": None if tightest == -math.inf else tightest,
            "saturation_clean": _none_if_nan(self.saturated[layer] / numbers),
            "saturation_noisy": _none_if_nan(self.saturated_noisy[layer, noise] / numbers),
            "activation_mean_mean": float(mean.mean()),
            "activation_mean_abs": float(np.abs(mean).mean()),
            "activation_mean_std": float(mean.std()),
            **self.sigma.spread("sigma", (layer,)),
            **_quantiles("sigma", self.sigmas[layer]),
            **_quantiles("normalizer", np.sqrt(np.square(self.sigmas[layer]) + self.alpha)),
            "normalizer_above_1": float(self.above.mean[layer]),
        }


def _none_if_nan(value: float) -> float | None:
    """The value; None for NaN, as for the saturation of an activation without a scale."""
    return None if math.isnan(value) else float(value)


def _quantiles(name: str, values: NDArray[np.float64]) -> dict[str, float | None]:
    """Quantiles with linear interpolation, as in numpy and R (type 7), over the values that are not NaN."""
    defined = values[~np.isnan(values)]
    levels = np.quantile(defined, [percent / 100 for percent in QUANTILES]) if len(defined) else [None] * len(QUANTILES)
    return {f"{name}_q{percent:02d}": None if q is None else float(q) for percent, q in zip(QUANTILES, levels, strict=True)}
