"""Activations that networks of others call, and that are not in the table: they are seen, named and measured, but not built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from robustbench_la.activations import ACTIVATIONS, NO_ACTIVATION
from robustbench_la.errors import lookup


@dataclass(frozen=True, slots=True)
class Other:
    """One activation that is not in the table."""

    functions: tuple[str, ...]
    """As in the table: what torch dispatches when it is called."""
    has_scale: bool = True
    """As in the table: whether it is value x scale, with a scale that is finite everywhere."""


def _of(name: str, *more: str) -> tuple[str, ...]:
    """The usual ways to call a function: as a function, in place, as a method."""
    return (f"torch:{name}", f"torch:{name}_", f"torch:Tensor.{name}", f"torch:Tensor.{name}_", *more)


OTHERS: Mapping[str, Other] = MappingProxyType(
    {
        "relu6": Other(("torch.nn.functional:relu6",)),
        "hardtanh": Other(("torch.nn.functional:hardtanh", "torch.nn.functional:hardtanh_")),  # nn.ReLU6 calls it
        "selu": Other(("torch.nn.functional:selu", "torch:selu", "torch:selu_")),
        "celu": Other(("torch.nn.functional:celu", "torch:celu", "torch:celu_")),
        "rrelu": Other(("torch.nn.functional:rrelu", "torch:rrelu", "torch:rrelu_")),
        "tanh": Other(_of("tanh", "torch.nn.functional:tanh")),
        "softsign": Other(("torch.nn.functional:softsign",)),
        "tanhshrink": Other(("torch.nn.functional:tanhshrink",)),
        "softshrink": Other(("torch.nn.functional:softshrink",)),
        "hardshrink": Other(("torch.nn.functional:hardshrink", "torch:hardshrink", "torch:Tensor.hardshrink")),
        "sigmoid": Other(_of("sigmoid", "torch.nn.functional:sigmoid"), has_scale=False),
        "hardsigmoid": Other(("torch.nn.functional:hardsigmoid",), has_scale=False),
        "softplus": Other(("torch.nn.functional:softplus",), has_scale=False),
        "logsigmoid": Other(("torch.nn.functional:logsigmoid",), has_scale=False),
        "threshold": Other(("torch.nn.functional:threshold", "torch:threshold", "torch:threshold_"), has_scale=False),
    }
)
GATES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"sigmoid": ("silu", "la_silu"), "hardsigmoid": ("hardsilu", "la_hardsilu")}
)
"""Functions that often gate other values: what the product with the value itself is, and with the value that was normalised."""

STEPS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "silu": frozenset({"sigmoid"}),
        "hardsilu": frozenset({"relu6", "hardtanh", "hardsigmoid"}),
        "mish": frozenset({"softplus", "tanh"}),
        "gelu": frozenset({"tanh", "sigmoid"}),
        "la_silu": frozenset({"sigmoid"}),
        "la_hardsilu": frozenset({"relu6", "hardtanh", "hardsigmoid"}),
    }
)
"""Functions that a forward may call to compute an activation by hand: x * relu6(x + 3) / 6 is HardSiLU, and shows as relu6."""


def has_scale(function: str) -> bool:
    """Whether an activation is value x scale; one that is in no table is not known to be.

    Args:
        function: A name that the probe gives.

    >>> has_scale("silu"), has_scale("tanh"), has_scale("sigmoid"), has_scale("my_own")
    (True, True, False, False)
    """
    if function in ACTIVATIONS:
        return ACTIVATIONS[function].has_scale
    return function in OTHERS and OTHERS[function].has_scale


def check_label(label: str) -> None:
    """Raise UserError unless a label names known activations: one, several joined by ``+`` (``la_silu+relu``), or ``none``.

    >>> check_label("la_silu+tanh")
    """
    for name in () if label == NO_ACTIVATION else label.split("+"):
        lookup({**ACTIVATIONS, **OTHERS}, name, kind="activation")
