"""Checkpoints that declare more than they hold, or hold no weights: refused in one line, at once, before anything is built."""

import importlib
import io
import os
import pickle
import socket
import struct
import zipfile
import zlib
from argparse import Namespace
from pathlib import Path

import fuzzing
import pytest
import safetensors.torch
import torch
from torch import nn

from robustbench_la.errors import UserError
from robustbench_la.images.decoding import Shape
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.bounded import no_larger_than
from robustbench_la.models.build import build
from robustbench_la.models.checkpoints.assemble import assemble_network
from robustbench_la.models.checkpoints.file import read_checkpoint
from robustbench_la.models.checkpoints.network import LoadOverrides
from robustbench_la.models.checkpoints.plain_values import DamagedError
from robustbench_la.models.checkpoints.torch_files import read_torch
from robustbench_la.models.checkpoints.torchvision_networks import recognise_torchvision

SHAPE = Shape(classes=10, channels=1, height=8, width=8)
COMMAND = ("eval", "--activation", "relu", "--noise", "gaussian", "--limit", "10", "--no-store", "--ckpt")
SPEC = NetworkSpec(architecture="mlp", classes=10, channels=1, height=8, width=8, hidden=5)


def weights():
    return dict(build(SPEC, "relu").state_dict())


def saved(content, **how):
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


def load(path, **more):
    return assemble_network(read_checkpoint(path), LoadOverrides(activation="relu", **more), SHAPE)


def refusal(path):
    """The message of a refusal, which took little time and memory."""
    outcome = fuzzing.larobust(
        "eval", "--ckpt", str(path), "--activation", "relu", "--noise", "gaussian", "--limit", "10", "--no-store"
    )

    assert outcome.code == 2
    fuzzing.assert_harmless(outcome)
    return outcome.stderr


