"""The front door in Python: the promised snippet as written, the command's numbers, and networks left as they were."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import robustbench_la as la
from robustbench_la.cli import app
from robustbench_la.images.decoding import ImageChoice, Shape, load
from robustbench_la.images.normalization import NORMALIZATIONS
from robustbench_la.models.checkpoints.assemble import assemble_network
from robustbench_la.models.checkpoints.file import read_checkpoint
from robustbench_la.models.checkpoints.network import LoadOverrides
from robustbench_la.models.in_memory import code_sha256, weights_sha256

DIGITS = load_digits()
PIXELS = np.rint(DIGITS.images * (255 / 16)).astype(np.uint8)
GREY, LABELS = PIXELS[:200, None], DIGITS.target[:200]


def _network(path):
    """The network of a checkpoint that records all about itself."""
    return assemble_network(read_checkpoint(path), LoadOverrides(), Shape(classes=10, channels=1, height=8, width=8))


class Net(nn.Module):
    """As a user would write it."""

    def __init__(self, activation: type[nn.Module] = nn.ReLU, pixels: int = 64, classes: int = 10) -> None:
        super().__init__()
        self.hidden, self.act, self.output = nn.Linear(pixels, 32), activation(), nn.Linear(32, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.output(self.act(self.hidden(x.flatten(1))))
        return logits


def trained(net: Net, images: np.ndarray, labels: np.ndarray) -> Net:
    x, y = NORMALIZATIONS["cifar10"].apply(torch.from_numpy(images)), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(30):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


class Pictures(torch.utils.data.Dataset[tuple[PIL.Image.Image, int]]):
    """PIL images and labels, as torchvision's datasets give them without a transform."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[PIL.Image.Image, int]:
        return PIL.Image.fromarray(self.images[index]), int(self.labels[index])


