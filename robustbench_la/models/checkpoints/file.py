"""Checkpoint files: written in our own format; read in ours and in foreign ones. Nothing in a file is ever executed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import nn

from robustbench_la.errors import UserError, first_line
from robustbench_la.files import write_whole
from robustbench_la.images.decoding import ImageChoice
from robustbench_la.images.normalization import Normalization
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.checkpoints.folders import folder_of, read_folder
from robustbench_la.models.checkpoints.formats import read_bytes, unpack
from robustbench_la.models.checkpoints.kinds import Kind
from robustbench_la.models.checkpoints.onnx_networks import read_onnx
from robustbench_la.models.checkpoints.trusted import in_file
from robustbench_la.models.checkpoints.whole import WholeNetwork
from robustbench_la.text import printable

FORMAT = "larobust-checkpoint"
VERSION = 1


def save_checkpoint(
    path: Path,
    model: nn.Module,
    *,
    spec: NetworkSpec,
    activation: str,
    alpha: float,
    normalization: Normalization,
    data: ImageChoice,
    training: Mapping[str, Any],
    classes: Sequence[str] = (),
) -> None:
    """Write a checkpoint in our own format, which can be evaluated without further information.

    Args:
        path: Where to write it.
        model: The trained network.
        spec: Its architecture and shape.
        activation: A name of ACTIVATIONS.
        alpha: LayerAct's alpha.
        normalization: Of its inputs.
        data: What to evaluate it on.
        training: How it was trained, as plain values: recipe, seed, epochs, versions.
        classes: The name of the class that each output stands for.
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "network": spec.as_dict(),
        "activation": {"name": activation, "alpha": alpha},
        "normalization": {"mean": list(normalization.mean), "std": list(normalization.std)},
        "data": asdict(data),
        "classes": list(classes),
        "training": dict(training),
        "state_dict": {key: tensor.detach().cpu() for key, tensor in model.state_dict().items()},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(path, buffer.getvalue())


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """The content of a checkpoint, before its network is built."""

    path: Path
    sha256: str
    content: dict[str, Any]
    kind: Kind | None = "torch"
    """None for a folder."""
    whole: WholeNetwork | None = None
    """Its network, if it says all that is needed to build it."""

    @property
    def images(self) -> ImageChoice | None:
        """The images to evaluate it on, or their size, if the file records it."""
        return self.data if self.whole is None else self.whole.images

    @property
    def data(self) -> ImageChoice | None:
        """What to evaluate it on, if the file records it."""
        try:
            return (
                TypeAdapter(ImageChoice).validate_python(self.content["data"]) if self.content.get("format") == FORMAT else None
            )
        except (KeyError, ValueError) as error:
            raise UserError(f"{self.path}: {damaged(error)}") from None


def read_checkpoint(path: Path, *, trusted: bool = False, source: str | None = None) -> CheckpointFile:
    """Read a checkpoint of any format.

    Args:
        path: The file, or a folder of timm or Hugging Face.
        trusted: Whether code in the file may be run.
        source: The architecture that the user specifies; see ``unpack``.

    Returns:
        Its content, with the SHA-256 of the file, or of all files that matter.

    Raises:
        UserError: If the file cannot be read safely; the message starts with the path.
    """
    try:
        if (folder := folder_of(path, source)) is not None:
            sha256, whole = read_folder(folder, None if path.is_dir() else path)
            return CheckpointFile(path, sha256, {}, None, whole)
        raw = read_bytes(path)
        kind, content = unpack(raw, path, trusted=trusted, source=source)
        sha256 = hashlib.sha256(raw).hexdigest()
        if kind == "onnx":
            sha256, whole = read_onnx(raw, path)
            return CheckpointFile(path, sha256, {}, kind, whole)
        return CheckpointFile(path, sha256, content, kind, in_file(content, kind))
    except UserError as error:
        raise type(error)(str(error) if str(error).startswith(printable(f"{path}: ")) else f"{path}: {error}") from None


def damaged(error: Exception) -> str:
    """The error message for a checkpoint in our format whose content is invalid."""
    return f"a damaged larobust checkpoint ({type(error).__name__}: {first_line(error)})"
