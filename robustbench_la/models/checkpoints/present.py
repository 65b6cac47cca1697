"""Refuses what cannot be a checkpoint or images, before torch is imported, which takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from robustbench_la.errors import UserError
from robustbench_la.files import at_home, kind_at
from robustbench_la.images.datasets import DATASETS
from robustbench_la.images.decoding import ImageChoice, open_dataset
from robustbench_la.models.checkpoints.find import find_checkpoints
from robustbench_la.records.published_sets import is_published

CONFIG = "config.json"
_ORBAX = ("_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt", "checkpoint")


def check_present(checkpoints: Sequence[str], data: str | None, *, download: bool = False) -> None:
    """Check that a single checkpoint, and the folder of the images, are there; what is in them is read later.

    Of several checkpoints each is checked when it is read: some may be left out.

    Args:
        checkpoints: As for ``find_checkpoints``; none are not checked.
        data: Name of a dataset; None if it is not given.
        download: Whether a missing dataset may be downloaded.

    Raises:
        UserError: With the message that reading them would end in.
    """
    files = find_checkpoints(checkpoints) if checkpoints else []
    if len(files) == 1:
        _check_file(files[0].path)
    kind, _, root = (data or "").partition(":")
    refused = download and is_published(data)
    if root and kind in DATASETS and (refused or (not download and not _is_folder(at_home(root)))):
        open_dataset(ImageChoice(f"{kind}:{root}"), download=download)


def _check_file(path: Path) -> None:
    try:
        kind, is_empty = kind_at(path), path.stat().st_size == 0
    except (OSError, ValueError):  # reading it says why
        return
    if kind == "a folder" and not (path / CONFIG).is_file():
        raise UserError(f"{path}: {what_else(path)}")
    if kind not in (None, "a folder"):
        raise UserError(f"{path}: {kind}, not a checkpoint")
    if kind is None and is_empty:
        raise UserError(f"{path}: the file is empty")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def what_else(folder: Path) -> str:
    """What to say about a folder without config.json."""
    if any((folder / name).exists() for name in _ORBAX):
        return "a checkpoint of JAX (orbax); export it to ONNX, which larobust reads (jax2onnx)"
    if (folder / ".metadata").is_file():
        return (
            "a checkpoint of torch.distributed; convert it to one file with python -m torch.distributed.checkpoint.format_utils "
            "dcp_to_torch DIR FILE"
        )
    if (folder / "saved_model.pb").is_file():
        return "a TensorFlow SavedModel; export it to ONNX, which larobust reads (tf2onnx)"
    return "a folder, not a checkpoint; give a file in it, or a folder of timm or Hugging Face, which holds a config.json"
