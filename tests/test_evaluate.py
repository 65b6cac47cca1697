"""Evaluation: the right numbers, and the same ones however they are asked for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from corruptions.apply import corrupt
from robustbench_la.errors import RunError, UserError
from robustbench_la.images import decoding
from robustbench_la.images.decoding import ImageChoice, Shape
from robustbench_la.images.normalization import NORMALIZATIONS, parse_normalization
from robustbench_la.measuring import provenance, session
from robustbench_la.measuring.accuracy import measure_cells
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.build import build
from robustbench_la.models.checkpoints.assemble import assemble_network
from robustbench_la.models.checkpoints.file import read_checkpoint, save_checkpoint
from robustbench_la.models.checkpoints.network import LoadOverrides
from robustbench_la.models.devices import batch_size_for, resolve
from robustbench_la.records.cells import Cell
from robustbench_la.records.packing import unpack_classes
from robustbench_la.records.plan_file import read_plan


def _network(path):
    """The network of a checkpoint that records all about itself."""
    return assemble_network(read_checkpoint(path), LoadOverrides(), Shape(classes=10, channels=1, height=8, width=8))


def cells(paths: list[Path], **flags: object) -> list[Cell]:
    plan = read_plan(None, {"checkpoints": [str(path) for path in paths], "device": "cpu", **flags})
    return list(measure_cells(session.prepare_evaluation(plan)))


def counts(measured: list[Cell]) -> list[tuple]:
    return [(c.network.checkpoint, c.condition, c.correct, c.correct_top5, c.total, c.predictions) for c in measured]


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four resnets with random weights for digits: their answers lie close together, so that a last bit would show."""
    folder = tmp_path_factory.mktemp("four")
    paths = []
    for seed, activation in enumerate(["relu", "silu", "la_silu", "la_hardsilu"]):
        torch.manual_seed(seed)
        spec = NetworkSpec(architecture="resnet20", classes=10, channels=1, height=8, width=8)
        paths.append(folder / f"{activation}.pt")
        save_checkpoint(
            paths[-1],
            build(spec, activation),
            spec=spec,
            activation=activation,
            alpha=1e-5,
            normalization=NORMALIZATIONS["half"],
            data=ImageChoice("digits"),
            training={"seed": seed},
        )
    return paths


def test_the_batch_size_changes_no_answer(four: list[Path]) -> None:
    flags = {"noise": ["paper"], "severity": ["3"], "limit": 70}
    expected = counts(cells(four, batch_size=64, **flags))

    for size in (1, 7, 1000):
        assert counts(cells(four, batch_size=size, **flags)) == expected, size


def test_trained_networks_have_the_same_numbers_for_every_batch_size(digits_pair: list[Path]) -> None:
    flags = {"noise": ["all"], "severity": ["5"], "limit": 70}
    measured = {size: cells(digits_pair, batch_size=size, **flags) for size in (1, 7, 64, 1000)}

    for size in (1, 7, 1000):
        assert counts(measured[size]) == counts(measured[64])
        for one, other in zip(measured[size], measured[64], strict=True):
            assert one.nll_sum == pytest.approx(other.nll_sum, rel=1e-6)


def test_a_subset_gets_the_answers_it_gets_in_the_whole(four: list[Path]) -> None:
    flags = {"noise": ["gaussian", "gaussian_blur"], "severity": ["4"]}
    part, whole = cells(four[:1], limit=200, **flags), cells(four[:1], **flags)
    ids = decoding.load(ImageChoice("digits"), limit=200).ids

    for few, all_ in zip(part, whole, strict=True):
        predictions = unpack_classes(all_.predictions)
        assert few.total == 200
        assert np.array_equal(unpack_classes(few.predictions), predictions[ids])


def test_a_checkpoint_alone_gets_the_numbers_it_gets_among_four(four: list[Path]) -> None:
    flags = {"noise": ["poisson"], "severity": ["1", "5"]}
    together = cells(four, **flags)

    for path in four:
        own = [cell for cell in together if cell.network.checkpoint == str(path)]
        alone = cells([path], **flags)
        assert counts(alone) == counts(own)
        assert [cell.nll_sum for cell in alone] == [cell.nll_sum for cell in own]


def test_threads_change_no_answer(four: list[Path]) -> None:
    flags = {"noise": ["gaussian"], "severity": ["5"], "limit": 150}
    before = torch.get_num_threads()
    try:
        measured = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            measured.append(counts(cells(four, **flags)))
    finally:
        torch.set_num_threads(before)

    assert measured[0] == measured[1]


def test_every_number_is_that_of_a_plain_loop(digits_pair: list[Path]) -> None:
    """Image by image, in float64, with the formulas written out."""
    measured = cells(digits_pair[:1], noise=["gaussian_noise=0.3"])
    network = _network(digits_pair[0])
    model = network.model.double()
    images = decoding.load(ImageChoice("digits"))
    for cell, level in zip(measured, (None, 0.3), strict=True):
        correct, top5, nll = 0, 0, 0.0
        for pixels, label, index in zip(images.images, images.labels, images.ids, strict=True):
            image = torch.from_numpy(pixels)[None]
            if level is not None:
                image = corrupt(image, "gaussian_noise", level, ids=torch.tensor([index]), seed=0)
            with torch.no_grad():
                logits = model((image.double() / 255 - 0.5) / 0.5)[0].numpy()
            shares = np.exp(logits) / np.exp(logits).sum()
            correct += int(logits.argmax() == label)
            top5 += int(label in np.argsort(logits)[-5:])
            nll -= float(np.log(shares[label]))

        assert (cell.correct, cell.correct_top5, cell.total) == (correct, top5, 500)
        assert cell.nll_sum == pytest.approx(nll, rel=1e-5)


