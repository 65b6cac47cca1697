"""Checkpoints of others: where their weights are, what stands next to them, and which of several are meant."""

import copy
import io
import pathlib
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision
from torch import nn

from robustbench_la.errors import UserError
from robustbench_la.images.decoding import Shape
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.build import build
from robustbench_la.models.checkpoints.assemble import assemble_network
from robustbench_la.models.checkpoints.file import read_checkpoint
from robustbench_la.models.checkpoints.layouts import find_weights
from robustbench_la.models.checkpoints.locate import locate
from robustbench_la.models.checkpoints.network import LoadOverrides

SHAPE = Shape(classes=10, channels=3, height=8, width=8)
CNN = NetworkSpec(architecture="cnn", classes=10, channels=3, height=8, width=8)
OWN = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, classes=10):
        super().__init__(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, classes))
"""


@pytest.fixture(name="own", scope="module")
def _own(tmp_path_factory):
    """``--arch`` of a network of the user's own, and its weights."""
    file = tmp_path_factory.mktemp("own") / "own_layouts.py"
    file.write_text(OWN)
    state = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10)).state_dict()
    return f"{file}:Net", state


def located(content, architecture=None, **given):
    """What is found in the content of a file."""
    return locate(content, LoadOverrides(architecture=architecture, **given), SHAPE)


def same(first, second):
    """Whether two state dicts hold the same numbers; counters of BatchNorm may be missing."""
    keys = [key for key in second if "num_batches" not in key]
    return all(torch.equal(first[key], second[key]) for key in keys) and first.keys() <= second.keys()


def under(prefix, state):
    return {f"{prefix}{key}": tensor for key, tensor in state.items()}


NESTS = {
    **{name: (lambda state, name=name: {name: state, "epoch": 3}) for name in (
        "state_dict", "net", "model", "weights", "ema", "teacher", "model_state", "network", "params", "state", "classifier",
        "model_dict", "anything")},
    "model.state_dict": lambda state: {"model": {"state_dict": state}},
    "list": lambda state: [state],
    "tuple with an epoch": lambda state: (3, state),
    "flat with an epoch": lambda state: {**state, "epoch": 3, "best": 91.7, "name": "net"},
    "optimizer": lambda state: {"model": state, "optimizer": {"state": {0: {"exp_avg": torch.ones(4, 4)}}, "param_groups": []}},
    "optimizer by name": lambda state: {"model": state, "adam": {"state": {k: {"exp_avg": torch.ones(4, 4)} for k in state},
                                                                   "param_groups": []}},
}  # fmt: skip
PREFIXES = {
    "net.": lambda state: under("net.", state),
    "model. in state_dict": lambda state: {"state_dict": under("model.", state)},
    "backbone.": lambda state: under("backbone.", state),
    "module.encoder.net.": lambda state: under("module.encoder.net.", state),
    "beside a criterion": lambda state: {"state_dict": {**under("net.", state), "criterion.weight": torch.ones(10)}},
    "a criterion without a prefix": lambda state: {**state, "criterion.weight": torch.ones(10)},
    "torchmetrics": lambda state: {**under("model.", state), "train_acc.tp": torch.zeros(1), "val_acc.confmat": torch.ones(4, 4)},
    "torchmetrics without a prefix": lambda state: {**state, "val_acc.tp": torch.zeros(1), "metrics.confmat": torch.ones(4, 4)},
    "profiled by thop": lambda state: {**state, "total_ops": torch.zeros(1), "0.total_params": torch.zeros(1)},
    "an EMA twin": lambda state: {**under("model.", state), **under("ema_model.", {k: t + 1 for k, t in state.items()})},
    "an EMA twin of none": lambda state: {**state, **under("ema.", {k: t + 1 for k, t in state.items()})},
}


@pytest.mark.parametrize("wrap", [*NESTS.values(), *PREFIXES.values()], ids=[*NESTS, *PREFIXES])
@pytest.mark.parametrize("kind", ["own", "table"])
def test_weights_are_found_wherever_they_are(tmp_path, own, wrap, kind):
    architecture, state = own if kind == "own" else (None, build(CNN, "relu").state_dict())
    torch.save(wrap(state), tmp_path / "model.pt")

    network = assemble_network(
        read_checkpoint(tmp_path / "model.pt"), LoadOverrides(architecture=architecture, activation="relu"), SHAPE
    )

    assert same(network.model.state_dict(), state)


def test_what_was_left_is_said(own):
    architecture, state = own
    remarks = located(
        {"state_dict": {**under("net.", state), "criterion.weight": torch.ones(10)}, "epoch": 3}, architecture
    ).remarks

    assert "weights taken from 'state_dict'" in remarks
    assert "weights taken from the keys that start with 'net.'" in remarks
    assert "not used, since they are no part of the network: criterion.weight" in remarks


