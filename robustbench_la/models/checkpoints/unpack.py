"""What a checkpoint file holds: read without running anything of it, and its weights found in the usual layouts."""

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
"""What scripts keep beside the weights (a best accuracy, the arguments) and what making it can do no harm with."""

_DEEPEST = 4
"""How many dictionaries deep weights are looked for."""

Candidate = tuple[dict[str, Tensor], tuple[str, ...]]
"""A state dict, and remarks on what was removed from its keys."""


def read_bytes(path: Path) -> bytes:
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
    """The dictionary in a file, unpickled with no code allowed."""
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
    except Exception as error:  # bytes at random make the unpickler raise nearly anything
        said = str(error)
        refused = re.search(r"GLOBAL|Unsupported (global|class)", said) or ("Unsupported" in said and raw.startswith(b"\x80"))
        if refused:
            raise UserError(
                "holds Python objects beyond tensors and plain values, so loading it would run code from the file; "
                "load it where you trust it and save model.state_dict()"
            ) from None
        # torch's own text advises to switch the safeguard off.
        reason = "no known format" if "weights_only" in said else first_line(error)
        raise UserError(f"not a checkpoint that torch can read ({reason})") from None
    if not isinstance(content, dict):
        raise UserError(f"holds a {type(content).__name__}, not a dictionary of weights")
    return content


def _refuse_programs(raw: bytes) -> None:
    """Raise UserError for archives that hold code."""
    buffer = io.BytesIO(raw)
    if not zipfile.is_zipfile(buffer):
        return
    with zipfile.ZipFile(buffer) as archive:
        if any(name.endswith(("constants.pkl", ".pt2")) or "/code/" in name for name in archive.namelist()):
            raise UserError("a TorchScript or exported program, which holds code; save model.state_dict() instead")


def state_dicts(content: dict[str, Any]) -> tuple[list[str], list[Candidate]]:
    """The weights in a dictionary of any of the usual layouts: as they are, and without each wrapper's key prefix in turn.

    Gives remarks on where they were found, and the candidates.
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
        raise UserError(f"no weights found: looked for tensors at the top and under {', '.join(_NESTS)}")
    state: dict[str, Tensor] = {key: tensor for key, tensor in content.items() if key != "n_averaged"}  # of AveragedModel
    candidates: list[Candidate] = [(state, ())]
    while prefix := next((p for p in _PREFIXES if all(key.startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
        candidates.append((state, (*candidates[-1][1], f"prefix '{prefix}' removed from every key")))
    return remarks, candidates


def is_state_dict(content: dict[str, Any]) -> bool:
    return bool(content) and all(
        isinstance(key, str) and isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta
        for key, value in content.items()
    )
