"""Networks, images and conditions of an evaluation, loaded and checked against each other. Measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from robustbench_la.errors import UnfitError, UserError
from robustbench_la.images import decoding
from robustbench_la.images.datasets import check_classes
from robustbench_la.images.decoding import IN_MEMORY, ImageChoice, ImageSet, Shape, UndecodedImages
from robustbench_la.images.labels import check_class_names, names_of_outputs, relabelled
from robustbench_la.measuring.available import conditions_here
from robustbench_la.measuring.loading import GoOn, ReadCheckpoint, load_networks, read_checkpoints
from robustbench_la.measuring.outputs import channels_remedy, labels_hint
from robustbench_la.measuring.published_conditions import read_conditions
from robustbench_la.measuring.shortcuts import padding_checked
from robustbench_la.measuring.trial import tried
from robustbench_la.models.checkpoints.file import CheckpointFile
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.models.devices import batch_size_for, resolve
from robustbench_la.models.names import check_names
from robustbench_la.models.preprocess import Preprocess
from robustbench_la.progress import Meter, silent
from robustbench_la.records.cells import CLEAN, Condition, Key, Pass
from robustbench_la.records.plan import EvaluationPlan
from robustbench_la.records.published_sets import is_published
from robustbench_la.text import counted, quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything needed to measure: loaded, checked against each other, on the device."""

    networks: tuple[Network, ...]
    images: ImageSet
    conditions: tuple[Condition, ...]
    """Clean first, unless a published set holds no clean images."""
    profile: str
    seed: int
    """Of the noise; the first if there are several."""
    device: torch.device
    batch_size: int
    amp: bool
    noise_seeds: int = 1
    """Number of noise seeds: ``seed``, ``seed`` + 1, ..."""
    left_out: tuple[str, ...] = ()
    """Why each checkpoint that was asked for, and could not be used, is missing."""
    unmeasurable: tuple[str, ...] = ()
    """Why each corruption of the groups that were asked for is left out."""

    @property
    def passes(self) -> list[Pass]:
        """Conditions and noise seeds in the order of measurement; clean and published images, without noise of ours, once."""
        once = [Pass(condition, None) for condition in self.conditions if not condition.parameters]
        noisy = [condition for condition in self.conditions if condition.parameters]
        return once + [Pass(condition, seed) for seed in self.seeds for condition in noisy]

    @property
    def seeds(self) -> range:
        """All noise seeds."""
        return range(self.seed, self.seed + self.noise_seeds)

    @property
    def precision(self) -> str:
        """The arithmetic of the networks, as recorded."""
        return "bfloat16 autocast" if self.amp else "float32"


Decode = Callable[[UndecodedImages], ImageSet]


def prepare_evaluation(
    plan: EvaluationPlan,
    *,
    download: bool = False,
    meter: Meter = silent,
    go_on: GoOn | None = None,
    decode: Decode | None = None,
) -> Evaluation:
    """Load the checkpoints and the images that a plan names.

    Args:
        plan: A plan with the paths of checkpoints.
        download: Whether a missing dataset may be downloaded.
        meter: Shows the progress of decoding.
        go_on: Whether to go on without a checkpoint that cannot be used; as the plan says if not given.
        decode: Decodes the images to measure on; those that the limit of the plan leaves, if not given.

    Returns:
        Everything needed to measure.

    Raises:
        UserError: For the first thing that is missing or does not fit, before images are decoded.
    """
    check_names(plan)
    resolve(plan.device)
    left_out: list[str] = []

    def without(error: UserError) -> bool:
        left_out.append(str(error))
        return plan.keep_going if go_on is None else go_on(error)

    checkpoints = read_checkpoints(plan, without)
    dataset = decoding.open_dataset(choice_for(plan, [one.file for one in checkpoints]), download=download)
    dataset = with_labels(_sizes_ignored(dataset, checkpoints), plan)
    shape = dataset.shape()

    def check(network: Network) -> None:
        check_fit(network, shape, dataset.choice.name, labels_given=dataset.labels_given)
        check_class_names(network.classes, dataset, network=network.name)

    networks = load_networks(checkpoints, shape, without, check=check)
    check_alpha(networks, plan)
    if dataset.source.published is None:
        conditions_here(plan, height=shape.height, width=shape.width)
    else:
        read_conditions(plan, dataset.source.published, meter)
    # Last, because it may take minutes.
    images = dataset.decode(limit=plan.limit, meter=meter) if decode is None else decode(dataset)
    return replace(evaluation_of(networks, images, plan), left_out=tuple(left_out))


def evaluation_of(networks: Sequence[Network], images: ImageSet, plan: EvaluationPlan) -> Evaluation:
    """An evaluation of networks and images that are already in memory.

    Args:
        networks: Moved to the device of the plan, and to channels_last where that changes nothing.
        images: Measured on in full.
        plan: Provides noise, severities, seeds, device, batch size and precision; its checkpoints and data are ignored.

    Returns:
        Everything needed to measure.

    Raises:
        UserError: For the first thing that does not fit.
    """
    from corruptions import profile_for

    device = resolve(plan.device)
    channels, height, width = images.images.shape[1:]
    shape = Shape(classes=len(images.classes), channels=channels, height=height, width=width)
    for network in networks:
        check_fit(network, shape, images.name)
    check_alpha(networks, plan)
    published = images.published
    if published is None:
        conditions, unmeasurable = conditions_here(plan, height=height, width=width)
    else:
        conditions, unmeasurable = read_conditions(plan, published)
    for network in networks:
        network.model.to(device)
    settled = tuple(
        padding_checked(tried(network, images, device, amp=plan.amp, allow_stochastic=plan.allow_stochastic), images, device)
        for network in networks
    )
    return Evaluation(
        networks=settled,
        images=images,
        conditions=(*([CLEAN] if published is None or published.clean else []), *conditions),
        profile=plan.profile or profile_for(height, width) if published is None else published.name,
        seed=plan.noise_seed,
        device=device,
        batch_size=plan.batch_size or batch_size_for(device, height * width),
        amp=plan.amp,
        noise_seeds=plan.noise_seeds,
        unmeasurable=unmeasurable,
    )


