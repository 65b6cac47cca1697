"""The flags that commands share: one name, one meaning, one help text, one panel of the help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from typer.models import OptionInfo

from robustbench_la.cli import completion

if TYPE_CHECKING:
    from pathlib import Path

CHECKPOINT, IMAGES, NOISE = "Checkpoint", "Images", "Noise"
COMPUTATION, OUTPUT, STORE, FILTERS = "Computation", "Output", "Store", "Filters"


def switch(*names: str, help: str, panel: str) -> OptionInfo:
    """A flag without a value, which the help shows without a type."""
    option: OptionInfo = typer.Option(*names, metavar="", help=help, rich_help_panel=panel)
    return option


def value(name: str, metavar: str, panel: str, help: str) -> OptionInfo:
    """A flag with a value."""
    option: OptionInfo = typer.Option(name, metavar=metavar, help=help, rich_help_panel=panel)
    return option


def layeract_alpha(panel: str) -> OptionInfo:
    """LayerAct's alpha, which ``train`` chooses and which a checkpoint of others does not record."""
    text = "LayerAct's alpha, above 0 (default 1e-5; the paper: 0.1 on ImageNet)."
    option: OptionInfo = typer.Option("--layeract-alpha", metavar="NUMBER", help=text, rich_help_panel=panel)
    return option


def normalize(panel: str) -> OptionInfo:
    """The normalization of pixels, likewise."""
    text = "none, half, mnist, cifar10, cifar100, imagenet, or MEANS/STDS of pixels on 0 to 1: 0.5,0.5,0.5/0.2,0.2,0.2."
    option: OptionInfo = typer.Option("--normalize", metavar="NAME", help=text, rich_help_panel=panel)
    return option


Checkpoints = Annotated[
    list[str] | None,
    typer.Option(
        "--ckpt",
        metavar="FILE",
        help="Checkpoint, or a pattern: 'runs/*.pt', or 'runs/{arch}_{activation}_seed{seed}.pt', whose fields are read from the "
        "names. Repeatable.",
        rich_help_panel=CHECKPOINT,
    ),
]
CheckpointTable = Annotated[
    str | None,
    typer.Option(
        "--ckpt-table",
        metavar="FILE",
        help="CSV or YAML table of checkpoints: path, activation, training_seed, arch, label, group ...",
        rich_help_panel=CHECKPOINT,
    ),
]
KeepGoing = Annotated[
    bool,
    switch(
        "--keep-going",
        help="Go on without checkpoints that cannot be used, and exit with 6 (default: ask in a terminal, else stop).",
        panel=CHECKPOINT,
    ),
]
Arch = Annotated[
    str | None,
    typer.Option(
        "--arch",
        metavar="NAME",
        help="Architecture, if the file does not record it: see `larobust list architectures`.",
        autocompletion=completion.architectures,
        rich_help_panel=CHECKPOINT,
    ),
]
ArchLabel = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="LABEL",
        help="What to call the architecture: networks with the same label are compared, whatever their code.",
        rich_help_panel=CHECKPOINT,
    ),
]
Exchange = Annotated[
    list[str] | None,
    typer.Option(
        "--exchange",
        metavar="OLD=NEW",
        help="Exchange activation modules in a network given by --arch, as in relu=la_silu. Repeatable.",
        rich_help_panel=CHECKPOINT,
    ),
]
Activation = Annotated[
    str | None,
    typer.Option(
        "--activation",
        metavar="NAME",
        help="Activation, if it is neither recorded in the file nor seen in the network, such as relu or la_silu.",
        autocompletion=completion.activations,
        rich_help_panel=CHECKPOINT,
    ),
]
WeightsKey = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="NAME",
        help="Which weights, if the file holds several, such as model, ema or teacher.",
        rich_help_panel=CHECKPOINT,
    ),
]
TrustFile = Annotated[
    bool,
    switch(
        "--trust-file",
        help="Also load pickled networks and TorchScript, which runs code in the file: for files of people you trust.",
        panel=CHECKPOINT,
    ),
]
AllowCode = Annotated[
    list[str] | None,
    value("--allow-code", "FILE:NAME", CHECKPOINT, "Code that the arch column of a table names and that may run; repeatable."),
]
LayerActAlpha = Annotated[float | None, layeract_alpha(CHECKPOINT)]
Normalize = Annotated[str | None, normalize(CHECKPOINT)]

Preprocess = Annotated[
    str | None,
    value(
        "--preprocess",
        "FILE:NAME",
        CHECKPOINT,
        "Your transform of PIL images, or module on tensors, in place of --normalize.",
    ),
]
Labels = Annotated[
    str | None,
    value("--labels", "FILE", CHECKPOINT, "Line i names the class folder of output i, if that is not the sorted order."),
]
LabelMap = Annotated[
    str | None,
    value("--label-map", "NAME", CHECKPOINT, "imagenet-subset: 1,000 outputs, folders that are some or all WordNet ids."),
]

