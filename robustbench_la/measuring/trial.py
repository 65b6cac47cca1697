"""The first images are shown to each network in several ways, to learn how it can be run and whether its answers are its own."""

from __future__ import annotations

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
    if (fault := _fault(network, batch.to(device), inputs, outputs, amp=amp)) is not None:
        if not allow_stochastic:
            raise UserError(f"{network.name}: {fault}; eval, baseline and check measure it all the same with --allow-stochastic")
        return replace(network, stochastic=True, remarks=(*network.remarks, f"{fault}; measured all the same"))
    return replace(network, channels_last=_takes_channels_last(network, inputs, outputs, amp=amp))


def _fault(network: Network, images: Tensor, inputs: Tensor, outputs: Tensor, *, amp: bool) -> str | None:
    """Why the answer to an image is not the network's own; None if it is."""
    # Every second image, and the others in reverse: no image keeps its place in both, nor do repeated images keep their mean.
    for rows in (list(range(0, len(images), 2)), list(range(1, len(images), 2))[::-1]):
        part = network.normalization.apply(images[rows])
        if part.shape != inputs[rows].shape or far(part, inputs[rows], amp=False):
            return "--preprocess lets images in the same batch change each other (as with the mean of a whole batch)"
        if far(outputs_of(network, part, amp=amp), outputs[rows], amp=amp):
            return why_apart(outputs_of(network, inputs, amp=amp), outputs, amp=amp)
    return None


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


def _takes_channels_last(network: Network, inputs: Tensor, outputs: Tensor, *, amp: bool) -> bool:
    """Whether it gives the same outputs in channels_last, which makes convolutions about 1.2 times as fast; set if so."""
    if not any(isinstance(module, nn.Conv2d) for module in network.model.modules()):
        return False
    network.model.to(memory_format=torch.channels_last)
    try:
        other = outputs_of(replace(network, channels_last=True), inputs, amp=amp)
    except UserError:  # it reads the memory in order, as x.view(len(x), -1) does
        other = None
    if other is None or far(other, outputs, amp=amp) or bool((other.argmax(1) != outputs.argmax(1)).any()):
        network.model.to(memory_format=torch.contiguous_format)
        return False
    return True


def far(one: Tensor, other: Tensor, *, amp: bool) -> bool:
    """Whether outputs of one shape differ by more than arithmetic explains: 0.1 % of the largest ``other``, 5 % in bfloat16."""
    tolerance = (0.05 if amp else 1e-3) * float(other.float().abs().max())
    return float((one.float() - other.float()).abs().max()) > tolerance
