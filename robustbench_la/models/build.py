"""Building a network: from the table, from a library or with user code. Imports no torch until it builds one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from robustbench_la.activations import ACTIVATIONS, DEFAULT_ALPHA
from robustbench_la.errors import UserError, did_you_mean, lookup
from robustbench_la.models.architectures import ARCHITECTURES, NetworkSpec, check_architecture
from robustbench_la.models.exchange import exchange_all, make_activation, native_activations
from robustbench_la.models.libraries import timm_network
from robustbench_la.models.user_code import blaming, user_function

if TYPE_CHECKING:
    from torch import nn


def build(spec: NetworkSpec, activation: str | None, alpha: float = DEFAULT_ALPHA) -> nn.Module:
    """Build a network with newly initialised weights, and exchange what its specification says.

    Args:
        spec: Architecture and shape.
        activation: A name of ACTIVATIONS. A network that is taken as it is has its own: there it is only passed to user code that
            takes one, and may be None.
        alpha: LayerAct's alpha; used by layer-level activations only.

    Returns:
        The network, in training mode on the CPU.

    Raises:
        UserError: If a name is unknown, user code fails, or there is nothing to exchange.
    """
    check_architecture(spec.architecture)
    if not spec.is_as_it_is:
        make = functools.partial(make_activation, activation or "", alpha)
        lookup(ACTIVATIONS, activation or "", kind="activation")
        return ARCHITECTURES[spec.architecture].build(spec, make)
    model = _as_it_is(spec, activation, alpha)
    exchange_all(model, spec.exchange, alpha)
    return model


def exchange_for(spec: NetworkSpec, activation: str) -> tuple[str, ...]:
    """What to exchange so that a network has an activation: for training, where the user chooses it.

    Args:
        spec: Architecture and shape.
        activation: A name of ACTIVATIONS.

    Returns:
        Nothing for a network of the table, for code that takes the activation, and for a network that has it already; otherwise
        its ReLUs.

    Raises:
        UserError: If it has no ReLU modules and another activation.
    """
    if not spec.is_as_it_is or takes_activation(spec.architecture):
        return ()
    native = native_activations(build(spec, None))
    if activation in native or (activation == "relu" and not native):
        return ()
    if "relu" not in native:
        modules = f"its activation is {', '.join(native)}" if native else "it has no activation module"
        raise UserError(f"{spec.architecture} has no ReLU module to replace by {activation!r}: {modules}")
    return (f"relu={activation}",)


def takes_activation(architecture: str) -> bool:
    """Whether an architecture is user code that is given the activation to build with."""
    source, _, name = architecture.rpartition(":")
    if not NetworkSpec(architecture=architecture, classes=0, channels=0, height=0, width=0).is_code:
        return False
    return "activation" in inspect.signature(user_function(source, name)).parameters


def _as_it_is(spec: NetworkSpec, activation: str | None, alpha: float) -> nn.Module:
    source, _, name = spec.architecture.rpartition(":")
    if spec.is_code:
        return _user_network(source, name, spec, activation, alpha)
    if source not in _BUILDERS:
        raise UserError(f"networks of {source or name} cannot be built here")
    return _BUILDERS[source](name, spec)


def _torchvision(name: str, spec: NetworkSpec) -> nn.Module:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise UserError(f"unknown torchvision classifier {name!r}{did_you_mean(name, known)}")
    if spec.channels != 3:
        raise UserError(f"torchvision:{name} takes images with 3 channels, not {spec.channels}")
    extra = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    model: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=spec.classes, **extra)
    return model


def _timm(name: str, spec: NetworkSpec) -> nn.Module:
    return timm_network(name, classes=spec.classes, channels=spec.channels)


_BUILDERS: Mapping[str, Callable[[str, NetworkSpec], nn.Module]] = MappingProxyType({"torchvision": _torchvision, "timm": _timm})
"""By what stands before the colon: from the name after it, and the shape, to a network."""


def _user_network(source: str, name: str, spec: NetworkSpec, activation: str | None, alpha: float) -> nn.Module:
    from torch import nn

    function = user_function(source, name)
    parameters = inspect.signature(function).parameters
    offered: dict[str, object] = {"classes": spec.classes, "channels": spec.channels}
    if activation is not None:
        offered["activation"] = functools.partial(make_activation, activation, alpha)
    elif "activation" in parameters and parameters["activation"].default is inspect.Parameter.empty:
        raise UserError(f"{spec.architecture} takes the activation to build with; specify it with --activation")
    with blaming(spec.architecture):
        model = function(**{key: value for key, value in offered.items() if key in parameters})
    if not isinstance(model, nn.Module):
        raise UserError(f"{spec.architecture} returned {type(model).__name__}, not a torch.nn.Module")
    return model
