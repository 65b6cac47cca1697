"""Checkpoints: our own format, those that others write, and files that must not be trusted."""

import argparse
import os
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import safetensors.torch
import torch
from torch import nn

from robustbench_la.activations import ACTIVATIONS, DEFAULT_ALPHA
from robustbench_la.errors import UserError
from robustbench_la.images.decoding import ImageChoice, Shape
from robustbench_la.images.normalization import NORMALIZATIONS, Normalization
from robustbench_la.measuring import session
from robustbench_la.measuring.accuracy import measure_cells
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.build import build
from robustbench_la.models.checkpoints.assemble import assemble_network
from robustbench_la.models.checkpoints.file import read_checkpoint, save_checkpoint
from robustbench_la.models.checkpoints.find import find_checkpoints
from robustbench_la.models.checkpoints.keys import check_keys
from robustbench_la.models.checkpoints.network import LoadOverrides
from robustbench_la.models.exchange import make_activation
from robustbench_la.models.layeract import LASiLU
from robustbench_la.records.plan import Plan

RELU = LoadOverrides(activation="relu")
SPECS = {
    "mlp": NetworkSpec(architecture="mlp", classes=7, channels=1, height=8, width=8, hidden=5),
    "colour mlp": NetworkSpec(architecture="mlp", classes=7, channels=3, height=8, width=8, hidden=5),
    "cnn": NetworkSpec(architecture="cnn", classes=7, channels=3, height=8, width=8),
    **{
        f"resnet{depth}": NetworkSpec(architecture=f"resnet{depth}", classes=7, channels=channels, height=8, width=8)
        for depth, channels in ((20, 3), (32, 1), (44, 3), (56, 3))
    },
}


def load_network(path, overrides, shape=None):
    """The network of a checkpoint, for images that are not known."""
    return assemble_network(read_checkpoint(path), overrides, shape or Shape(classes=0, channels=0, height=0, width=0))


def _model(name, activation="relu"):
    """An untrained network in eval mode whose counters and statistics differ from those of a fresh one."""
    model = build(SPECS[name], activation)
    for key, tensor in model.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            tensor.uniform_(0.5, 1.5)
    return model.eval()


def _save(path, model, spec, *, activation="relu", alpha=0.25):
    save_checkpoint(
        path,
        model,
        spec=spec,
        activation=activation,
        alpha=alpha,
        normalization=Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
        data=ImageChoice("folder:photos", 12, 8),
        training={"seed": 22, "recipe": {"epochs": 1}},
    )


def _same(first, second):
    """Whether two state dicts hold the same keys and numbers, bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def _images(spec):
    return torch.rand(4, spec.channels, 8, 8, generator=torch.Generator().manual_seed(0))


def _layeract_layout(state):
    """The key names of github.com/LayerAct/LayerAct."""
    return {re.sub(r"\bbn(\d)", r"norm\1", re.sub(r"^layer(\d)\.", r"layers\1.", key)): state[key] for key in state}


class _Malicious:
    """Makes a folder ``executed`` where it is unpickled with code allowed."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("name", SPECS)
def test_our_own_format_gives_back_the_weights_and_all_that_is_known(tmp_path, name):
    model = _model(name, "la_silu")
    _save(tmp_path / "model.pt", model, SPECS[name], activation="la_silu")

    network = load_network(tmp_path / "model.pt", LoadOverrides())

    assert _same(network.model.state_dict(), model.state_dict())
    assert network.name == str(tmp_path / "model.pt")
    assert network.spec == SPECS[name]
    assert (network.activation, network.alpha, network.level) == ("la_silu", 0.25, "layer")
    assert network.normalization == Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert network.data == ImageChoice("folder:photos", 12, 8)
    assert network.seed == 22
    assert network.remarks == ()
    assert not network.model.training
    _set_alpha(model, 0.25)
    assert torch.equal(network.model(_images(SPECS[name])), model(_images(SPECS[name])))


def _set_alpha(model, alpha):
    for module in model.modules():
        if isinstance(module, LASiLU):
            module.alpha = alpha


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_survives_our_own_format(tmp_path, activation):
    _save(tmp_path / "model.pt", _model("mlp", activation), SPECS["mlp"], activation=activation)

    network = load_network(tmp_path / "model.pt", LoadOverrides())

    assert type(network.model.act) is type(make_activation(activation))
    assert network.alpha == (0.25 if ACTIVATIONS[activation].level == "layer" else None)


