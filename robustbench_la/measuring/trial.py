"""The first images are shown to each network in several ways, to learn how it can be run and whether its answers are its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from robustbench_la.errors import UserError
from robustbench_la.images.decoding import ImageSet
from robustbench_la.measuring.outputs import are_probabilities
from robustbench_la.measuring.running import outputs_of
from robustbench_la.models.checkpoints.network import Network

_IMAGES = 8
"""In the trial. Fewer are repeated: below 3 images, which half a batch must have too, torch uses other matrix kernels."""
_Parts = Sequence[tuple[list[int], Tensor]]
"""Smaller batches of the same images: the rows and the inputs of each."""
PROBABILITIES = "its outputs are probabilities, so their logarithm is taken and no second softmax applied"


@torch.inference_mode()
def tried(network: Network, images: ImageSet, device: torch.device, *, amp: bool, allow_stochastic: bool = False) -> Network:
    """Find out how a network is to be run.

    Args:
        network: On the device; afterwards in the memory format in which it will be run.
        images: The first of them are shown.
        device: Where it runs.
        amp: Whether in bfloat16.
        allow_stochastic: Accept a network whose answer to an image depends on chance or on other images.

    Returns:
        The network with ``channels_last``, ``gives_probabilities`` and ``stochastic`` filled in.

    Raises:
        UserError: If it fails, does not return logits, or is stochastic and that is not accepted.
    """
    batch = torch.from_numpy(images.images[:_IMAGES])
    batch = batch.repeat(-(-_IMAGES // len(batch)), 1, 1, 1)
    inputs = network.normalization.apply(batch.to(device))
    if not torch.equal(network.normalization.apply(batch.to(device)), inputs):
        raise UserError(f"{network.name}: --preprocess gives other inputs for the same images; use the transform for evaluation")
    outputs = outputs_of(network, inputs, amp=amp)
    if are_probabilities(outputs):
        network = replace(network, gives_probabilities=True, remarks=(*network.remarks, PROBABILITIES))
    parts = _parts(network, batch.to(device))
    if (fault := _mixed_inputs(inputs, parts)) is None:
        if _takes_channels_last(network, outputs, parts, amp=amp):
            return replace(network, channels_last=True)
        if any(far(outputs_of(network, part, amp=amp), outputs[rows], amp=amp) for rows, part in parts):
            fault = why_apart(outputs_of(network, inputs, amp=amp), outputs, amp=amp)
    if fault is None:
        return network
    if not allow_stochastic:
        raise UserError(f"{network.name}: {fault}; eval, baseline and check measure it all the same with --allow-stochastic")
    return replace(network, stochastic=True, remarks=(*network.remarks, f"{fault}; measured all the same"))


def _parts(network: Network, images: Tensor) -> list[tuple[list[int], Tensor]]:
    """Two smaller batches: the rows and the inputs of each.

    Every second image, and the others in reverse: no image keeps its place in both, nor do repeated images keep their mean.
    """
    halves = list(range(0, len(images), 2)), list(range(1, len(images), 2))[::-1]
    return [(rows, network.normalization.apply(images[rows])) for rows in halves]


def _mixed_inputs(inputs: Tensor, parts: _Parts) -> str | None:
    """Why the inputs made of an image are not its own; None if they are."""
    if all(part.shape == inputs[rows].shape and not far(part, inputs[rows], amp=False) for rows, part in parts):
        return None
    return "--preprocess lets images in the same batch change each other (as with the mean of a whole batch)"


def _takes_channels_last(network: Network, outputs: Tensor, parts: _Parts, *, amp: bool) -> bool:
    """Whether it gives the same outputs in channels_last, which makes convolutions about 1.2 times as fast; set if so.

    As it does so in smaller batches, its answer to an image is the network's own, too.
    """
    if not any(isinstance(module, nn.Conv2d) for module in network.model.modules()):
        return False
    network.model.to(memory_format=torch.channels_last)
    faster = replace(network, channels_last=True)
    try:
        if all(_agree(outputs_of(faster, part, amp=amp), outputs[rows], amp=amp) for rows, part in parts):
            return True
    except UserError:  # it reads the memory in order, as x.view(len(x), -1) does
        pass
    network.model.to(memory_format=torch.contiguous_format)
    return False


def _agree(one: Tensor, other: Tensor, *, amp: bool) -> bool:
    return not far(one, other, amp=amp) and bool((one.argmax(1) == other.argmax(1)).all())


def why_apart(again: Tensor, outputs: Tensor, *, amp: bool) -> str:
    """Why images have other outputs in another batch.

    Args:
        again: Outputs for a batch, (N, classes), of a second pass.
        outputs: For the same batch, of the first.
        amp: Whether in bfloat16.
    """
    if far(again, outputs, amp=amp):
        return "it returns different outputs for the same images (as with dropout that is never switched off)"
    return "images in the same batch change each other's outputs (as with BatchNorm without running statistics)"


def far(one: Tensor, other: Tensor, *, amp: bool) -> bool:
    """Whether outputs of one shape differ by more than arithmetic explains: 0.1 % of the largest ``other``, 5 % in bfloat16."""
    tolerance = (0.05 if amp else 1e-3) * float(other.float().abs().max())
    return float((one.float() - other.float()).abs().max()) > tolerance
