"""Activation modules of a network: made by name, found, exchanged. Imports no torch until it makes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robustbench_la.activations import ACTIVATIONS, DEFAULT_ALPHA, resolve
from robustbench_la.errors import UserError, lookup

if TYPE_CHECKING:
    from torch import nn


def make_activation(name: str, alpha: float = DEFAULT_ALPHA) -> nn.Module:
    """The module of an activation; ``alpha`` matters to layer-level ones alone."""
    entry = lookup(ACTIVATIONS, name, kind="activation")
    made: nn.Module = resolve(entry.module)(**({"alpha": alpha} if entry.level == "layer" else {}))
    return made


def with_activation(model: nn.Module, architecture: str, activation: str, alpha: float) -> nn.Module:
    """``model`` with its ReLUs exchanged; a network without ReLU modules runs with its own activation only."""
    native = native_activations(model)
    if activation == "relu" and "relu" in native:
        return model  # as it was trained: a ReLU6 stays one
    if "relu" in native:
        exchange(model, "relu", activation, alpha)
    elif activation not in native and not (activation == "relu" and not native):
        own = f"its activation is {', '.join(native)}" if native else "it has no activation module"
        raise UserError(f"{architecture} holds no ReLU module to exchange for {activation!r}: {own}")
    return model


def native_activations(model: nn.Module) -> list[str]:
    """Names of the activations that stand in ``model`` as modules, sorted."""
    types = {kind: name for name in ACTIVATIONS for kind in _types(name)}
    return sorted({types[type(module)] for module in model.modules() if type(module) in types})


def exchange(model: nn.Module, from_: str, to: str, alpha: float = DEFAULT_ALPHA) -> int:
    """Swap every activation module ``from_`` of ``model`` for a new one ``to``, in place; nn.ReLU6 counts as relu.

    Gives the number of modules swapped. A module used in several places stays one module. Functional calls are not modules: they
    stay. Raises UserError where there is nothing to swap.
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
        raise UserError(f"the network holds no {from_} module to exchange for {to}")
    return len(made)


def activation_types() -> frozenset[type[nn.Module]]:
    """The modules that are an activation of the table."""
    return frozenset(kind for name in ACTIVATIONS for kind in _types(name))


def _types(name: str) -> tuple[type[nn.Module], ...]:
    from torch import nn

    kind = type(make_activation(name))
    return (kind, nn.ReLU6) if name == "relu" else (kind,)
