"""Accuracy under corruption: each batch is corrupted once and classified by every network; the results become cells."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from robustbench_la.errors import RunError
from robustbench_la.images.normalization import Normalization
from robustbench_la.measuring.forward import corrupted, finite_logits
from robustbench_la.measuring.session import Evaluation, key_of
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.progress import Advance, Meter, silent
from robustbench_la.records import calibration
from robustbench_la.records.cells import Cell, Condition, Key, Pass
from robustbench_la.records.packing import pack_classes


def measure_cells(evaluation: Evaluation, *, known: Container[Key] = (), meter: Meter = silent) -> Iterator[Cell]:
    """Measure the accuracy, pass by pass.

    Args:
        evaluation: Networks, images and conditions.
        known: Keys of cells to skip, see ``session.key_of``.
        meter: Shows the progress.

    Yields:
        The cells of a pass, as soon as it is finished.

    Raises:
        RunError: If the outputs or losses of a network are not finite, or memory runs out.
    """
    todo: list[Evaluation] = []
    for condition, seed in evaluation.passes:
        networks = tuple(network for network in evaluation.networks if key_of(network, condition, seed) not in known)
        if networks:
            seed = evaluation.seed if seed is None else seed
            todo.append(replace(evaluation, networks=networks, conditions=(condition,), seed=seed, noise_seeds=1))
    with meter("evaluating", sum(len(part.networks) for part in todo) * len(evaluation.images.ids)) as advance:
        for part in todo:
            yield from _measure_pass(part, part.conditions[0], advance)


class _Answers:
    """The predictions of one network for all images under one condition, filled batch by batch."""

    def __init__(self, count: int, classes: int) -> None:
        self.predicted = np.empty(count, dtype=np.uint16)
        self.in_top5 = np.empty(count, dtype=bool) if classes >= 10 else None
        self.nll = np.empty(count)
        self.confidence = np.empty(count)
        self.seconds = 0.0

    def update(self, where: slice, logits: Tensor, labels: Tensor) -> None:
        """Add the batch at ``where``: logits (N, classes) and labels int64 (N,)."""
        self.predicted[where] = logits.argmax(1).cpu().numpy()
        if self.in_top5 is not None:
            self.in_top5[where] = (logits.topk(5, dim=1).indices == labels[:, None]).any(1).cpu().numpy()
        losses = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
        self.nll[where] = losses.cpu().numpy()
        self.confidence[where] = logits.float().softmax(1).amax(1).clamp_(max=1).cpu().numpy()


@torch.inference_mode()
def _measure_pass(evaluation: Evaluation, condition: Condition, advance: Advance) -> list[Cell]:
    """The cells of all networks under one condition; each batch is corrupted once, and normalized once per normalization."""
    images, device = evaluation.images, evaluation.device
    answers = [_Answers(len(images.ids), network.spec.classes) for network in evaluation.networks]
    for start in range(0, len(images.ids), evaluation.batch_size):
        where = slice(start, min(start + evaluation.batch_size, len(images.ids)))
        started = time.perf_counter()
        batch = corrupted(evaluation, condition, where)
        labels = torch.from_numpy(images.labels[where]).to(device)
        share = (time.perf_counter() - started) / len(answers)
        inputs: dict[Normalization, Tensor] = {}
        for network, answer in zip(evaluation.networks, answers, strict=True):
            started = time.perf_counter()
            if network.normalization not in inputs:
                inputs[network.normalization] = network.normalization.apply(batch)
            answer.update(where, finite_logits(network, inputs[network.normalization], evaluation), labels)
            if not np.isfinite(answer.nll[where]).all():
                raise RunError(f"the outputs of {network.name} are so large that their loss is not finite")
            answer.seconds += time.perf_counter() - started + share
            advance(len(labels))
    return [
        _cell(network, condition, answer, images.labels, evaluation.seed)
        for network, answer in zip(evaluation.networks, answers, strict=True)
    ]


def _cell(network: Network, condition: Condition, answers: _Answers, labels: np.ndarray, seed: int) -> Cell:
    correct = answers.predicted == labels
    return Cell(
        network=network.record,
        pass_=Pass(condition, seed if condition.parameters else None),
        correct=int(correct.sum()),
        correct_top5=None if answers.in_top5 is None else int(answers.in_top5.sum()),
        total=len(labels),
        nll_sum=float(answers.nll.sum()),
        seconds=answers.seconds,
        predictions=pack_classes(answers.predicted),
        calibration=calibration.pack(calibration.sums_by_bin(answers.confidence, correct)),
    )