Channels = Annotated[
    int | None,
    value("--channels", "1|3", IMAGES, "3: repeat grey images in three channels; 1: make colour images grey."),
]
Interpolation = Annotated[
    str | None,
    value("--interpolation", "NAME", IMAGES, "How images are resized: bilinear (default), bicubic, nearest or lanczos."),
]
FrostTextures = Annotated[
    str | None,
    value("--frost-textures", "DIR", NOISE, "Folder with the published photographs of frost, if they are not installed."),
]
Jpeg = Annotated[
    int | None,
    value("--jpeg", "QUALITY", NOISE, "Store corrupted images as JPEG first, as ImageNet-C and Tiny-ImageNet-C are: 85."),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DATASET",
        help="digits, cifar10:DIR, folder:DIR, imagenet-c:DIR (as published) ...: see `larobust list datasets`.",
        autocompletion=completion.datasets,
        rich_help_panel=IMAGES,
    ),
]
Download = Annotated[
    bool,
    switch("--download", help="Fetch the dataset into DIR first, if torchvision can.", panel=IMAGES),
]
Resize = Annotated[
    int | None,
    typer.Option("--resize", metavar="PIXELS", help="Scale the shorter side to PIXELS.", rich_help_panel=IMAGES),
]
Crop = Annotated[
    int | None,
    typer.Option("--crop", metavar="PIXELS", help="Cut a square of PIXELS from the centre.", rich_help_panel=IMAGES),
]
Limit = Annotated[
    int | None,
    value("--limit", "IMAGES", IMAGES, "Use only the first IMAGES of a fixed permutation; results are marked as partial."),
]

Noise = Annotated[
    list[str] | None,
    typer.Option(
        "--noise",
        metavar="NAMES",
        help="Corruption (gaussian, fog ...), group (blur, common, all ...) or custom levels (gaussian=0.05,0.1). Repeatable.",
        autocompletion=completion.corruptions,
        rich_help_panel=NOISE,
    ),
]
Severity = Annotated[
    list[str] | None,
    typer.Option("--severity", metavar="LEVELS", help="1 to 5, or a range such as 1-5; repeatable.", rich_help_panel=NOISE),
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="Level table: cifar-c, tiny-c, imagenet-c or imagenet-c-299 (default: by image size).",
        autocompletion=completion.profiles,
        rich_help_panel=NOISE,
    ),
]
NoiseSeed = Annotated[
    int | None,
    typer.Option("--noise-seed", metavar="SEED", help="Seed of the noise (default 0).", rich_help_panel=NOISE),
]
NoiseSeeds = Annotated[
    int | None,
    typer.Option(
        "--noise-seeds",
        metavar="COUNT",
        help="Repeat the noise with COUNT seeds: SEED, SEED + 1, ... (default 1).",
        rich_help_panel=NOISE,
    ),
]

Device = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:1 or mps.", rich_help_panel=COMPUTATION),
]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", metavar="IMAGES", help="Images at a time (default: by device).", rich_help_panel=COMPUTATION),
]
Amp = Annotated[
    bool,
    switch("--amp", help="Use bfloat16 autocast: faster, slightly different numbers.", panel=COMPUTATION),
]
AllowStochastic = Annotated[
    bool,
    switch(
        "--allow-stochastic",
        help="Measure also a network whose answer depends on chance or on the rest of the batch; results are marked.",
        panel=COMPUTATION,
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="PLAN",
        help="YAML plan, or the name of a bundled one, such as paper-mnist. Flags win over it.",
        autocompletion=completion.plans,
        rich_help_panel=COMPUTATION,
    ),
]

Json = Annotated[bool, switch("--json", help="Print one JSON document instead of the table.", panel=OUTPUT)]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="Also write the JSON document to FILE.", rich_help_panel=OUTPUT),
]
OutputInstead = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write to FILE instead of the screen.", rich_help_panel=OUTPUT),
]

Store = Annotated[
    str | None,
    typer.Option("--store", metavar="FILE", help="File of results (default runs/results.sqlite).", rich_help_panel=STORE),
]
Fresh = Annotated[
    bool,
    switch("--fresh", help="Measure again what the store holds, and replace it.", panel=STORE),
]
NoStore = Annotated[bool, switch("--no-store", help="Neither read nor write a store.", panel=STORE)]

AllowMissing = Annotated[
    bool,
    switch("--allow-missing", help="Show gaps where something was not measured.", panel=OUTPUT),
]


def store_path(given: str | None) -> Path:
    """The store that a command means."""
    from pathlib import Path

    from robustbench_la.store.store import DEFAULT

    return DEFAULT if given is None else Path(given)