def test_the_sha256_is_that_of_the_file(tmp_path):
    import hashlib

    path = tmp_path / "model.pt"
    _save(path, _model("mlp"), SPECS["mlp"])

    assert load_network(path, LoadOverrides()).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_saving_makes_the_folder_and_leaves_nothing_beside_the_file(tmp_path):
    _save(tmp_path / "new" / "model.pt", _model("mlp"), SPECS["mlp"])

    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.pt"]


def test_weights_on_another_layout_of_memory_are_saved_as_they_are(tmp_path):
    model = _model("cnn").to(memory_format=torch.channels_last)
    _save(tmp_path / "model.pt", model, SPECS["cnn"])

    assert _same(load_network(tmp_path / "model.pt", LoadOverrides()).model.state_dict(), model.state_dict())


@pytest.mark.parametrize(("overrides", "match"), [
    (LoadOverrides(architecture="cnn"), r"--arch is cnn, but the file records mlp"),
    (LoadOverrides(activation="silu"), r"--activation is silu, but the file records relu"),
    (LoadOverrides(alpha=0.5), r"--layeract-alpha is 0\.5, but the file records 0\.25"),
])  # fmt: skip
def test_what_is_said_that_our_own_file_denies_is_refused(tmp_path, overrides, match):
    _save(tmp_path / "model.pt", _model("mlp"), SPECS["mlp"])

    with pytest.raises(UserError, match=rf"model\.pt: {match}"):
        load_network(tmp_path / "model.pt", overrides)


def test_what_is_said_that_our_own_file_shares_is_accepted(tmp_path):
    _save(tmp_path / "model.pt", _model("mlp"), SPECS["mlp"])
    own = load_network(tmp_path / "model.pt", LoadOverrides()).normalization

    assert (
        load_network(
            tmp_path / "model.pt", LoadOverrides(architecture="mlp", activation="relu", alpha=0.25, normalization=own)
        ).activation
        == "relu"
    )
    with pytest.raises(UserError, match="--normalize is cifar100, but the file records"):
        load_network(tmp_path / "model.pt", LoadOverrides(normalization=NORMALIZATIONS["cifar100"]))


@pytest.mark.parametrize("change", [
    {"network": None},
    {"network": {"architecture": "mlp"}},
    {"activation": "relu"},
    {"normalization": {"mean": [0.5]}},
    {"data": {"name": 5}},
    {"training": None},
    {"state_dict": None},
    {"state_dict": {"hidden.weight": 5}},
], ids=str)  # fmt: skip
def test_our_own_file_with_a_damaged_part_is_refused(tmp_path, change):
    _save(tmp_path / "model.pt", _model("mlp"), SPECS["mlp"])
    torch.save(torch.load(tmp_path / "model.pt") | change, tmp_path / "model.pt")

    with pytest.raises(UserError, match=r"model\.pt: a damaged larobust checkpoint \("):
        load_network(tmp_path / "model.pt", LoadOverrides())


@pytest.mark.parametrize("part", ["network", "activation", "normalization", "data", "training", "state_dict"])
def test_our_own_file_without_a_part_is_refused(tmp_path, part):
    _save(tmp_path / "model.pt", _model("mlp"), SPECS["mlp"])
    content = torch.load(tmp_path / "model.pt")
    del content[part]
    torch.save(content, tmp_path / "model.pt")

    with pytest.raises(UserError, match=rf"model\.pt: a damaged larobust checkpoint \(KeyError: '{part}'\)"):
        load_network(tmp_path / "model.pt", LoadOverrides())


def test_our_own_file_of_a_later_version_is_refused(tmp_path):
    _save(tmp_path / "model.pt", _model("mlp"), SPECS["mlp"])
    torch.save(torch.load(tmp_path / "model.pt") | {"version": 2}, tmp_path / "model.pt")

    with pytest.raises(UserError, match=r"another version of larobust \(format 2; this one reads 1\)"):
        load_network(tmp_path / "model.pt", LoadOverrides())


@pytest.mark.parametrize("name", SPECS)
def test_a_plain_state_dict_is_recognised(tmp_path, name):
    model, spec = _model(name), SPECS[name]
    torch.save(model.state_dict(), tmp_path / "model.pt")

    network = load_network(tmp_path / "model.pt", RELU, Shape(classes=10, channels=1, height=8, width=8))

    assert network.spec == spec
    assert _same(network.model.state_dict(), model.state_dict())
    assert torch.equal(network.model(_images(spec)), model(_images(spec)))
    assert (network.alpha, network.data, network.seed) == (None, None, None)
    assert network.normalization == NORMALIZATIONS["none"]
    assert f"recognised as {spec.architecture} for 7 classes, {spec.channels} channels" in network.remarks
    assert "no --normalize given: pixels on [0, 1], not normalized" in network.remarks


