"""Measuring what a store lacks: kept at once, measured once, continued after an interruption; from files and from memory."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from robustbench_la.measuring import accuracy, for_gate
from robustbench_la.measuring.layer_options import FluctuationOptions
from robustbench_la.measuring.quantities import Accuracy, Fluctuation, Quantity
from robustbench_la.measuring.resume import Interrupted, Results, measure_missing
from robustbench_la.measuring.session import Evaluation, evaluation_of, prepare_evaluation
from robustbench_la.records.plan import EvaluationPlan
from robustbench_la.records.plan_file import read_plan

QUANTITIES = {
    "accuracy": Accuracy(),
    "fluctuation": Fluctuation(),
    "fluctuation alone": Fluctuation(options=FluctuationOptions(only="fluctuation")),
}


@pytest.fixture
def evaluation(digits_pair: list[Path]) -> Evaluation:
    """Two networks, two noises, two noise seeds."""
    flags = {"noise": ["gaussian=0.2", "blur=1"], "limit": 60, "noise_seeds": 2, "device": "cpu"}
    return prepare_evaluation(read_plan(None, {"checkpoints": [str(path) for path in digits_pair], **flags}))


def without_time(records: tuple[object, ...]) -> list[object]:
    """Comparable records: how long it took is not what was measured, and arrays are bytes."""

    def plain(value: object) -> object:
        if isinstance(value, np.ndarray):
            return value.tobytes()
        if dataclasses.is_dataclass(value):
            pairs = [(entry.name, getattr(value, entry.name)) for entry in dataclasses.fields(value)]
            return [(name, plain(part)) for name, part in pairs if name not in ("seconds", "predictions")]
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        return [plain(part) for part in value] if isinstance(value, (tuple, list)) else value

    return [plain(record) for record in records]


@pytest.fixture(params=QUANTITIES, name="quantity")
def _quantity(request: pytest.FixtureRequest) -> Quantity:
    return QUANTITIES[request.param]


def test_what_a_store_holds_is_not_measured_again(evaluation: Evaluation, quantity: Quantity, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    runs: list[Results] = [
        measure_missing(evaluation, quantity, store=store, on_found=lambda *counts: told.append(counts))
        for store in (None, tmp_path / "a.sqlite", tmp_path / "a.sqlite")
    ]
    wanted = runs[0].wanted

    assert told == [(0, wanted), (0, wanted), (wanted, wanted)]
    assert [(run.measured, run.from_store) for run in runs] == [(wanted, 0), (wanted, 0), (0, wanted)]
    assert without_time(runs[1].records) == without_time(runs[0].records)
    assert without_time(runs[2].records) == without_time(runs[0].records)


def test_an_interrupted_run_keeps_what_is_finished_and_goes_on(
    evaluation: Evaluation, quantity: Quantity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, kind = tmp_path / "a.sqlite", type(quantity)
    whole = measure_missing(evaluation, quantity)
    real = kind.measure

    def stopped(self: Quantity, *arguments: object) -> Iterator[object]:
        yield from itertools.islice(real(self, *arguments), 3)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kind, "measure", stopped)
        with pytest.raises(Interrupted) as caught:
            measure_missing(evaluation, quantity, store=store)
    rest = measure_missing(evaluation, quantity, store=store)

    assert caught.value.results.measured == 3
    assert (rest.from_store, rest.measured) == (3, whole.wanted - 3)
    assert [quantity.key(record) for record in rest.records] == [quantity.key(record) for record in whole.records]
    assert without_time(rest.records[:3]) == without_time(whole.records[:3])
    if isinstance(quantity, Accuracy):
        assert without_time(rest.records) == without_time(whole.records)
        return
    # Conditions that share a clean pass share batches too, whose sizes move the last bits of means.
    for one, other in zip(rest.records, whole.records, strict=True):
        for left, right in zip(one.layers, other.layers, strict=True):
            assert left.statistics == pytest.approx(right.statistics, rel=1e-9)


def test_fresh_measures_everything_again(evaluation: Evaluation, quantity: Quantity, tmp_path: Path) -> None:
    first = measure_missing(evaluation, quantity, store=tmp_path / "a.sqlite")
    again = measure_missing(evaluation, quantity, store=tmp_path / "a.sqlite", fresh=True)

    assert (again.measured, again.from_store) == (first.wanted, 0)


def test_networks_and_images_in_memory_are_evaluated_like_files(evaluation: Evaluation) -> None:
    plan = EvaluationPlan(noise=["gaussian=0.2", "blur=1"], noise_seeds=2, device="cpu")
    in_memory = evaluation_of(evaluation.networks, evaluation.images, plan)

    assert in_memory == evaluation
    found, expected = (measure_missing(one, Accuracy()).records for one in (in_memory, evaluation))
    assert without_time(found) == without_time(expected)


def test_each_noise_seed_has_its_own_fluctuation(evaluation: Evaluation) -> None:
    both = measure_missing(evaluation, Fluctuation()).records
    second = measure_missing(dataclasses.replace(evaluation, seed=1, noise_seeds=1), Fluctuation()).records

    assert [one.layers[0].key.pass_.noise_seed for one in both] == [0, 0, 1, 1] * 2
    assert without_time((*both[2:4], *both[6:])) == without_time(second)


def test_activation_means_are_measured_because_a_store_does_not_hold_them(evaluation: Evaluation, tmp_path: Path) -> None:
    store = tmp_path / "a.sqlite"
    plain = measure_missing(evaluation, Fluctuation(), store=store)
    means = measure_missing(evaluation, Fluctuation(activation_means=True), store=store)

    assert all(one.activation_means == () for one in plain.records)
    assert means.measured == means.wanted
    assert all(len(one.activation_means) == len(one.layers) for one in means.records)


def test_a_snapshot_takes_from_a_store_what_is_there(
    digits_pair: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = read_plan(None, {"checkpoints": [str(digits_pair[0])], "noise": ["gaussian=0.2"], "limit": 60})
    one = for_gate.prepared(prepare_evaluation(plan))
    measured = for_gate.measure_snapshot(one, fluctuation=True, said={}, store=tmp_path / "a.sqlite")
    monkeypatch.setattr(accuracy, "_measure_pass", None)
    read = for_gate.measure_snapshot(one, fluctuation=True, said={}, store=tmp_path / "a.sqlite")

    assert without_time(read.fluctuations) == without_time(measured.fluctuations)
    for left, right in zip(read.answers, measured.answers, strict=True):
        assert left.pass_ == right.pass_
        assert np.array_equal(left.predictions, right.predictions)
