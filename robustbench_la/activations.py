"""The table of activation functions: level, scale, counterpart. Imports no torch; the modules are in layeract.py and torch.nn.

Every function here is ``value x scale``. Element-level functions (ElementAct) scale each element by a function of itself;
layer-level ones (LayerAct; Yoon & Lim, AAAI 2025) by a function of the element normalised over its sample's whole layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Level = Literal["layer", "element"]

LEAKY_SLOPE = 0.01
"""torch's default slope of nn.LeakyReLU, which the authors' code uses."""
DEFAULT_ALPHA = 1e-5
"""The paper's alpha for MNIST and CIFAR; 0.1 for ImageNet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """One activation function."""

    level: Level
    formula: str
    """The scale as text, of u = y (element level) or u = n, the normalised y (layer level)."""
    scale: Callable[[Tensor], Tensor] | None
    """The scale as a function of u; None where it depends on a learned parameter."""
    counterpart: str | None
    """The function of the other level with the same scale."""
    module: str
    """Where its nn.Module stands: ``module:class``."""


def _elu_scale(u: Tensor) -> Tensor:
    """(e^u - 1) / u for negative u; its limit at 0 is 1, as above 0."""
    negative = u.clamp(max=0)
    return (negative.expm1() / negative).where(negative < 0, u.new_ones(()))


def _mish_scale(u: Tensor) -> Tensor:
    """tanh(softplus(u)), with the softplus written so that it neither overflows nor loses its tail."""
    return (u.clamp(min=0) + u.abs().neg().exp().log1p()).tanh()


ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "la_silu": Activation(
            level="layer",
            formula="sigmoid(n)",
            scale=lambda u: u.sigmoid(),
            counterpart="silu",
            module="robustbench_la.models.layeract:LASiLU",
        ),
        "la_hardsilu": Activation(
            level="layer",
            formula="clip(n / 6 + 1/2, 0, 1)",
            scale=lambda u: (u / 6 + 0.5).clamp(0, 1),
            counterpart="hardsilu",
            module="robustbench_la.models.layeract:LAHardSiLU",
        ),
        "relu": Activation(
            level="element",
            formula="1 if u > 0 else 0",
            scale=lambda u: (u > 0).to(u.dtype),
            counterpart=None,
            module="torch.nn:ReLU",
        ),
        "leaky_relu": Activation(
            level="element",
            formula=f"1 if u > 0 else {LEAKY_SLOPE}",
            scale=lambda u: (u > 0).to(u.dtype).clamp(min=LEAKY_SLOPE),
            counterpart=None,
            module="torch.nn:LeakyReLU",
        ),
        "prelu": Activation(
            level="element",
            formula="1 if u > 0 else a learned slope",
            scale=None,
            counterpart=None,
            module="torch.nn:PReLU",
        ),
        "elu": Activation(
            level="element",
            formula="1 if u > 0 else (e^u - 1) / u",
            scale=_elu_scale,
            counterpart=None,
            module="torch.nn:ELU",
        ),
        "silu": Activation(
            level="element",
            formula="sigmoid(u)",
            scale=lambda u: u.sigmoid(),
            counterpart="la_silu",
            module="torch.nn:SiLU",
        ),
        "hardsilu": Activation(
            level="element",
            formula="clip(u / 6 + 1/2, 0, 1)",
            scale=lambda u: (u / 6 + 0.5).clamp(0, 1),
            counterpart="la_hardsilu",
            module="torch.nn:Hardswish",
        ),
        "gelu": Activation(
            level="element",
            formula="Phi(u), the normal distribution function",
            scale=lambda u: (u * -math.sqrt(0.5)).erfc() / 2,
            counterpart=None,
            module="torch.nn:GELU",
        ),
        "mish": Activation(
            level="element",
            formula="tanh(softplus(u))",
            scale=_mish_scale,
            counterpart=None,
            module="torch.nn:Mish",
        ),
    }
)


def in_order(activations: Iterable[str]) -> list[str]:
    """Layer-level ones first, each followed by its counterpart; the others in the order of the table, unknown ones last."""
    there = set(activations)
    ordered: list[str] = []
    for name, entry in ACTIVATIONS.items():
        ordered += [wanted for wanted in (name, entry.counterpart if entry.level == "layer" else None) if wanted in there]
    return list(dict.fromkeys([*ordered, *sorted(there)]))
