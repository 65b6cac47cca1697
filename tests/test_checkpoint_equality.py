"""What is read of a file that torch.save wrote equals what torch itself reads of it: values, types, shapes, strides, sharing."""

from __future__ import annotations

import functools
import io
import pickle
import zipfile
from argparse import Namespace
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy._core.multiarray import scalar
from torch import Tensor, nn

from robustbench_la.models.checkpoints.torch_files import read_torch

_DTYPES = (
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128, torch.uint8, torch.int8,
    torch.int16, torch.int32, torch.int64, torch.bool,
)  # fmt: skip
_NEWER_DTYPES = (torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2, torch.complex32)


def _network() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 5))
    network.register_buffer("halves", torch.randn(3).half())
    network.register_buffer("complexes", torch.randn(3, dtype=torch.complex64))
    return network


def _trained(make: Callable[[Any], torch.optim.Optimizer]) -> dict[str, Any]:
    network = _network()
    optimizer = make(network.parameters())
    network(torch.ones(4, 1, 8, 8)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 3, 5])
    return {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}


def _tied() -> dict[str, Tensor]:
    table = torch.randn(6, 4)
    return {"embedding": table, "head": table, "part": table[2:4], "flat": table.view(-1), "other": table.clone()}


def _lightning() -> dict[str, Any]:
    return {
        "epoch": 3,
        "global_step": 1200,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": OrderedDict((f"net.{key}", value) for key, value in _network().state_dict().items()),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 3}}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best": torch.tensor(0.5), "best_k_models": {}, "path": "a/b.ckpt"}},
        "optimizer_states": [_trained(torch.optim.Adam)["optimizer"]],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.1, "layers": [16, 32], "args": Namespace(name="a", deep=Namespace(b=(1, 2)))},
    }


CONTENTS: dict[str, Callable[[], object]] = {
    "state dict": lambda: _network().state_dict(),
    "parameters": lambda: dict(_network().named_parameters()),
    "a buffer with attributes": lambda: {"a": _with_attribute(torch.ones(3)), "b": nn.Buffer(torch.ones(3))},
    "every dtype": lambda: {str(dtype): torch.arange(5).float().to(dtype) for dtype in _DTYPES},
    "newer dtypes": lambda: {str(dtype): torch.arange(5).float().to(dtype) for dtype in _NEWER_DTYPES},
    "NaN, infinity, -0": lambda: torch.tensor([float("nan"), float("inf"), -0.0]),
    "Adam": lambda: _trained(torch.optim.Adam),
    "AMSGrad": lambda: _trained(lambda parameters: torch.optim.AdamW(parameters, amsgrad=True)),
    "SGD with momentum": lambda: _trained(lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9)),
    "Lightning": _lightning,
    "nested": lambda: {"a": {"b": [{"c": (torch.ones(2), [1, (2, 3)])}]}, 3: {None: ()}, (1, "x"): {2.5: True}},
    "namespace": lambda: Namespace(lr=0.1, path="a", nested=Namespace(b=[1])),
    "scalars of NumPy": lambda: {
        "a": [np.float64(0.5), np.float32(0.25), np.int64(-3), np.bool_(True), np.uint8(7)],
        "swapped": np.array([1.5], ">f8")[0],
    },
    "sets and counters": lambda: {"a": {1, "b", 2.5}, "b": set(), "c": Counter("abca"), "d": Counter()},
    "bytes": lambda: [b"", b"abc", bytes(range(256)), b"x" * 5000, bytearray(b"abc\xff"), bytearray()],
    "sizes, devices, types": lambda: [
        torch.Size([2, 3]), torch.Size([]), torch.device("cpu"), torch.device("cuda", 1), torch.device("cuda"), torch.float32,
        torch.bfloat16,
        torch.strided,
    ],
    "tied": _tied,
    "views": lambda: {
        "transposed": torch.randn(3, 4).t(),
        "steps": torch.randn(10, 10)[1::3, ::2],
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "expanded": torch.randn(3, 1).expand(3, 4),
        "diagonal": torch.randn(4, 4).diagonal(),
    },
    "lazily negated and conjugated": lambda: {
        "conjugated": torch.randn(3, dtype=torch.complex64).conj(),
        "negated": torch.randn(3, dtype=torch.complex64).conj().imag,
    },
    "scalars and empty": lambda: [
        torch.tensor(3.5), torch.tensor(2), torch.empty(0), torch.empty(0, 3), torch.empty(2, 0, 4), torch.ones(4)[4:],
    ],
    "numbers": lambda: [0, -1, 255, 65536, 2**31, -(2**63), 2**70, -(2**900), 1e-300, float("inf"), 2 - 3j, True, None],
    "keys": lambda: {"a" * 300: 1, "ä" * 200: torch.ones(1), "重み.层": torch.ones(2), "": 0, "a\nb": 1, 2**40: 2},
    "long lists": lambda: {"losses": [0.5 + step for step in range(50_000)], "names": tuple(map(str, range(30_000)))},
    "the same object again": lambda: [shared := {"a": [1]}, shared, shared["a"]],
    "a tensor alone": lambda: torch.arange(6).reshape(2, 3),
}  # fmt: skip