def archive(parts, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return buffer.getvalue()


def parts_of(raw):
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        return {name: file.read(name) for name in file.namelist()}


def with_pickle(instructions):
    return archive({"a/data.pkl": instructions, "a/version": b"3\n"})


@pytest.fixture(autouse=True, scope="module")
def _everything_is_imported(tmp_path_factory):
    path = tmp_path_factory.mktemp("first") / "model.pt"
    path.write_bytes(saved(weights()))
    fuzzing.larobust(*COMMAND, str(path))


KINDS = {
    "int8": (torch.int8, "is int8, but the network computes with floating-point numbers"),
    "bool": (torch.bool, "is bool, but the network computes with floating-point numbers"),
    "int64": (torch.int64, "is int64, but the network computes with floating-point numbers"),
    "uint16": (torch.uint16, "is uint16, which larobust does not compute with"),
    "uint64": (torch.uint64, "is uint64, which larobust does not compute with"),
    "complex64": (torch.complex64, "is complex64, which larobust does not compute with"),
    "float8": (torch.float8_e5m2, "is float8_e5m2, which larobust does not compute with"),
}


@pytest.mark.parametrize(("dtype", "match"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_network_of_floating_point_numbers_takes_no_others(tmp_path, dtype, match, suffix):
    content = weights() | {"hidden.bias": torch.ones(5).to(dtype)}
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(saved(content) if suffix == "pt" else safetensors.torch.save(content))

    with pytest.raises(UserError, match=rf"hidden\.bias {match}"):
        load(path)


def test_weights_that_overflow_in_the_networks_precision_are_not_finite(tmp_path):
    (tmp_path / "model.pt").write_bytes(saved(weights() | {"hidden.bias": torch.full((5,), 1e300, dtype=torch.float64)}))

    with pytest.raises(UserError, match=r"NaN or infinite weights in hidden\.bias"):
        load(tmp_path / "model.pt")


class Counting(nn.Module):
    """A network with a buffer of whole numbers, and BatchNorm."""

    def __init__(self):
        super().__init__()
        self.norm, self.linear = nn.BatchNorm2d(1), nn.Linear(64, 10)
        self.register_buffer("order", torch.arange(64))

    def forward(self, images):
        return self.linear(self.norm(images).flatten(1)[:, self.order])


@pytest.fixture(name="counting")
def _counting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text("import torch\nfrom torch import nn\n\n" + __import__("inspect").getsource(Counting))
    torch.manual_seed(0)
    return Counting().eval()


@pytest.mark.parametrize("counter", [torch.tensor(3), torch.tensor(3, dtype=torch.int32), torch.tensor(2.5)], ids=str)
def test_buffers_of_whole_numbers_and_counters_of_batchnorm_are_read(counting, counter):
    Path("model.pt").write_bytes(
        saved(counting.state_dict() | {"order": torch.arange(63, -1, -1), "norm.num_batches_tracked": counter})
    )

    network = load(Path("model.pt"), architecture="net.py:Counting")

    assert network.model.order[0] == 63


@pytest.mark.parametrize(("name", "value", "match"), [
    ("order", torch.arange(64) + 0.5, "order is float32, but the network has whole numbers there"),
    ("norm.num_batches_tracked", torch.tensor(3j), "num_batches_tracked is complex64, which"),
    ("norm.num_batches_tracked", torch.tensor(float("nan")), "NaN or infinite weights in norm.num_batches_tracked"),
    ("norm.num_batches_tracked", torch.ones(1, dtype=torch.int64).expand(10**12), "num_batches_tracked declares 1,000,000,000"),
    ("norm.running_var", torch.ones(1, dtype=torch.int64), "norm.running_var is int64, but the network computes with floating"),
])  # fmt: skip
def test_hostile_buffers_are_refused(counting, name, value, match):
    Path("model.pt").write_bytes(saved(counting.state_dict() | {name: value}))

    with pytest.raises(UserError, match=match):
        load(Path("model.pt"), architecture="net.py:Counting")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("older", [False, True])
def test_what_is_read_equals_what_was_saved(protocol, older):
    layer = nn.Linear(3, 2)
    content = {
        "state": layer.state_dict(),
        "parameters": dict(layer.named_parameters()),
        "view": torch.arange(12.0).reshape(3, 4).t()[1:],
        "types": [
            torch.ones(3, dtype=dtype) for dtype in (torch.bfloat16, torch.int8, torch.bool, torch.float64, torch.complex64)
        ],
        "args": Namespace(lr=0.1),
        "plain": (1, -(2**70), 2.5, None, True, "ä", b"ab", {3: 4}, {1, 2}, torch.float16, torch.Size([2])),
        "empty": torch.empty(0, 3),
    }

    read = read_torch(saved(content, pickle_protocol=protocol, _use_new_zipfile_serialization=not older))

    assert torch.equal(read["state"]["weight"], layer.weight)
    assert torch.equal(read["parameters"]["bias"], layer.bias)
    assert torch.equal(read["view"], content["view"])
    assert [tensor.dtype for tensor in read["types"]] == [tensor.dtype for tensor in content["types"]]
    assert all(map(torch.equal, read["types"], content["types"]))
    assert (read["args"], read["plain"]) == (content["args"], content["plain"])
    assert read["empty"].shape == (0, 3)


def test_numbers_of_a_machine_with_another_order_of_bytes_are_read():
    parts = parts_of(saved({"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([1, 2], dtype=torch.uint8)}))
    swapped = {
        name: struct.pack(">2f", 1.0, 2.0) if len(content) == 8 else b"big" if content == b"little" else content
        for name, content in parts.items()
    }

    read = read_torch(archive(swapped))

    assert read["a"].tolist() == [1.0, 2.0]
    assert read["b"].tolist() == [1, 2]


def _deep(levels):
    return b"\x80\x02" + b"}X\x01\x00\x00\x00a" * levels + b"}" + b"s" * levels + b"."


def _marks(levels):
    return b"\x80\x02" + b"}(X\x01\x00\x00\x00a" * levels + b"}" + b"u" * levels + b"."


def _same_again(levels, width):
    """Dictionaries that hold the same dictionary many times: few bytes, values without number."""
    text = b"\x80\x02}q\x00"
    for level in range(levels):
        entries = b"".join(b"X\x04\x00\x00\x00" + f"{entry:04}".encode() + b"h" + bytes([level]) for entry in range(width))
        text += b"}q" + bytes([level + 1]) + b"(" + entries + b"u"
    return text + b"."


def _keys_of_one_hash(count):
    keys = b"".join(b"\x8a\x0b" + (place * (2**61 - 1)).to_bytes(11, "little", signed=True) + b"N" for place in range(1, count))
    return b"\x80\x02}(" + keys + b"u."


def _many_copies(count):
    items = b"\x80\x02](](" + b"K\x01" * 5_000 + b"eq\x00c__builtin__\nset\nq\x01e"
    return items + b"h\x01h\x00\x85Ra" * count + b"."


HOSTILE = {
    "a file that inflates": (lambda: archive({"a/data.pkl": b"N.", "a/data/0": bytes(2**24)}, zipfile.ZIP_DEFLATED),
                             "that declares 16,777,218 bytes of content"),
    "25,000 parts": (lambda: archive({f"a/{number}": b"" for number in range(25_000)}), "a zip archive of 25,000 parts"),
    "dictionaries in dictionaries": (lambda: with_pickle(_marks(100_000)), "nested more than 100 levels deep"),
    "without marks": (lambda: with_pickle(_deep(100_000)), "more than 50,000 values at once"),
    "the same again": (lambda: with_pickle(_same_again(6, 100)), "the same collections again and again"),
    "keys of one hash": (lambda: with_pickle(_keys_of_one_hash(4_000)), "a dictionary with a key that is a int"),
    "many copies": (lambda: with_pickle(_many_copies(1000)), "the same values copied many times"),
    "instructions": (lambda: with_pickle(b"\x80\x02" + b"N0" * 300_000 + b"N."), "POP, which torch does not write"),
    "a memo far away": (lambda: with_pickle(b"\x80\x02Nr\xff\xff\xff\x7f."), "holds a NoneType"),
    "bytes without number": (lambda: with_pickle(b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R."),
                             "bytes of what is no text"),
    "a tensor of a size": (lambda: with_pickle(b"\x80\x02ctorch\nFloatTensor\nJ\xff\xff\xff\x7f\x85R."), "torch.FloatTensor"),
    "a storage too small": (lambda: archive(parts_of(saved(weights())) | {"archive/data/0": bytes(8)}),
                            "of numbers declared, but 8 stored"),
    "an older file": (lambda: saved(weights(), _use_new_zipfile_serialization=False)[:-40], "the file is cut off"),
    "a header of safetensors": (lambda: (5 * 2**20).to_bytes(8, "little") + b"{" + b" " * (5 * 2**20),
                                "a header of 5,242,880 bytes"),
    "code in a name": (lambda: with_pickle(b"\x80\x02cos\nsystem\nX\x01\x00\x00\x00a\x85R."), r"plain values (os.system), so"),
    "half a surrogate in a name": (lambda: with_pickle(b"\x80\x02}X\x03\x00\x00\x00\xed\xa0\x80Ns."), "no weights found"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "words"), HOSTILE.values(), ids=HOSTILE)
def test_what_declares_more_than_it_holds_is_refused_at_once(tmp_path, make, words):
    (tmp_path / "model.pt").write_bytes(make())

    assert words in refusal(tmp_path / "model.pt")


class Overwritten:
    """A tensor with an attribute that a tensor has itself."""

    def __reduce__(self):
        return torch._utils._rebuild_parameter_with_state, (torch.ones(5), True, {}, {"isfinite": 1})


class Harmless(Overwritten):
    """A tensor with an attribute of its script."""

    def __reduce__(self):
        return torch._utils._rebuild_parameter_with_state, (torch.ones(5), True, {}, {"no_decay": True})


def test_a_tensor_whose_attribute_is_overwritten_is_refused_and_others_are_left(tmp_path):
    with pytest.raises(DamagedError, match="a tensor whose attribute isfinite is overwritten"):
        read_torch(saved({"a": Overwritten()}))

    assert torch.equal(read_torch(saved({"a": Harmless()}))["a"], torch.ones(5))


@pytest.mark.filterwarnings("ignore")  # torch advises against quantisation
@pytest.mark.parametrize(("tensor", "words"), [
    (lambda: torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8), "the int8 weights of a quantised network"),
    (lambda: torch.ones(2, 2).to_sparse(), "hidden.bias is a sparse or nested tensor"),
    (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "hidden.bias is a sparse or nested tensor"),
    (lambda: torch.ones(2, 2, device="meta"), "hidden.bias is a sparse or nested tensor, or has no data"),
    (lambda: torch.ones(1).expand(10**6, 10**6), "declares 1,000,000,000,000 values, but the file stores 4 bytes"),
], ids=["quantised", "sparse", "nested", "meta", "stride 0"])  # fmt: skip
@pytest.mark.parametrize("older", [False, True])
def test_tensors_that_are_no_arrays_of_numbers_are_refused(tmp_path, tensor, words, older):
    (tmp_path / "model.pt").write_bytes(saved(weights() | {"hidden.bias": tensor()}, _use_new_zipfile_serialization=not older))

    assert words in refusal(tmp_path / "model.pt")


def test_many_tensors_that_repeat_the_same_bytes_are_refused(tmp_path):
    content = {f"{number}.weight": torch.ones(1).expand(500, 500) for number in range(300)}
    (tmp_path / "model.pt").write_bytes(saved(content))

    assert "its weights declare 300,000,000 bytes" in refusal(tmp_path / "model.pt")


def _socket(path):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


NO_FILES = {"a named pipe": os.mkfifo, "a socket": _socket, "a folder": os.mkdir}


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("name", ["model.pt", "nets.csv"])
def test_what_is_no_regular_file_is_not_opened(tmp_path, monkeypatch, kind, name):
    monkeypatch.chdir(tmp_path)
    NO_FILES[kind](name)

    assert f"{name}: {kind}, not a checkpoint" in refusal(name) or name == "nets.csv"


def test_a_device_is_not_opened():
    assert "/dev/zero: a device, not a checkpoint" in refusal("/dev/zero")


def test_a_sparse_file_is_refused_by_what_is_stored_of_it(tmp_path):
    with (tmp_path / "model.pt").open("wb") as file:
        file.write(saved(weights()))
        file.truncate(3 * 2**30)

    assert "as an interrupted download leaves it" in refusal(tmp_path / "model.pt")


def test_a_file_that_does_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    (tmp_path / "model.pt").write_bytes(saved(weights()))
    monkeypatch.setattr("robustbench_la.files.free_memory", lambda: 100)

    with pytest.raises(UserError, match="GiB of memory are free"):
        load(tmp_path / "model.pt")


def test_the_building_of_a_network_stops_where_its_weights_end():
    with pytest.raises(UserError, match="it asks for 1,000,000,000 parameters or more"), no_larger_than(10**6):
        nn.Linear(10**6, 1000, device="meta")
    nn.Linear(10**6, 1000, device="meta")  # and only there


def test_keys_of_a_regnet_with_tiny_weights_build_none():
    shapes = [(32, 3, 1, 1), *[(1,)] * 537, (10, 1), (10,)]
    state = {f"{place}.weight": torch.zeros(shape) for place, shape in enumerate(shapes)}
    importlib.import_module("torch._dynamo")  # 150 MB, whichever test needs it first
    before = fuzzing._peak_mb()

    assert recognise_torchvision(state) is None
    assert fuzzing._peak_mb() - before < 100


def test_a_pickle_whose_archive_shows_others_another_content_is_read_once():
    """Two files of the same name: whoever checks one and loads the other is fooled."""
    raw = archive({"a/data.pkl": pickle.dumps(Overwritten, protocol=2), "b/data.pkl": b"\x80\x02}."}).replace(
        b"b/data", b"a/data"
    )

    assert read_torch(raw) == {}


def test_a_wrong_check_sum_is_read_as_torch_reads_it():
    raw = saved({"a": torch.ones(4)})
    crc = zlib.crc32(torch.ones(4).numpy().tobytes()).to_bytes(4, "little")

    assert read_torch(raw.replace(crc, bytes(4)))["a"].sum() == 4
