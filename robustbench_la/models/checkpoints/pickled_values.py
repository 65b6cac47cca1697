"""What a checkpoint's pickle may name: tensors, whose numbers must be in the file, and plain values. Nothing here runs code."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robustbench_la.models.checkpoints.plain_values import DamagedError, NotAllowedError, plain_key
from robustbench_la.models.checkpoints.unpickle import Maker
from robustbench_la.text import printable

_DIMENSIONS = 32
_NUMPY_TYPES = frozenset(f"{kind}{size}" for kind in "iuf" for size in (1, 2, 4, 8) if (kind, size) != ("f", 1)) | {"b1"}
_STORAGES: Mapping[str, torch.dtype] = MappingProxyType(
    {
        "FloatStorage": torch.float32,
        "DoubleStorage": torch.float64,
        "HalfStorage": torch.float16,
        "BFloat16Storage": torch.bfloat16,
        "LongStorage": torch.int64,
        "IntStorage": torch.int32,
        "ShortStorage": torch.int16,
        "CharStorage": torch.int8,
        "ByteStorage": torch.uint8,
        "BoolStorage": torch.bool,
        "ComplexFloatStorage": torch.complex64,
        "ComplexDoubleStorage": torch.complex128,
        "QInt8Storage": torch.qint8,
        "QUInt8Storage": torch.quint8,
        "QInt32Storage": torch.qint32,
        "UntypedStorage": torch.uint8,
    }
)


_NUMPY_TEXT = re.compile(r"[US][0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Stored:
    """Numbers in the file, as a tensor refers to them."""

    numbers: torch.UntypedStorage
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class StorageType:
    """How stored numbers are to be read."""

    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class UnusableTensor:
    """A tensor that is no array of numbers: nothing of it is built."""

    kind: str
    """``quantised``, ``sparse`` and others."""


@dataclass(slots=True)
class _NumpyType:
    name: str
    order: str = "="


def _tensor(
    stored: object, offset: object, size: object, stride: object, gradient: object = False, hooks: object = None,
    signs: object = None,
) -> Tensor:  # fmt: skip
    """A tensor of stored numbers, which must all be there; how often it repeats them is checked later, by its name."""
    if not isinstance(stored, Stored):
        raise DamagedError("a tensor without numbers")
    return _with_signs(_view(stored.numbers, stored.dtype, offset, size, stride), signs)


def _tensor_of_bytes(
    stored: object, offset: object, size: object, stride: object, gradient: object, hooks: object, dtype: object,
    signs: object = None,
) -> Tensor:  # fmt: skip
    if not isinstance(stored, Stored) or not isinstance(dtype, torch.dtype):
        raise DamagedError("a tensor without numbers")
    return _with_signs(_view(stored.numbers, dtype, offset, size, stride), signs)


def _with_signs(tensor: Tensor, signs: object) -> Tensor:
    """A tensor whose stored numbers are to be conjugated or negated when they are used, as torch says beside them."""
    if not isinstance(signs, dict):
        return tensor
    tensor = tensor.conj() if signs.get("conj") is True else tensor
    return torch._neg_view(tensor) if signs.get("neg") is True else tensor


def _view(numbers: torch.UntypedStorage, dtype: torch.dtype, offset: object, size: object, stride: object) -> Tensor:
    sizes, strides, first = _whole_numbers(size), _whole_numbers(stride), _whole_numbers((offset,))[0]
    if len(sizes) != len(strides) or len(sizes) > _DIMENSIONS:
        raise DamagedError("a tensor whose shape makes no sense")
    used = 0 if 0 in sizes else first + 1 + sum((length - 1) * step for length, step in zip(sizes, strides, strict=True))
    if used * dtype.itemsize > numbers.nbytes():
        raise DamagedError(
            f"a tensor of {' x '.join(map(str, sizes)) or '1'} values, of which the file stores {numbers.nbytes():,} bytes"
        )
    return torch.empty(0, dtype=dtype).set_(numbers, first if first * dtype.itemsize <= numbers.nbytes() else 0, sizes, strides)


def _whole_numbers(values: object) -> tuple[int, ...]:
    """Sizes, strides or an offset."""
    if not isinstance(values, (tuple, list)) or not all(type(value) is int and 0 <= value < 2**62 for value in values):
        raise DamagedError("a tensor whose shape makes no sense")
    return tuple(values)


def _parameter(data: object, *rest: object) -> object:
    if not isinstance(data, (Tensor, UnusableTensor)):
        raise DamagedError("a parameter that is no tensor")
    return data


def _parameter_with_state(data: object, gradient: object, hooks: object, state: object) -> object:
    _check_attributes(state)
    return _parameter(data)


def _tensor_with_attributes(maker: object, kind: object, arguments: object, state: object) -> object:
    if not isinstance(maker, Maker) or not isinstance(arguments, tuple):
        raise DamagedError("a tensor that is made by what is no function")
    _check_attributes(state)
    return _parameter(maker.make(*arguments))


def _check_attributes(state: object) -> None:
    """Raise DamagedError for attributes that would hide those of a tensor; others are left out."""
    for part in state if isinstance(state, tuple) else (state,):
        for name in part if isinstance(part, dict) else ():
            if isinstance(name, str) and hasattr(Tensor, name):
                raise DamagedError(f"a tensor whose attribute {printable(name)} is overwritten")


def _unusable(kind: str) -> Maker:
    return Maker(lambda *arguments: UnusableTensor(kind))


def _scalar(dtype: object, number: object = b"") -> Any:
    if not isinstance(dtype, _NumpyType) or not isinstance(number, bytes):
        raise DamagedError("a number of NumPy that is none")
    if dtype.name.startswith("U"):
        return number.decode("utf-32-be" if dtype.order == ">" else "utf-32-le", "replace").rstrip("\0")
    if dtype.name.startswith("S"):
        return number.rstrip(b"\0")
    return np.frombuffer(number, np.dtype(f"{dtype.order}{dtype.name}"), count=1)[0]


def _numpy_type(name: object, *rest: object) -> _NumpyType:
    if not isinstance(name, str) or (name not in _NUMPY_TYPES and _NUMPY_TEXT.fullmatch(name) is None):
        raise NotAllowedError("a type of NumPy other than those of numbers and texts")
    return _NumpyType(name)


def _dictionary(pairs: object = ()) -> dict[Any, Any]:
    if isinstance(pairs, dict):
        return dict(pairs)
    if not isinstance(pairs, (list, tuple)) or not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
        raise DamagedError("a dictionary of what are no pairs")
    return {plain_key(key): value for key, value in pairs}


def _items(items: object = ()) -> tuple[Any, ...]:
    if not isinstance(items, (list, tuple)):
        raise DamagedError("a collection of what are no items")
    return tuple(items)


def _device(kind: object, *place: object) -> torch.device:
    if not isinstance(kind, str) or not all(type(number) is int for number in place):
        raise DamagedError("a device that is none")
    return torch.device(kind, *place)


def _layout(name: object) -> torch.layout:
    layout = getattr(torch, str(name).removeprefix("torch."), None)
    if not isinstance(layout, torch.layout):
        raise DamagedError("a layout that is none")
    return layout


def _bytes(text: object = "", encoding: object = "latin1") -> bytes:
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8"):
        raise DamagedError("bytes of what is no text")
    return text.encode(str(encoding))


def set_state(target: object, state: object) -> None:
    """Set the state of what a maker made. Raises DamagedError for what has none."""
    if isinstance(target, argparse.Namespace) and isinstance(state, dict) and all(isinstance(name, str) for name in state):
        vars(target).update(state)
    elif isinstance(target, _NumpyType) and isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
        target.order = state[1]
    elif not isinstance(target, dict):  # an OrderedDict's attributes, such as _metadata, are not needed
        raise DamagedError("a state of what has none")


NAMED: Mapping[str, object] = MappingProxyType(
    {
        "torch._utils _rebuild_tensor": Maker(_tensor),
        "torch._utils _rebuild_tensor_v2": Maker(_tensor),
        "torch._utils _rebuild_tensor_v3": Maker(_tensor_of_bytes),
        "torch._utils _rebuild_parameter": Maker(_parameter),
        "torch._utils _rebuild_parameter_with_state": Maker(_parameter_with_state),
        "torch._utils _rebuild_device_tensor_from_cpu_tensor": Maker(_parameter),
        "torch._tensor _rebuild_from_type_v2": Maker(_tensor_with_attributes),
        "torch.nn.parameter Parameter": Maker(_parameter),
        "torch.nn.parameter Buffer": Maker(_parameter),
        "torch Tensor": "Tensor",
        "torch._utils _rebuild_qtensor": _unusable("quantised"),
        "torch._utils _rebuild_sparse_tensor": _unusable("sparse"),
        "torch._utils _rebuild_nested_tensor": _unusable("nested"),
        "torch._utils _rebuild_meta_tensor_no_storage": _unusable("meta"),
        "torch._utils _rebuild_wrapper_subclass": _unusable("meta"),
        "torch.serialization _get_layout": Maker(_layout),
        "torch Size": Maker(lambda sizes=(): torch.Size(_whole_numbers(sizes))),
        "torch device": Maker(_device),
        "collections OrderedDict": Maker(_dictionary),
        "collections Counter": Maker(_dictionary),
        "builtins set": Maker(lambda items=(): set(map(plain_key, _items(items)))),
        "builtins frozenset": Maker(lambda items=(): frozenset(map(plain_key, _items(items)))),
        "builtins bytes": Maker(_bytes),
        "builtins bytearray": Maker(lambda *content: bytearray(_bytes(*content))),
        "builtins complex": Maker(lambda real=0.0, imaginary=0.0: complex(float(real), float(imaginary))),
        "_codecs encode": Maker(_bytes),
        "argparse Namespace": Maker(argparse.Namespace),
        "numpy dtype": Maker(_numpy_type),
        "numpy._core.multiarray scalar": Maker(_scalar),
        "numpy.core.multiarray scalar": Maker(_scalar),
        **{
            f"torch {name}": name
            for name in ("per_tensor_affine", "per_tensor_symmetric", "per_channel_affine", "per_channel_symmetric",
                         "per_channel_affine_float_qparams", "strided", "sparse_coo")
        },
        **{f"torch {name}": value for name, value in vars(torch).items() if isinstance(value, torch.dtype)},
        **{
            f"{module} {name}": StorageType(dtype)
            for module in ("torch", "torch.cuda", "torch.storage")
            for name, dtype in _STORAGES.items()
        },
    }
)  # fmt: skip
"""By ``module name``, as a pickle names it."""
