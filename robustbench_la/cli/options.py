"""The flags that commands share: one name, one meaning, one help text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

Checkpoints = Annotated[
    list[str] | None,
    typer.Option("--ckpt", metavar="FILE", help="Checkpoint file; repeatable, and patterns such as 'runs/*.pt'."),
]
Arch = Annotated[
    str | None,
    typer.Option(
        "--arch", metavar="NAME", help="Architecture (see `larobust list architectures`), where the file does not tell."
    ),
]
Activation = Annotated[
    str | None,
    typer.Option("--activation", metavar="NAME", help="Activation, where the file does not tell, such as relu or la_silu."),
]
Activations = Annotated[
    list[str] | None,
    typer.Option("--activation", metavar="NAME", help="Activation, such as la_silu; repeatable."),
]
LayerActAlpha = Annotated[
    float | None,
    typer.Option(
        "--layeract-alpha", metavar="NUMBER", help="LayerAct's alpha, above 0 (1e-5 if not given; the paper: 0.1 on ImageNet)."
    ),
]
Normalize = Annotated[
    str | None,
    typer.Option(
        "--normalize",
        metavar="NAME",
        help="none, half, mnist, cifar10, cifar100, imagenet, or M,M,M/S,S,S: means/standard deviations of pixels on [0, 1].",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="DATASET", help="digits, mnist:ROOT, cifar10:ROOT, folder:DIR ... (see `larobust list datasets`)."
    ),
]
Download = Annotated[bool, typer.Option("--download", help="Fetch the dataset into ROOT first, where torchvision can.")]
Resize = Annotated[int | None, typer.Option("--resize", metavar="PIXELS", help="Bring the shorter side to so many pixels.")]
Crop = Annotated[int | None, typer.Option("--crop", metavar="PIXELS", help="Cut a square of so many pixels from the centre.")]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", metavar="IMAGES", help="Take so many images of a fixed permutation; the result is marked as partial."
    ),
]
Noise = Annotated[
    list[str] | None,
    typer.Option(
        "--noise",
        metavar="NAMES",
        help="Corruption: gaussian, poisson, blur ...; a group: paper, all; or own levels: gaussian_noise=0.05,0.1. Repeatable.",
    ),
]
Severity = Annotated[
    list[str] | None, typer.Option("--severity", metavar="LEVELS", help="1 to 5, or a range such as 1-5; repeatable.")
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile", metavar="NAME", help="Level table: cifar-c, tiny-c, imagenet-c, imagenet-c-299 (by image size if not given)."
    ),
]
NoiseSeed = Annotated[int | None, typer.Option("--noise-seed", metavar="SEED", help="Seed of the noise (0 if not given).")]
NoiseSeeds = Annotated[
    int | None,
    typer.Option("--noise-seeds", metavar="COUNT", help="Measure with so many seeds of the noise: SEED, SEED + 1 ... (1)."),
]
Device = Annotated[str | None, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", metavar="IMAGES", help="Images at a time (chosen by device if not given).")
]
Amp = Annotated[bool, typer.Option("--amp", help="bfloat16 autocast: faster, not the same numbers.")]
Config = Annotated[
    str | None,
    typer.Option(
        "--config", metavar="PLAN", help="Plan in YAML, or the name of one that comes along, such as paper-mnist; flags win."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")]
Output = Annotated[str | None, typer.Option("--output", "-o", metavar="FILE", help="Also write the JSON document to this file.")]
Store = Annotated[str | None, typer.Option("--store", metavar="FILE", help="File of results (runs/results.sqlite).")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Measure also what is in the store, and put it in the place of that.")]
NoStore = Annotated[bool, typer.Option("--no-store", help="Neither read nor write a store.")]
FilterCheckpoint = Annotated[
    list[str] | None,
    typer.Option(
        "--ckpt", "--checkpoint", metavar="NAME", help="Only this checkpoint: a name, a pattern, or the beginning of a SHA-256."
    ),
]
FilterActivation = Annotated[list[str] | None, typer.Option("--activation", metavar="NAME", help="Only this activation.")]
FilterArch = Annotated[list[str] | None, typer.Option("--arch", metavar="NAME", help="Only this architecture.")]
FilterData = Annotated[
    list[str] | None, typer.Option("--data", metavar="NAME", help="Only this dataset, or a pattern such as 'mnist:*'.")
]
FilterNoise = Annotated[
    list[str] | None, typer.Option("--noise", metavar="NAMES", help="Only this corruption, alias or group, or clean.")
]
FilterSeverity = Annotated[list[str] | None, typer.Option("--severity", metavar="LEVELS", help="Only these, such as 1-5.")]
FilterNoiseSeed = Annotated[list[int] | None, typer.Option("--noise-seed", metavar="SEED", help="Only this seed of the noise.")]


def store_path(given: str | None) -> Path:
    """The store that a command means."""
    from pathlib import Path

    from robustbench_la.store.store import DEFAULT

    return DEFAULT if given is None else Path(given)
