"""Checkpoint files: saved in our own format; ours and those of others read. Nothing in a file is ever executed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
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
from robustbench_la.models.checkpoints.unpack import read_bytes, unpack

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
) -> None:
    """Write a checkpoint of our own, which needs nothing else to be evaluated.

    training: plain values that tell how it was trained: recipe, seed, epochs, versions.
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "network": spec.as_dict(),
        "activation": {"name": activation, "alpha": alpha},
        "normalization": {"mean": list(normalization.mean), "std": list(normalization.std)},
        "data": asdict(data),
        "training": dict(training),
        "state_dict": {key: tensor.detach().cpu() for key, tensor in model.state_dict().items()},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(path, buffer.getvalue())


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """A checkpoint's content, before a network is made of it."""

    path: Path
    sha256: str
    content: dict[str, Any]

    @property
    def data(self) -> ImageChoice | None:
        """What to evaluate it on, where it says so."""
        try:
            return (
                TypeAdapter(ImageChoice).validate_python(self.content["data"]) if self.content.get("format") == FORMAT else None
            )
        except (KeyError, ValueError) as error:
            raise UserError(f"{self.path}: {damaged(error)}") from None


def read_checkpoint(path: Path) -> CheckpointFile:
    """Read any checkpoint. Raises: UserError for a file that cannot be read safely, with its name."""
    raw = read_bytes(path)
    try:
        return CheckpointFile(path, hashlib.sha256(raw).hexdigest(), unpack(raw, path))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def damaged(error: Exception) -> str:
    return f"a damaged larobust checkpoint ({type(error).__name__}: {first_line(error)})"
