"""What is measured with what: networks, images and conditions, loaded and checked against each other. Measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from robustbench_la.errors import UserError
from robustbench_la.images import decoding
from robustbench_la.images.decoding import ImageChoice, ImageSet, Shape
from robustbench_la.images.normalization import parse_normalization
from robustbench_la.models.checkpoints.assemble import assemble_network
from robustbench_la.models.checkpoints.file import CheckpointFile, read_checkpoint
from robustbench_la.models.checkpoints.network import LoadOverrides, Network
from robustbench_la.models.devices import batch_size_for, resolve
from robustbench_la.models.names import check_names
from robustbench_la.progress import Meter, silent
from robustbench_la.records.cells import CLEAN, Condition, Key, Pass
from robustbench_la.records.plan import EvaluationPlan
from robustbench_la.text import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All that is needed to measure: loaded, checked against each other, on the device."""

    networks: tuple[Network, ...]
    images: ImageSet
    conditions: tuple[Condition, ...]
    """Clean first."""
    profile: str
    seed: int
    """Of the noise; the first where there are several."""
    device: torch.device
    batch_size: int
    amp: bool
    noise_seeds: int = 1
    """How many seeds, from ``seed`` on."""

    @property
    def passes(self) -> list[Pass]:
        """Conditions and noise seeds in the order in which they are measured; clean images, which have no noise, once."""
        noisy = [condition for condition in self.conditions if condition != CLEAN]
        clean = [Pass(CLEAN, None)] * (CLEAN in self.conditions)
        return clean + [Pass(condition, seed) for seed in self.seeds for condition in noisy]

    @property
    def seeds(self) -> range:
        """Of the noise, all of them."""
        return range(self.seed, self.seed + self.noise_seeds)

    @property
    def precision(self) -> str:
        """Of the networks' arithmetic."""
        return "bfloat16 autocast" if self.amp else "float32"


def prepare_evaluation(plan: EvaluationPlan, *, download: bool = False, meter: Meter = silent) -> Evaluation:
    """Load the checkpoints and the images that a plan names.

    Args:
        plan: With the paths of checkpoints.
        download: Whether a dataset that is missing may be fetched.
        meter: Shows the progress of decoding.

    Returns:
        All that is needed to measure.

    Raises:
        UserError: For the first thing that does not fit, before images are decoded.
    """
    check_names(plan)
    resolve(plan.device)
    paths = find_checkpoints(plan.checkpoints)
    overrides = overrides_of(plan)
    files = [read_checkpoint(path) for path in paths]
    dataset = decoding.open_dataset(choice_for(plan, files), download=download)
    shape = dataset.shape()
    networks = [assemble_network(file, overrides, shape) for file in files]
    for network in networks:
        check_fit(network, shape, dataset.choice.name)
    plan.conditions(height=shape.height, width=shape.width)
    images = dataset.decode(limit=plan.limit, meter=meter)  # last of what can fail: it may take minutes
    return evaluation_of(networks, images, plan)


def evaluation_of(networks: Sequence[Network], images: ImageSet, plan: EvaluationPlan) -> Evaluation:
    """An evaluation of networks and images that are in memory already.

    Args:
        networks: Their models are moved to the device of the plan, those with convolutions to channels last.
        images: All of them are measured on.
        plan: Noise, severities, seeds, device, batch size and precision; what it says of checkpoints and data is not read.

    Returns:
        All that is needed to measure.

    Raises:
        UserError: For the first thing that does not fit.
    """
    from corruptions import profile_for

    device = resolve(plan.device)
    channels, height, width = images.images.shape[1:]
    shape = Shape(classes=len(images.classes), channels=channels, height=height, width=width)
    for network in networks:
        check_fit(network, shape, images.name)
    conditions = plan.conditions(height=height, width=width)
    for network in networks:
        network.model.to(device)
        if has_convolutions(network):
            network.model.to(memory_format=torch.channels_last)
    return Evaluation(
        networks=tuple(networks),
        images=images,
        conditions=(CLEAN, *conditions),
        profile=plan.profile or profile_for(height, width),
        seed=plan.noise_seed,
        device=device,
        batch_size=plan.batch_size or batch_size_for(device, height * width),
        amp=plan.amp,
        noise_seeds=plan.noise_seeds,
    )


