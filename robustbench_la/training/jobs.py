"""What to train: a plan becomes one job per activation and seed, checked for consistency."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from robustbench_la.activations import DEFAULT_ALPHA
from robustbench_la.errors import UserError
from robustbench_la.files import at_home, check_writable
from robustbench_la.images import decoding
from robustbench_la.images.datasets import check_classes
from robustbench_la.images.decoding import ImageChoice, ImageSet
from robustbench_la.images.folders import is_split
from robustbench_la.images.normalization import Normalization, parse_normalization
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.build import exchange_for
from robustbench_la.models.devices import resolve
from robustbench_la.models.names import check_names
from robustbench_la.progress import Meter, silent
from robustbench_la.records.plan import Recipe, TrainingPlan

_NORMALIZATIONS = {"mnist": "mnist", "cifar10": "cifar10", "cifar100": "cifar100", "imagenet": "imagenet"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One network to train."""

    spec: NetworkSpec
    activation: str
    alpha: float
    seed: int
    recipe: Recipe
    normalization: Normalization
    choice: ImageChoice
    """The data to train on."""
    evaluated_on: ImageChoice
    """The same, cropped to the size that the network sees."""
    images: ImageSet
    device: torch.device
    path: Path
    """Of the checkpoint to write; the unfinished state is kept next to it."""

    @property
    def unfinished(self) -> Path:
        """Where the state after each epoch is kept until the training is finished."""
        return _unfinished(self.path)

    @property
    def images_held_apart(self) -> bool:
        """Whether the dataset has separate test images."""
        kind, _, root = self.choice.name.partition(":")
        return kind != "folder" or is_split(at_home(root))

    def identity(self, fingerprint: str) -> str:
        """Everything that determines the weights, as text: a training is resumed only if this is unchanged.

        Args:
            fingerprint: Of the images.
        """
        settings = {
            "network": self.spec.as_dict(),
            "activation": [self.activation, self.alpha],
            "seed": self.seed,
            "recipe": self.recipe.model_dump(),
            "normalization": str(self.normalization),
            "data": fingerprint,
            "device": self.device.type,
            "torch": str(torch.__version__),
        }
        return json.dumps(settings, sort_keys=True)


def prepare_jobs(
    plan: TrainingPlan, output: str, *, force: bool = False, download: bool = False, meter: Meter = silent
) -> list[Job]:
    """One job per activation and seed of a plan.

    Args:
        plan: What to train, and how.
        output: Path of the checkpoint; for several jobs it contains ``{activation}`` and ``{seed}``.
        force: Overwrite existing checkpoints.
        download: Whether a missing dataset may be downloaded.
        meter: Shows the progress of decoding.

    Returns:
        The jobs, by activation, then seed; they share the images.

    Raises:
        UserError: If settings contradict each other, or all checkpoints already exist and ``force`` is not given.
    """
    check_names(plan)
    if plan.arch is None:
        raise UserError("no architecture given; specify it with --arch, see `larobust list architectures`")
    if not plan.activation:
        raise UserError("no activation given; specify it with --activation, see `larobust list activations`")
    runs = [(activation, seed) for activation in plan.activation for seed in plan.training_seeds]
    paths = _paths(output, runs, force=force)
    device = resolve(plan.device)
    choice = _choice(plan)
    images = decoding.load(choice, split="train", limit=plan.limit, download=download, meter=meter)
    check_classes(len(images.classes), choice.name)
    side = plan.train.augment.crop
    height, width = images.images.shape[2:]
    if side and side > min(height, width):
        raise UserError(
            f"a random crop of {side} px exceeds images of {width}x{height} px, so evaluation could not crop them; "
            "give a smaller crop"
        )
    centre_crop = side if side and (height, width) != (side, side) else None
    height, width = (side, side) if side else (height, width)
    spec = NetworkSpec(
        architecture=plan.arch, classes=len(images.classes), channels=images.images.shape[1], height=height, width=width
    )
    normalization = parse_normalization(plan.normalize or _NORMALIZATIONS.get(choice.name.partition(":")[0], "half"))
    return [
        Job(
            spec=replace(spec, exchange=exchange_for(spec, activation)),
            activation=activation,
            alpha=DEFAULT_ALPHA if plan.layeract_alpha is None else plan.layeract_alpha,
            seed=seed,
            recipe=plan.train,
            normalization=normalization,
            choice=choice,
            evaluated_on=replace(choice, crop=centre_crop or choice.crop),
            images=images,
            device=device,
            path=path,
        )
        for (activation, seed), path in zip(runs, paths, strict=True)
    ]


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


def _remove_left(path: Path) -> None:
    """Remove the state of a training that was killed between writing its checkpoint and removing it."""
    state = _unfinished(path)
    with contextlib.suppress(OSError):
        if state.stat().st_mtime_ns <= path.stat().st_mtime_ns:
            state.unlink()


def _choice(plan: TrainingPlan) -> ImageChoice:
    how = plan.interpolation or "bilinear"
    return ImageChoice(plan.data or "digits", plan.resize, plan.crop, interpolation=how, channels=plan.channels)


def _paths(output: str, runs: Sequence[tuple[str, int]], *, force: bool) -> list[Path]:
    """One path per (activation, seed). Raises: UserError if two would share a file, or all files already exist."""
    paths = [Path(_filled(output, activation=activation, seed=seed)) for activation, seed in runs]
    if len(set(paths)) < len(paths):
        raise UserError(f"{len(runs)} networks would share the file {output}; put {{activation}} and {{seed}} into its name")
    for path in paths:
        check_writable(path)
        if path.exists() and not force:
            _remove_left(path)
    if not force and all(path.exists() for path in paths):
        raise UserError(f"{paths[0]} already exists; --force trains again and overwrites it")
    return paths


def _filled(output: str, **values: object) -> str:
    try:
        return output.format(**values)
    except (KeyError, IndexError, ValueError):
        raise UserError(f"the file name {output!r} may contain {{activation}} and {{seed}}, but no other braces") from None
