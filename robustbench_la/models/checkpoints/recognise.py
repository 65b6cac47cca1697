"""Recognises which network of our table a plain state dict belongs to, from its keys and shapes only."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from robustbench_la.models.architectures import ARCHITECTURES, NetworkSpec

if TYPE_CHECKING:
    from torch import Tensor

State = Mapping[str, "Tensor"]


def recognise(state: State) -> tuple[NetworkSpec, dict[str, Tensor]] | None:
    """Recognise a network of the table from a few keys; whether all fit is left to ``check_keys``.

    Args:
        state: A state dict.

    Returns:
        The network and its state dict with our key names; None if it is not recognised. Image sizes that the weights do not show
        are 0.
    """
    return _resnet(state) or _mlp(state) or _cnn(state)


def unknown_depth(state: State) -> str | None:
    """What to say about a CIFAR ResNet of a depth that the table does not have; None for other weights."""
    state = _with_our_names(state)
    stages = _blocks(state)
    if not all(stages) or any(f"layer{stage}.0.conv2.weight" not in state for stage in (1, 2, 3)) or _is_deep(state):
        return None
    depths = ", ".join(name for name in ARCHITECTURES if name.startswith("resnet"))
    return (
        f"these are weights of a CIFAR ResNet with {stages} blocks per stage; available: {depths}; for a network of your own, "
        "give --arch FILE.py:CLASS"
    )


def _shape(state: State, key: str, dimensions: int) -> tuple[int, ...] | None:
    """The shape of the entry ``key``, if it exists and has that many dimensions."""
    shape = tuple(state[key].shape) if key in state else ()
    return shape if len(shape) == dimensions else None


def _mlp(state: State) -> tuple[NetworkSpec, dict[str, Tensor]] | None:
    hidden, output = _shape(state, "hidden.weight", 2), _shape(state, "output.weight", 2)
    if hidden is None or output is None:
        return None
    side = math.isqrt(hidden[1])
    # Assume square grey images, or colour if only that gives a square.
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


def _with_our_names(state: State) -> dict[str, Tensor]:
    """The state dict of a CIFAR ResNet with the names that ours has for its layers, if others are usual for them."""
    names = {
        key: re.sub(r"\bnorm(\d)", r"bn\1", re.sub(r"^layers(\d)\.", r"layer\1.", key)).replace(".downsample.", ".shortcut.")
        for key in state
    }
    return {re.sub(r"^fc\.", "linear.", names[key]): state[key] for key in state}


def _blocks(state: State) -> list[int]:
    """The number of blocks in each of the three stages."""
    return [
        len({match[1] for key in state if (match := re.match(rf"layer{stage}\.(\d+)\.conv1\.weight$", key))})
        for stage in (1, 2, 3)
    ]


def _is_deep(state: State) -> bool:
    """Whether it is a ResNet for ImageNet, which has a fourth stage or bottlenecks."""
    return any(key.startswith("layer4.") for key in state) or "layer1.0.conv3.weight" in state


def _resnet(state: State) -> tuple[NetworkSpec, dict[str, Tensor]] | None:
    """Two layouts are in use: ``layer1.0.conv1 ... linear``, and ``layers1.0.conv1 ... norm1 ... linear``.

    The weights do not show where shortcuts pad. The first layout (akamaster/pytorch_resnet_cifar10) pads on both sides, the
    second (LayerAct/LayerAct) after the existing channels.
    """
    padding: Literal["centre", "end"] = "end" if any(key.startswith("layers1.") for key in state) else "centre"
    state = _with_our_names(state)
    conv, output, stages = _shape(state, "conv1.weight", 4), _shape(state, "linear.weight", 2), _blocks(state)
    name = f"resnet{6 * stages[0] + 2}"
    if conv is None or output is None or len(set(stages)) > 1 or name not in ARCHITECTURES or _is_deep(state):
        return None
    spec = NetworkSpec(
        architecture=name,
        classes=output[0],
        channels=conv[1],
        height=0,
        width=0,
        conv_bias="conv1.bias" in state,
        padding=padding,
        shortcut="convolution" if any(".shortcut." in key for key in state) else "padding",
    )
    return spec, dict(state)
