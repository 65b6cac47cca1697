"""Accuracy under corruption: every batch is corrupted once and shown to every checkpoint."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from corruptions.apply import corrupt
from robustbench_la.errors import RunError, UserError
from robustbench_la.images import decoding
from robustbench_la.images.decoding import ImageChoice, ImageSet, Shape
from robustbench_la.images.normalization import Normalization, parse_normalization
from robustbench_la.models.checkpoints.assemble import assemble_network
from robustbench_la.models.checkpoints.file import CheckpointFile, read_checkpoint
from robustbench_la.models.checkpoints.network import LoadOverrides, Network
from robustbench_la.models.devices import batch_size_for, resolve
from robustbench_la.models.memory import keep_freed_memory
from robustbench_la.models.names import check_names
from robustbench_la.progress import Advance, Meter, silent
from robustbench_la.records import calibration
from robustbench_la.records.cells import CLEAN, Cell, Condition, Key
from robustbench_la.records.packing import pack_classes
from robustbench_la.records.plan import EvaluationPlan

_SMALLEST_BATCH = 4
"""Below 3 images torch takes other matrix products and the logits' last bits change more; smaller batches are filled up."""


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
    def passes(self) -> list[tuple[Condition, int | None]]:
        """Conditions and noise seeds in the order in which they are measured; clean images, which have no noise, once."""
        seeds = range(self.seed, self.seed + self.noise_seeds)
        noisy = [condition for condition in self.conditions if condition != CLEAN]
        clean: list[tuple[Condition, int | None]] = [(CLEAN, None)] * (CLEAN in self.conditions)
        return clean + [(condition, seed) for seed in seeds for condition in noisy]

    @property
    def precision(self) -> str:
        """Of the networks' arithmetic."""
        return "bfloat16 autocast" if self.amp else "float32"


