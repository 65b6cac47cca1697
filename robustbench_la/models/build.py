"""Building a network: from the table, from torchvision or with user code. Imports no torch until it builds one."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING

from robustbench_la.activations import ACTIVATIONS, DEFAULT_ALPHA
from robustbench_la.errors import UserError, did_you_mean, lookup
from robustbench_la.models.architectures import ARCHITECTURES, NetworkSpec, check_architecture
from robustbench_la.models.exchange import make_activation, with_activation
from robustbench_la.models.user_code import blaming, user_function

if TYPE_CHECKING:
    from torch import nn


def build(spec: NetworkSpec, activation: str, alpha: float = DEFAULT_ALPHA) -> nn.Module:
    """Build a network with newly initialised weights.

    Args:
        spec: Architecture and shape.
        activation: A name of ACTIVATIONS.
        alpha: LayerAct's alpha; used by layer-level activations only.

    Returns:
        The network, in training mode on the CPU.

    Raises:
        UserError: If a name is unknown, or user code fails.
    """
    make = functools.partial(make_activation, activation, alpha)
    lookup(ACTIVATIONS, activation, kind="activation")
    check_architecture(spec.architecture)
    if ":" not in spec.architecture:
        return ARCHITECTURES[spec.architecture].build(spec, make)
    source, _, name = spec.architecture.rpartition(":")
    if source == "torchvision":
        return with_activation(_torchvision(name, spec), spec.architecture, activation, alpha)
    return _user_network(source, name, spec, activation, alpha)


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


def _user_network(source: str, name: str, spec: NetworkSpec, activation: str, alpha: float) -> nn.Module:
    from torch import nn

    function = user_function(source, name)
    offered = {
        "classes": spec.classes,
        "channels": spec.channels,
        "activation": functools.partial(make_activation, activation, alpha),
    }
    parameters = inspect.signature(function).parameters
    with blaming(spec.architecture):
        model = function(**{key: value for key, value in offered.items() if key in parameters})
    if not isinstance(model, nn.Module):
        raise UserError(f"{spec.architecture} returned {type(model).__name__}, not a torch.nn.Module")
    return model if "activation" in parameters else with_activation(model, spec.architecture, activation, alpha)
