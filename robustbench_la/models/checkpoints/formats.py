"""The content of a checkpoint file as Python values. Nothing in a file is executed, unless the user trusts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from robustbench_la.errors import UserError, first_line
from robustbench_la.files import read_regular
from robustbench_la.models.checkpoints.kinds import Kind, is_safetensors, kind_of
from robustbench_la.models.checkpoints.plain_values import DamagedError, NotAllowedError, TooMuchError
from robustbench_la.models.checkpoints.torch_files import read_torch
from robustbench_la.models.checkpoints.trusted import MODULE, load_trusted
from robustbench_la.text import printable

_LONGEST_HEADER = 4 * 2**20
"""Bytes that name the tensors of a safetensors file: enough for 20,000 of them."""


def read_bytes(path: Path) -> bytes:
    """Read a whole file. Raises UserError for what is no readable file, or empty."""
    raw = read_regular(path, "a checkpoint")
    if not raw:
        raise UserError(f"{path}: the file is empty")
    return raw


def unpack(raw: bytes, path: Path, *, trusted: bool = False, source: str | None = None) -> tuple[Kind, dict[str, Any]]:
    """Read the dictionary in a checkpoint file, with unpickling restricted to harmless types.

    Args:
        raw: The bytes of the file.
        path: Its name; the format is that of the content, but a damaged file is reported as what its suffix says.
        trusted: Whether code in the file may be run.
        source: The user's architecture, whose Python file also holds classes that a trusted file needs.

    Returns:
        What kind of file it is, and the dictionary; of a whole network that is trusted, ``{"module": network}``; of an ONNX file,
        nothing.

    Raises:
        UserError: If the file holds code or other objects, or is no checkpoint.
    """
    kind = kind_of(raw, trusted=trusted)
    if kind == "safetensors" or (kind == "torch" and path.suffix.lower() == ".safetensors"):
        return "safetensors", _safetensors(raw)
    if kind == "onnx":
        return kind, {}
    if trusted:
        content: object = load_trusted(raw, kind, source)
    else:
        content = _restricted(raw, path.suffix.lower())
    if isinstance(content, nn.Module):
        return kind, {MODULE: content}
    if isinstance(content, (list, tuple)) and any(isinstance(item, dict) for item in content):
        # Lists of a state dict and other things: named by their place, since they have no keys.
        dictionaries = [item for item in content if isinstance(item, dict)]
        return kind, dictionaries[0] if len(dictionaries) == 1 else {f"item{place}": item for place, item in enumerate(content)}
    if not isinstance(content, dict):
        raise UserError(f"holds a {type(content).__name__}, not a dictionary of weights")
    return kind, content


def _safetensors(raw: bytes) -> dict[str, Any]:
    import safetensors
    import safetensors.torch

    length = int.from_bytes(raw[:8], "little")
    if is_safetensors(raw) and length > _LONGEST_HEADER:
        raise UserError(f"not a readable safetensors file (a header of {length:,} bytes; at most {_LONGEST_HEADER:,} are read)")
    try:
        return safetensors.torch.load(raw)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        what = first_line(error) if is_safetensors(raw) else "damaged, or of another format"
        raise UserError(f"not a readable safetensors file ({what})") from None


_OF_OTHERS = {
    ".msgpack": "weights of JAX (Flax)",
    ".orbax": "a checkpoint of JAX (orbax)",
    ".index": "a part of a TensorFlow checkpoint",
    ".pb": "a TensorFlow graph",
    ".mlmodel": "a Core ML model",
    ".pdparams": "weights of PaddlePaddle",
}
"""What files with these suffixes are, if torch cannot read them."""


def _restricted(raw: bytes, suffix: str) -> object:
    """What a file of torch holds that is not trusted."""
    try:
        return read_torch(raw)
    except UserError:
        raise
    except TooMuchError as error:
        raise UserError(
            f"holds {error} beside its weights; load it yourself and save model.state_dict() alone, or give --trust-file, which "
            "runs code in the file"
        ) from None
    except NotAllowedError as error:
        raise UserError(
            f"holds Python objects other than tensors and plain values ({printable(str(error))[:80]}), so loading it would run "
            "code from the file; if you trust it, load it yourself and save model.state_dict(), or give --trust-file, which runs "
            "that code"
        ) from None
    except Exception as error:  # random bytes make pickletools, and torch where it makes tensors, raise nearly anything
        if suffix in _OF_OTHERS:
            raise UserError(f"{_OF_OTHERS[suffix]}; export the network to ONNX, which larobust reads") from None
        reason = printable(str(error)) if isinstance(error, DamagedError) else f"a damaged pickle: {printable(first_line(error))}"
        raise UserError(f"not a checkpoint that torch can read ({reason})") from None
