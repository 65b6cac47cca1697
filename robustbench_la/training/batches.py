"""The images of a training run: which are held out, the order of the others, and the accuracy of a network on them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from corruptions.draws import image_keys
from robustbench_la.errors import UserError
from robustbench_la.training.augment import augmented
from robustbench_la.training.jobs import Job


def split(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Split the images, stratified, into those to train on and those held out.

    Args:
        job: What is trained.

    Returns:
        Positions of the images to train on and of those held out, both ascending.

    Raises:
        UserError: If there are too few images to hold out that fraction of each class.
    """
    positions = np.arange(len(job.images.ids))
    if not job.recipe.holdout:
        return positions, positions[:0]
    from sklearn.model_selection import train_test_split

    try:
        kept, held_out = train_test_split(
            positions, test_size=job.recipe.holdout, stratify=job.images.labels, random_state=job.seed
        )
    except ValueError as error:
        raise UserError(f"cannot hold out {100 * job.recipe.holdout:.0f} % of {len(positions)} images: {error}") from None
    return np.sort(kept), np.sort(held_out)


def batches(job: Job, positions: np.ndarray, *, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The shuffled and augmented batches of one epoch.

    Args:
        job: What is trained.
        positions: The images to train on.
        epoch: From 0.

    Yields:
        Normalised inputs, float32 (N, C, H, W), and labels, int64 (N,), on the device of the job.
    """
    images = job.images
    keys = image_keys(job.seed, f"order/{epoch}", torch.from_numpy(images.ids[positions]))
    order = positions[torch.argsort(keys, stable=True).numpy()]
    for part in bounds(job, len(order)):
        chosen = order[part]
        batch = torch.from_numpy(images.images[chosen])
        batch = augmented(batch, job.recipe.augment, torch.from_numpy(images.ids[chosen]), seed=job.seed, epoch=epoch)
        inputs = job.normalization.apply(batch.to(job.device))
        yield inputs, torch.from_numpy(images.labels[chosen]).to(job.device)


def bounds(job: Job, count: int) -> list[slice]:
    """The batches of ``count`` images. A single last image joins the batch before it: BatchNorm cannot learn from one image."""
    size = count if job.recipe.batch_size == "full" else job.recipe.batch_size
    starts = list(range(0, count, size))
    if count % size == 1 and len(starts) > 1:
        starts.pop()
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], count], strict=True)]


@torch.inference_mode()
def accuracy_on(job: Job, model: nn.Module, positions: np.ndarray) -> float:
    """The accuracy without augmentation, except for a centre crop instead of the random one.

    Args:
        job: What is trained.
        model: The network; it is put into eval mode.
        positions: The images to classify, at least one.

    Returns:
        A fraction.
    """
    model.eval()
    side = job.recipe.augment.crop
    correct = 0
    for start in range(0, len(positions), 256):
        chosen = positions[start : start + 256]
        batch = torch.from_numpy(job.images.images[chosen])
        if side:
            top, left = ((size - side) // 2 for size in batch.shape[2:])
            batch = batch[:, :, max(0, top) :, max(0, left) :][:, :, :side, :side]
        logits = model(job.normalization.apply(batch.to(job.device)))
        correct += int((logits.argmax(1).cpu() == torch.from_numpy(job.images.labels[chosen])).sum())
    return correct / len(positions)