@pytest.mark.parametrize("nest", ["state_dict", "model", "model_state_dict", "net", "ema"])
def test_nested_weights_are_found(tmp_path, nest):
    model = _model("mlp")
    torch.save({"epoch": 3, "optimizer": {"lr": 0.1}, nest: model.state_dict()}, tmp_path / "model.pt")

    network = load_network(tmp_path / "model.pt", RELU)

    assert _same(network.model.state_dict(), model.state_dict())
    assert f"weights taken from '{nest}'" in network.remarks


def test_weights_nested_twice_are_found(tmp_path):
    model = _model("mlp")
    torch.save({"model": {"state_dict": model.state_dict(), "step": 1}}, tmp_path / "model.pt")

    assert _same(load_network(tmp_path / "model.pt", RELU).model.state_dict(), model.state_dict())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_prefixes_of_wrappers_are_removed(tmp_path, prefix):
    model = _model("mlp")
    torch.save({f"{prefix}{key}": tensor for key, tensor in model.state_dict().items()}, tmp_path / "model.pt")

    network = load_network(tmp_path / "model.pt", RELU)

    assert _same(network.model.state_dict(), model.state_dict())
    assert sum("removed from every key" in remark for remark in network.remarks) == prefix.count(".")


def test_safetensors_are_read(tmp_path):
    model = _model("cnn")
    safetensors.torch.save_file(model.state_dict(), tmp_path / "model.safetensors")

    assert _same(load_network(tmp_path / "model.safetensors", RELU).model.state_dict(), model.state_dict())


@pytest.mark.parametrize("content", [b"no safetensors", b"\xff" * 64, b"\x10\0\0\0\0\0\0\0{}"], ids=["text", "ones", "cut"])
def test_a_damaged_safetensors_file_is_refused(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)

    with pytest.raises(UserError, match=r"model\.safetensors: not a readable safetensors file"):
        load_network(tmp_path / "model.safetensors", RELU)


@pytest.mark.parametrize("legacy", [True, False], ids=["before torch 1.6", "zip"])
def test_both_formats_of_torch_are_read(tmp_path, legacy):
    model = _model("mlp")
    torch.save(model.state_dict(), tmp_path / "model.pt", _use_new_zipfile_serialization=not legacy)

    assert _same(load_network(tmp_path / "model.pt", RELU).model.state_dict(), model.state_dict())


@pytest.mark.parametrize(("conv_bias", "layout", "padding"), [
    (False, dict, "centre"),
    (True, dict, "centre"),
    (True, _layeract_layout, "end"),
    (False, _layeract_layout, "end"),
])  # fmt: skip
@pytest.mark.parametrize("depth", [20, 32, 44, 56])
def test_both_layouts_of_a_cifar_resnet_are_recognised_with_their_shortcut(tmp_path, conv_bias, layout, padding, depth):
    spec = NetworkSpec(
        architecture=f"resnet{depth}", classes=5, channels=3, height=8, width=8, conv_bias=conv_bias, padding=padding
    )
    model = build(spec, "relu").eval()
    torch.save(layout(model.state_dict()), tmp_path / "model.pt")

    network = load_network(tmp_path / "model.pt", RELU, Shape(classes=10, channels=1, height=8, width=8))

    assert network.spec == spec
    assert _same(network.model.state_dict(), model.state_dict())
    assert torch.equal(network.model(_images(spec)), model(_images(spec)))


def test_the_place_of_the_padding_matters():
    """Otherwise the test above would not tell one shortcut from the other."""
    outputs = []
    for padding in ("centre", "end"):
        torch.manual_seed(0)
        spec = NetworkSpec(architecture="resnet20", classes=5, channels=3, height=8, width=8, padding=padding)
        outputs.append(build(spec, "relu").eval()(_images(spec)))

    assert not torch.allclose(*outputs)


