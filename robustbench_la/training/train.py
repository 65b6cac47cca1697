"""Training by a recipe: resumable, and the same weights for the same seed on the same machine, bit for bit.

Nothing is drawn from a stream that an interruption could cut: order, crops and flips are keyed by (seed, epoch, image id), and
torch's own generator is seeded anew for each epoch.
"""

from __future__ import annotations

import io
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import robustbench_la
from corruptions.draws import image_keys
from robustbench_la.errors import RunError, UserError
from robustbench_la.files import write_whole
from robustbench_la.models.build import build
from robustbench_la.models.checkpoints import file
from robustbench_la.models.memory import keep_freed_memory
from robustbench_la.progress import Meter, silent
from robustbench_la.training.augment import augmented
from robustbench_la.training.jobs import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What came of a job."""

    path: Path
    epochs: int
    loss: float
    """Mean over the last epoch, in nats."""
    accuracy: float
    """Of the training images as they were seen in the last epoch: a fraction."""
    validation: float | None
    """Accuracy on the images held out: a fraction."""
    resumed: int
    """The epoch it went on after; 0 for a new start."""
    seconds: float


def train(job: Job, *, force: bool = False, meter: Meter = silent) -> Trained:
    """Train, or go on where an interrupted run of the same job stopped. Raises: RunError if the loss is not finite any more."""
    keep_freed_memory()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it CUDA's matrix products are not repeatable
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
    began = time.perf_counter()
    fingerprint = job.images.fingerprint()
    identity = job.identity(fingerprint)
    torch.manual_seed(job.seed)
    model = build(job.spec, job.activation, job.alpha).to(job.device)
    recipe = job.recipe
    optimizer = torch.optim.SGD(model.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    kept, held_out = _split(job)
    steps = len(_bounds(job, len(kept)))
    total = recipe.iterations or recipe.epochs * steps  # type: ignore[operator]  # a recipe has one of the two
    done, history = (0, []) if force else _resume(job, identity, model, optimizer)
    resumed = done
    drops = [milestone if recipe.iterations else milestone * steps for milestone in recipe.milestones]
    with meter(f"training {job.activation}, seed {job.seed}", total * len(kept) // steps) as advance:
        advance(done * len(kept))
        while done * steps < total:
            torch.manual_seed(int(image_keys(job.seed, "torch", torch.tensor([done]))))
            loss, correct, seen = 0.0, 0, 0
            model.train()
            for step, (inputs, labels) in enumerate(_batches(job, kept, epoch=done), start=done * steps):
                if step == total:
                    break
                for group in optimizer.param_groups:
                    group["lr"] = recipe.lr * recipe.gamma ** sum(step >= drop for drop in drops)
                output = model(inputs)
                # torchvision's networks with auxiliary outputs give a tuple with names.
                logits = output if isinstance(output, Tensor) else output.logits
                batch_loss = nn.functional.cross_entropy(logits, labels)
                optimizer.zero_grad(set_to_none=True)
                batch_loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                optimizer.step()
                loss += batch_loss.item() * len(labels)
                correct += int((logits.argmax(1) == labels).sum())
                seen += len(labels)
                advance(len(labels))
            done += 1
            if not np.isfinite(loss):
                raise RunError(f"the loss is not finite in epoch {done}: training diverged; lower --lr (it is {recipe.lr:g})")
            history.append([loss / seen, correct / seen])
            _keep(job, identity, model, optimizer, done, history)
    validation = _accuracy(job, model, held_out) if len(held_out) else None
    seconds = time.perf_counter() - began
    file.save(
        job.path,
        model,
        spec=job.spec,
        activation=job.activation,
        alpha=job.alpha,
        normalization=job.normalization,
        data=job.evaluated_on,
        training={  # nothing of time or place: the same training gives the same file
            "recipe": recipe.model_dump(),
            "seed": job.seed,
            "epochs": done,
            "history": history,
            "validation_accuracy": validation,
            "data_fingerprint": fingerprint,
            "images": len(kept),
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
    job.unfinished.unlink(missing_ok=True)
    return Trained(
        path=job.path,
        epochs=done,
        loss=history[-1][0],
        accuracy=history[-1][1],
        validation=validation,
        resumed=resumed,
        seconds=seconds,
    )


def _split(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Places of the images to train on and of those held out, stratified."""
    places = np.arange(len(job.images.ids))
    if not job.recipe.holdout:
        return places, places[:0]
    from sklearn.model_selection import train_test_split

    try:
        kept, held_out = train_test_split(places, test_size=job.recipe.holdout, stratify=job.images.labels, random_state=job.seed)
    except ValueError as error:
        raise UserError(f"cannot hold out {job.recipe.holdout:.0%} of {len(places)} images: {error}") from None
    return np.sort(kept), np.sort(held_out)


