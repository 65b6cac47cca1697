"""Activation modules of a network: created by name, listed, replaced. Imports no torch until it creates one."""

from __future__ import annotations

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


def with_activation(model: nn.Module, architecture: str, activation: str, alpha: float) -> nn.Module:
    """Replace the ReLUs of a network by another activation, in place.

    Args:
        model: The network.
        architecture: Its name, for errors.
        activation: A name of ACTIVATIONS.
        alpha: LayerAct's alpha.

    Returns:
        ``model``.

    Raises:
        UserError: If it has no ReLU modules and another activation than the one given.
    """
    native = native_activations(model)
    if activation == "relu" and "relu" in native:
        return model  # unchanged, so that a ReLU6 stays one
    if "relu" in native:
        exchange(model, "relu", activation, alpha)
    elif activation not in native and not (activation == "relu" and not native):
        modules = f"its activation is {', '.join(native)}" if native else "it has no activation module"
        raise UserError(f"{architecture} has no ReLU module to replace by {activation!r}: {modules}")
    return model


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
    kinds = _types(from_)
    made: dict[nn.Module, nn.Module] = {}
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child is not None and type(child) in kinds:
                if child not in made:
                    made[child] = make_activation(to, alpha).train(child.training)
                parent._modules[name] = made[child]
    if not made:
        raise UserError(f"the network has no {from_} module to replace by {to}")
    return len(made)


def activation_types() -> frozenset[type[nn.Module]]:
    """The module classes of all activations in the table."""
    return frozenset(kind for name in ACTIVATIONS for kind in _types(name))


def _types(name: str) -> tuple[type[nn.Module], ...]:
    from torch import nn

    kind = type(make_activation(name))
    return (kind, nn.ReLU6) if name == "relu" else (kind,)