def test_a_cifar_resnet_of_another_depth_is_refused(tmp_path):
    state = _model("resnet20").state_dict()
    torch.save({key: state[key] for key in state if not key.startswith("layer3.2")}, tmp_path / "model.pt")

    with pytest.raises(UserError, match=r"CIFAR ResNet with \[3, 3, 2\] blocks per stage; available: resnet20"):
        load_network(tmp_path / "model.pt", RELU)


def test_a_network_of_torchvision_keeps_its_own_number_of_classes(tmp_path):
    import torchvision

    model = torchvision.models.resnet18(num_classes=7).eval()
    torch.save(model.state_dict(), tmp_path / "model.pt")

    overrides = LoadOverrides(architecture="torchvision:resnet18", exchange=("relu=la_silu",), activation="la_silu")
    network = load_network(tmp_path / "model.pt", overrides)

    assert network.spec.classes == 7
    assert _same(network.model.state_dict(), model.state_dict())
    kinds = [type(module) for module in network.model.modules()]
    assert LASiLU in kinds
    assert nn.ReLU not in kinds
    assert network.alpha == DEFAULT_ALPHA


OWN_CODE = """
from torch import nn

def with_activation(classes, channels, activation):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * 64, 4), activation(), nn.Linear(4, classes))

def without_activation(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, classes))

def fixed():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, 6))

def no_network(classes):
    return classes
"""


@pytest.fixture(name="own")
def _own(tmp_path, monkeypatch):
    """A file own_network.py of the user's in the working directory, and weights own.pt that fit its functions."""
    monkeypatch.chdir(tmp_path)
    Path("own_network.py").write_text(OWN_CODE)
    state = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, 6)).state_dict()
    torch.save(state, "own.pt")
    yield state
    sys.modules.pop("own_network", None)


@pytest.mark.parametrize("function", ["with_activation", "without_activation", "fixed"])
def test_a_network_of_the_users_own_gets_the_activation(own, function):
    exchange = () if function == "with_activation" else ("relu=la_silu",)
    network = load_network(
        Path("own.pt"),
        LoadOverrides(architecture=f"own_network.py:{function}", exchange=exchange, activation="la_silu", alpha=0.5),
    )

    assert _same(network.model.state_dict(), own)
    assert type(network.model[2]) is LASiLU
    assert network.model[2].alpha == 0.5


@pytest.mark.parametrize("function", ["with_activation", "without_activation", "fixed"])
def test_the_classes_of_a_network_of_the_users_own_are_those_it_tells_apart(own, function):
    assert (
        load_network(Path("own.pt"), LoadOverrides(architecture=f"own_network.py:{function}", activation="relu")).spec.classes
        == 6
    )


@pytest.mark.parametrize("parameters", ["", "classes", "classes, channels", "classes, channels, activation"])
def test_a_network_of_the_users_own_for_grey_images_can_be_evaluated(tmp_path, monkeypatch, parameters):
    monkeypatch.chdir(tmp_path)
    channels, classes = "channels" if "channels" in parameters else "1", "classes" if parameters else "10"
    Path("grey_network.py").write_text(
        f"from torch import nn\ndef make({parameters}):\n"
        f"    return nn.Sequential(nn.Conv2d({channels}, 2, 8), nn.ReLU(), nn.Flatten(), nn.Linear(2, {classes}))\n"
    )
    torch.save(nn.Sequential(nn.Conv2d(1, 2, 8), nn.ReLU(), nn.Flatten(), nn.Linear(2, 10)).state_dict(), "grey.pt")
    plan = Plan(checkpoints=["grey.pt"], arch="grey_network.py:make", activation=["relu"], noise=["gaussian=0.1"], limit=4)

    cells = list(measure_cells(session.prepare_evaluation(plan)))

    assert [cell.total for cell in cells] == [4, 4]


@pytest.mark.parametrize("function", ["with_activation", "without_activation"])
def test_a_network_of_the_users_own_that_is_recognised_still_comes_from_its_code(own, function):
    torch.save(_model("mlp").state_dict(), "own.pt")

    with pytest.raises(UserError, match=rf"the weights do not fit own_network\.py:{function}"):
        load_network(Path("own.pt"), LoadOverrides(architecture=f"own_network.py:{function}", activation="relu"))