def prepare_evaluation(plan: EvaluationPlan, *, download: bool = False, meter: Meter = silent) -> Evaluation:
    """Load what a plan names. Raises UserError for the first thing that does not fit."""
    from corruptions import profile_for

    check_names(plan)
    device = resolve(plan.device)
    paths = find_checkpoints(plan.checkpoints)
    if len(plan.activation) > 1:
        raise UserError(f"say one --activation for the checkpoints of one command, not {', '.join(plan.activation)}")
    overrides = LoadOverrides(
        architecture=plan.arch,
        activation=plan.activation[0] if plan.activation else None,
        alpha=plan.layeract_alpha,
        normalization=parse_normalization(plan.normalize) if plan.normalize else None,
    )
    files = [read_checkpoint(path) for path in paths]
    dataset = decoding.open_dataset(_choice(plan, files), download=download)
    shape = dataset.shape()
    networks = [assemble_network(file, overrides, shape) for file in files]
    for network in networks:
        _check_fit(network, shape, dataset.choice.name)
    conditions = plan.conditions(height=shape.height, width=shape.width)
    images = dataset.decode(limit=plan.limit, meter=meter)  # last of what can fail: it may take minutes
    for network in networks:
        network.model.to(device)
        if has_convolutions(network):
            network.model.to(memory_format=torch.channels_last)
    return Evaluation(
        networks=tuple(networks),
        images=images,
        conditions=(CLEAN, *conditions),
        profile=plan.profile or profile_for(shape.height, shape.width),
        seed=plan.noise_seed,
        device=device,
        batch_size=plan.batch_size or batch_size_for(device, shape.height * shape.width),
        amp=plan.amp,
        noise_seeds=plan.noise_seeds,
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


def _choice(plan: EvaluationPlan, files: Sequence[CheckpointFile]) -> ImageChoice:
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


def _check_fit(network: Network, shape: Shape, name: str) -> None:
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


def has_convolutions(network: Network) -> bool:
    """Whether channels_last is worth while: convolutions are about 1.2 times as fast so, and LayerAct takes it as it is."""
    return any(isinstance(module, torch.nn.Conv2d) for module in network.model.modules())


def key_of(network: Network, condition: Condition, seed: int | None) -> Key:
    """The key that the cell of a pass will have."""
    return Key(
        network.sha256,
        network.spec.architecture,
        network.code,
        network.activation,
        network.alpha,
        str(network.normalization),
        condition,
        seed,
    )


def run(evaluation: Evaluation, *, known: Container[Key] = (), meter: Meter = silent) -> Iterator[Cell]:
    """Measure, pass by pass; the cells of a pass come as soon as it is finished. Those that are ``known`` are left out."""
    keep_freed_memory()
    todo: list[Evaluation] = []
    for condition, seed in evaluation.passes:
        networks = tuple(network for network in evaluation.networks if key_of(network, condition, seed) not in known)
        if networks:
            seed = evaluation.seed if seed is None else seed
            todo.append(replace(evaluation, networks=networks, conditions=(condition,), seed=seed, noise_seeds=1))
    with meter("evaluating", sum(len(part.networks) for part in todo) * len(evaluation.images.ids)) as advance:
        for part in todo:
            yield from _measure(part, part.conditions[0], advance)


class _Answers:
    """What one network says to every image under one condition; grows batch by batch."""

    def __init__(self, count: int, classes: int) -> None:
        self.predicted = np.empty(count, dtype=np.uint16)
        self.in_top5 = np.empty(count, dtype=bool) if classes >= 10 else None
        self.nll = np.empty(count)
        self.confidence = np.empty(count)
        self.seconds = 0.0

    def update(self, where: slice, logits: Tensor, labels: Tensor) -> None:
        """logits: (N, classes).  labels: int64 (N,)."""
        self.predicted[where] = logits.argmax(1).cpu().numpy()
        if self.in_top5 is not None:
            self.in_top5[where] = (logits.topk(5, dim=1).indices == labels[:, None]).any(1).cpu().numpy()
        losses = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
        self.nll[where] = losses.cpu().numpy()
        self.confidence[where] = logits.float().softmax(1).amax(1).clamp_(max=1).cpu().numpy()


@torch.inference_mode()
def _measure(evaluation: Evaluation, condition: Condition, advance: Advance) -> list[Cell]:
    images, device = evaluation.images, evaluation.device
    answers = [_Answers(len(images.ids), network.spec.classes) for network in evaluation.networks]
    for start in range(0, len(images.ids), evaluation.batch_size):
        where = slice(start, min(start + evaluation.batch_size, len(images.ids)))
        began = time.perf_counter()
        batch = corrupted(evaluation, condition, where)
        labels = torch.from_numpy(images.labels[where]).to(device)
        share = (time.perf_counter() - began) / len(answers)
        inputs: dict[Normalization, Tensor] = {}
        for network, answer in zip(evaluation.networks, answers, strict=True):
            began = time.perf_counter()
            if network.normalization not in inputs:
                inputs[network.normalization] = network.normalization.apply(batch)
            answer.update(where, _logits(network, inputs[network.normalization], evaluation), labels)
            if not np.isfinite(answer.nll[where]).all():
                raise RunError(f"{network.name} gives outputs so large that their loss is not finite")
            answer.seconds += time.perf_counter() - began + share
            advance(len(labels))
    return [
        _cell(network, condition, answer, images.labels, evaluation.seed)
        for network, answer in zip(evaluation.networks, answers, strict=True)
    ]


def corrupted(evaluation: Evaluation, condition: Condition, where: slice) -> Tensor:
    """The images of a slice under a condition, uint8 on the device."""
    images = torch.from_numpy(evaluation.images.images[where])
    ids = torch.from_numpy(evaluation.images.ids[where])
    # Apple's GPU lacks float64, which blurs need.
    device = torch.device("cpu") if evaluation.device.type == "mps" else evaluation.device
    images = images.to(device)
    if condition.parameters:
        images = corrupt(images, condition.corruption, condition.parameters, ids=ids, seed=evaluation.seed)
    return images.to(evaluation.device)


def _logits(network: Network, inputs: Tensor, evaluation: Evaluation) -> Tensor:
    """Logits (N, classes) of ``inputs``, float32 (N, C, H, W)."""
    count = len(inputs)
    if count < _SMALLEST_BATCH:
        inputs = inputs.repeat(-(-_SMALLEST_BATCH // count), 1, 1, 1)
    logits = forward(network, inputs, evaluation)
    if not logits.isfinite().all():
        raise RunError(f"{network.name} gives NaN or infinite outputs" + (" with --amp" if evaluation.amp else ""))
    return logits[:count]


def forward(network: Network, inputs: Tensor, evaluation: Evaluation) -> Tensor:
    """One forward pass of ``inputs``, float32 (N, C, H, W), in the precision asked for: logits (N, classes), finite or not."""
    if has_convolutions(network):
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    precision = torch.autocast(evaluation.device.type, dtype=torch.bfloat16) if evaluation.amp else contextlib.nullcontext()
    try:
        # TF32, CUDA's default for convolutions, keeps 10 bits: not the float32 that the provenance speaks of.
        with precision, torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            logits = network.model(inputs)
    except torch.OutOfMemoryError:
        raise RunError(
            f"out of memory on {evaluation.device} with {len(inputs)} images at a time; give a smaller --batch-size"
        ) from None
    if not isinstance(logits, Tensor) or logits.shape != (len(inputs), network.spec.classes):
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(f"{network.name} gave {given}, not logits of shape ({len(inputs)}, {network.spec.classes})")
    return logits


def _cell(network: Network, condition: Condition, answers: _Answers, labels: np.ndarray, seed: int) -> Cell:
    correct = answers.predicted == labels
    return Cell(
        **network.identity,
        condition=condition,
        noise_seed=None if condition == CLEAN else seed,
        correct=int(correct.sum()),
        correct_top5=None if answers.in_top5 is None else int(answers.in_top5.sum()),
        total=len(labels),
        nll_sum=float(answers.nll.sum()),
        seconds=answers.seconds,
        predictions=pack_classes(answers.predicted),
        calibration=calibration.pack(calibration.sums_by_bin(answers.confidence, correct)),
    )
