"""Whether the shortcuts of a CIFAR ResNet pad where they did in training: its weights do not show it, but images do.

Each BatchNorm holds the mean and the variance of its inputs in training. Behind a shortcut that pads elsewhere they are others.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import torch
from torch import Tensor, nn

from robustbench_la.images.decoding import ImageSet
from robustbench_la.models.checkpoints.network import PADDING, Network
from robustbench_la.models.paper_networks import BasicBlock

_IMAGES = 64
"""Spread over the data."""
_CLEARLY = 2.0
"""How many times nearer the inputs of BatchNorms must be with the other padding."""


@torch.inference_mode()
def padding_checked(network: Network, images: ImageSet, device: torch.device) -> Network:
    """A network with a remark if the other padding of its shortcuts would fit its weights better.

    Args:
        network: On the device; it has been tried.
        images: Some of them are shown.
        device: Where it runs.
    """
    blocks = [module for module in network.model.modules() if isinstance(module, BasicBlock)]
    padded = [(block, after.bn1) for block, after in itertools.pairwise(blocks) if any(block.pad) and not block.shortcut]
    if not padded or not any(one.startswith(PADDING) for one in network.assumed):
        return network
    step = max(1, len(images.images) // _IMAGES)
    inputs = network.normalization.apply(torch.from_numpy(images.images[::step][:_IMAGES]).to(device))
    norms = [norm for _, norm in padded]
    as_assumed = _distance(network.model, norms, inputs)
    given = [block.pad for block, _ in padded]
    try:
        for block, _ in padded:
            channels = sum(block.pad)
            before = 0 if network.spec.padding == "centre" else channels // 2
            block.pad = (0, 0, 0, 0, before, channels - before)
        otherwise = _distance(network.model, norms, inputs)
    finally:
        for (block, _), pad in zip(padded, given, strict=True):
            block.pad = pad
    if not otherwise * _CLEARLY < as_assumed:
        return network
    remark = (
        f"its shortcuts are taken to pad {network.spec.padding_in_words}, but with the other padding its features would be as in "
        "training: its accuracy is not that of the network as trained, which --arch FILE.py:CLASS can give"
    )
    return replace(network, remarks=(*network.remarks, remark))


def _distance(model: nn.Module, norms: list[nn.BatchNorm2d], inputs: Tensor) -> float:
    """How far the inputs of BatchNorms are from those in training: squared, in standard deviations, per channel."""
    distances: list[Tensor] = []

    def compare(norm: nn.BatchNorm2d, given: tuple[Tensor], output: Tensor) -> None:
        mean, variance = norm.running_mean, norm.running_var
        if mean is not None and variance is not None:
            distances.append(((given[0].mean((0, 2, 3)) - mean).square() / (variance + norm.eps)).mean())

    hooks = [norm.register_forward_hook(compare) for norm in norms]
    try:
        model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return float(torch.stack(distances).mean()) if distances else 0.0
