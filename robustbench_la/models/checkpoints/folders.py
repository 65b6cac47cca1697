"""Folders of timm and of Hugging Face: config.json, weights in one file or in several, and preprocessing. No code is run."""

from __future__ import annotations

import functools
import hashlib
import re
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any

from torch import Tensor, nn

from robustbench_la.errors import UserError
from robustbench_la.files import is_there
from robustbench_la.models.architectures import HUGGING_FACE
from robustbench_la.models.bounded import no_larger_than
from robustbench_la.models.checkpoints import preprocessing
from robustbench_la.models.checkpoints.configs import (
    Labels,
    check_counts,
    check_runs_nothing,
    labels_of,
    read_config,
    whole_number,
)
from robustbench_la.models.checkpoints.formats import read_bytes, unpack
from robustbench_la.models.checkpoints.keys import check_keys, check_real, missing
from robustbench_la.models.checkpoints.layouts import Weights, choose, find_weights, without_training_only
from robustbench_la.models.checkpoints.present import CONFIG, what_else
from robustbench_la.models.checkpoints.whole import WholeNetwork
from robustbench_la.models.libraries import sketched, timm_network, transformers_network

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_SHARED = 4
"""How many parameters may share the same weights, as an average."""
_OTHER_WEIGHTS = ("*.safetensors", "*.bin", "*.pth", "*.pt")
_PART = re.compile(r"-(\d{1,5})-of-(\d{1,5})\.")


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
        return bool(read_config(folder / CONFIG).keys() & {"architecture", "architectures"})
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
        raise UserError(what_else(folder))
    config = read_config(folder / CONFIG)
    check_runs_nothing(config)
    if config.get("quantization_config"):
        raise UserError("its weights are quantised (quantization_config); save the float weights, or export the network to ONNX")
    files = [named] if named is not None and _is_whole(folder, named) else weight_files(folder)
    described = [folder / CONFIG, *(path for path in [folder / "preprocessor_config.json"] if path.is_file())]
    digest = hashlib.sha256()
    for path in (*described, *files):
        digest.update(f"{path.name} {hashlib.sha256(read_bytes(path)).hexdigest()}\n".encode())
    if isinstance(config.get("architecture"), str):
        return digest.hexdigest(), _of_timm(folder, config, files)
    if isinstance(names := config.get("architectures"), list) and names and all(isinstance(name, str) for name in names):
        return digest.hexdigest(), _of_transformers(folder, config, files)
    raise UserError(f"its {CONFIG} names neither 'architecture' (timm) nor 'architectures' (Hugging Face)")


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
            index = read_config(folder / f"{name}.index.json").get("weight_map")
            listed = list(index.values()) if isinstance(index, dict) else []
            if not listed or not all(isinstance(part, str) and Path(part).name == part for part in listed):
                raise UserError(f"{name}.index.json does not list files of this folder")
            parts = sorted(set(listed))
            if gone := [part for part in parts if not is_there(folder / part)]:
                raise UserError(f"parts of the weights are missing: {', '.join(gone[:3])}")
            return [folder / part for part in parts]
    others = sorted(path for pattern in _OTHER_WEIGHTS for path in folder.glob(pattern))
    if len(others) != 1:
        names = f" but {', '.join(path.name for path in others[:4])}" if others else ""
        raise UserError(f"holds no {' or '.join(_WEIGHTS)}{names}; give the file with the weights itself")
    return others