def overrides_of(plan: EvaluationPlan) -> LoadOverrides:
    """What a plan says of its checkpoints.

    Raises:
        UserError: Where it names several activations.
    """
    if len(plan.activation) > 1:
        raise UserError(f"say one --activation for the checkpoints of one command, not {', '.join(plan.activation)}")
    return LoadOverrides(
        architecture=plan.arch,
        activation=plan.activation[0] if plan.activation else None,
        alpha=plan.layeract_alpha,
        normalization=parse_normalization(plan.normalize) if plan.normalize else None,
    )


def find_checkpoints(patterns: Sequence[str]) -> list[Path]:
    """Files that paths and patterns name, in order, each once."""
    import glob

    if not patterns:
        raise UserError("no checkpoint given; name one with --ckpt model.pt")
    found: dict[Path, None] = {}
    for pattern in patterns:
        # Path.glob takes no absolute pattern.
        matches = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
        if not matches:
            raise UserError(f"no checkpoint matches {pattern!r}")
        found |= dict.fromkeys(Path(match) for match in matches)
    return list(found)


def choice_for(plan: EvaluationPlan, files: Sequence[CheckpointFile]) -> ImageChoice:
    """The data to evaluate on: as given, or as the checkpoints say."""
    said = {file.data for file in files if file.data is not None}
    names, sizes = {choice.name for choice in said}, {(choice.resize, choice.crop) for choice in said}
    if plan.data is None and len(names) > 1:
        raise UserError(f"the checkpoints were trained on different data ({', '.join(sorted(names))}); give --data")
    if len(sizes) > 1 and plan.resize is None and plan.crop is None:
        raise UserError(
            f"the checkpoints take images of different size ({', '.join(sorted(map(str, said)))}); give --resize and --crop"
        )
    resize, crop = sizes.pop() if len(sizes) == 1 else (None, None)
    name = plan.data or (names.pop() if names else "digits")
    return ImageChoice(name, plan.resize or resize, plan.crop or crop)


def check_fit(network: Network, shape: Shape, name: str) -> None:
    """Raise UserError unless a network can take the images of the dataset ``name``."""
    spec = network.spec
    if spec.classes != shape.classes:
        raise UserError(
            f"{network.name} tells {spec.classes} classes apart, {name} has {shape.classes}; "
            "give the data it was trained for with --data"
        )
    if spec.channels != shape.channels:
        raise UserError(f"{network.name} takes images of {spec.channels} channels, {name} has {shape.channels}")
    if spec.architecture == "mlp" and (spec.height, spec.width) != (shape.height, shape.width):
        raise UserError(
            f"{network.name} takes images of {spec.width}x{spec.height} px, {name} has {shape.width}x{shape.height} px"
        )
    try:
        network.normalization.check(shape.channels)
    except UserError as error:
        raise UserError(f"{network.name}: {error}") from None


def describe(evaluation: Evaluation) -> str:
    """What is measured on, in a sentence."""
    images = evaluation.images
    channels, height, width = images.images.shape[1:]
    part = f" of {images.total:,} (partial)" if images.partial else ""
    seeds = evaluation.seeds
    noise = f"noise seed {seeds[0]}" if len(seeds) == 1 else f"noise seeds {seeds[0]} to {seeds[-1]}"
    return (
        f"{len(images.ids):,}{part} images of {images.name}, {width}x{height} px, {counted(channels, 'channel')}; "
        f"levels of profile {evaluation.profile}; {noise}; {evaluation.precision} on {evaluation.device}."
    )


def has_convolutions(network: Network) -> bool:
    """Whether channels_last is worth while: convolutions are about 1.2 times as fast so, and LayerAct takes it as it is."""
    return any(isinstance(module, torch.nn.Conv2d) for module in network.model.modules())


def key_of(network: Network, condition: Condition, seed: int | None) -> Key:
    """The key that the cell of a pass will have."""
    return Key(network.record.id, Pass(condition, seed))
