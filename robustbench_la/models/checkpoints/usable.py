"""Which tensors larobust computes with: dense ones of plain numbers, that repeat no more than what their file stores."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from robustbench_la.errors import UserError
from robustbench_la.models.checkpoints.archives import FACTOR
from robustbench_la.models.checkpoints.pickled_values import UnusableTensor
from robustbench_la.text import quoted

_TYPES = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool, torch.uint8, torch.int8, torch.int16,
                    torch.int32, torch.int64})  # fmt: skip
_HUGE = 2**20
"""Bytes up to which a tensor may repeat a few stored values."""


def check_usable(content: Mapping[object, object]) -> None:
    """Raise UserError if a dictionary holds tensors of a quantised network, or such that are no arrays."""
    for key, value in content.items():
        quantised = (
            value.is_quantized if isinstance(value, Tensor) else isinstance(value, UnusableTensor) and value.kind == "quantised"
        )
        if quantised or (isinstance(key, str) and key.endswith("_packed_params")):
            raise UserError(
                "the int8 weights of a quantised network, which fit no plain one; save the state dict from before quantisation, "
                "or export the quantised network to ONNX"
            )
        if isinstance(value, UnusableTensor):
            raise UserError(_not_dense(quoted(str(key))))


def check_tensors(tensors: Mapping[str, Tensor]) -> None:
    """Check the tensors of a state dict.

    Args:
        tensors: By their names.

    Raises:
        UserError: For a tensor that is no array of numbers, and for tensors that are larger than what the file stores of them.
    """
    for name, tensor in tensors.items():
        _check_tensor(quoted(name), tensor)
    declared = sum(map(_declared, tensors.values()))
    stored = sum({tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors.values()}.values())
    if declared > _HUGE + FACTOR * stored:
        raise UserError(f"its weights declare {declared:,} bytes, but the file stores {stored:,} bytes of them")


def _check_tensor(name: str, tensor: Tensor) -> None:
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_meta:
        raise UserError(_not_dense(name))
    if tensor.dtype not in _TYPES:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise UserError(f"{name} is {kind}, which larobust does not compute with; save the weights as float32")
    stored = tensor.untyped_storage().nbytes()
    if _declared(tensor) > max(_HUGE, stored):
        raise UserError(f"{name} declares {tensor.numel():,} values, but the file stores {stored:,} bytes of them")


def _not_dense(name: str) -> str:
    return f"{name} is a sparse or nested tensor, or has no data; save dense weights"


def _declared(tensor: Tensor) -> int:
    """The bytes of a tensor, if each of its values were stored."""
    return tensor.numel() * tensor.element_size()