@pytest.mark.parametrize(("architecture", "match"), [
    ("gone.py:make", r"no file 'gone\.py'"),
    ("own_network.py:fixd", r"has no function 'fixd'; did you mean fixed"),
    ("own_network.py:no_network", r"returned int, not a torch\.nn\.Module"),
    ("gone.module:make", r"cannot import a module 'gone\.module'"),
    ("torchvision:resnet19", r"unknown torchvision classifier 'resnet19'; did you mean .*resnet18"),
    ("resnet20", r"own\.pt: these are not weights of a resnet20: their keys start with 1\.weight"),
    ("resnet21", r"unknown architecture 'resnet21'; did you mean .*resnet20"),
])  # fmt: skip
def test_a_network_that_cannot_be_made_is_refused(own, architecture, match):
    with pytest.raises(UserError, match=match):
        load_network(Path("own.pt"), LoadOverrides(architecture=architecture, activation="relu"))


def test_our_own_file_whose_network_is_code_runs_it_only_where_the_user_says_so(own):
    Path("own_network.py").write_text(OWN_CODE + "\nimport os\nos.mkdir('executed')\n")
    spec = NetworkSpec(architecture="own_network.py:without_activation", classes=6, channels=3, height=8, width=8)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, 6))
    _save(Path("coded.pt"), model, spec)

    for overrides in (
        LoadOverrides(),
        LoadOverrides(architecture="own_network.py:with_activation"),
        LoadOverrides(architecture="mlp"),
    ):
        with pytest.raises(UserError, match=r"coded\.pt: its network is built by the code .* allow that with --arch own_network"):
            load_network(Path("coded.pt"), overrides)
    assert not Path("executed").exists()

    network = load_network(Path("coded.pt"), LoadOverrides(architecture=spec.architecture))

    assert Path("executed").is_dir()
    assert _same(network.model.state_dict(), model.state_dict())


@pytest.mark.parametrize("name", SPECS)
def test_weights_without_an_activation_are_refused(tmp_path, name):
    torch.save(_model(name).state_dict(), tmp_path / "model.pt")

    with pytest.raises(
        UserError, match=r"model\.pt: the weights of .* do not show the activation; specify it with --activation, one of .*relu"
    ):
        load_network(tmp_path / "model.pt", LoadOverrides())


def test_weights_of_no_known_network_are_refused_with_their_keys(tmp_path):
    torch.save(nn.Linear(2, 3).state_dict(), tmp_path / "model.pt")

    with pytest.raises(
        UserError, match=r"architecture not recognised from the weights \(keys start with weight, bias\); specify it with --arch"
    ):
        load_network(tmp_path / "model.pt", RELU)


def test_weights_of_another_network_than_was_said_are_refused(tmp_path):
    torch.save(_model("cnn").state_dict(), tmp_path / "model.pt")

    with pytest.raises(UserError, match=r"model\.pt: these look like the weights of cnn; omit --arch \(not those of resnet20\)"):
        load_network(tmp_path / "model.pt", LoadOverrides(architecture="resnet20", activation="relu"))


@pytest.mark.parametrize(("change", "match"), [
    (lambda state: state.pop("bn1.weight"), r"keys: 1 missing \(bn1\.weight\)"),
    (lambda state: state.update(extra=torch.zeros(1)), r"keys: 1 unexpected \(extra\)"),
    (lambda state: state.update({"bn1.bias": torch.zeros(3)}), r"keys: 1 of the wrong shape \(bn1\.bias \(3,\) for \(16,\)\)"),
    (lambda state: (state.pop("bn1.weight"), state.update(extra=torch.zeros(1))), r"1 missing .*; 1 unexpected"),
    (lambda state: [state.pop(key) for key in list(state) if "bn" in key and "num" not in key], r"8 missing \(.*, \.\.\.\)"),
])  # fmt: skip
def test_keys_that_do_not_fit_are_named(tmp_path, change, match):
    state = dict(_model("cnn").state_dict())
    change(state)
    torch.save(state, tmp_path / "model.pt")

    with pytest.raises(UserError, match=rf"model\.pt: the weights do not fit cnn; .*{match}"):
        load_network(tmp_path / "model.pt", RELU)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    model = _model("cnn")
    model.state_dict()["bn1.running_var"][3] = value
    torch.save(model.state_dict(), tmp_path / "model.pt")

    with pytest.raises(UserError, match=r"NaN or infinite weights in bn1\.running_var"):
        load_network(tmp_path / "model.pt", RELU)


def test_a_file_from_before_the_counters_of_batchnorm_is_read(tmp_path):
    state = {key: tensor for key, tensor in _model("resnet20").state_dict().items() if "num_batches_tracked" not in key}
    torch.save(state, tmp_path / "model.pt")

    loaded = load_network(tmp_path / "model.pt", RELU).model.state_dict()

    assert len(loaded) > len(state)
    assert all(torch.equal(loaded[key], state[key]) for key in state)