def _batches(job: Job, places: np.ndarray, *, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Normalised inputs and labels of one epoch, shuffled."""
    images = job.images
    keys = image_keys(job.seed, f"order/{epoch}", torch.from_numpy(images.ids[places]))
    order = places[torch.argsort(keys, stable=True).numpy()]
    for bounds in _bounds(job, len(order)):
        chosen = order[bounds]
        batch = torch.from_numpy(images.images[chosen])
        batch = augmented(batch, job.recipe.augment, torch.from_numpy(images.ids[chosen]), seed=job.seed, epoch=epoch)
        inputs = job.normalization.apply(batch.to(job.device))
        yield inputs, torch.from_numpy(images.labels[chosen]).to(job.device)


def _bounds(job: Job, count: int) -> list[slice]:
    """The batches of ``count`` images. A last image by itself joins the batch before it: BatchNorm cannot learn from one."""
    size = count if job.recipe.batch_size == "full" else job.recipe.batch_size
    starts = list(range(0, count, size))
    if count % size == 1 and len(starts) > 1:
        starts.pop()
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], count], strict=True)]


@torch.inference_mode()
def _accuracy(job: Job, model: nn.Module, places: np.ndarray) -> float:
    """Share of the images at ``places`` that are classified rightly, without augmentation but for a centre crop."""
    model.eval()
    side = job.recipe.augment.crop
    correct = 0
    for start in range(0, len(places), 256):
        chosen = places[start : start + 256]
        batch = torch.from_numpy(job.images.images[chosen])
        if side:
            top, left = ((size - side) // 2 for size in batch.shape[2:])
            batch = batch[:, :, max(0, top) :, max(0, left) :][:, :, :side, :side]
        logits = model(job.normalization.apply(batch.to(job.device)))
        correct += int((logits.argmax(1).cpu() == torch.from_numpy(job.images.labels[chosen])).sum())
    return correct / len(places)


def _keep(
    job: Job, identity: str, model: nn.Module, optimizer: torch.optim.Optimizer, epoch: int, history: list[list[float]]
) -> None:
    """Keep the state after an epoch, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(
        {
            "identity": identity,
            "epoch": epoch,
            "history": history,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
        },
        buffer,
    )
    write_whole(job.unfinished, buffer.getvalue())


def _resume(job: Job, identity: str, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, list[list[float]]]:
    """Load the state that an interrupted run kept; epochs done and their history."""
    if not job.unfinished.exists():
        return 0, []
    try:
        kept: dict[str, Any] = torch.load(job.unfinished, map_location=job.device, weights_only=True)
        same = kept["identity"] == identity
        if same:
            model.load_state_dict(kept["model"])
            optimizer.load_state_dict(kept["optimizer"])
    except Exception as error:  # bytes at random make the unpickler raise nearly anything
        raise UserError(f"{job.unfinished} cannot be read ({type(error).__name__}); --force starts anew") from None
    if not same:
        raise UserError(f"{job.unfinished} is an unfinished training with other settings or data; --force starts anew")
    return int(kept["epoch"]), list(kept["history"])
