"""Made-up answers of networks in a store, for tests of what is compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from robustbench_la.analysis.comparison.comparison import compare
from robustbench_la.analysis.comparison.request import Request
from robustbench_la.analysis.tables.table import Estimate, Table
from robustbench_la.records import calibration
from robustbench_la.records.cells import CLEAN, Cell, Condition, Pass, RunSetting
from robustbench_la.records.networks import NetworkRecord
from robustbench_la.records.packing import pack_classes
from robustbench_la.store.schema import Selection
from robustbench_la.store.store import Store

IMAGES = 200
SEEDS = (11, 22, 33, 44, 55, 66)
LABELS = np.random.default_rng(1).integers(0, 10, IMAGES)
BONUS = {"la_silu": 0.06, "silu": 0.0, "relu": 0.02, "la_hardsilu": 0.01}


def setting(**changes: object) -> RunSetting:
    plain: dict[str, object] = {
        "data": "mnist:data", "fingerprint": "f" * 64, "images": IMAGES, "dataset_images": IMAGES, "resize": None, "crop": None,
        "device": "cpu", "precision": "float32", "batch_size": 64, "threads": 1, "started": "2026-01-02T03:04:05+00:00",
        "versions": {}, "host": "here", "commit": None, "dirty": None,
    }  # fmt: skip
    return RunSetting(**{**plain, **changes})  # type: ignore[arg-type]


def noise(name: str, severity: int) -> Condition:
    return Condition(corruption=name, severity=severity, parameters=(0.1 * severity,), profile="cifar-c")


def fill(
    path: Path,
    conditions: Sequence[Condition],
    *,
    activations: Sequence[str] = ("la_silu", "silu", "relu"),
    seeds: Sequence[int | None] = SEEDS,
    noise_seeds: Sequence[int] = (0,),
    name: str = "runs/{activation}-{seed}.pt",
    architecture: str = "mlp",
    left_out: Callable[[str, int | None, Condition], bool] = lambda *_: False,
    properties: Callable[[str, int | None], dict[str, object]] = lambda *_: {},
    **changes: object,
) -> dict[tuple[str, int | None, Condition, int | None], np.ndarray]:
    """Put answers into a store, and give them: right or wrong of each image."""
    rng = np.random.default_rng(7)
    answers: dict[tuple[str, int | None, Condition, int | None], np.ndarray] = {}
    with Store(path) as store:
        for activation in activations:
            for seed in seeds:
                checkpoint = name.format(activation=activation, seed=seed)
                cells = []
                for condition in conditions:
                    for draw in (None,) if condition == CLEAN else noise_seeds:
                        share = 0.9 - 0.06 * (condition.severity or 0) + BONUS[activation]
                        right = rng.random(IMAGES) < share + rng.normal(0, 0.01)
                        if left_out(activation, seed, condition):
                            continue
                        answers[activation, seed, condition, draw] = right
                        cells.append(
                            Cell(
                                network=NetworkRecord(
                                    checkpoint=checkpoint,
                                    sha256=hashlib.sha256(checkpoint.encode()).hexdigest(),
                                    architecture=architecture,
                                    activation=activation,
                                    activation_level="layer" if activation.startswith("la_") else "element",
                                    alpha=1e-5 if activation.startswith("la_") else None,
                                    normalization="half",
                                    training_seed=seed,
                                    **properties(activation, seed),  # type: ignore[arg-type]
                                ),
                                pass_=Pass(condition, draw),
                                correct=int(right.sum()),
                                correct_top5=int(right.sum()) + 3,
                                total=IMAGES,
                                nll_sum=float(IMAGES - right.sum()) * 1.5,
                                seconds=1.0,
                                predictions=pack_classes(np.where(right, LABELS, (LABELS + 1) % 10)),
                                calibration=calibration.pack(calibration.sums_by_bin(np.full(IMAGES, 0.8), right)),
                            )
                        )
                store.add(setting(**changes), cells, labels=pack_classes(LABELS))
    return answers


SMALL = (CLEAN, *(noise(name, severity) for name in ("gaussian_noise", "gaussian_blur") for severity in (1, 3)))


def tables(path: Path, request: Request | None = None, selection: Selection | None = None, published=()) -> list[Table]:
    with Store(path, reading=True) as store:
        labels = LABELS

        def answers(_group):
            return lambda stored: store.predictions(stored) == labels

        return compare(store.cells(selection or Selection()), request or Request(), answers, published)


def found(table: Table, label: str, column: str) -> Estimate:
    place = [entry.name for entry in table.columns].index(column)
    value = next(row.values[place] for row in table.rows if row.values[0] == label)
    assert isinstance(value, Estimate)
    return value
