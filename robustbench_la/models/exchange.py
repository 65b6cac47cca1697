"""Activation modules of a network: created by name, listed, replaced. Imports no torch until it creates one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from robustbench_la.activations import ACTIVATIONS, DEFAULT_ALPHA, resolve
from robustbench_la.errors import UserError, lookup

if TYPE_CHECKING:
    from torch import nn


def make_activation(name: str, alpha: float = DEFAULT_ALPHA) -> nn.Module:
    """A new activation module; ``alpha`` is used by layer-level ones only. Raises UserError for an unknown name."""
    entry = lookup(ACTIVATIONS, name, kind="activation")
    module: nn.Module = resolve(entry.module)(**({"alpha": alpha} if entry.level == "layer" else {}))
    return module


def parse_exchange(words: str) -> tuple[str, str]:
    """The two activations of ``relu=la_silu``.

    Args:
        words: As given with --exchange.

    Returns:
        What is replaced, and what replaces it.

    Raises:
        UserError: If it is not written like this, or a name is unknown.

    >>> parse_exchange("relu=la_silu")
    ('relu', 'la_silu')
    """
    from_, equals, to = (part.strip() for part in words.partition("="))
    if not equals:
        raise UserError(f"--exchange {words!r}: expected two activations, as in relu=la_silu")
    for name in (from_, to):
        lookup(ACTIVATIONS, name, kind="activation")
    if from_ == to:
        raise UserError(f"--exchange {words!r} would change nothing")
    return from_, to


def exchange_all(model: nn.Module, exchanges: Iterable[str], alpha: float = DEFAULT_ALPHA) -> dict[str, int]:
    """Make several exchanges in a network, one after the other, in place.

    Args:
        model: The network.
        exchanges: Such as ``relu=la_silu``.
        alpha: LayerAct's alpha.

    Returns:
        The number of modules replaced by each.

    Raises:
        UserError: If one of them replaces nothing.
    """
    return {words: exchange(model, *parse_exchange(words), alpha) for words in exchanges}


def native_activations(model: nn.Module) -> list[str]:
    """Names of the activations that ``model`` contains as modules, sorted."""
    types = {kind: name for name in ACTIVATIONS for kind in _types(name)}
    return sorted({types[type(module)] for module in model.modules() if type(module) in types})


def exchange(model: nn.Module, from_: str, to: str, alpha: float = DEFAULT_ALPHA) -> int:
    """Replace every module of one activation by another, in place.

    A module used in several places stays a single module. Functional calls are not modules and stay as they are.

    Args:
        model: The network.
        from_: Name of the activation to replace; nn.ReLU6 counts as relu.
        to: Name of the new activation.
        alpha: LayerAct's alpha.

    Returns:
        The number of modules replaced.

    Raises:
        UserError: If there is nothing to replace.
    """
    from torch import nn

    kinds = _types(from_)
    made: dict[nn.Module, nn.Module] = {}
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child is not None and type(child) in kinds:
                if child not in made:
                    made[child] = make_activation(to, alpha).train(child.training)
                parent._modules[name] = made[child]
    if not made:
        native = ", ".join(native_activations(model)) or "none"
        raise UserError(
            f"the network has no {from_} module to replace by {to} (its activation modules: {native}; calls of functions such as "
            "F.relu cannot be exchanged)"
        )
    for layer in model.modules():
        if isinstance(layer, nn.TransformerEncoderLayer):
            layer.activation_relu_or_gelu = 0  # torch's fused kernel for evaluation computes what is noted here, not the module
    return len(made)


def activation_types() -> frozenset[type[nn.Module]]:
    """The module classes of all activations in the table."""
    return frozenset(kind for name in ACTIVATIONS for kind in _types(name))


def _types(name: str) -> tuple[type[nn.Module], ...]:
    from torch import nn

    kind = type(make_activation(name))
    return (kind, nn.ReLU6) if name == "relu" else (kind,)