@pytest.mark.parametrize("fault", ["missing", "extra", "misshapen", "NaN"])
def test_a_network_is_never_half_loaded(fault):
    model, state = _model("cnn"), dict(_model("cnn").state_dict())
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    if fault == "missing":
        del state["output.bias"]
    elif fault == "extra":
        state["extra"] = torch.zeros(1)
    elif fault == "misshapen":
        state["output.bias"] = torch.zeros(3)
    else:
        state["output.bias"] = torch.full_like(state["output.bias"], torch.nan)

    with pytest.raises(UserError):
        check_keys(model, state, "cnn")

    assert _same(model.state_dict(), before)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch advises against TorchScript; such files are still met
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_torchscript_archive_is_refused(tmp_path):
    torch.jit.trace(nn.Linear(2, 3), torch.zeros(1, 2)).save(tmp_path / "model.pt")

    with pytest.raises(UserError, match=r"model\.pt: a TorchScript .*contains code; save model\.state_dict\(\) instead"):
        load_network(tmp_path / "model.pt", RELU)


def test_a_whole_module_is_refused(tmp_path):
    torch.save(nn.Linear(2, 3), tmp_path / "model.pt")

    with pytest.raises(UserError, match=r"Python objects other than tensors .* save model\.state_dict\(\)"):
        load_network(tmp_path / "model.pt", RELU)


MALICIOUS = {
    "zip of torch": lambda path: torch.save({"state_dict": _Malicious()}, path),
    "old torch": lambda path: torch.save({"state_dict": _Malicious()}, path, _use_new_zipfile_serialization=False),
    "plain pickle": lambda path: path.write_bytes(pickle.dumps({"state_dict": _Malicious()})),
}


@pytest.mark.parametrize("write", MALICIOUS.values(), ids=MALICIOUS)
@pytest.mark.parametrize("suffix", ["pt", "pth", "safetensors"])
def test_code_in_a_file_is_refused_and_not_executed(tmp_path, monkeypatch, write, suffix):
    monkeypatch.chdir(tmp_path)
    path = Path(f"model.{suffix}")
    write(path)

    with pytest.raises(UserError, match=r"run code from the file|not a readable safetensors file"):
        load_network(path, RELU)

    assert not Path("executed").exists()


@pytest.mark.parametrize(("kind", "read"), [
    ("zip of torch", lambda path: torch.load(path, weights_only=False)),
    ("old torch", lambda path: torch.load(path, weights_only=False)),
    ("plain pickle", lambda path: pickle.loads(path.read_bytes())),
])  # fmt: skip
def test_the_same_files_do_execute_where_code_is_allowed(tmp_path, monkeypatch, kind, read):
    """Otherwise the test above could not fail."""
    monkeypatch.chdir(tmp_path)
    MALICIOUS[kind](Path("model.pt"))

    read(Path("model.pt"))

    assert Path("executed").is_dir()


def _truncated(path):
    torch.save(_model("mlp").state_dict(), path)
    path.write_bytes(path.read_bytes()[:-300])


def _picture(path):
    PIL.Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(path, format="PNG")


UNREADABLE = {
    "truncated zip": _truncated,
    "picture": _picture,
    "random bytes": lambda path: path.write_bytes(np.random.default_rng(0).bytes(4096)),
    "text": lambda path: path.write_text("epoch 3: 91.7"),
    "zeros": lambda path: path.write_bytes(bytes(1000)),
}


