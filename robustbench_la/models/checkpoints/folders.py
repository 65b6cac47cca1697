"""Folders of timm and of Hugging Face: config.json, weights in one file or in several, and preprocessing. No code is run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from robustbench_la.errors import UserError
from robustbench_la.models.architectures import HUGGING_FACE
from robustbench_la.models.checkpoints import preprocessing
from robustbench_la.models.checkpoints.formats import read_bytes, unpack
from robustbench_la.models.checkpoints.keys import check_keys, missing
from robustbench_la.models.checkpoints.layouts import choose, find_weights, without_training_only
from robustbench_la.models.checkpoints.whole import WholeNetwork
from robustbench_la.models.libraries import timm_network, transformers_network

CONFIG = "config.json"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_OTHER_WEIGHTS = ("*.safetensors", "*.bin", "*.pth", "*.pt")
_ORBAX = ("_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt", "checkpoint")


def folder_of(path: Path, architecture: str | None = None) -> Path | None:
    """The folder that describes a network: ``path`` itself, or that of weights with the usual name next to a config.json."""
    if path.is_dir():
        return path
    if architecture == HUGGING_FACE:
        if not (path.parent / CONFIG).is_file():
            raise UserError(f"--arch {HUGGING_FACE} needs a {CONFIG} next to the weights")
        return path.parent
    return path.parent if architecture is None and path.name in _WEIGHTS and _describes(path.parent) else None


def _describes(folder: Path) -> bool:
    if not (folder / CONFIG).is_file():
        return False
    try:
        return bool(_config(folder / CONFIG).keys() & {"architecture", "architectures"})
    except UserError:
        return False


def read_folder(folder: Path, named: Path | None = None) -> tuple[str, WholeNetwork]:
    """Read what a folder says about its network. The weights are read once, for their digest, and again when it is built.

    Args:
        folder: The folder.
        named: The file in it whose weights are meant; None for those with the usual name.

    Returns:
        SHA-256 of the files that matter, and the network.

    Raises:
        UserError: If it is no such folder, or asks for code of its own.
    """
    if not (folder / CONFIG).is_file():
        raise UserError(_what_else(folder))
    config = _config(folder / CONFIG)
    if "auto_map" in config:
        raise UserError(
            f"its {CONFIG} asks for Python code that comes with the network (auto_map), which is not run; give the weights with "
            "--arch FILE.py:CLASS if you trust that code"
        )
    files = [named] if named is not None and _is_whole(folder, named) else weight_files(folder)
    described = [folder / CONFIG, *(path for path in [folder / "preprocessor_config.json"] if path.is_file())]
    digest = hashlib.sha256()
    for path in (*described, *files):
        digest.update(f"{path.name} {hashlib.sha256(read_bytes(path)).hexdigest()}\n".encode())
    if isinstance(config.get("architecture"), str):
        return digest.hexdigest(), _of_timm(folder, config, files)
    if isinstance(config.get("architectures"), list):
        return digest.hexdigest(), _of_transformers(folder, config, files)
    raise UserError(f"its {CONFIG} names neither 'architecture' (timm) nor 'architectures' (Hugging Face)")


def _what_else(folder: Path) -> str:
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


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(read_bytes(path))
    except (ValueError, RecursionError):
        raise UserError(f"{path.name} is not readable as JSON") from None
    if not isinstance(config, dict):
        raise UserError(f"{path.name} holds no settings")
    return config


def weight_files(folder: Path) -> list[Path]:
    """The files with the weights of a folder, in order.

    Args:
        folder: The folder.

    Returns:
        One file, or all parts that an index lists.

    Raises:
        UserError: If there are none, several that could be meant, or the index names files elsewhere.
    """
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}.index.json").is_file():
            index = _config(folder / f"{name}.index.json").get("weight_map")
            parts = sorted(set(index.values())) if isinstance(index, dict) and index else []
            if not parts or not all(isinstance(part, str) and Path(part).name == part for part in parts):
                raise UserError(f"{name}.index.json does not list files of this folder")
            if gone := [part for part in parts if not (folder / part).is_file()]:
                raise UserError(f"parts of the weights are missing: {', '.join(gone[:3])}")
            return [folder / part for part in parts]
    others = sorted(path for pattern in _OTHER_WEIGHTS for path in folder.glob(pattern))
    if len(others) != 1:
        names = f" but {', '.join(path.name for path in others[:4])}" if others else ""
        raise UserError(f"holds no {' or '.join(_WEIGHTS)}{names}; give the file with the weights itself")
    return others


def _is_whole(folder: Path, named: Path) -> bool:
    """Whether a file holds all weights of a network, and not one part of those that an index lists."""
    indices = [_config(path).get("weight_map") for path in folder.glob("*.index.json")]
    return named.suffix != ".json" and not any(named.name in index.values() for index in indices if isinstance(index, dict))


def merged(files: list[Path]) -> dict[str, Any]:
    """The content of weights in several parts."""
    content: dict[str, Any] = {}
    for path in files:
        content |= unpack(read_bytes(path), path)[1]
    return content


def _of_timm(folder: Path, config: Mapping[str, Any], files: list[Path]) -> WholeNetwork:
    described = config.get("pretrained_cfg")
    described = described if isinstance(described, dict) else config
    arguments = config.get("model_args")
    arguments = dict(arguments) if isinstance(arguments, dict) else {}
    name, size = str(config["architecture"]), preprocessing.timm_size(described)
    classes = next((n for n in (config.get("num_classes"), described.get("num_classes")) if isinstance(n, int) and n > 0), None)
    if classes is None:
        raise UserError(f"its {CONFIG} does not say the number of classes (num_classes)")
    labels = config.get("label_names", described.get("label_names"))

    def make(key: str | None) -> tuple[nn.Module, tuple[str, ...]]:
        model = timm_network(name, classes=classes, channels=size[0], arguments=arguments)
        return model, loaded(model, merged(files), f"timm:{name}", key)

    return WholeNetwork(
        architecture=f"timm:{name}",
        make=make,
        channels=size[0],
        classes=classes,
        normalization=preprocessing.timm_normalization(described),
        images=preprocessing.timm_images(described),
        class_names=_names(labels) if isinstance(labels, list) and len(labels) == classes else (),
    )


def loaded(model: nn.Module, content: Mapping[str, Any], architecture: str, key: str | None) -> tuple[str, ...]:
    """Load weights into a network, in place.

    Args:
        model: The network.
        content: The content of a checkpoint.
        architecture: Its name, for errors.
        key: Which weights, if there are several.

    Returns:
        Remarks on where the weights were found.

    Raises:
        UserError: If they do not fit.
    """
    expected: dict[str, Tensor] = model.state_dict()
    found = find_weights(content, key)
    weights = choose(found, lambda tensors: not missing(expected, tensors)) or found[0]
    state, _ = without_training_only(weights.tensors, expected)
    check_keys(model, state, architecture)
    model.load_state_dict(state, strict=False)
    return weights.remarks


def _of_transformers(folder: Path, config: Mapping[str, Any], files: list[Path]) -> WholeNetwork:
    names = config.get("id2label")
    labels = names if isinstance(names, dict) else {}
    channels = config.get("num_channels")
    path = folder / "preprocessor_config.json"
    settings = _config(path) if path.is_file() else {}
    given = isinstance(config.get("num_labels"), int)
    usual = len(files) > 1 or files[0].name == _WEIGHTS[0]

    def make(key: str | None) -> tuple[nn.Module, tuple[str, ...]]:
        if usual:
            return transformers_network(folder), ()
        weights = find_weights(merged(files), key)[0]
        return transformers_network(folder, dict(weights.tensors)), weights.remarks

    return WholeNetwork(
        architecture=HUGGING_FACE,
        make=make,
        channels=channels if isinstance(channels, int) else None,
        classes=len(labels) or (config["num_labels"] if given else None),
        normalization=preprocessing.transformers_normalization(settings),
        images=preprocessing.transformers_images(settings),
        class_names=_names([labels[key] for key in sorted(labels, key=_as_number)]),
    )


def _names(labels: Sequence[object]) -> tuple[str, ...]:
    """The names of classes; empty if they only number them, as transformers does where none are given."""
    names = tuple(map(str, labels))
    return () if all(re.fullmatch(r"(LABEL_)?\d+", name) for name in names) else names


def _as_number(key: str) -> int:
    return int(key) if key.isdigit() else -1
