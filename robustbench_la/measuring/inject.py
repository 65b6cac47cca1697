"""Noise added directly to pre-activations, independent of the activation function."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from corruptions.draws import image_keys, words
from robustbench_la.errors import UserError, lookup
from robustbench_la.records.cells import Condition

KINDS = {
    "gaussian": "standard deviation as a fraction of that of the image's pre-activation at that layer",
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
        """The condition under which records keep it."""
        return Condition(corruption=f"inject:{self.kind}", severity=None, parameters=(self.level,), profile=None)

    def keys(self, seed: int, layer: int, ids: Tensor) -> Tensor:
        """One key per image, int64 (N,), for the noise at activation call number ``layer`` of the forward pass.

        Like the severities of a corruption, levels have words of their own: those of one level say nothing about another.
        """
        return image_keys(seed, f"inject/{self.kind}={self.level!r}/{layer}", ids)

    def on(self, pre_activation: Tensor, sigma: Tensor, keys: Tensor) -> Tensor:
        """Add the noise.

        Args:
            pre_activation: Clean pre-activations, float32 (N, D).
            sigma: Their standard deviation per image, float64 (N,).
            keys: One key per image, int64 (N,), see ``keys``.

        Returns:
            Noisy pre-activations, float32 (N, D).
        """
        width = self.level * sigma if self.kind == "gaussian" else torch.full_like(sigma, self.level)
        noise = normals(keys, pre_activation.shape[1]).mul_(width[:, None])
        return pre_activation + noise.float()


def normals(keys: Tensor, count: int) -> Tensor:
    """Standard normal numbers, float64 (N, count): the inverse normal CDF, applied to one 32-bit word each."""
    uniform = words(keys, count).to(torch.float64).add_(0.5 + 2.0**31).mul_(2.0**-32)
    normal: Tensor = torch.special.ndtri(uniform)
    return normal


def parse_injection(text: str) -> list[Injection]:
    """Parse ``gaussian=0.1`` or ``gaussian-absolute=0.05,0.1``: one injection per level.

    Args:
        text: A name of KINDS, and levels.

    Returns:
        The injections in the order given.

    Raises:
        UserError: If the kind is unknown, or a level is not a number above 0.
    """
    kind, equals, levels = text.partition("=")
    lookup(KINDS, kind.strip(), kind="injected noise")
    injections = []
    for level in levels.split(","):
        try:
            number = float(level)
        except ValueError:
            number = math.nan
        if not equals or not math.isfinite(number) or number <= 0:
            raise UserError(f"--inject {text!r}: expected a level above 0, as in gaussian=0.1")
        injections.append(Injection(kind.strip(), number))
    return injections
