"""`larobust compare` on a store of the paper's size: 30 seeds x 10 activations x 95 conditions, 10,000 images.

pytest tests/benchmarks/test_compare_speed.py --benchmark-only --slow
"""

from __future__ import annotations

import hashlib
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from robustbench_la.activations import ACTIVATIONS
from robustbench_la.analysis.metrics.imagenet_c import GROUP_MEMBERS, SEVERITIES
from robustbench_la.records import calibration
from robustbench_la.records.cells import CLEAN, Cell, Condition, Pass, RunSetting
from robustbench_la.records.networks import NetworkRecord
from robustbench_la.records.packing import pack_classes
from robustbench_la.store.store import Store

IMAGES = 10_000
SEEDS = tuple(11 * step for step in range(1, 31))
NAMES = [name for members in GROUP_MEMBERS.values() for name in members]


def conditions() -> list[Condition]:
    """Clean and 19 corruptions at five severities."""
    noisy = [Condition(corruption=n, severity=s, parameters=(0.01 * s,), profile="cifar-c") for n in NAMES for s in SEVERITIES]
    return [CLEAN, *noisy]


def fill(path: Path, seeds: tuple[int, ...] = SEEDS, images: int = IMAGES) -> int:
    """A store as a study of ResNet-20 on CIFAR-10 would leave it; gives the number of cells. Accuracies 70 to 95 %."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, images)
    setting = RunSetting(
        data="cifar10:data",
        fingerprint="f" * 64,
        images=images,
        dataset_images=images,
        resize=None,
        crop=None,
        device="cpu",
        precision="float32",
        batch_size=512,
        threads=2,
        started="2026-01-02T03:04:05+00:00",
        versions={"larobust": "0.1.0"},
        host="Linux x86_64",
        commit=None,
        dirty=None,
    )
    cells = 0
    with Store(path) as store:
        for seed in seeds:
            for number, (activation, entry) in enumerate(ACTIVATIONS.items()):
                name = f"runs/resnet20_{activation}_{seed}.pt"
                batch = []
                for place, condition in enumerate(conditions()):
                    severity = condition.severity or 0
                    accuracy = 0.95 - 0.045 * severity - 0.001 * (number + place % 5) + rng.normal(0, 0.004)
                    wrong = rng.random(images) > accuracy
                    predicted = np.where(wrong, (labels + rng.integers(1, 10, images)) % 10, labels)
                    correct = int((~wrong).sum())
                    batch.append(
                        Cell(
                            network=NetworkRecord(
                                checkpoint=name,
                                sha256=hashlib.sha256(name.encode()).hexdigest(),
                                architecture="resnet20",
                                activation=activation,
                                activation_level=entry.level,
                                alpha=1e-5 if entry.level == "layer" else None,
                                normalization="cifar10",
                                training_seed=seed,
                            ),
                            pass_=Pass(condition, None if condition == CLEAN else 0),
                            correct=correct,
                            correct_top5=min(images, correct + 300),
                            total=images,
                            nll_sum=float(images - correct),
                            seconds=1.0,
                            predictions=pack_classes(predicted),
                            calibration=calibration.pack(calibration.sums_by_bin(rng.random(images), ~wrong)),
                        )
                    )
                cells += store.add(setting, batch, labels=pack_classes(labels))
    return cells


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "results.sqlite"
    assert fill(path) == 30 * 10 * 96
    return path


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["--detail=severity"], ["--metric=ece"], ["--by=checkpoint", "--detail=group"]])
def test_comparing_the_papers_study(benchmark, told, study: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-c", "from robustbench_la.cli import main; main()", "compare", f"--store={study}", *arguments]

    def compare() -> float:
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began

    seconds = benchmark.pedantic(compare, rounds=1)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    told.append(
        f"compare {' '.join(arguments)}, 28,800 cells: {seconds:.1f} s (aim: <= 5), {memory:.0f} MB at most (aim: <= 500); "
        f"file {study.stat().st_size / 1e6:.0f} MB (aim: < 600)"
    )