def write_cifar10(root: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """The digits as 32x32 colour images, in the files that CIFAR-10 comes in."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    files = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    for name in files:
        (folder / name).write_bytes(pickle.dumps({"data": images.reshape(len(images), -1), "labels": labels.tolist()}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {number}" for number in range(10)]}))


SNIPPET = """
import robustbench_la as la
result = la.evaluate(model, "cifar10:data", noise=["gaussian", "gaussian_blur"], severity=range(1, 6), normalize="cifar10")
result
result.to_pandas(); result.to_json(); result.save("runs/results.sqlite")
la.evaluate({"relu": net_a, "la_silu": net_b}, (images_uint8, labels), noise="paper")
la.evaluate("runs/*.pt", my_torch_dataset)
moved = la.fluctuation(model, "cifar10:data", noise="gaussian", severity=3).to_pandas()
la.corrupt(images, "poisson", severity=3)
compared = la.compare("runs/results.sqlite", by="activation"); stored = la.open_store("runs/results.sqlite").to_pandas()
passed = la.check(model, baseline="robustness-baseline.json").passed
"""


def test_the_snippet_runs_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits_pair: list[Path]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("robustbench_la.images.cifar._is_published", lambda content, md5: True)
    colour = np.repeat(PIXELS[:60].repeat(4, 1).repeat(4, 2)[:, None], 3, axis=1)
    write_cifar10(tmp_path / "data", colour, LABELS[:60])
    (tmp_path / "runs").mkdir()
    for path in digits_pair:
        (tmp_path / "runs" / path.name).write_bytes(path.read_bytes())
    torch.manual_seed(0)
    model = trained(Net(nn.SiLU, pixels=3072), colour, LABELS[:60])
    _baseline_of(model, tmp_path)
    names: dict[str, Any] = {
        "model": model,
        "net_a": Net(nn.ReLU),
        "net_b": Net(la.LASiLU),
        "images_uint8": GREY,
        "labels": LABELS,
        "my_torch_dataset": Pictures(PIXELS[:200], LABELS),
        "images": GREY,
    }

    exec(SNIPPET, names)

    result, frame = names["result"], names["result"].to_pandas()
    assert len(result.cells) == len(frame) == 11
    assert frame.accuracy[0] > 0.9
    assert len(names["stored"]) == 11
    assert "silu" in repr(names["compared"])
    assert list(names["moved"]["layer"]) == ["act"]
    assert names["passed"] is True


def _baseline_of(model: nn.Module, folder: Path) -> None:
    """What ``larobust baseline`` would write of the network, by way of the library."""
    from robustbench_la.api.preparing import plan_of, prepared, sources
    from robustbench_la.gate.baseline import write_baseline
    from robustbench_la.measuring import for_gate
    from robustbench_la.progress import silent

    given = sources(model, f"cifar10:{folder / 'data'}")
    plan = plan_of(given, {"noise": ["gaussian"], "severity": 3, "normalize": "cifar10"})
    with prepared(given, plan, silent) as evaluation:
        measured = for_gate.measure_snapshot(for_gate.prepared(evaluation), fluctuation=True, said={})
        write_baseline(folder / "robustness-baseline.json", measured)


def counts(cells: Any) -> list[tuple[object, ...]]:
    return [(str(cell.condition), cell.network.activation, cell.correct, cell.correct_top5, cell.total) for cell in cells]


def test_the_numbers_are_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], digits_pair: list[Path]) -> None:
    app(["eval", *(f"--ckpt={path}" for path in digits_pair), "--data=digits", "--no-store", "--json"], standalone_mode=False)
    printed = json.loads(capsys.readouterr().out)
    command = [
        (row["corruption"], row["severity"], row["activation"], row["correct"], row["correct_top5"], row["nll_sum"])
        for row in printed["cells"]
    ]

    by_path = la.evaluate(list(map(str, digits_pair)), progress=False)
    networks = {path.stem: _network(path) for path in digits_pair}
    normalization = str(next(iter(networks.values())).normalization)
    models = {name: network.model.train() for name, network in networks.items()}
    in_memory = la.evaluate(models, "digits", normalize=normalization, progress=False)
    digits = load(ImageChoice("digits"))
    as_arrays = la.evaluate(models, (digits.images, digits.labels), normalize=normalization, progress=False)
    as_nhwc = la.evaluate(models, (digits.images.transpose(0, 2, 3, 1), digits.labels), normalize=normalization, progress=False)

    for result in (by_path, in_memory, as_arrays, as_nhwc):
        rows = [
            (
                cell.condition.corruption,
                cell.condition.severity,
                cell.network.activation,
                cell.correct,
                cell.correct_top5,
                cell.nll_sum,
            )
            for cell in result.cells
        ]
        assert rows == command
    assert by_path.setting.fingerprint == as_arrays.setting.fingerprint
    assert in_memory.cells[0].network.alpha == by_path.cells[0].network.alpha
    assert in_memory.cells[0].network.architecture == "cnn"
    assert all(model.training for model in models.values())
    document = json.loads(by_path.to_json())
    assert [{**row, "seconds": 0} for row in document["cells"]] == [{**row, "seconds": 0} for row in printed["cells"]]


def test_fluctuation_is_the_commands(capsys: pytest.CaptureFixture[str], digits_pair: list[Path]) -> None:
    ckpt = [f"--ckpt={path}" for path in digits_pair]
    app(["fluctuation", *ckpt, "--noise=gaussian", "--severity=3", "--no-store", "--json"], standalone_mode=False)
    printed = json.loads(capsys.readouterr().out)

    networks = [_network(path) for path in digits_pair]
    models = {network.activation: network.model for network in networks}
    result = la.fluctuation(
        models, "digits", noise="gaussian", severity=3, normalize=str(networks[0].normalization), progress=False
    )

    document = json.loads(result.to_json())
    wanted = ("layer", "function", "activation", "relative_mean", "bound_mean", "saturation_noisy", "fluctuation_q95")
    assert [[row[name] for name in wanted] for row in document["layers"]] == [
        [row[name] for name in wanted] for row in printed["layers"]
    ]
    assert document["comparisons"] == printed["comparisons"]
    assert len(result.to_pandas()) == len(printed["layers"])


def test_networks_are_left_as_they_were() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 10))
    net[1].eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    strides = [parameter.stride() for parameter in net.parameters()]
    memory = [parameter.data_ptr() for parameter in net.parameters()]

    la.evaluate(net, (GREY, LABELS), noise="gaussian", severity=3, normalize="none")

    assert [module.training for module in net] == [True, False, True, True, True, True]
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert [parameter.stride() for parameter in net.parameters()] == strides
    assert [parameter.data_ptr() for parameter in net.parameters()] == memory
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())
    nn.functional.cross_entropy(net(torch.from_numpy(GREY).float()), torch.from_numpy(LABELS)).backward()


def test_networks_are_left_as_they_were_after_an_error() -> None:
    class Fails(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no")

    net = Fails()
    with pytest.raises(la.UserError, match=r"Fails fails on images of 8x8 px with 1 channel: RuntimeError: no"):
        la.evaluate(net, (GREY, LABELS))
    assert net.training


class Counting(Net):
    """Counts its forward passes in a buffer, in place."""

    def __init__(self, act: type[nn.Module]) -> None:
        super().__init__(act)
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        return super().forward(x)


def test_buffers_that_a_forward_pass_changes_are_restored() -> None:
    net = Counting(nn.ReLU)
    buffer = net.passes

    la.evaluate(net, (GREY, LABELS), noise="clean")
    assert net.passes is buffer
    assert net.passes.item() == 0


def test_a_network_whose_weights_are_still_to_come_is_refused() -> None:
    lazy = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))

    with pytest.raises(la.UserError, match=r"Sequential cannot be measured yet: its LazyLinear '1' has no weights before its"):
        la.evaluate(lazy, (GREY, LABELS))
    lazy(torch.zeros(2, 1, 8, 8))
    assert la.evaluate(lazy, (GREY, LABELS), noise="clean").cells


def test_an_alpha_that_no_network_uses_is_refused() -> None:
    with pytest.raises(la.UserError, match=r"layeract_alpha= is 0.1, but no network has a LayerAct \(silu\); omit it"):
        la.evaluate(Net(nn.SiLU), (GREY, LABELS), layeract_alpha=0.1)


def test_a_label_of_several_activations_is_accepted() -> None:
    mixed = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), la.LASiLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 10))

    (cell,) = la.evaluate(mixed, (GREY, LABELS), noise="clean", activation="la_silu+relu").cells
    assert cell.network.activation == "la_silu+relu"
    with pytest.raises(la.UserError, match=r"unknown activation 'rulu'"):
        la.evaluate(mixed, (GREY, LABELS), noise="clean", activation="la_silu+rulu")


def test_only_results_of_the_networks_at_hand_are_read_from_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from robustbench_la.store.reading import Reader

    torch.manual_seed(1)
    store, mine, others = tmp_path / "results.sqlite", Net(nn.ReLU), [Net(nn.ReLU) for _ in range(3)]
    la.evaluate([mine, *others], (GREY, LABELS), noise="gaussian", severity=1, store=store)
    la.fluctuation([mine, *others], (GREY, LABELS), noise="gaussian", severity=1, store=store)
    read: list[str] = []

    def spied(method: Any) -> Any:
        def reading(self: Reader, *args: Any, **kwargs: Any) -> Any:
            for row in method(self, *args, **kwargs):
                record = row.cell if hasattr(row, "cell") else row[2]
                read.append(record.network.sha256)
                yield row

        return reading

    monkeypatch.setattr(Reader, "cells", spied(Reader.cells))
    monkeypatch.setattr(Reader, "layers", spied(Reader.layers))
    la.evaluate(mine, (GREY, LABELS), noise="gaussian", severity=1, store=store)
    la.fluctuation(mine, (GREY, LABELS), noise="gaussian", severity=1, store=store)

    assert {*read} == {weights_sha256(mine)}
    assert len(read) == 4


def test_a_network_is_known_by_its_weights_and_its_code() -> None:
    torch.manual_seed(0)
    one, other = Net(nn.ReLU), Net(nn.ReLU)
    copied, layer = Net(nn.ReLU), Net(la.LASiLU)
    copied.load_state_dict(one.state_dict())
    layer.load_state_dict(one.state_dict())

    assert weights_sha256(one) == weights_sha256(copied) != weights_sha256(other)
    assert weights_sha256(layer) == weights_sha256(one) or weights_sha256(layer) != weights_sha256(other)
    assert code_sha256(one) == code_sha256(layer) != code_sha256(nn.Sequential(nn.Linear(2, 2)))
    assert weights_sha256(torch.compile(one)) == weights_sha256(one)  # type: ignore[arg-type]
    copied.hidden.weight.data[0, 0] += 1
    assert weights_sha256(copied) != weights_sha256(one)


class Scaled(Net):
    """Holds a number that is neither a weight nor seen in its representation."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x * self.factor)


def test_a_plain_number_of_a_module_tells_networks_apart() -> None:
    one, other = Scaled(1.0), Scaled(2.0)
    other.load_state_dict(one.state_dict())

    assert weights_sha256(one) != weights_sha256(other)
    assert code_sha256(one) == code_sha256(other)


class Functional(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.output(nn.functional.gelu(self.hidden(x.flatten(1))))
        return logits


@pytest.mark.parametrize(
    ("model", "label"),
    [
        (Net(nn.SiLU), "silu"),
        (Net(la.LASiLU), "la_silu"),
        (Net(nn.ReLU6), "relu"),
        (Net(nn.Tanh), "tanh"),
        (Net(nn.Identity), "none"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.GELU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 10)), "relu+gelu"),
        ({"mish": Net(nn.Identity)}, "mish"),
    ],
)
def test_the_activation_is_found(model: Any, label: str) -> None:
    result = la.evaluate(model, (GREY, LABELS), noise="gaussian", severity=1, normalize="none")

    assert {cell.network.activation for cell in result.cells} == {label}
    assert "gaussian" in repr(result)
    assert result.to_markdown()
    assert result.plot().axes


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_torchscript_is_measured_under_the_name_of_its_key() -> None:
    traced = torch.jit.trace(Net(nn.ELU), torch.zeros(1, 1, 8, 8))

    result = la.evaluate({"elu": traced}, (GREY, LABELS), noise="clean")

    assert [cell.network.activation for cell in result.cells] == ["elu"]


