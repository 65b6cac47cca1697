"""Turns a network object of the caller's program into one that can be measured, after a trial forward pass."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from robustbench_la.activations import ACTIVATIONS, NO_ACTIVATION, in_order
from robustbench_la.errors import UserError, first_line
from robustbench_la.images.decoding import Shape
from robustbench_la.images.normalization import NORMALIZATIONS, Normalization
from robustbench_la.measuring.probe import Probe
from robustbench_la.models import paper_networks
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.models.checkpoints.recognise import recognise
from robustbench_la.models.exchange import make_activation, native_activations
from robustbench_la.models.in_memory import code_sha256, state_sha256, unwrapped, weights_sha256

_TRIED = 4
"""Number of images in the trial: below 3 torch uses other matrix kernels."""


def network_in_memory(
    model: nn.Module,
    name: str,
    shape: Shape,
    *,
    activation: str | None = None,
    alpha: float | None = None,
    normalization: Normalization | None = None,
) -> Network:
    """Describe a network object, after one forward pass with a few images.

    Args:
        model: In eval mode, on its device. It is not copied.
        name: Its name in tables; if that is the name of an activation, it also becomes the activation label.
        shape: Of the images to evaluate on.
        activation: The activation label, instead of what is detected.
        alpha: LayerAct's alpha, instead of that of its modules.
        normalization: Of its inputs; by default pixels on [0, 1].

    Returns:
        The network, ready to be measured.

    Raises:
        UserError: If it fails on such images, or does not return logits.
    """
    applied = normalization or NORMALIZATIONS["none"]
    applied.check(shape.channels)
    called, classes = _tried(model, name, shape, applied)
    remarks = () if normalization else ("no --normalize given: pixels on [0, 1], not normalized",)
    detected = _label(called, model)
    label = activation or (name if name in ACTIVATIONS else detected)
    if label != detected and label not in detected.split("+"):
        remarks = (*remarks, f"labelled {label}, but the activations it calls are {detected}")
    return Network(
        name=name,
        sha256=weights_sha256(model),
        model=model,
        spec=_spec(model, shape, classes),
        activation=label,
        alpha=_alpha(model, label, alpha),
        normalization=applied,
        data=None,
        seed=None,
        remarks=remarks,
        assumed=() if normalization else ("normalization none",),
        code=code_sha256(model),
        weights=state_sha256(model),
    )


def _tried(model: nn.Module, name: str, shape: Shape, normalization: Normalization) -> tuple[list[str], int]:
    """The activations that a forward pass calls, in order, and the number of logits per image."""
    weights = [*model.parameters(), *model.buffers()]
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in weights if tensor.is_floating_point()} - {"float32"}
    if dtypes:
        raise UserError(f"{name} has {', '.join(sorted(dtypes))} weights; networks are measured in float32: call .float() first")
    images = torch.zeros((_TRIED, shape.channels, shape.height, shape.width), dtype=torch.uint8)
    images = images.to(weights[0].device if weights else "cpu")
    called: list[str] = []
    try:
        probe = Probe(model, lambda layer, function, *_: called.append(function))
    except UserError:  # TorchScript: its calls cannot be intercepted, but its modules can be listed
        probe = None
    try:
        with torch.inference_mode(), probe.watching() if probe else torch.no_grad():
            logits: object = model(normalization.apply(images))
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        size = f"{shape.width}x{shape.height} px with {shape.channels} channel{'s' if shape.channels > 1 else ''}"
        raise UserError(f"{name} fails on images of {size}: {first_line(error)}") from error
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != _TRIED:
        output = f"a tensor of shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(f"{name} returns {output} for {_TRIED} images, not logits of shape ({_TRIED}, classes)")
    return called, logits.shape[1]


def _label(called: list[str], model: nn.Module) -> str:
    """The activation label of a network: the names of the activations it uses, joined by ``+``."""
    modules = native_activations(model)
    if len(modules) == 1 and len(set(called)) <= 1:
        return modules[0]
    # nn.ReLU6 calls hardtanh; as in a checkpoint, it counts as relu.
    relu6 = any(isinstance(module, nn.ReLU6) for module in model.modules())
    names = ["relu" if name == "relu6" or (name == "hardtanh" and relu6) else name for name in called] or modules
    return "+".join(in_order(names)) or NO_ACTIVATION


def _alpha(model: nn.Module, label: str, given: float | None) -> float | None:
    """LayerAct's alpha, as given or from its modules; None at the element level, or if the modules differ."""
    if label not in ACTIVATIONS or ACTIVATIONS[label].level == "element":
        return None
    kind = type(make_activation(label))
    alphas = {float(module.alpha) for module in model.modules() if type(module) is kind and isinstance(module.alpha, float)}
    return given if given is not None else alphas.pop() if len(alphas) == 1 else None


def _spec(model: nn.Module, shape: Shape, classes: int) -> NetworkSpec:
    """What is known about the architecture; networks of our table get their name there."""
    model = unwrapped(model)
    if type(model).__module__ == paper_networks.__name__ and (recognised := recognise(model.state_dict())) is not None:
        return replace(recognised[0], height=shape.height, width=shape.width)
    return NetworkSpec(
        architecture=type(model).__qualname__.rpartition(".")[2],
        classes=classes,
        channels=shape.channels,
        height=shape.height,
        width=shape.width,
    )
