"""The flags that select results of a store: one name, one meaning, one help text, in one panel."""

from __future__ import annotations

from typing import Annotated

import typer

from robustbench_la.cli import completion
from robustbench_la.cli.options import FILTERS

Checkpoint = Annotated[
    list[str] | None,
    typer.Option(
        "--ckpt",
        "--checkpoint",
        metavar="NAME",
        help="Only this checkpoint: a name, a pattern, or the first digits of its SHA-256.",
        rich_help_panel=FILTERS,
    ),
]
Activation = Annotated[
    list[str] | None,
    typer.Option(
        "--activation",
        metavar="NAME",
        help="Only this activation.",
        autocompletion=completion.activations,
        rich_help_panel=FILTERS,
    ),
]
Arch = Annotated[
    list[str] | None,
    typer.Option(
        "--arch", metavar="NAME", help="Only this architecture.", autocompletion=completion.architectures, rich_help_panel=FILTERS
    ),
]
Data = Annotated[
    list[str] | None,
    typer.Option("--data", metavar="NAME", help="Only this dataset, or a pattern such as 'mnist:*'.", rich_help_panel=FILTERS),
]
Noise = Annotated[
    list[str] | None,
    typer.Option(
        "--noise",
        metavar="NAMES",
        help="Only this corruption, group or custom level (gaussian=0.05), or clean.",
        autocompletion=completion.corruptions,
        rich_help_panel=FILTERS,
    ),
]
Severity = Annotated[
    list[str] | None,
    typer.Option("--severity", metavar="LEVELS", help="Only these severities, such as 1-5.", rich_help_panel=FILTERS),
]
NoiseSeed = Annotated[
    list[int] | None,
    typer.Option("--noise-seed", metavar="SEED", help="Only this seed of the noise.", rich_help_panel=FILTERS),
]
