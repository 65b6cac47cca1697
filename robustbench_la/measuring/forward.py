"""Corrupted batches, and the forward pass to checked logits."""

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
"""Smaller batches are padded to this size: below 3 images torch uses other matrix kernels, and more low-order bits of the logits
change."""


def corrupted(evaluation: Evaluation, condition: Condition, where: slice) -> Tensor:
    """Corrupt some of the images.

    Args:
        evaluation: Provides images, noise seed and device.
        condition: How to corrupt them.
        where: The positions of the images.

    Returns:
        uint8 (N, C, H, W), on the device of the evaluation.
    """
    images = torch.from_numpy(evaluation.images.images[where])
    ids = torch.from_numpy(evaluation.images.ids[where])
    # Apple GPUs have no float64, which blurs need.
    device = torch.device("cpu") if evaluation.device.type == "mps" else evaluation.device
    images = images.to(device)
    if condition.parameters:
        images = corrupt(images, condition.corruption, condition.parameters, ids=ids, seed=evaluation.seed)
    return images.to(evaluation.device)


def finite_logits(network: Network, inputs: Tensor, evaluation: Evaluation) -> Tensor:
    """The logits of a batch, padded if it is too small to be reproducible.

    Args:
        network: On the device of the evaluation.
        inputs: Normalized, float32 (N, C, H, W).
        evaluation: Provides device and precision.

    Returns:
        (N, classes).

    Raises:
        RunError: If a logit is NaN or infinite, or memory runs out.
    """
    count = len(inputs)
    if count < _SMALLEST_BATCH:
        inputs = inputs.repeat(-(-_SMALLEST_BATCH // count), 1, 1, 1)
    logits = run_network(network, inputs, evaluation)
    if not logits.isfinite().all():
        raise RunError(f"{network.name} returns NaN or infinite outputs" + (" with --amp" if evaluation.amp else ""))
    return logits[:count]


def run_network(network: Network, inputs: Tensor, evaluation: Evaluation) -> Tensor:
    """Run one forward pass in the precision of the evaluation.

    Args:
        network: On the device of the evaluation.
        inputs: Normalized, float32 (N, C, H, W).
        evaluation: Provides device and precision.

    Returns:
        Logits (N, classes), finite or not.

    Raises:
        RunError: If memory runs out.
        UserError: If the network does not return logits of that shape.
    """
    if has_convolutions(network):
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    precision = torch.autocast(evaluation.device.type, dtype=torch.bfloat16) if evaluation.amp else contextlib.nullcontext()
    try:
        # TF32, the CUDA default for convolutions, keeps 10 bits of the mantissa: not the float32 that the provenance states.
        with precision, torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            logits = network.model(inputs)
    except torch.OutOfMemoryError:
        raise RunError(
            f"out of memory on {evaluation.device} with batches of {len(inputs)} images; give a smaller --batch-size"
        ) from None
    if not isinstance(logits, Tensor) or logits.shape != (len(inputs), network.spec.classes):
        output = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(f"{network.name} returned {output}, not logits of shape ({len(inputs)}, {network.spec.classes})")
    return logits
