"""The content of a checkpoint file, read without executing any of it, and its weights, located in the usual layouts."""

from __future__ import annotations

import argparse
import io
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robustbench_la.errors import UserError, first_line

_NESTS = ("state_dict", "model_state_dict", "model", "net", "ema", "module")

_PREFIXES = ("module.", "_orig_mod.", "model.")

_NUMPY_SCALAR = np.float64(0).__reduce__()[0]

_HARMLESS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")),
    (_NUMPY_SCALAR, "numpy._core.multiarray.scalar"),
    (_NUMPY_SCALAR, "numpy.core.multiarray.scalar"),
]
"""Types that scripts save next to the weights (a best accuracy, the arguments) and that are harmless to construct."""

_DEEPEST = 4
"""How many nested dictionaries are searched for weights."""

Candidate = tuple[dict[str, Tensor], tuple[str, ...]]
"""A state dict, and remarks on what was removed from its keys."""


def read_bytes(path: Path) -> bytes:
    """Read a whole file. Raises UserError for what is no readable file, or empty."""
    try:
        if path.is_char_device():
            raise UserError(f"{path}: a device, not a checkpoint")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder, not a checkpoint") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if not raw:
        raise UserError(f"{path}: the file is empty")
    return raw


def unpack(raw: bytes, path: Path) -> dict[str, Any]:
    """Read the dictionary in a checkpoint file, with unpickling restricted to harmless types.

    Args:
        raw: The bytes of the file.
        path: Its name; the suffix ``.safetensors`` selects that format.

    Returns:
        The dictionary.

    Raises:
        UserError: If the file holds code or other objects, or is no checkpoint.
    """
    if path.suffix == ".safetensors":
        import safetensors
        import safetensors.torch

        try:
            return safetensors.torch.load(raw)
        except (safetensors.SafetensorError, ValueError, KeyError) as error:
            raise UserError(f"not a readable safetensors file ({first_line(error)})") from None
    try:
        _refuse_programs(raw)
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals(_HARMLESS):
            content = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # random bytes make the unpickler raise nearly anything
        message = str(error)
        is_pickle = raw.startswith(b"\x80")
        if re.search(r"GLOBAL|Unsupported (global|class)", message) or ("Unsupported" in message and is_pickle):
            raise UserError(
                "holds Python objects other than tensors and plain values, so loading it would run code from the file; "
                "if you trust it, load it yourself and save model.state_dict()"
            ) from None
        # torch's own message advises switching the safeguard off.
        reason = first_line(error) if " " in message and "weights_only" not in message else "damaged, or of an unknown format"
        raise UserError(f"not a checkpoint that torch can read ({reason})") from None
    if not isinstance(content, dict):
        raise UserError(f"holds a {type(content).__name__}, not a dictionary of weights")
    return content


def _refuse_programs(raw: bytes) -> None:
    """Raise UserError for archives that contain code."""
    buffer = io.BytesIO(raw)
    if not zipfile.is_zipfile(buffer):
        return
    with zipfile.ZipFile(buffer) as archive:
        if any(name.endswith(("constants.pkl", ".pt2")) or "/code/" in name for name in archive.namelist()):
            raise UserError("a TorchScript or exported program, which contains code; save model.state_dict() instead")


def state_dicts(content: dict[str, Any]) -> tuple[list[str], list[Candidate]]:
    """Locate the weights in a dictionary of any of the usual layouts.

    Args:
        content: The content of a checkpoint.

    Returns:
        Remarks on where the weights were found; and candidates: the weights unchanged, then with one wrapper's key prefix after
        the other removed.

    Raises:
        UserError: If no weights are found.
    """
    remarks = []
    for _ in range(_DEEPEST):
        if is_state_dict(content):
            break
        nest = next((key for key in _NESTS if isinstance(content.get(key), dict)), None)
        if nest is None:
            break
        remarks.append(f"weights taken from '{nest}'")
        content = content[nest]
    if not is_state_dict(content):
        raise UserError(f"no weights found: looked for tensors at the top level and under {', '.join(_NESTS)}")
    state: dict[str, Tensor] = {key: tensor for key, tensor in content.items() if key != "n_averaged"}  # of AveragedModel
    candidates: list[Candidate] = [(state, ())]
    while prefix := next((p for p in _PREFIXES if all(key.startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
        candidates.append((state, (*candidates[-1][1], f"prefix '{prefix}' removed from every key")))
    return remarks, candidates


def is_state_dict(content: dict[str, Any]) -> bool:
    """Whether a dictionary maps strings to dense tensors with data, and is not empty."""
    return bool(content) and all(
        isinstance(key, str) and isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta
        for key, value in content.items()
    )