def _with_attribute(tensor: Tensor) -> Tensor:
    tensor.no_decay = True  # type: ignore[attr-defined]
    return tensor


def _saved(content: object, **how: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


def _packed(content: object, compression: int = zipfile.ZIP_DEFLATED, *, swapped: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(_saved(content))) as old, zipfile.ZipFile(buffer, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, b"big" if swapped and name.endswith("byteorder") else old.read(name))
    return buffer.getvalue()


def _without_check_sums(content: object) -> bytes:
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        return _saved(content)
    finally:
        torch.serialization.set_crc32_options(before)


FORMS: dict[str, Callable[[object], bytes]] = {
    **{
        f"{'older' if older else 'archive'}, protocol {protocol}": functools.partial(
            _saved, pickle_protocol=protocol, _use_new_zipfile_serialization=not older
        )
        for older in (False, True)
        for protocol in (2, 3, 4, 5)
    },
    "compressed": _packed,
    "packed again": lambda content: _packed(content, zipfile.ZIP_STORED),
    "without check sums": _without_check_sums,
    "the other order of bytes": lambda content: _packed(content, zipfile.ZIP_STORED, swapped=True),
}


def _as_torch_reads(raw: bytes) -> object:
    """What torch reads; its restricted unpickler does not know the instructions of protocols 3 to 5."""
    safe: list[Any] = [Namespace, bytes, np.dtype, *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "b1", "u1")), scalar]
    try:
        with torch.serialization.safe_globals(safe):
            return torch.load(io.BytesIO(raw), weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        if "Unsupported operand" not in str(error):
            raise
        return torch.load(io.BytesIO(raw), weights_only=False, map_location="cpu")


def _leaves(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Every tensor and plain value in some content, with its place; the kind of a collection is a value too."""
    if isinstance(value, Namespace):
        yield place, Namespace
        yield from _leaves(vars(value), place)
    elif isinstance(value, dict):
        yield place, [(type(key), key) for key in value]
        for key, item in value.items():
            yield from _leaves(item, f"{place}/{key!r}")
    elif isinstance(value, (list, tuple)):
        yield place, (type(value), len(value))
        for number, item in enumerate(value):
            yield from _leaves(item, f"{place}/{number}")
    else:
        yield place, value


def _bits(tensor: Tensor) -> bytes:
    plain = tensor.resolve_conj().resolve_neg().contiguous()
    return bytes(plain.reshape(-1).view(torch.uint8).tolist()) if plain.numel() else b""


def _sharing(leaves: list[tuple[str, object]]) -> list[int]:
    """For each tensor the first one whose memory it shares."""
    tensors = [value for _, value in leaves if isinstance(value, Tensor) and value.numel()]
    owners = [tensor.untyped_storage().data_ptr() for tensor in tensors]
    return [owners.index(owner) for owner in owners]


def assert_equal(read: object, expected: object) -> None:
    ours, theirs = list(_leaves(read)), list(_leaves(expected))

    assert [place for place, _ in ours] == [place for place, _ in theirs]
    for (place, one), (_, other) in zip(ours, theirs, strict=True):
        if isinstance(other, Tensor):
            assert isinstance(one, Tensor), place
            assert (one.dtype, one.shape, one.stride()) == (other.dtype, other.shape, other.stride()), place
            assert one.storage_offset() == other.storage_offset(), place
            assert (one.is_conj(), one.is_neg()) == (other.is_conj(), other.is_neg()), place
            assert _bits(one) == _bits(other), place
        else:
            assert (type(one), repr(one) if isinstance(one, float) else one) == (
                type(other),
                repr(other) if isinstance(other, float) else other,
            ), place
    assert _sharing(ours) == _sharing(theirs)


@pytest.mark.filterwarnings("ignore")  # torch warns of other protocols than 2
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("content", CONTENTS)
def test_a_file_is_read_as_torch_reads_it(content: str, form: str) -> None:
    if content == "newer dtypes" and form.startswith("older"):
        pytest.skip("torch does not read these itself")
    raw = FORMS[form](CONTENTS[content]())

    assert_equal(read_torch(raw), _as_torch_reads(raw))
