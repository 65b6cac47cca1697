"""A network in memory against the command's measuring: pytest tests/benchmarks/test_api_speed.py --benchmark-only

Both measure the same passes of the same ResNet-20 over the same images, on one thread; processor time, so that other programs
count for neither; the median of interleaved rounds within one run.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import robustbench_la as la
from robustbench_la.measuring.quantities import Accuracy
from robustbench_la.measuring.resume import measure_missing
from robustbench_la.measuring.session import prepare_evaluation
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.build import build
from robustbench_la.records.plan_file import read_plan

_IMAGES = 256
_ROUNDS = 15


def test_evaluating_a_network_in_memory_against_the_command(
    benchmark, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    images = np.random.default_rng(0).integers(0, 256, (_IMAGES, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(_IMAGES) // -(-_IMAGES // 10)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / "data" / f"class{label}"
        folder.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(image).save(folder / f"{index:04}.png")
    model = build(NetworkSpec(architecture="resnet20", classes=10, channels=3, height=32, width=32), "relu")
    torch.save(model.state_dict(), tmp_path / "net.pt")
    flags = {"activation": "relu", "normalize": "cifar10", "noise": "paper", "severity": 3, "device": "cpu"}
    plan = read_plan(None, {**flags, "checkpoints": str(tmp_path / "net.pt"), "data": f"folder:{tmp_path / 'data'}"})

    def command() -> float:
        """Of measuring alone: without reading the checkpoint and decoding the images."""
        evaluation = prepare_evaluation(plan)
        began = time.process_time()
        results = measure_missing(evaluation, Accuracy())
        seconds = time.process_time() - began
        assert [cell.correct for cell in results.records] == correct
        return seconds

    def in_memory() -> float:
        """Of the whole call: what tells the network apart, the trial, measuring."""
        began = time.process_time()
        result = la.evaluate(model, (images, labels), noise="paper", severity=3, normalize="cifar10", progress=False)
        seconds = time.process_time() - began
        correct[:] = [cell.correct for cell in result.cells]
        return seconds

    correct: list[int] = []
    in_memory(), command()
    ratio = statistics.median(in_memory() / command() for _ in range(_ROUNDS))
    told.append(f"evaluating a network in memory / the command's measuring time: {ratio:.3f} (aim: <= 1.05)")
    benchmark.extra_info["ratio"] = ratio
    benchmark.pedantic(in_memory, rounds=1)
    torch.set_num_threads(threads)
