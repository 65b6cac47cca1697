"""What a network is shown and what it gives: corrupted batches, and the forward pass to checked logits."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor

from corruptions.apply import corrupt
from robustbench_la.errors import RunError, UserError
from robustbench_la.measuring.session import Evaluation, has_convolutions
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.records.cells import Condition

_SMALLEST_BATCH = 4
"""Below 3 images torch takes other matrix products and the logits' last bits change more; smaller batches are filled up."""


def corrupted(evaluation: Evaluation, condition: Condition, where: slice) -> Tensor:
    """Some of the images under a condition.

    Args:
        evaluation: For images, noise seed and device.
        condition: What is done to them.
        where: Which images.

    Returns:
        uint8 (N, C, H, W), on the device of the evaluation.
    """
    images = torch.from_numpy(evaluation.images.images[where])
    ids = torch.from_numpy(evaluation.images.ids[where])
    # Apple's GPU lacks float64, which blurs need.
    device = torch.device("cpu") if evaluation.device.type == "mps" else evaluation.device
    images = images.to(device)
    if condition.parameters:
        images = corrupt(images, condition.corruption, condition.parameters, ids=ids, seed=evaluation.seed)
    return images.to(evaluation.device)


def finite_logits(network: Network, inputs: Tensor, evaluation: Evaluation) -> Tensor:
    """Logits of a batch, which may be smaller than torch computes reproducibly.

    Args:
        network: On the device of the evaluation.
        inputs: Normalized, float32 (N, C, H, W).
        evaluation: For device and precision.

    Returns:
        (N, classes).

    Raises:
        RunError: Where a logit is NaN or infinite, and where memory runs out.
    """
    count = len(inputs)
    if count < _SMALLEST_BATCH:
        inputs = inputs.repeat(-(-_SMALLEST_BATCH // count), 1, 1, 1)
    logits = run_network(network, inputs, evaluation)
    if not logits.isfinite().all():
        raise RunError(f"{network.name} gives NaN or infinite outputs" + (" with --amp" if evaluation.amp else ""))
    return logits[:count]


def run_network(network: Network, inputs: Tensor, evaluation: Evaluation) -> Tensor:
    """One forward pass in the precision of the evaluation.

    Args:
        network: On the device of the evaluation.
        inputs: Normalized, float32 (N, C, H, W).
        evaluation: For device and precision.

    Returns:
        Logits (N, classes), finite or not.

    Raises:
        RunError: Where memory runs out.
        UserError: Where the network gives no logits of that shape.
    """
    if has_convolutions(network):
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    precision = torch.autocast(evaluation.device.type, dtype=torch.bfloat16) if evaluation.amp else contextlib.nullcontext()
    try:
        # TF32, CUDA's default for convolutions, keeps 10 bits: not the float32 that the provenance states.
        with precision, torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            logits = network.model(inputs)
    except torch.OutOfMemoryError:
        raise RunError(
            f"out of memory on {evaluation.device} with {len(inputs)} images at a time; give a smaller --batch-size"
        ) from None
    if not isinstance(logits, Tensor) or logits.shape != (len(inputs), network.spec.classes):
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(f"{network.name} gave {given}, not logits of shape ({len(inputs)}, {network.spec.classes})")
    return logits