def test_functional_activations_are_found() -> None:
    model = Functional(nn.Identity)
    model.act = nn.Identity()

    assert la.evaluate(model, (GREY, LABELS), noise="clean", normalize="none").cells[0].network.activation == "gelu"


def test_activations_that_are_not_in_the_table_are_shown_and_compared(tmp_path: Path) -> None:
    networks = {"t": Net(nn.Tanh), "la_silu": Net(la.LASiLU), "silu": Net(nn.SiLU)}

    result = la.evaluate(networks, (GREY, LABELS), noise="gaussian", store=tmp_path / "results.sqlite")
    moved = la.fluctuation(networks, (GREY, LABELS), noise="gaussian", severity=3)

    assert {cell.network.code for cell in result.cells} == {result.cells[0].network.code}
    assert "tanh" in repr(moved)
    assert len(la.compare(tmp_path / "results.sqlite").tables()) == 1
    assert result.plot("groups").axes
    assert moved.plot().axes


def test_a_name_that_is_not_the_networks_activation_is_said_and_no_label() -> None:
    result = la.evaluate({"relu": Net(nn.SiLU)}, (GREY, LABELS), noise="clean")

    assert result.cells[0].network.activation == "silu"
    assert "its name is relu, but the activation it calls is silu, which is its label" in repr(result)
    assert "no normalize= given" in repr(result)


