"""Noise put straight on pre-activations, the same whatever the activation function is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from corruptions.draws import image_keys, words
from robustbench_la.errors import UserError, lookup
from robustbench_la.records.cells import Condition

KINDS = {
    "gaussian": "standard deviation as a fraction of the image's own spread of that pre-activation",
    "gaussian-absolute": "standard deviation in the units of the pre-activation",
}


@dataclass(frozen=True, slots=True)
class Injection:
    """Gaussian noise on the pre-activations of one layer at a time."""

    kind: str
    """A name of KINDS."""
    level: float

    @property
    def condition(self) -> Condition:
        """As it stands in records."""
        return Condition(corruption=f"inject:{self.kind}", severity=None, parameters=(self.level,), profile=None)

    def on(self, pre_activation: Tensor, sigma: Tensor, keys: Tensor) -> Tensor:
        """Noisy pre-activations: float32 (N, D), from theirs, their spread float64 (N,), and one key per image."""
        width = self.level * sigma if self.kind == "gaussian" else torch.full_like(sigma, self.level)
        noise = normals(keys, pre_activation.shape[1]).mul_(width[:, None])
        return pre_activation + noise.float()


def layer_keys(seed: int, layer: int, ids: Tensor) -> Tensor:
    """One key per image, for the noise at the call ``layer`` (its place in the order of calls): int64 (N,)."""
    return image_keys(seed, f"inject/{layer}", ids)


def normals(keys: Tensor, count: int) -> Tensor:
    """Standard normal numbers, float64 (N, count): the inverse distribution function of one 32-bit word each."""
    uniform = words(keys, count).to(torch.float64).add_(0.5 + 2.0**31).mul_(2.0**-32)
    drawn: Tensor = torch.special.ndtri(uniform)
    return drawn


def parse_injection(text: str) -> list[Injection]:
    """``gaussian=0.1`` or ``gaussian-absolute=0.05,0.1``. Raises UserError."""
    kind, equals, levels = text.partition("=")
    lookup(KINDS, kind.strip(), kind="injected noise")
    found = []
    for level in levels.split(","):
        try:
            number = float(level)
        except ValueError:
            number = math.nan
        if not equals or not math.isfinite(number) or number <= 0:
            raise UserError(f"--inject {text!r}: a level above 0 is needed, as in gaussian=0.1")
        found.append(Injection(kind.strip(), number))
    return found
