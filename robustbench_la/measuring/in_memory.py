"""Turns a network object of the caller's program into one that can be measured, after a trial forward pass."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from robustbench_la.activations import ACTIVATIONS, NO_ACTIVATION
from robustbench_la.errors import UserError
from robustbench_la.images.decoding import Shape
from robustbench_la.images.normalization import NORMALIZATIONS, Normalization
from robustbench_la.measuring.outputs import logits_of, which_is_taken
from robustbench_la.measuring.seen import TRIED, try_out
from robustbench_la.models import paper_networks
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.models.checkpoints.recognise import recognise
from robustbench_la.models.in_memory import code_sha256, state_sha256, unwrapped, weights_sha256


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
        name: Its name in tables; if that is the name of an activation, also the label, unless other activations are seen.
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
    _check_precision(model, name)
    seen, output = try_out(model, name, shape, applied)
    classes = logits_of(output, name, images=TRIED, of_data=shape.classes).shape[1]
    taken = which_is_taken(output, images=TRIED, of_data=shape.classes)
    remarks: tuple[str, ...] = taken if normalization else (*taken, "no --normalize given: pixels on [0, 1], not normalized")
    if activation is not None:
        seen.check(activation, name)
    label = activation or (name if name in ACTIVATIONS and seen.may_be(name) else seen.label)
    if activation is None and name in ACTIVATIONS and not seen.may_be(name):
        remarks = (*remarks, f"its name is {name}, but the activation it calls is {seen.label}, which is its label")
    remarks = (*remarks, *(seen.remarks if activation in (None, NO_ACTIVATION) else ()))
    return Network(
        name=name,
        sha256=weights_sha256(model),
        model=model,
        spec=_spec(model, shape, classes),
        activation=label,
        alpha=seen.alpha(label, alpha, name),
        composed=seen.composed,
        normalization=applied,
        data=None,
        seed=None,
        remarks=remarks,
        assumed=() if normalization else ("normalization none",),
        activations_seen=str(seen) or None,
        code=code_sha256(model),
        weights=state_sha256(model),
    )


def _check_precision(model: nn.Module, name: str) -> None:
    tensors = (*model.parameters(), *model.buffers())
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in tensors if tensor.is_floating_point()} - {"float32"}
    if dtypes:
        raise UserError(f"{name} has {', '.join(sorted(dtypes))} weights; networks are measured in float32: call .float() first")


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