def test_noise_seeds_differ_and_repeat(digits_pair: list[Path]) -> None:
    flags = {"noise": ["gaussian_noise=0.5"]}

    assert counts(cells(digits_pair, noise_seed=1, **flags)) == counts(cells(digits_pair, noise_seed=1, **flags))
    assert counts(cells(digits_pair, noise_seed=1, **flags)) != counts(cells(digits_pair, noise_seed=2, **flags))


def test_top5_needs_ten_classes(tmp_path: Path) -> None:
    spec = NetworkSpec(architecture="mlp", classes=3, channels=1, height=4, width=4)
    rng = np.random.default_rng(0)
    from PIL import Image

    for name in "abc":
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (4, 4), dtype=np.uint8)).save(tmp_path / "images" / name / "0.png")
    save_checkpoint(
        tmp_path / "m.pt",
        build(spec, "relu"),
        spec=spec,
        activation="relu",
        alpha=1e-5,
        normalization=NORMALIZATIONS["none"],
        data=ImageChoice(f"folder:{tmp_path / 'images'}"),
        training={},
    )

    assert [cell.correct_top5 for cell in cells([tmp_path / "m.pt"], noise=["gaussian"], severity=["1"])] == [None, None]


def test_a_network_with_outputs_that_are_not_finite_is_refused(four: list[Path]) -> None:
    evaluation = session.prepare_evaluation(read_plan(None, {"checkpoints": [str(four[0])]}))
    with torch.no_grad():
        evaluation.networks[0].model.linear.bias[3] = 3e38
        evaluation.networks[0].model.linear.weight[3] = 3e38

    with pytest.raises(RunError, match="NaN or infinite outputs"):
        list(measure_cells(evaluation))


def test_a_network_that_gives_no_logits_is_refused(four: list[Path]) -> None:
    class Pair(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, x

    evaluation = session.prepare_evaluation(read_plan(None, {"checkpoints": [str(four[0])]}))
    broken = dataclasses.replace(evaluation.networks[0], model=Pair())

    with pytest.raises(UserError, match=r"returned tuple with tensors of shape .*, not logits"):
        list(measure_cells(dataclasses.replace(evaluation, networks=(broken,))))


def test_bfloat16_answers_nearly_the_same(digits_pair: list[Path]) -> None:
    exact, rough = (
        cells(digits_pair, noise=["gaussian"], severity=["1"]),
        cells(digits_pair, noise=["gaussian"], severity=["1"], amp=True),
    )

    for one, other in zip(exact, rough, strict=True):
        assert abs(one.correct - other.correct) <= 15


def test_checkpoints_trained_on_different_data_need_data_to_be_said(four: list[Path], tmp_path: Path) -> None:
    network = _network(four[0])
    save_checkpoint(
        tmp_path / "other.pt",
        network.model,
        spec=network.spec,
        activation="relu",
        alpha=1e-5,
        normalization=network.normalization,
        data=ImageChoice("mnist:somewhere"),
        training={},
    )

    with pytest.raises(UserError, match="trained on different data"):
        session.prepare_evaluation(read_plan(None, {"checkpoints": [str(four[0]), str(tmp_path / "other.pt")]}))


def test_the_provenance_tells_where_numbers_come_from(four: list[Path]) -> None:
    import datetime

    evaluation = session.prepare_evaluation(read_plan(None, {"checkpoints": [str(four[0])], "limit": 50, "noise_seed": 9}))
    shared = provenance.setting(evaluation, started=datetime.datetime.now(datetime.UTC))
    told = dataclasses.asdict(provenance.collect(evaluation, shared, wall_time_s=1.0))

    assert json.loads(json.dumps(told)) == told
    assert told["seed"] == 9
    assert told["dataset"]["images"] == 50
    assert told["dataset"]["total"] == 500
    assert told["dataset"]["partial"] is True
    assert len(told["dataset"]["fingerprint"]) == 64
    assert len(told["checkpoints"][str(four[0])]["sha256"]) == 64


@pytest.mark.parametrize("name", ["none", "half", "mnist", "cifar10", "cifar100", "imagenet", "0.1,0.2,0.3/0.4,0.5,0.6"])
def test_normalization_is_torchvisions(name: str) -> None:
    from torchvision.transforms import functional

    normalization = parse_normalization(name)
    images = torch.randint(0, 256, (4, 3, 5, 6), dtype=torch.uint8)
    mean, std = (list(values) * (3 // len(values)) for values in (normalization.mean, normalization.std))
    expected = torch.stack([functional.normalize(image.float() / 255, mean, std) for image in images])

    assert torch.equal(normalization.apply(images), expected)


def test_devices_that_are_not_there_are_refused() -> None:
    assert resolve("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="unknown device 'gpu'"):
        resolve("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(RunError, match="no CUDA device") as caught:
            resolve("cuda:1")
        assert caught.value.exit_code == 3  # could not run here
    assert batch_size_for(torch.device("cpu"), 32 * 32) == 64


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_answers_nearly_the_same(digits_pair: list[Path]) -> None:
    flags = {"noise": ["paper"], "severity": ["3"]}

    for one, other in zip(cells(digits_pair, **flags), cells(digits_pair, **{**flags, "device": "cuda"}), strict=True):
        assert abs(one.correct - other.correct) <= 2
