"""The flags that commands share: one name, one meaning, one help text."""

from __future__ import annotations

from typing import Annotated

import typer

_WHERE, _WHAT, _HOW, _OUT = "Networks", "Data and noise", "Computing", "Output"

Checkpoints = Annotated[
    list[str] | None,
    typer.Option("--ckpt", help="Checkpoint file; repeatable, and patterns such as 'runs/*.pt'.", rich_help_panel=_WHERE),
]
Arch = Annotated[
    str | None,
    typer.Option("--arch", help="Architecture (see `larobust list architectures`), where the file does not tell.", rich_help_panel=_WHERE),
]
Activation = Annotated[
    str | None,
    typer.Option("--activation", help="Activation, where the file does not tell, such as relu or la_silu.", rich_help_panel=_WHERE),
]
Activations = Annotated[
    list[str] | None,
    typer.Option("--activation", help="Activation, such as la_silu; repeatable.", rich_help_panel=_WHERE),
]
Alpha = Annotated[
    float | None,
    typer.Option("--alpha", help="LayerAct's alpha, above 0 (1e-5 if not given; the paper: 0.1 on ImageNet).", rich_help_panel=_WHERE),
]
Normalize = Annotated[
    str | None,
    typer.Option(
        "--normalize",
        help="none, half, mnist, cifar10, cifar100, imagenet, or M,M,M/S,S,S: means/standard deviations of pixels on [0, 1].",
        rich_help_panel=_WHERE,
    ),
]
Data = Annotated[
    str | None,
    typer.Option("--data", help="digits, mnist:ROOT, cifar10:ROOT, folder:DIR ... (see `larobust list datasets`).", rich_help_panel=_WHAT),
]
Download = Annotated[
    bool, typer.Option("--download", help="Fetch the dataset into ROOT first, where torchvision can.", rich_help_panel=_WHAT)
]
Resize = Annotated[int | None, typer.Option("--resize", help="Bring the shorter side to so many pixels.", rich_help_panel=_WHAT)]
Crop = Annotated[int | None, typer.Option("--crop", help="Cut a square of so many pixels from the centre.", rich_help_panel=_WHAT)]
Limit = Annotated[
    int | None,
    typer.Option("--limit", help="Take so many images of a fixed permutation; the result is marked as partial.", rich_help_panel=_WHAT),
]
Noise = Annotated[
    list[str] | None,
    typer.Option(
        "--noise",
        help="Corruption, such as gaussian, poisson, blur; a group: paper, all; or own levels: gaussian_noise=0.05,0.1. Repeatable.",
        rich_help_panel=_WHAT,
    ),
]
Severity = Annotated[
    list[str] | None, typer.Option("--severity", help="1 to 5, or a range such as 1-5; repeatable.", rich_help_panel=_WHAT)
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile", help="Level table: cifar-c, tiny-c, imagenet-c, imagenet-c-299 (by image size if not given).", rich_help_panel=_WHAT
    ),
]
NoiseSeed = Annotated[int | None, typer.Option("--seed", help="Seed of the noise (0 if not given).", rich_help_panel=_WHAT)]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=_HOW)]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", help="Images at a time (chosen by device if not given).", rich_help_panel=_HOW)
]
Amp = Annotated[bool, typer.Option("--amp", help="bfloat16 autocast: faster, not the same numbers.", rich_help_panel=_HOW)]
Config = Annotated[
    str | None,
    typer.Option("--config", help="Plan in YAML, or the name of one that comes along, such as paper-mnist; flags win.", rich_help_panel=_HOW),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.", rich_help_panel=_OUT)]
Output = Annotated[str | None, typer.Option("--output", "-o", help="Also write the JSON document to this file.", rich_help_panel=_OUT)]