def test_results_show_themselves(tmp_path: Path) -> None:
    result = la.evaluate({"<b>net</b>": Net(nn.SiLU), "la_silu": Net(la.LASiLU)}, (GREY, LABELS), noise="gaussian", severity=3)

    html = result._repr_html_()
    assert 'class="larobust"' in html
    assert "<b>net</b>" not in html
    assert "&lt;b&gt;net" in html
    assert result.to_latex()
    assert result.plot().axes
    assert result.save(tmp_path / "results.sqlite") == 4
    assert result.save(tmp_path / "results.sqlite") == 0
    comparison = la.compare(tmp_path / "results.sqlite", by="checkpoint")
    assert 'class="larobust"' in comparison._repr_html_()
    assert json.loads(comparison.to_json())["tables"]
    assert {"value", "row", "column"} <= set(comparison.to_pandas().columns)
    view = la.open_store(tmp_path / "results.sqlite", noise="clean")
    assert repr(view).endswith("2 cells of 2 networks")
    assert list(view.to_pandas()["corruption"]) == ["clean", "clean"]


def test_what_a_store_holds_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, store = Net(nn.SiLU), tmp_path / "results.sqlite"
    first = la.evaluate(net, (GREY, LABELS), noise="gaussian", severity=3, store=store)
    monkeypatch.setattr(nn.Linear, "forward", _linear_of_few)

    second = la.evaluate(net, (GREY, LABELS), noise="gaussian", severity=3, store=store)

    assert counts(second.cells) == counts(first.cells)
    assert [cell.predictions for cell in second.cells] == [cell.predictions for cell in first.cells]
    with pytest.raises(la.UserError, match="too many"):
        la.evaluate(net, (GREY, LABELS), noise="gaussian", severity=4, store=store)


