"""What there is to train: a plan becomes one job for each activation and seed, all of which fits together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from robustbench_la.activations import DEFAULT_ALPHA
from robustbench_la.errors import UserError
from robustbench_la.files import check_writable
from robustbench_la.images import decoding
from robustbench_la.images.datasets import is_split
from robustbench_la.images.decoding import ImageChoice, ImageSet
from robustbench_la.images.normalization import Normalization, parse_normalization
from robustbench_la.models.architectures import NetworkSpec
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
    """The same, cut to the size that the network sees."""
    images: ImageSet
    device: torch.device
    path: Path
    """Of the checkpoint to write; the unfinished one lies beside it."""

    @property
    def unfinished(self) -> Path:
        """Where the state after each epoch is kept until the training is finished."""
        return self.path.with_name(self.path.name + ".partial")

    @property
    def images_held_apart(self) -> bool:
        """Whether the dataset has images that are not trained on."""
        kind, _, root = self.choice.name.partition(":")
        return kind != "folder" or is_split(Path(root).expanduser())

    def identity(self, fingerprint: str) -> str:
        """All that decides the weights, as text: a training is only continued where this is the same.

        fingerprint: of the images.
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
    """One job for each activation and seed of a plan.

    output: the checkpoint's path; with several jobs it holds ``{activation}`` and ``{seed}``.

    Raises: UserError for what does not fit together, and for a checkpoint that exists already unless ``force``.
    """
    check_names(plan)
    if plan.arch is None:
        raise UserError("say what to train with --arch, one of the names that `larobust list architectures` shows")
    if not plan.activation:
        raise UserError("say the activation with --activation, one of the names that `larobust list activations` shows")
    runs = [(activation, seed) for activation in plan.activation for seed in plan.training_seeds]
    paths = [Path(_filled(output, activation=activation, seed=seed)) for activation, seed in runs]
    if len(set(paths)) < len(paths):
        raise UserError(f"{len(runs)} networks for one file {output}; put {{activation}} and {{seed}} into its name")
    for path in paths:
        check_writable(path)
        if path.exists() and not force:
            raise UserError(f"{path} exists; --force trains anew and overwrites it")
    device = resolve(plan.device)
    choice = ImageChoice(plan.data or "digits", plan.resize, plan.crop)
    images = decoding.load(choice, split="train", limit=plan.limit, download=download, meter=meter)
    side = plan.train.augment.crop
    height, width = images.images.shape[2:]
    if side and side > min(height, width):
        raise UserError(f"a random crop of {side} px from images of {width}x{height} px; evaluation could not cut that")
    cut = side if side and (height, width) != (side, side) else None
    height, width = (side, side) if side else (height, width)
    spec = NetworkSpec(
        architecture=plan.arch, classes=len(images.classes), channels=images.images.shape[1], height=height, width=width
    )
    normalization = parse_normalization(plan.normalize or _NORMALIZATIONS.get(choice.name.partition(":")[0], "half"))
    return [
        Job(
            spec=spec,
            activation=activation,
            alpha=DEFAULT_ALPHA if plan.layeract_alpha is None else plan.layeract_alpha,
            seed=seed,
            recipe=plan.train,
            normalization=normalization,
            choice=choice,
            evaluated_on=ImageChoice(choice.name, choice.resize, cut or choice.crop),
            images=images,
            device=device,
            path=path,
        )
        for (activation, seed), path in zip(runs, paths, strict=True)
    ]


def _filled(output: str, **values: object) -> str:
    try:
        return output.format(**values)
    except (KeyError, IndexError, ValueError):
        raise UserError(f"the file name {output!r} may hold {{activation}} and {{seed}}, and no other braces") from None