def _is_whole(folder: Path, named: Path) -> bool:
    """Whether a file holds all weights of a network, and not one part of those that an index lists."""
    indices = [read_config(path).get("weight_map") for path in folder.glob("*.index.json")]
    whole = named.suffix != ".json" and not any(named.name in index.values() for index in indices if isinstance(index, dict))
    if whole and (part := _PART.search(named.name)):
        raise UserError(
            f"{named.name} is part {int(part[1])} of {int(part[2])} of the weights, and no index lists it; give the folder"
        )
    return whole


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
    classes = whole_number(config, "num_classes") or whole_number(described, "num_classes")
    if classes is None:
        raise UserError(f"its {CONFIG} does not say the number of classes (num_classes)")
    labels = labels_of(config.get("label_names", described.get("label_names")), "label_names")

    def make(key: str | None) -> tuple[nn.Module, tuple[str, ...]]:
        content = merged(files)
        check_counts(arguments, _tensors(content, key))
        build = functools.partial(timm_network, name, classes=classes, channels=size[0], arguments=arguments)
        if (sketch := sketched(build)) is not None:  # a file may demand any size
            _fitting(sketch, content, f"timm:{name}", key)
        with no_larger_than(_parameters(find_weights(content, key))):
            model = build()
        return model, (*loaded(model, content, f"timm:{name}", key), *labels.remarks)

    return WholeNetwork(
        architecture=f"timm:{name}",
        make=make,
        channels=size[0],
        classes=classes,
        normalization=preprocessing.timm_normalization(described),
        images=preprocessing.timm_images(described),
        class_names=_names(labels.names) if labels.count == classes else (),
    )


def _parameters(found: Sequence[Weights]) -> int:
    """How many parameters a network with these weights has at most; some share their values with others."""
    return _SHARED * max(sum(tensor.numel() for tensor in weights.tensors.values()) for weights in found)


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
    state, remarks = _fitting(model, content, architecture, key)
    model.load_state_dict(state, strict=False)
    return remarks


def _fitting(
    model: nn.Module, content: Mapping[str, Any], architecture: str, key: str | None
) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    """The weights of a network, and remarks; errors as of ``loaded``."""
    expected: dict[str, Tensor] = model.state_dict()
    found = find_weights(content, key)
    weights = choose(found, lambda tensors: not missing(expected, tensors)) or found[0]
    state, _ = without_training_only(weights.tensors, expected)
    check_keys(model, state, architecture)
    return state, weights.remarks


def _tensors(content: Mapping[str, Any], key: str | None) -> int:
    """The number of tensors in a checkpoint."""
    return max((len(weights.tensors) for weights in find_weights(content, key)), default=0)


def _of_transformers(folder: Path, config: Mapping[str, Any], files: list[Path]) -> WholeNetwork:
    labels = labels_of(config.get("id2label"), "id2label")
    number, channels = whole_number(config, "num_labels"), whole_number(config, "num_channels")
    settings, remarks = _without_odd_labels(config, labels)
    path = folder / "preprocessor_config.json"
    preprocessor = read_config(path) if path.is_file() else {}

    def make(key: str | None) -> tuple[nn.Module, tuple[str, ...]]:
        content = merged(files)
        check_counts(config, _tensors(content, key))
        weights = find_weights(content, key)[0]
        check_real(weights.tensors)
        with no_larger_than(_parameters([weights])):
            network = transformers_network(folder, dict(weights.tensors), settings)
        return network, (*weights.remarks, *remarks)

    return WholeNetwork(
        architecture=HUGGING_FACE,
        make=make,
        channels=channels,
        classes=labels.count or number,
        normalization=preprocessing.transformers_normalization(preprocessor),
        images=preprocessing.transformers_images(preprocessor),
        class_names=_names(labels.names),
    )


def _without_odd_labels(config: Mapping[str, Any], labels: Labels) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Settings without the labels that transformers would fail over, and remarks; None in place of settings that it takes."""
    names, numbers = config.get("id2label"), config.get("label2id")
    taken = names is None or (labels.fault is None and names != {} and _all_of(names, str))
    if taken and (numbers is None or _all_of(numbers, str | int)):
        return None, ()
    settings = {name: value for name, value in config.items() if name not in ("id2label", "label2id")}
    if taken:
        return {**settings, "id2label": names}, (f"its label2id is {reprlib.repr(numbers)}, not numbers of names, and left out",)
    return settings if labels.count is None else {**settings, "num_labels": labels.count}, labels.remarks


def _all_of(table: object, kinds: type | UnionType) -> bool:
    """Whether something is a table of values of some kinds."""
    return isinstance(table, dict) and all(isinstance(value, kinds) and not isinstance(value, bool) for value in table.values())


def _names(labels: Sequence[str]) -> tuple[str, ...]:
    """The names of classes; empty if they only number them, as transformers does where none are given."""
    names = tuple(labels)
    return () if all(re.fullmatch(r"(LABEL_)?\d+", name) for name in names) else names
