"""Corrupted batches, and the forward pass to checked logits."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.apply import corrupt
from robustbench_la.errors import RunError, UserError
from robustbench_la.images.decoding import ImageSet
from robustbench_la.images.jpeg import as_jpeg
from robustbench_la.images.storage import give_back
from robustbench_la.measuring.running import run_network
from robustbench_la.measuring.session import Evaluation
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.records.cells import CLEAN, Condition

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
    images = corrupted_images(evaluation.images, condition, where, seed=evaluation.seed, device=evaluation.device)
    return images.to(evaluation.device)


def corrupted_images(
    images: ImageSet, condition: Condition, where: slice | NDArray[np.intp], *, seed: int, device: torch.device
) -> Tensor:
    """Corrupt some images of a dataset. What becomes of one does not depend on the others.

    Args:
        images: The dataset.
        condition: How to corrupt them.
        where: The positions of the images.
        seed: The noise seed.
        device: Where to compute.

    Returns:
        uint8 (N, C, H, W), on any device.
    """
    if images.published is not None:
        if condition.prebuilt is None and condition != CLEAN:
            raise UserError(f"the images of {images.name} are corrupted already")
        return torch.from_numpy(images.published.read(condition.corruption, condition.severity, images.ids[where])).to(device)
    give_back(images.images)  # what the batch before this one read
    batch = torch.from_numpy(images.images[where])
    ids = torch.from_numpy(images.ids[where])
    # Apple GPUs have no float64, which blurs need.
    batch = batch.to("cpu" if device.type == "mps" else device)
    if condition.parameters:
        batch = corrupt(batch, condition.corruption, condition.parameters, ids=ids, seed=seed)
        if condition.jpeg is not None:
            batch = torch.from_numpy(as_jpeg(batch.cpu().numpy(), condition.jpeg))
    return batch


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
    logits = run_network(network, inputs, amp=evaluation.amp)
    if not logits.isfinite().all():
        raise RunError(f"{network.name} returns NaN or infinite outputs" + (" with --amp" if evaluation.amp else ""))
    return logits[:count]
