"""``larobust train``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_la.cli import completion, options
from robustbench_la.cli.plan_flags import check_inputs
from robustbench_la.cli.streams import say
from robustbench_la.text import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from robustbench_la.progress import Meter
    from robustbench_la.training.jobs import Job
    from robustbench_la.training.train import Trained

HELP = """Train a network by a recipe, or several: one for each activation and training seed.

Without a plan (--config): 30 epochs, learning rate 0.05, divided by 10 after epochs 15 and 25. To continue an interrupted
training, give the same command again: it skips the networks that are finished, and ends with the same weights."""
EXAMPLE = "Example: larobust train --arch cnn --activation la_silu -o runs/la_silu.pt"

NETWORK, RECIPE = "Network", "Recipe"
Arch = Annotated[
    str | None,
    typer.Option(
        "--arch",
        metavar="NAME",
        help="Architecture: see `larobust list architectures`.",
        autocompletion=completion.architectures,
        rich_help_panel=NETWORK,
    ),
]
LayerActAlpha = Annotated[float | None, options.layeract_alpha(NETWORK)]
Normalize = Annotated[str | None, options.normalize(NETWORK)]
Written = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Checkpoint to write; {activation} and {seed} in its name are filled in.",
        show_default=False,
        rich_help_panel=options.OUTPUT,
    ),
]
Activations = Annotated[
    list[str] | None,
    typer.Option(
        "--activation",
        metavar="NAME",
        help="Activation, such as la_silu; repeatable.",
        autocompletion=completion.activations,
        rich_help_panel=NETWORK,
    ),
]
TrainingSeeds = Annotated[
    list[int] | None,
    typer.Option(
        "--training-seed",
        metavar="SEED",
        help="Seed of weights, order and augmentation (default 11); repeatable.",
        rich_help_panel=RECIPE,
    ),
]
Epochs = Annotated[
    int | None, typer.Option("--epochs", metavar="NUMBER", help="Passes over the data (default 30).", rich_help_panel=RECIPE)
]
LearningRate = Annotated[
    float | None,
    typer.Option("--lr", metavar="NUMBER", help="Learning rate at the start (default 0.05).", rich_help_panel=RECIPE),
]
StepSize = Annotated[
    str | None,
    typer.Option("--batch-size", metavar="IMAGES", help="Images per step, or full (default 128).", rich_help_panel=RECIPE),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DATASET",
        help="digits (default), mnist:DIR, cifar10:DIR, folder:DIR ...: see `larobust list datasets`.",
        autocompletion=completion.datasets,
        rich_help_panel=options.IMAGES,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="IMAGES",
        help="Train on only the first IMAGES of a fixed permutation.",
        rich_help_panel=options.IMAGES,
    ),
]
Force = Annotated[bool, options.switch("--force", help="Train again, and overwrite existing checkpoints.", panel=options.OUTPUT)]


def command(
    output: Written,
    arch: Arch = None,
    activation: Activations = None,
    layeract_alpha: LayerActAlpha = None,
    normalize: Normalize = None,
    data: Data = None,
    download: options.Download = False,
    resize: options.Resize = None,
    crop: options.Crop = None,
    channels: options.Channels = None,
    interpolation: options.Interpolation = None,
    limit: Limit = None,
    training_seed: TrainingSeeds = None,
    epochs: Epochs = None,
    lr: LearningRate = None,
    batch_size: StepSize = None,
    device: options.Device = None,
    config: options.Config = None,
    force: Force = False,
) -> None:
    """Read arguments, train, report."""
    from robustbench_la.records.plan_file import read_plan

    recipe = {"epochs": epochs, "lr": lr, "batch_size": batch_size}
    plan = read_plan(
        config,
        {
            "arch": arch,
            "activation": activation,
            "layeract_alpha": layeract_alpha,
            "normalize": normalize,
            "data": data,
            "resize": resize,
            "crop": crop,
            "channels": channels,
            "interpolation": interpolation,
            "limit": limit,
            "training_seeds": training_seed,
            "device": device,
            "train": {key: value for key, value in recipe.items() if value is not None},
        },
        purpose="train",
    )
    check_inputs(plan, download=download)
    from robustbench_la.models.allocator import keep_freed_memory
    from robustbench_la.progress import bar
    from robustbench_la.training.jobs import prepare_jobs

    keep_freed_memory()
    meter = bar("images")
    jobs = prepare_jobs(plan, output, force=force, download=download, meter=meter)
    if plan.data is None:
        say(f"no --data given: training on {jobs[0].choice}, the default")
    if not jobs[0].images_held_apart:
        say(f"{jobs[0].choice} has no val or test folder: evaluating on it would measure training images")
    _train_all(jobs, force=force, meter=meter)


def _train_all(jobs: Sequence[Job], *, force: bool, meter: Meter) -> None:
    """Train one network after another, except those that an interrupted command finished; say how each turned out."""
    from robustbench_la.training import train
    from robustbench_la.training.finished import check_finished

    finished = {} if force else {job.path: job for job in jobs if job.path.exists()}
    fingerprint = jobs[0].images.fingerprint() if finished else ""
    for job in finished.values():
        check_finished(job, fingerprint)
    for number, job in enumerate(jobs, start=1):
        if job.path in finished:
            say(f"[{number}/{len(jobs)}] {job.path} is finished already; --force trains all again")
            continue
        try:
            trained = train.train(job, force=force, meter=meter)
        except KeyboardInterrupt:
            if job.unfinished.exists():
                say(f"{job.path} is not finished; the same command goes on from {job.unfinished}")
            raise
        say(f"[{number}/{len(jobs)}] {outcome(trained)}, {trained.seconds:.1f} s")


def outcome(trained: Trained) -> str:
    """One line about a training."""
    held_out = "" if trained.validation is None else f", {percent(trained.validation)} on the images held out"
    resumed = f", resumed after epoch {trained.resumed}" if trained.resumed else ""
    accuracy = f"{percent(trained.accuracy)} on the training images"
    return f"{trained.path}: {trained.epochs} epochs, loss {trained.loss:.4f} nats, {accuracy}{held_out}{resumed}"
