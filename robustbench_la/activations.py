"""The table of activation functions: everything the program knows about each. Imports no torch; the modules are elsewhere.

A new activation needs one row here, and its module. Most are ``value x scale``. Element-level functions (ElementAct) scale each
element by a function of that element; layer-level ones (LayerAct; Yoon & Lim, AAAI 2025) by a function of the element after
normalisation over the whole layer of its sample.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scale = Callable[[NDArray[np.float64]], NDArray[np.float64]]

Level = Literal["layer", "element"]

LEAKY_SLOPE = 0.01
"""The default slope of nn.LeakyReLU, which the authors' code uses."""
DEFAULT_ALPHA = 1e-5
"""The paper's alpha for MNIST and CIFAR (for ImageNet it is 0.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """One activation function."""

    label: str
    """The name shown in papers and figures."""
    level: Level
    formula: str
    """The scale as text: a function of u = y (element level) or of u = n, the normalised y (layer level)."""
    scale: Scale | None
    """The scale as a function of u; None if it depends on a learned parameter, or if there is none."""
    has_scale: bool = True
    """Whether the function is value x scale, with a scale that is finite everywhere. Without a scale (as in n x s(n)) the bound,
    its two parts and saturation are undefined."""
    counterpart: str | None = None
    """For a layer-level function: the element-level function with the same scale. Several may share it."""
    module: str
    """Its nn.Module, as ``module:class``. Layer-level modules take ``alpha``."""
    functions: tuple[str, ...]
    """The functions that torch dispatches when it is called, as ``module:function``, including in-place variants: the probe
    detects calls by these. A custom function must be overridable (``__torch_function__``), like layeract.la_silu."""
    colour: str
    """Line colour, ``#rrggbb``; layer-level functions share that of their counterpart."""
    marker: str
    """Point marker, as matplotlib names it."""