@pytest.mark.parametrize("prefix", ["ema", "teacher", "swa", "shadow"])
def test_averages_next_to_weights_without_a_prefix_are_left(own, prefix):
    architecture, state = own
    content = {**state, **under(f"{prefix}.", {key: tensor + 1 for key, tensor in state.items()})}

    found = located(content, architecture)
    assert same(found.state, state)
    assert any(f"{prefix}." in remark for remark in found.remarks)


def test_an_average_next_to_each_weight_is_said_and_taken_on_request(own):
    architecture, state = own
    averaged = {key: tensor + 1 for key, tensor in state.items()}
    content = {**under("model.", state), **under("ema_model.", averaged)}

    assert any("ema_model." in remark for remark in located(content, architecture).remarks)
    assert same(located(content, architecture, key="ema_model").state, averaged)


@pytest.mark.parametrize(("first", "second"), [
    ("model", "ema"), ("model", "model_ema"), ("state_dict", "state_dict_ema"), ("student", "teacher"),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["own", "table"])
def test_of_several_networks_in_a_file_none_is_taken_without_a_word(own, first, second, kind):
    architecture, state = own if kind == "own" else (None, build(CNN, "relu").state_dict())
    other = {key: tensor + 1 for key, tensor in state.items()}
    content = {first: state, second: other}

    with pytest.raises(
        UserError, match=rf"several networks: {first} .*, {second} .*; choose with --key {first} or --key {second}"
    ):
        located(content, architecture)

    assert same(located(content, architecture, key=first).state, state)
    assert same(located(content, architecture, key=second).state, other)
    with pytest.raises(UserError, match=rf"no weights under --key emma; .*{first}, {second}|did you mean"):
        located(content, architecture, key="emma")


def test_equal_copies_and_networks_that_do_not_fit_need_no_key(own):
    architecture, state = own
    content = {"net": state, "best": copy.deepcopy(state), "discriminator": nn.Linear(3, 4).state_dict()}

    remarks = located(content, architecture).remarks

    assert "the file also holds the weights 'best, discriminator' (take them with --key)" in remarks


def test_weights_chosen_by_key_are_another_network_in_the_store(tmp_path, own):
    architecture, state = own
    torch.save({"model": state, "ema": {key: tensor + 1 for key, tensor in state.items()}}, tmp_path / "model.pt")
    file = read_checkpoint(tmp_path / "model.pt")

    records = [
        assemble_network(file, LoadOverrides(architecture=architecture, activation="relu", key=key), SHAPE).record
        for key in ("model", "ema")
    ]

    assert records[0].id != records[1].id
    assert records[1].weights_key == "ema"


class Loss(nn.Module):
    """A loss that Lightning saves among the hyper-parameters."""


@pytest.mark.parametrize(("value", "name"), [
    (pathlib.PosixPath("data"), "pathlib.PosixPath"),
    (Loss(), "Loss"),
    (nn.CrossEntropyLoss(), "torch.nn.modules.loss.CrossEntropyLoss"),
], ids=["path", "own class", "loss"])  # fmt: skip
def test_a_class_that_is_not_allowed_is_named(tmp_path, own, value, name):
    architecture, state = own
    lightning = {"state_dict": under("net.", state), "pytorch-lightning_version": "2.6.0", "epoch": 3}
    torch.save({**lightning, "hyper_parameters": {"lr": 0.1, "data": "cifar10"}}, tmp_path / "plain.ckpt")
    torch.save({**lightning, "hyper_parameters": {"lr": 0.1, "it": value}}, tmp_path / "class.ckpt")

    assert located(read_checkpoint(tmp_path / "plain.ckpt").content, architecture)
    with pytest.raises(UserError, match=rf"class\.ckpt: holds Python objects .*\((\w+\.)*{name}\).*--trust-file"):
        read_checkpoint(tmp_path / "class.ckpt")
    assert same(located(read_checkpoint(tmp_path / "class.ckpt", trusted=True).content, architecture).state, state)


@pytest.mark.parametrize("name", ["model.bin", "model.SAFETENSORS", "model.pt", "model"])
def test_the_content_of_a_file_decides_and_not_its_name(tmp_path, own, name):
    safetensors.torch.save_file(own[1], tmp_path / name)

    assert same(located(read_checkpoint(tmp_path / name).content, own[0]).state, own[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_said_and_computed_in_float32(tmp_path, own, dtype):
    halved = {key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in own[1].items()}
    torch.save(halved, tmp_path / "model.pt")

    network = assemble_network(
        read_checkpoint(tmp_path / "model.pt"), LoadOverrides(architecture=own[0], activation="relu"), SHAPE
    )

    assert f"its weights are {str(dtype)[6:]}; computed in float32" in network.remarks
    assert {tensor.dtype for tensor in network.model.parameters()} == {torch.float32}


@pytest.mark.filterwarnings("ignore")  # torch advises against quantisation
@pytest.mark.parametrize(("content", "match"), [
    (lambda: {"a.weight": torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8)}, "the int8 weights of a quantised"),
    (lambda: {"a.scale": torch.ones(1), "a._packed_params._packed_params": (torch.ones(2, 2), None)}, "the int8 weights"),
    (lambda: {"a.weight": torch.ones(2, 2).to_sparse()}, r"a\.weight is a sparse or nested tensor"),
    (lambda: {"a.weight": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}, r"a\.weight is a sparse or nested tensor"),
    (lambda: {"a.weight": torch.ones(2, 2).to(torch.float8_e4m3fn)}, r"a\.weight is float8_e4m3fn, which"),
    (lambda: {"a.weight": torch.ones(1).expand(10**6, 10**6)}, r"declares 1,000,000,000,000 values, but the file stores 4 bytes"),
], ids=["quantised", "packed", "sparse", "nested", "float8", "huge"])  # fmt: skip
def test_tensors_that_are_no_plain_numbers_are_refused_in_one_line(content, match):
    with pytest.raises(UserError, match=match) as raised:
        find_weights(content())

    assert "\n" not in str(raised.value)


REFUSED = {
    "a Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "run git lfs pull"),
    "a web page": (b"\n<!DOCTYPE html><html>Not found</html>", "a web page, not a checkpoint: the download failed"),
    "an XML error": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "a web page, not a checkpoint"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "as Keras writes it; export it to ONNX"),
    "gzip": (b"\x1f\x8b" + bytes(99), "unpack it first"),
    "TFLite": (b"\x20\0\0\0TFL3" + bytes(99), "TensorFlow Lite file; export it to ONNX"),
}


def _zip(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"0")
    return buffer.getvalue()


REFUSED |= {
    "Keras 3": (_zip("metadata.json", "config.json", "model.weights.h5"), "a Keras model; export it to ONNX"),
    "NumPy": (_zip("conv1.npy"), "a zip archive with arrays of NumPy"),
    "another zip": (_zip("readme.txt"), "a zip archive with no weights of torch"),
}


@pytest.mark.parametrize(("raw", "match"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_checkpoint_is_refused_with_what_to_do(tmp_path, raw, match):
    (tmp_path / "model.pt").write_bytes(raw)

    with pytest.raises(UserError, match=rf"model\.pt: .*{match}"):
        read_checkpoint(tmp_path / "model.pt")


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "wide_resnet50_2"])
def test_torchvisions_classifiers_are_recognised_by_keys_and_shapes(name):
    with torch.device("meta"):
        state = torchvision.models.get_model(name, num_classes=7).state_dict()

    from robustbench_la.models.checkpoints.torchvision_networks import recognise_torchvision

    spec = recognise_torchvision(state)
    assert spec is not None
    assert (spec.architecture, spec.classes) == (f"torchvision:{name}", 7)
    assert recognise_torchvision({**state, "more.weight": torch.zeros(1)}) is None


def test_weights_of_torchvision_are_found_under_a_prefix_and_the_users_architecture_wins(tmp_path, own):
    state = torchvision.models.squeezenet1_1(num_classes=5).state_dict()

    assert located({"state_dict": under("model.", state)}).spec.architecture == "torchvision:squeezenet1_1"
    with pytest.raises(UserError, match=r"^these look like the weights of torchvision:squeezenet1_1; omit --arch \("):
        located(state, own[0])


ALIKE = """
from torch import nn

class Block(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(after)

class Alike(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(4, 10)
        self.layer1 = self.layer2 = None
        for stage in (1, 2, 3):
            setattr(self, f"layer{stage}", nn.Sequential(Block(4, 4)))
"""


def test_keys_that_begin_like_ours_are_of_the_network_that_the_user_names(tmp_path):
    (tmp_path / "alike.py").write_text(ALIKE)
    architecture = f"{tmp_path / 'alike.py'}:Alike"
    namespace: dict[str, object] = {}
    exec(ALIKE, namespace)
    state = namespace["Alike"]().state_dict()

    assert same(located(state, architecture).state, state)
    with pytest.raises(UserError, match="architecture not recognised from the weights"):
        located(state)


@pytest.mark.parametrize("rename", [lambda key: key, lambda key: key.replace("shortcut", "downsample").replace("linear", "fc")])
def test_a_cifar_resnet_with_convolutions_as_shortcuts_is_recognised(rename):
    spec = NetworkSpec(architecture="resnet20", classes=10, channels=3, height=0, width=0, shortcut="convolution")
    state = build(spec, "relu").state_dict()

    found = located({"net": under("module.", {rename(key): state[key] for key in state}), "acc": 59.4, "epoch": 1})

    assert found.spec == spec
    assert same(found.state, state)


def test_a_missing_file_is_named_with_those_of_similar_names(tmp_path, monkeypatch):
    from robustbench_la.models.checkpoints.find import find_checkpoints

    monkeypatch.chdir(tmp_path)
    Path("model.pt").touch()

    with pytest.raises(UserError, match=r"no such file: modl\.pt; did you mean model\.pt\?"):
        find_checkpoints(["modl.pt"])