def _linear_of_few(self: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    if len(x) > 16:  # more than in the trial
        raise la.UserError("too many images")
    return nn.functional.linear(x, self.weight, self.bias)


def test_a_torch_dataset_gives_what_arrays_give() -> None:
    net = Net(nn.SiLU)
    pictures = Pictures(PIXELS[:200], LABELS)

    class Tensors(Pictures):
        def __getitem__(self, index: int) -> Any:
            return torch.from_numpy(self.images[index][None]), torch.tensor(self.labels[index])

    arrays = la.evaluate(net, (GREY, LABELS), noise="gaussian", limit=50)
    for data in (pictures, Tensors(PIXELS[:200], LABELS), torch.utils.data.Subset(pictures, list(range(200)))):
        result = la.evaluate(net, data, noise="gaussian", limit=50)
        assert counts(result.cells) == counts(arrays.cells)
        assert result.setting.fingerprint == arrays.setting.fingerprint
    assert result.setting.data == "Subset"
    resized = la.evaluate(Net(nn.SiLU, pixels=36), pictures, noise="gaussian", resize=7, crop=6)
    assert (resized.setting.resize, resized.setting.crop) == (7, 6)


def test_more_classes_than_the_labels_show() -> None:
    result = la.evaluate(Net(nn.SiLU, classes=37), (GREY, LABELS), noise="clean")

    assert result.provenance.dataset["classes"] == 37


class Unscaled(Pictures):
    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.images[index][None]) / 255, 0