def _sigmoid(u: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import expit

    scale: NDArray[np.float64] = expit(u)
    return scale


def _hard_sigmoid(u: NDArray[np.float64]) -> NDArray[np.float64]:
    return (u / 6 + 0.5).clip(0, 1)


def _normal_distribution(u: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import ndtr

    scale: NDArray[np.float64] = ndtr(u)
    return scale


def _elu_scale(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """(e^u - 1) / u for negative u, 1 elsewhere; continuous at 0."""
    from scipy.special import exprel

    scale: NDArray[np.float64] = exprel(u.clip(max=0))
    return scale


def _mish_scale(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """tanh(softplus(u)), with a softplus that neither overflows nor loses its tail."""
    import numpy as np

    scale: NDArray[np.float64] = np.tanh(np.logaddexp(0, u))
    return scale


# Colours: Okabe & Ito 2008 ("Color universal design"), safe for colour-blind readers; grey replaces their yellow, which is too
# faint on white.
_TABLE: dict[str, Activation] = {
    "la_silu": Activation(
        label="LA-SiLU",
        level="layer",
        formula="sigmoid(n)",
        scale=_sigmoid,
        counterpart="silu",
        module="robustbench_la.models.layeract:LASiLU",
        functions=("robustbench_la.models.layeract:la_silu",),
        colour="#0072B2",
        marker="o",
    ),
    "la_hardsilu": Activation(
        label="LA-HardSiLU",
        level="layer",
        formula="clip(n / 6 + 1/2, 0, 1)",
        scale=_hard_sigmoid,
        counterpart="hardsilu",
        module="robustbench_la.models.layeract:LAHardSiLU",
        functions=("robustbench_la.models.layeract:la_hardsilu",),
        colour="#D55E00",
        marker="s",
    ),
    "relu": Activation(
        label="ReLU",
        level="element",
        formula="1 if u > 0 else 0",
        scale=lambda u: (u > 0).astype(u.dtype),
        module="torch.nn:ReLU",
        functions=(
            "torch.nn.functional:relu",
            "torch:relu",
            "torch:relu_",
            "torch:Tensor.relu",
            "torch:Tensor.relu_",
        ),
        colour="#000000",
        marker="D",
    ),
    "leaky_relu": Activation(
        label="LeakyReLU",
        level="element",
        formula=f"1 if u > 0 else {LEAKY_SLOPE}",
        scale=lambda u: (u > 0).astype(u.dtype).clip(min=LEAKY_SLOPE),
        module="torch.nn:LeakyReLU",
        functions=("torch.nn.functional:leaky_relu", "torch.nn.functional:leaky_relu_"),
        colour="#999999",
        marker="v",
    ),
    "prelu": Activation(
        label="PReLU",
        level="element",
        formula="1 if u > 0 else a learned slope",
        scale=None,
        module="torch.nn:PReLU",
        functions=("torch.nn.functional:prelu", "torch:Tensor.prelu"),
        colour="#56B4E9",
        marker="^",
    ),
    "elu": Activation(
        label="ELU",
        level="element",
        formula="1 if u > 0 else (e^u - 1) / u",
        scale=_elu_scale,
        module="torch.nn:ELU",
        functions=("torch.nn.functional:elu", "torch.nn.functional:elu_"),
        colour="#E69F00",
        marker="P",
    ),
    "silu": Activation(
        label="SiLU",
        level="element",
        formula="sigmoid(u)",
        scale=_sigmoid,
        module="torch.nn:SiLU",
        functions=("torch.nn.functional:silu",),
        colour="#0072B2",
        marker="o",
    ),
    "hardsilu": Activation(
        label="HardSiLU",
        level="element",
        formula="clip(u / 6 + 1/2, 0, 1)",
        scale=_hard_sigmoid,
        module="torch.nn:Hardswish",
        functions=("torch.nn.functional:hardswish",),
        colour="#D55E00",
        marker="s",
    ),
    "gelu": Activation(
        label="GELU",
        level="element",
        formula="Phi(u), the normal distribution function",
        scale=_normal_distribution,
        module="torch.nn:GELU",
        functions=("torch.nn.functional:gelu",),
        colour="#009E73",
        marker="X",
    ),
    "mish": Activation(
        label="Mish",
        level="element",
        formula="tanh(softplus(u))",
        scale=_mish_scale,
        module="torch.nn:Mish",
        functions=("torch.nn.functional:mish",),
        colour="#CC79A7",
        marker="p",
    ),
}
ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(_TABLE)
NO_ACTIVATION = "none"
"""The label of a network that calls none of them."""


def resolve(dotted: str) -> Any:
    """Import what a row of the table names.

    Args:
        dotted: ``module:attribute``.

    Returns:
        The attribute of the module.

    >>> resolve("math:sqrt")(9.0)
    3.0
    """
    module, _, attribute = dotted.partition(":")
    value: Any = importlib.import_module(module)
    for part in attribute.split("."):
        value = getattr(value, part)
    return value


def counterparts(activation: str) -> tuple[str, ...]:
    """The functions of the other level with the same scale: at most one for a layer-level function, else any number.

    >>> counterparts("la_silu"), counterparts("silu"), counterparts("relu")
    (('silu',), ('la_silu',), ())
    """
    entry = ACTIVATIONS.get(activation)
    if entry is not None and entry.counterpart is not None:
        return (entry.counterpart,)
    return tuple(name for name, other in ACTIVATIONS.items() if other.counterpart == activation)


def in_order(activations: Iterable[str]) -> list[str]:
    """Sort activations: layer-level ones before their shared counterpart, then the rest in table order, unknown ones last.

    >>> in_order(["relu", "silu", "la_silu"])
    ['la_silu', 'silu', 'relu']
    """
    wanted = set(activations)
    layer = {name: entry.counterpart for name, entry in ACTIVATIONS.items() if entry.level == "layer"}
    ordered: list[str] = []
    for name, counterpart in layer.items():
        ordered += [name] if counterpart is None else [*counterparts(counterpart), counterpart]
    listed = [name for name in dict.fromkeys([*ordered, *ACTIVATIONS]) if name in wanted]
    return list(dict.fromkeys([*listed, *sorted(wanted)]))
