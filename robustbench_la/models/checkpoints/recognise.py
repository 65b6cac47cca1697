"""Which network of our table a plain state dict is, from its keys and shapes alone."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from robustbench_la.errors import UserError
from robustbench_la.models.architectures import ARCHITECTURES, NetworkSpec

if TYPE_CHECKING:
    from torch import Tensor

State = Mapping[str, "Tensor"]


def recognise(state: State) -> tuple[NetworkSpec, dict[str, Tensor]] | None:
    """The network and its state dict under our key names, or None. Image sizes that weights do not tell are 0."""
    return _resnet(state) or _mlp(state) or _cnn(state)


def _shape(state: State, key: str, dimensions: int) -> tuple[int, ...] | None:
    """The shape at ``key``, if it is there with that many dimensions."""
    shape = tuple(state[key].shape) if key in state else ()
    return shape if len(shape) == dimensions else None


def _mlp(state: State) -> tuple[NetworkSpec, dict[str, Tensor]] | None:
    hidden, output = _shape(state, "hidden.weight", 2), _shape(state, "output.weight", 2)
    if hidden is None or output is None:
        return None
    side = math.isqrt(hidden[1])
    # Square grey images are the guess; colour where only that gives a square.
    channels = 1 if side * side == hidden[1] else 3
    side = math.isqrt(hidden[1] // channels)
    if channels * side * side != hidden[1]:
        return None
    spec = NetworkSpec(architecture="mlp", classes=output[0], channels=channels, height=side, width=side, hidden=hidden[0])
    return spec, dict(state)


def _cnn(state: State) -> tuple[NetworkSpec, dict[str, Tensor]] | None:
    conv, output = _shape(state, "conv1.weight", 4), _shape(state, "output.weight", 2)
    if conv is None or output is None or "conv2.weight" not in state:
        return None
    return NetworkSpec(architecture="cnn", classes=output[0], channels=conv[1], height=0, width=0), dict(state)


def _resnet(state: State) -> tuple[NetworkSpec, dict[str, Tensor]] | None:
    """Two layouts are met: ``layer1.0.conv1 ... linear``, and ``layers1.0.conv1 ... norm1 ... linear``.

    The weights do not show where shortcuts pad. The first layout (akamaster/pytorch_resnet_cifar10) pads on both sides, the
    second (LayerAct/LayerAct) after the channels that are there.
    """
    padding: Literal["centre", "end"] = "centre"
    if any(key.startswith("layers1.") for key in state):
        padding = "end"
        state = {re.sub(r"\bnorm(\d)", r"bn\1", re.sub(r"^layers(\d)\.", r"layer\1.", key)): state[key] for key in state}
    conv, output = _shape(state, "conv1.weight", 4), _shape(state, "linear.weight", 2)
    stages = [
        len({match[1] for key in state if (match := re.match(rf"layer{stage}\.(\d+)\.conv1\.weight$", key))})
        for stage in (1, 2, 3)
    ]
    if conv is None or output is None or not all(stages) or any(key.startswith("layer4.") for key in state):
        return None
    name = f"resnet{6 * stages[0] + 2}"
    if len(set(stages)) > 1 or name not in ARCHITECTURES:
        known = ", ".join(name for name in ARCHITECTURES if name.startswith("resnet"))
        raise UserError(f"the weights are of a CIFAR ResNet with {stages} blocks a stage; the table has {known}")
    spec = NetworkSpec(
        architecture=name,
        classes=output[0],
        channels=conv[1],
        height=0,
        width=0,
        conv_bias="conv1.bias" in state,
        padding=padding,
    )
    return spec, dict(state)
