"""Which kind of file some bytes are, by their content and not by their name; what is refused, and what to do instead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from robustbench_la.errors import UserError
from robustbench_la.models.checkpoints.archives import Archive

Kind = Literal["torch", "torchscript", "safetensors", "onnx"]

_TO_ONNX = "export it to ONNX, which larobust reads (tf2onnx for Keras and TensorFlow, jax2onnx for JAX)"
_BY_FIRST_BYTES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run git lfs pull"),
    (b"\x89HDF\r\n", f"an HDF5 file, as Keras writes it; {_TO_ONNX}"),
    (b"\x1f\x8b", "a compressed file (gzip); unpack it first"),
    (b"\xfd7zXZ", "a compressed file (xz); unpack it first"),
    (b"BZh", "a compressed file (bzip2); unpack it first"),
    (b"7z\xbc\xaf", "a compressed file (7z); unpack it first"),
    (b"GGUF", "a GGUF file, which holds the quantised weights of a language model"),
)
_MARKUP = (b"<!doctype html", b"<html", b"<?xml", b"<head", b"<body")
_ONNX_FIELDS = frozenset(b"\x12\x1a\x22\x28\x32\x3a\x42")
"""Tags of the fields that may follow ir_version, the first of an ONNX model."""


def kind_of(raw: bytes, *, trusted: bool = False) -> Kind:
    """Find out what a file is.

    Args:
        raw: Its content.
        trusted: Whether code in it may be run.

    Returns:
        How to read it; ``torch`` for what is not recognised, since pickles have many beginnings.

    Raises:
        UserError: If it is something else than a checkpoint, or contains code and is not trusted.
    """
    start = raw[:64].lstrip().lower()
    if start.startswith(_MARKUP):
        raise UserError("a web page, not a checkpoint: the download failed; download the file again")
    for first, what in _BY_FIRST_BYTES:
        if raw.startswith(first):
            raise UserError(what)
    if raw[4:8] == b"TFL3":
        raise UserError(f"a TensorFlow Lite file; {_TO_ONNX}")
    if raw[257:262] == b"ustar":
        raise UserError("a tar archive; unpack it first")
    if is_safetensors(raw):
        return "safetensors"
    if len(raw) > 4 and raw[0] == 8 and 0 < raw[1] <= 32 and raw[2] in _ONNX_FIELDS:
        return "onnx"
    return _kind_of_archive(Archive(raw).names, trusted=trusted) if raw.startswith(b"PK") else "torch"


def is_safetensors(raw: bytes) -> bool:
    """Whether bytes begin as a safetensors file: the length of its header, then the header in JSON."""
    length = int.from_bytes(raw[:8], "little")
    return len(raw) > 8 and raw[8:9] == b"{" and 2 <= length <= len(raw)


def _kind_of_archive(names: Iterable[str], *, trusted: bool) -> Kind:
    files = {name.partition("/")[2] if "/" in name else name for name in names} | set(names)
    if {"config.json", "model.weights.h5"} & files == {"config.json", "model.weights.h5"}:
        raise UserError(f"a Keras model; {_TO_ONNX}")
    if "archive_format" in files or "serialized_exported_program.json" in files or any(name.endswith(".pt2") for name in files):
        raise UserError(
            "a program written by torch.export (.pt2); loading it would run code from the file, and --trust-file does not change "
            "that; save model.state_dict() instead, or export the network to ONNX"
        )
    if "constants.pkl" in files or any(name.startswith("code/") for name in files):
        if trusted:
            return "torchscript"
        raise UserError(
            "a TorchScript program, which contains code; save model.state_dict() instead, or give --trust-file, which runs that "
            "code, if you trust its author"
        )
    if "data.pkl" not in files:
        holds = "arrays of NumPy" if any(name.endswith(".npy") for name in files) else "no weights of torch"
        raise UserError(f"a zip archive with {holds}; unpack it, or save model.state_dict() with torch.save")
    return "torch"