@pytest.mark.parametrize("write", UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_is_no_checkpoint_is_refused_as_unreadable(tmp_path, write):
    write(tmp_path / "model.pt")

    with pytest.raises(UserError, match=r"model\.pt: not a checkpoint that torch can read \(.+\)") as raised:
        load_network(tmp_path / "model.pt", RELU)

    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_raise_nothing_but_a_user_error(tmp_path, seed):
    (tmp_path / "model.pt").write_bytes(np.random.default_rng(seed).bytes(1 + 97 * seed))

    with pytest.raises(UserError, match=r"model\.pt: "):
        load_network(tmp_path / "model.pt", RELU)


@pytest.mark.parametrize("place", range(1, 20))
def test_a_damaged_byte_raises_nothing_but_a_user_error(tmp_path, place):
    """A damaged weight cannot be seen; all else must be told in a line."""
    path = tmp_path / "model.pt"
    torch.save({"state_dict": _model("mlp").state_dict()}, path)
    content = bytearray(path.read_bytes())
    content[len(content) * place // 20] ^= 0xFF
    path.write_bytes(content)

    message = f"{path}: "
    try:
        load_network(path, RELU)
    except UserError as error:
        message = str(error)

    assert message.startswith(f"{path}: ")
    assert "\n" not in message


@pytest.mark.parametrize(("content", "match"), [
    (torch.zeros(3), "holds a Tensor, not a dictionary of weights"),
    ([torch.zeros(3)], "holds a list, not a dictionary of weights"),
    ({}, "no weights found"),
    ({"epoch": 3}, "no weights found: looked for tensors at the top level and under state_dict"),
    ({"state_dict": {}}, "no weights found"),
    ({"model": {"weights": torch.zeros(3), "name": "x"}}, "no weights found"),
    ({3: torch.zeros(3)}, "no weights found"),
], ids=["tensor", "list", "nothing", "no tensor", "nested nothing", "mixed", "number as a key"])  # fmt: skip
def test_a_file_without_weights_is_refused(tmp_path, content, match):
    torch.save(content, tmp_path / "model.pt")

    with pytest.raises(UserError, match=rf"model\.pt: {match}"):
        load_network(tmp_path / "model.pt", RELU)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "model.pt").touch()

    with pytest.raises(UserError, match=r"model\.pt: the file is empty"):
        load_network(tmp_path / "model.pt", RELU)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=rf"{tmp_path.name}: a folder, not a checkpoint"):
        load_network(tmp_path, RELU)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"gone\.pt: no such file"):
        load_network(tmp_path / "gone.pt", RELU)


def _nested(state):
    content = {"model": None}
    content["model"] = content
    return content


@pytest.mark.parametrize("wrap", [
    lambda state: {"ema": {"decay": 0.99, "module": state}},
    lambda state: {"n_averaged": torch.tensor(3)} | {f"module.{key}": tensor for key, tensor in state.items()},
    lambda state: {"state_dict": {f"model.{key}": tensor for key, tensor in state.items()}, "epoch": 3},
    lambda state: {"state_dict": state, "best_acc1": np.float64(91.7), "args": argparse.Namespace(lr=0.1)},
], ids=["ema", "AveragedModel", "Lightning", "scalars and arguments"])  # fmt: skip
def test_further_layouts_met_in_the_wild_are_read(tmp_path, wrap):
    model = _model("cnn")
    torch.save(wrap(model.state_dict()), tmp_path / "model.pt")

    assert _same(load_network(tmp_path / "model.pt", RELU).model.state_dict(), model.state_dict())


def test_a_dictionary_that_holds_itself_ends_in_an_error(tmp_path):
    torch.save(_nested({}), tmp_path / "model.pt")

    with pytest.raises(UserError, match="no weights found"):
        load_network(tmp_path / "model.pt", RELU)


@pytest.mark.parametrize("change", [{"hidden": 10**10}, {"classes": -1}, {"classes": 10**12}])
def test_a_file_that_asks_for_any_size_takes_no_memory(tmp_path, change):
    _save(tmp_path / "model.pt", _model("mlp"), SPECS["mlp"])
    content = torch.load(tmp_path / "model.pt")
    torch.save(content | {"network": content["network"] | change}, tmp_path / "model.pt")

    with pytest.raises(UserError, match=r"damaged|do not fit"):
        load_network(tmp_path / "model.pt", LoadOverrides())


def test_our_own_format_declares_no_more_than_its_bytes(tmp_path):
    spec = NetworkSpec(architecture="mlp", classes=10, channels=1, height=8, width=8)
    path = tmp_path / "own.pt"
    _save(path, build(spec, "relu", 0.25), spec)
    content = torch.load(path, weights_only=True)
    content["state_dict"] = {name: torch.ones(1).expand(10**6, 10**6) for name in content["state_dict"]}
    torch.save(content, path)

    with pytest.raises(UserError, match=r"declares 1,000,000,000,000 values, but the file stores 4 bytes"):
        load_network(path, LoadOverrides(), Shape(10, 1, 8, 8))


def test_a_name_that_no_file_can_have_is_that_of_a_missing_file():
    with pytest.raises(UserError, match=r"no such file"):
        find_checkpoints(["a" * 300])