def same_weights(networks: Sequence[Network]) -> list[str]:
    """Sentences that name networks with the same weights, which are one training under several names."""
    names: dict[tuple[str, str, str | None], list[str]] = {}
    for network in networks:
        if network.weights:
            names.setdefault((network.weights, network.spec.architecture, network.activation), []).append(network.name)
    return [
        f"{', '.join(map(quoted, same))} hold the same weights: they count as one training"
        for same in names.values()
        if len(same) > 1
    ]


def with_labels(dataset: UndecodedImages, plan: EvaluationPlan) -> UndecodedImages:
    """A dataset with the labels that the plan gives to the outputs, if it does."""
    names = names_of_outputs(plan.labels, plan.label_map)
    return dataset if names is None else relabelled(dataset, names)


def choice_for(plan: EvaluationPlan, files: Sequence[CheckpointFile]) -> ImageChoice:
    """The data to evaluate on: as the plan specifies, or as the checkpoints record.

    Args:
        plan: The plan.
        files: Its checkpoints.

    Returns:
        The dataset, and the size of its images.

    Raises:
        UserError: If the plan does not decide between checkpoints that differ.
    """
    if plan.data is not None and is_published(plan.data):
        return ImageChoice(plan.data)
    recorded = {file.images for file in files if file.images is not None}
    names, sizes = {choice.name for choice in recorded} - {""}, {replace(choice, name="") for choice in recorded}
    if plan.data is None and len(names) > 1:
        raise UserError(f"the checkpoints were trained on different data ({', '.join(sorted(names))}); specify it with --data")
    if len(sizes) > 1 and plan.resize is None and plan.crop is None:
        raise UserError(
            f"the checkpoints take images of different sizes ({', '.join(sorted(map(str, recorded)))}); give --resize and --crop"
        )
    size = sizes.pop() if len(sizes) == 1 else ImageChoice("")
    name = plan.data or (names.pop() if names else "digits")
    return replace(
        size,
        name=name,
        resize=plan.resize or size.resize,
        crop=plan.crop or size.crop,
        channels=plan.channels or size.channels,
        interpolation=plan.interpolation or size.interpolation,
    )


def _sizes_ignored(dataset: UndecodedImages, checkpoints: Sequence[ReadCheckpoint]) -> UndecodedImages:
    """The dataset; a published set, whose images are not resized, with a remark on each other size that checkpoints record."""
    if dataset.source.published is None:
        return dataset
    shape, recorded = dataset.shape(), {one.file.images for one in checkpoints if one.file.images is not None}
    sides = sorted({choice.crop or choice.resize or shape.height for choice in recorded} - {shape.height})
    size = f"measured in {shape.width}x{shape.height} px"
    ignored = [f"{size}; {side} px, which a checkpoint records, is not applied to a published set" for side in sides]
    return replace(dataset, remarks=(*dataset.remarks, *ignored))


def check_fit(network: Network, shape: Shape, name: str, *, labels_given: bool = False) -> None:
    """Check that a network accepts the images of a dataset.

    Args:
        network: The network.
        shape: Number of classes and image size of the dataset.
        name: Name of the dataset, for errors.
        labels_given: Whether the user says which class each output stands for.

    Raises:
        UserError: If the number of classes, the channels, the image size or the normalization does not match.
    """
    spec = network.spec
    name = "the data in memory" if name == IN_MEMORY else name
    check_classes(shape.classes, name)
    if spec.classes != shape.classes and labels_given:
        raise UserError(
            f"{network.name} has {counted(spec.classes, 'output')}, but the labels are {shape.classes}: line i is the folder of "
            "output i, one line for each output"
        )
    if spec.classes != shape.classes:
        raise UnfitError(
            f"{network.name} has {spec.classes} classes, but {name} has {shape.classes}",
            f"specify the data it was trained for with --data{labels_hint(spec.classes, shape.classes)}",
        )
    if spec.channels != shape.channels and not isinstance(network.normalization, Preprocess):
        raise UnfitError(
            f"{network.name} takes images with {counted(spec.channels, 'channel')}, but those of {name} have {shape.channels}",
            channels_remedy(spec.channels),
        )
    if spec.architecture == "mlp" and (spec.height, spec.width) != (shape.height, shape.width):
        raise UnfitError(
            f"{network.name} takes images of {spec.width}x{spec.height} px, but those of {name} are "
            f"{shape.width}x{shape.height} px",
            "give --resize or --crop",
        )
    try:
        network.normalization.check(shape.channels)
    except UserError as error:
        raise UserError(f"{network.name}: {error}") from None


def check_alpha(networks: Sequence[Network], plan: EvaluationPlan) -> None:
    """Raise UserError for a --layeract-alpha that no network would use."""
    if plan.layeract_alpha is not None and all(network.level == "element" for network in networks):
        names = ", ".join(dict.fromkeys(network.record.activation for network in networks))
        raise UserError(f"--layeract-alpha is {plan.layeract_alpha:g}, but no network has a LayerAct ({names}); omit it")


def key_of(network: Network, condition: Condition, seed: int | None) -> Key:
    """The key of the record of a network in one pass."""
    return Key(network.record.id, Pass(condition, seed))
