"""Training by a recipe: resumable, and bit for bit the same weights for the same seed on the same machine.

No randomness comes from a stream that an interruption could cut: order, crops and flips are keyed by (seed, epoch, image id), and
torch's own generator is reseeded for each epoch.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import robustbench_la
from corruptions.draws import image_keys
from robustbench_la.errors import RunError
from robustbench_la.models.build import build
from robustbench_la.models.checkpoints.file import save_checkpoint
from robustbench_la.progress import Advance, Meter, silent
from robustbench_la.records.plan import Recipe
from robustbench_la.training.batches import accuracy_on, batches, bounds, split
from robustbench_la.training.jobs import Job
from robustbench_la.training.unfinished import Unfinished


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The outcome of a job."""

    path: Path
    epochs: int
    loss: float
    """Mean over the last epoch, in nats."""
    accuracy: float
    """On the augmented training images of the last epoch: a fraction."""
    validation: float | None
    """Accuracy on the images held out, a fraction; None if there are none."""
    resumed: int
    """The epoch after which training was resumed; 0 for a new start."""
    seconds: float


def train(job: Job, *, force: bool = False, meter: Meter = silent) -> Trained:
    """Train a network, or resume where an interrupted run of the same job stopped.

    Args:
        job: What to train.
        force: Start again, even if there is an unfinished run.
        meter: Shows the progress, in images.

    Returns:
        The outcome; the checkpoint is at ``job.path``.

    Raises:
        RunError: If the loss becomes NaN or infinite, or a file cannot be written.
        UserError: If the unfinished run belongs to other settings.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, CUDA matrix products are not deterministic
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    if job.device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with torch.random.fork_rng(devices=[job.device] if job.device.type == "cuda" else []):
            return _train(job, force=force, meter=meter)
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def _train(job: Job, *, force: bool, meter: Meter) -> Trained:
    started = time.perf_counter()
    fingerprint, recipe = job.images.fingerprint(), job.recipe
    torch.manual_seed(job.seed)
    model = build(job.spec, job.activation, job.alpha).to(job.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    state = Unfinished(job.unfinished, job.identity(fingerprint), model, optimizer)
    if not force:
        state.resume()
    resumed = state.epochs
    kept, held_out = split(job)
    steps = len(bounds(job, len(kept)))
    total = recipe.iterations or recipe.epochs * steps  # type: ignore[operator]  # a recipe has one of the two
    with meter(f"training {job.activation}, seed {job.seed}", total * len(kept) // steps) as advance:
        advance(resumed * len(kept))
        while state.epochs * steps < total:
            epoch = state.epochs
            rates = [_rate(recipe, step, steps) for step in range(epoch * steps, min((epoch + 1) * steps, total))]
            torch.manual_seed(int(image_keys(job.seed, "torch", torch.tensor([epoch]))))
            loss, accuracy = _epoch(state, zip(rates, batches(job, kept, epoch=epoch), strict=False), advance)
            if not math.isfinite(loss):
                raise RunError(f"the loss is not finite in epoch {epoch + 1}: training diverged; lower --lr (now {recipe.lr:g})")
            state.keep(loss, accuracy)
    validation = accuracy_on(job, model, held_out) if len(held_out) else None
    seconds = time.perf_counter() - started
    _save(job, state, fingerprint, images=len(kept), validation=validation)
    job.unfinished.unlink(missing_ok=True)
    loss, accuracy = state.history[-1]
    return Trained(
        path=job.path,
        epochs=state.epochs,
        loss=loss,
        accuracy=accuracy,
        validation=validation,
        resumed=resumed,
        seconds=seconds,
    )


def _rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of a step; an epoch has ``steps`` of them."""
    drops = (milestone if recipe.iterations else milestone * steps for milestone in recipe.milestones)
    return recipe.lr * recipe.gamma ** sum(step >= drop for drop in drops)


def _epoch(state: Unfinished, steps: Iterable[tuple[float, tuple[Tensor, Tensor]]], advance: Advance) -> tuple[float, float]:
    """One pass over the images, with (learning rate, (inputs, labels)) per step; returns mean loss in nats and accuracy."""
    total, correct, seen = 0.0, 0, 0
    state.model.train()
    for rate, (inputs, labels) in steps:
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        output = state.model(inputs)
        # torchvision's networks with auxiliary outputs return a named tuple.
        logits = output if isinstance(output, Tensor) else output.logits
        loss = nn.functional.cross_entropy(logits, labels)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        state.optimizer.step()
        total += loss.item() * len(labels)
        correct += int((logits.argmax(1) == labels).sum())
        seen += len(labels)
        advance(len(labels))
    return total / seen, correct / seen


def _save(job: Job, state: Unfinished, fingerprint: str, *, images: int, validation: float | None) -> None:
    """Write the checkpoint. It contains no times or paths: the same training gives the same file."""
    save_checkpoint(
        job.path,
        state.model,
        spec=job.spec,
        activation=job.activation,
        alpha=job.alpha,
        normalization=job.normalization,
        data=job.evaluated_on,
        classes=job.images.classes,
        training={
            "recipe": job.recipe.model_dump(),
            "seed": job.seed,
            "epochs": state.epochs,
            "history": state.history,
            "validation_accuracy": validation,
            "data_fingerprint": fingerprint,
            "images": images,
            "partial": job.images.partial,
            "device": str(job.device),
            "threads": torch.get_num_threads(),
            "versions": {
                "larobust": robustbench_la.__version__,
                "torch": str(torch.__version__),
                "python": platform.python_version(),
            },
        },
    )
