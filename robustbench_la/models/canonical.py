"""Python values as plain text-like data that is equal for equal values, in every process: what identities are hashed from."""

from __future__ import annotations

import functools
import hashlib
import re
import types
from collections.abc import Mapping, Set
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

Canonical: TypeAlias = str | tuple["Canonical", ...]
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_DEEPEST = 12
"""Levels of nesting that are followed; what lies deeper counts by its type."""


def canonical(value: object, depth: int = 0) -> Canonical:
    """Reduce a value to nested tuples of strings, without addresses.

    Tensors and arrays count by dtype, shape and bytes, functions by their compiled code, defaults and closure, other objects by
    their type and attributes. Modules count by their type: they are hashed where they stand.

    Args:
        value: Any value.
        depth: How deep it is nested; for recursion.

    Returns:
        Equal data for equal values.

    >>> canonical({"mean": np.float32(0.5)}) == canonical({"mean": np.float32(0.25)})
    False
    """
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if depth > _DEEPEST or isinstance(value, nn.Module):
        return kind
    if isinstance(value, Tensor):
        if value.is_meta or value.is_nested:
            return (kind, str(value.dtype), str(value.shape))
        dense = (
            value.detach().dequantize()
            if value.is_quantized
            else value.detach().to_dense()
            if value.is_sparse
            else value.detach()
        )
        content = dense.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return (kind, str(value.dtype), str(tuple(value.shape)), hashlib.sha256(content).hexdigest())
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        content = repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()
        return (kind, str(array.dtype), str(array.shape), hashlib.sha256(content).hexdigest())
    if isinstance(value, (str, bytes, int, float, complex, type(None), torch.dtype, torch.device)):
        return (kind, repr(value))
    if isinstance(value, type):
        return ("type", f"{value.__module__}.{value.__qualname__}")
    return (kind, *_parts(value, depth + 1))


def _parts(value: object, depth: int) -> list[Canonical]:
    """What a value is made of."""
    if isinstance(value, Mapping):
        return [(canonical(key, depth), canonical(entry, depth)) for key, entry in value.items()]
    if isinstance(value, Set):
        return sorted((canonical(entry, depth) for entry in value), key=repr)
    if isinstance(value, (list, tuple)):
        return [canonical(entry, depth) for entry in value]
    if isinstance(value, types.CodeType):
        return [repr(value.co_code), repr(value.co_names), *(canonical(entry, depth) for entry in value.co_consts)]
    if isinstance(value, types.FunctionType):
        closure = [_contents(cell) for cell in value.__closure__ or ()]
        # The docstring does not count.
        constants = tuple(None if one == value.__doc__ else one for one in value.__code__.co_consts)
        parts = (value.__code__.replace(co_consts=constants), value.__defaults__, value.__kwdefaults__, closure)
        return [canonical(part, depth) for part in parts]
    if isinstance(value, (staticmethod, classmethod)):
        return [canonical(value.__func__, depth)]
    if isinstance(value, property):
        return [canonical(function, depth) for function in (value.fget, value.fset, value.fdel)]
    if isinstance(value, types.MethodType):
        return [canonical(value.__func__, depth), canonical(type(value.__self__), depth)]
    if isinstance(value, functools.partial):
        return [canonical(part, depth) for part in (value.func, value.args, value.keywords)]
    attributes = getattr(value, "__dict__", None)
    return [_ADDRESS.sub("", repr(value))] if not attributes else [canonical(attributes, depth)]


def _contents(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None