@pytest.mark.parametrize(
    ("model", "data", "options", "message"),
    [
        (Net(), None, {}, r"a network in memory does not record what data it is for"),
        (Net(), (GREY, LABELS[:3]), {}, r"200 images, but 3 labels"),
        (Net(), (GREY / 255, LABELS), {}, r"8-bit .* not float64; give them unscaled, with normalize="),
        (Net(), (GREY, LABELS / 2), {}, r"labels must be whole numbers"),
        (Net(), (GREY, LABELS - 1), {}, r"labels must go from 0"),
        (Net(), (GREY,), {}, r"\(images, labels\), not 1 items"),
        (Net(), (GREY[0], LABELS), {}, r"200 labels"),
        (Net(), Unscaled(PIXELS, DIGITS.target), {}, r"remove ToTensor and Normalize"),
        (Net(), torch.utils.data.DataLoader(Pictures(PIXELS, LABELS)), {}, r"give loader.dataset"),
        (Net(), 3, {}, r"not int"),
        (Net(classes=3), (GREY, LABELS), {}, r"Net has 3 classes, but the data in memory has 10"),
        (Net(pixels=50), (GREY, LABELS), {}, r"Net fails on images of 8x8 px with 1 channel: RuntimeError: mat1 and mat2"),
        (Net().half(), (GREY, LABELS), {}, r"call .float\(\) first"),
        (lambda x: x, (GREY, LABELS), {}, r"model must be a torch.nn.Module, a path, or several of them, not function"),
        ([], (GREY, LABELS), {}, r"no model given"),
        ("none/*.pt", (GREY, LABELS), {}, r"no checkpoint matches"),
        (Net(), (GREY, LABELS), {"arch": "mlp"}, r"arch= is for checkpoint files"),
        (Net(), (GREY, LABELS), {"noise": "gausian"}, r"did you mean gaussian"),
        (Net(), (GREY, LABELS), {"noise": []}, r'noise="clean"'),
        (Net(), (GREY, LABELS), {"severity": [3, 6]}, r"from 1 to 5"),
        (Net(), (GREY, LABELS), {"normalize": "cifar10"}, r"is for 3 channels, but the images have 1"),
        (Net(), (GREY, LABELS), {"normalize": 3}, r"normalize= must be a name"),
        (Net(), (GREY, LABELS), {"activation": "rleu"}, r"did you mean relu"),
        (Net(), "nowhere:data", {}, r"unknown dataset"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(model: Any, data: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        la.evaluate(model, data, **options)
    assert isinstance(caught.value, la.UserError)
    assert "\n" not in str(caught.value)
    assert "--" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("digits", {"data_name": "mine"}, "data_name= is for images in memory"),
        ("digits", {"layout": "NCHW"}, "layout= is for images in memory"),
        ((GREY, LABELS), {"download": True}, "download= is for a named dataset"),
        ((GREY, np.zeros_like(LABELS)), {}, "single class"),
    ],
)
def test_what_would_have_no_effect_on_the_data_is_refused(data: Any, options: dict[str, Any], message: str) -> None:
    for function in (la.evaluate, la.fluctuation):
        with pytest.raises(ValueError, match=message):
            function(nn.Sequential(nn.Flatten(), nn.Linear(64, 1)), data, **options)


def test_a_misspelt_parameter_is_suggested_and_images_are_in_memory() -> None:
    with pytest.raises(TypeError, match="'noises'; did you mean noise"):
        la.evaluate(Net(), (GREY, LABELS), noises="gaussian")  # type: ignore[call-arg]
    assert "images in memory" in la.evaluate(Net(), (GREY, LABELS), noise="clean").about


def test_fluctuation_says_what_would_do_nothing() -> None:
    for options, message in (
        ({"noise": "clean"}, "fluctuation needs noise"),
        ({"inject": "gaussian=0.1", "severity": 3}, "replaces noise="),
        ({"only": "everything"}, "only="),
        ({"only": "fluctuation", "threshold": 0.1}, "would have no effect"),
        ({"threshold": 2}, "between 0 and 1"),
    ):
        with pytest.raises(ValueError, match=message):
            la.fluctuation(Net(), (GREY, LABELS), **options)  # type: ignore[arg-type]
    injected = la.fluctuation(Net(nn.SiLU), (GREY, LABELS), inject="gaussian=0.1")
    assert [layer.condition.corruption for layer in injected.networks[0].layers] == ["inject:gaussian"]
    assert la.fluctuation(Net(nn.SiLU), (GREY, LABELS), only="fluctuation", severity=3).plot("distribution").axes


def test_check_of_a_worse_network_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("robustbench_la.images.cifar._is_published", lambda content, md5: True)
    colour = np.repeat(PIXELS[:200].repeat(4, 1).repeat(4, 2)[:, None], 3, axis=1)
    write_cifar10(tmp_path / "data", colour, LABELS)
    torch.manual_seed(0)
    good, bad = trained(Net(nn.SiLU, pixels=3072), colour, LABELS), Net(nn.SiLU, pixels=3072)
    _baseline_of(good, tmp_path)

    verdict = la.check(bad, (colour, LABELS), max_drop={"clean": 0.5})

    assert not verdict.passed
    assert la.check(bad, (colour, LABELS), max_drop=1e-5).verdict.rules.drop == Fraction(1, 100_000)
    assert repr(verdict).startswith("REGRESSION")
    assert {one.name for one in verdict.failing} >= {"clean", "gaussian_noise 3"}
    assert json.loads(verdict.to_json())["verdict"] == "regression"
    assert "outcome" in verdict.to_pandas().columns
    assert la.check(good, noise="gaussian", severity=3).passed
    with pytest.raises(la.NotComparableError, match="fingerprint"):
        la.check(bad, (colour[::-1], LABELS))
    with pytest.raises(la.NotComparableError, match=r"other\.json: there is no baseline; .* --ckpt model\.pt"):
        la.check(bad, baseline="other.json")


def test_to_pandas_without_pandas_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(la.UserError, match=r"pip install 'larobust\[pandas\]'"):
        la.evaluate(Net(), (GREY, LABELS), noise="clean").to_pandas()


def test_importing_is_quick_and_loads_no_torch() -> None:
    program = (
        "import time; began = time.process_time(); import robustbench_la as la; seconds = time.process_time() - began\n"
        "import sys; heavy = {'torch', 'numpy', 'scipy', 'rich', 'pydantic', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert set(la.__all__) == set(dir(la))\n"
        "la.UserError; la.open_store; la.compare; assert 'torch' not in sys.modules\n"
        "print(seconds)"
    )
    taken = [float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout) for _ in range(3)]

    assert min(taken) <= 0.1


def test_every_public_name_is_there_and_documented() -> None:
    for name in la.__all__:
        assert getattr(la, name) is not None
        if callable(getattr(la, name)):
            assert getattr(la, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        la.evaluat  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("function", ["evaluate", "fluctuation", "check", "compare", "open_store"])
def test_a_misspelt_keyword_is_a_type_error_that_suggests_the_right_one(function: str) -> None:
    misspelt = {"compare": "activations", "open_store": "activations"}.get(function, "batchsize")
    meant = misspelt.replace("activations", "activation").replace("batchsize", "batch_size")
    with pytest.raises(TypeError, match=rf"{function}\(\) got an unexpected keyword argument '{misspelt}'; did you mean {meant}"):
        getattr(la, function)("anything.pt", **{misspelt: 64})


class Shifted(torch.nn.Module):
    """Subtracts what it holds in one way or another before a linear layer."""

    def __init__(self, linear: torch.nn.Linear, **held: object) -> None:
        super().__init__()
        self.linear = linear
        for name, value in held.items():
            setattr(self, name, value)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.linear(x.flatten(1)))


@pytest.mark.parametrize(
    "make",
    [
        lambda value: torch.tensor(value),
        lambda value: np.array([value]),
        lambda value: np.float32(value),
        lambda value: {"mean": torch.tensor(value)},
        lambda value: (torch.tensor(value), 1),
        lambda value: {value},
        lambda value: complex(value),
        lambda value: lambda x: x - value,
    ],
)
def test_networks_that_hold_other_values_are_other_networks(make) -> None:
    from robustbench_la.models.in_memory import weights_sha256

    linear = torch.nn.Linear(64, 10)
    one, same, other = (weights_sha256(Shifted(linear, held=make(value))) for value in (0.25, 0.25, 0.75))

    assert one == same != other


def test_buffers_outside_the_state_dict_and_hooks_tell_networks_apart() -> None:
    from robustbench_la.models.in_memory import weights_sha256

    linear = torch.nn.Linear(64, 10)
    first, second, hooked = Shifted(linear), Shifted(linear), Shifted(linear)
    first.register_buffer("mean", torch.tensor(0.0), persistent=False)
    second.register_buffer("mean", torch.tensor(0.9), persistent=False)
    hooked.register_forward_hook(lambda module, inputs, output: output * 2)

    assert len({weights_sha256(network) for network in (first, second, hooked, Shifted(linear))}) == 4


def test_numbers_of_numpy_and_a_device_are_taken() -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.SiLU(), torch.nn.Linear(32, 10))
    settings = {"limit": np.int64(20), "noise_seed": np.int64(3), "batch_size": np.int64(8), "device": torch.device("cpu")}
    result = la.evaluate(model, "digits", noise="gaussian", severity=np.int64(3), progress=False, **settings)

    assert [(str(cell.condition), cell.total) for cell in result.cells] == [("clean", 20), ("gaussian_noise 3", 20)]


def test_a_gap_is_refused_where_networks_in_memory_share_their_name(tmp_path: Path) -> None:
    def network() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.SiLU(), torch.nn.Linear(32, 10))

    store, settings = tmp_path / "results.sqlite", {"limit": 20, "progress": False}
    la.evaluate(network(), "digits", noise="gaussian", severity=1, store=store, **settings)
    la.evaluate(network(), "digits", noise="gaussian", severity=(1, 2), store=store, **settings)

    with pytest.raises(la.UserError, match="missing cells: gaussian_noise 2 of Sequential"):
        la.compare(store)
