"""Checkpoints: saved in our own format, loaded from that or from what others write. Nothing in a file is ever executed."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from robustbench_la.activations import ACTIVATIONS, DEFAULT_ALPHA, Level
from robustbench_la.errors import UserError, first_line, lookup
from robustbench_la.files import write_whole
from robustbench_la.images.decoding import ImageChoice, Shape
from robustbench_la.images.normalization import NORMALIZATIONS, Normalization
from robustbench_la.models.build import NetworkSpec, build, check_architecture, code_of
from robustbench_la.models.checkpoints.recognise import recognise
from robustbench_la.models.checkpoints.unpack import Candidate, is_state_dict, read_bytes, state_dicts, unpack
from robustbench_la.records.cells import Identity

FORMAT = "larobust-checkpoint"
VERSION = 1
_SHOWN = 3
"""How many keys an error names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A trained network, ready to be run, with all that is known of it."""

    name: str
    """The path as it was given."""
    sha256: str
    model: nn.Module
    spec: NetworkSpec
    activation: str
    alpha: float | None
    """None at the element level."""
    normalization: Normalization
    data: ImageChoice | None
    """What to evaluate it on, where the file says so."""
    seed: int | None
    """Its training seed, where the file says so."""
    remarks: tuple[str, ...]
    """What was done to make it fit, for the user to read."""
    code: str | None = None
    """SHA-256 of the user's file that builds it; None for an architecture of the table."""

    @property
    def level(self) -> Level:
        """Whether its activation is layer-level or element-level."""
        return ACTIVATIONS[self.activation].level

    @property
    def identity(self) -> Identity:
        """What records of it begin with."""
        return Identity(
            checkpoint=self.name,
            sha256=self.sha256,
            architecture=self.spec.architecture,
            code=self.code,
            activation=self.activation,
            activation_level=self.level,
            alpha=self.alpha,
            normalization=str(self.normalization),
            training_seed=self.seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOverrides:
    """What the user says of a checkpoint, which a foreign file does not tell; None: not said."""

    architecture: str | None = None
    activation: str | None = None
    alpha: float | None = None
    normalization: Normalization | None = None


def save(
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
            raise UserError(f"{self.path}: {_damaged(error)}") from None


def read(path: Path) -> CheckpointFile:
    """Read any checkpoint. Raises: UserError for a file that cannot be read safely, with its name."""
    raw = read_bytes(path)
    try:
        return CheckpointFile(path, hashlib.sha256(raw).hexdigest(), unpack(raw, path))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def load(path: Path, wish: LoadOverrides, shape: Shape | None = None) -> Network:
    """Read a checkpoint and make its network. shape: as in ``assemble``."""
    return assemble(read(path), wish, shape or Shape(classes=0, channels=0, height=0, width=0))


def assemble(file: CheckpointFile, wish: LoadOverrides, shape: Shape) -> Network:
    """The network of a checkpoint. shape: of the data to come, for what neither file nor weights tell.

    Raises: UserError for a file that does not say what is needed or does not fit, with its name.
    """
    try:
        own = file.content.get("format") == FORMAT
        network = _own(file, wish, shape) if own else _foreign(file.content, wish, shape)
    except UserError as error:
        raise type(error)(str(error) if str(error).startswith(f"{file.path}: ") else f"{file.path}: {error}") from None
    return replace(network, name=str(file.path), sha256=file.sha256, code=code_of(network.spec.architecture))


def _damaged(error: Exception) -> str:
    return f"a damaged larobust checkpoint ({type(error).__name__}: {first_line(error)})"


def _own(file: CheckpointFile, wish: LoadOverrides, shape: Shape) -> Network:
    content = file.content
    if content.get("version") != VERSION:
        raise UserError(f"written by another version of larobust (format {content.get('version')!r}; this one reads {VERSION})")
    try:
        spec = TypeAdapter(NetworkSpec).validate_python(content["network"])
        activation, alpha = content["activation"]["name"], float(content["activation"]["alpha"])
        normalization = Normalization(tuple(content["normalization"]["mean"]), tuple(content["normalization"]["std"]))
        seed = content["training"].get("seed")
        state = content["state_dict"]
        numbers = (alpha, *normalization.mean, *normalization.std)
        if not isinstance(activation, str) or not all(map(math.isfinite, numbers)) or min(alpha, *normalization.std) <= 0:
            raise ValueError("activation, alpha or normalization")
        if min(spec.classes, spec.channels, spec.hidden) < 1 or not isinstance(seed, int | None):
            raise ValueError("network or seed")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(_damaged(error)) from None
    if spec.is_code and wish.architecture != spec.architecture:
        raise UserError(f"its network is made by the code {spec.architecture}; allow that with --arch {spec.architecture}")
    said = (
        ("--arch", wish.architecture, spec.architecture),
        ("--activation", wish.activation, activation),
        ("--alpha", wish.alpha, alpha),
        ("--normalize", wish.normalization, normalization),
    )
    for flag, wished, written in said:
        if wished is not None and wished != written:
            raise UserError(f"{flag} says {wished}, but the file says {written}")
    trained, given = (spec.width, spec.height), (shape.width, shape.height)
    other = shape.height and trained != given
    remark = f"trained on images of {trained[0]}x{trained[1]} px; these are {given[0]}x{given[1]} px"
    return _network(spec, state, activation, alpha, normalization, data=file.data, seed=seed, remarks=(remark,) if other else ())


def _foreign(content: dict[str, Any], wish: LoadOverrides, shape: Shape) -> Network:
    if wish.architecture is not None:
        check_architecture(wish.architecture)
    remarks, candidates = state_dicts(content)
    state, removed = candidates[-1]
    known = recognise(state)
    if known is not None and wish.architecture in (None, known[0].architecture):
        spec, state = known
        removed = (*removed, f"recognised as {spec.architecture} for {spec.classes} classes, {spec.channels} channels")
    elif wish.architecture is None:
        raise UserError(f"not a network of the table (its keys begin {_some(state)}); say which with --arch")
    elif known is not None and ":" not in wish.architecture:
        raise UserError(f"--arch says {wish.architecture}, but the weights are of {known[0].architecture}")
    else:
        spec, (state, removed) = _measured(wish, candidates, shape)
    remarks += removed
    if wish.activation is None:
        raise UserError(
            f"the activation cannot be seen in the weights of {spec.architecture}; say it with --activation, "
            f"one of {', '.join(ACTIVATIONS)}"
        )
    spec = replace(spec, height=spec.height or shape.height, width=spec.width or shape.width)
    return _network(
        spec,
        state,
        wish.activation,
        DEFAULT_ALPHA if wish.alpha is None else wish.alpha,
        wish.normalization or NORMALIZATIONS["none"],
        data=None,
        seed=None,
        remarks=(*remarks, *(() if wish.normalization else ("no --normalize given: pixels on [0, 1] as they are",))),
    )


def _measured(wish: LoadOverrides, candidates: list[Candidate], shape: Shape) -> tuple[NetworkSpec, Candidate]:
    """The spec of an architecture that is not in the table, and the candidate whose keys fit it best.

    Its classes are found by building it for a number of classes that no layer has by chance, and looking at what the weights have
    in its place. A function of the user's that takes no ``classes`` is for those of the data.
    """
    assert wish.architecture is not None
    if ":" not in wish.architecture:
        raise UserError(f"the weights are not of {wish.architecture}: their keys begin {_some(candidates[-1][0])}")
    odd = 7919
    spec = NetworkSpec(architecture=wish.architecture, classes=odd, channels=shape.channels or 3, height=0, width=0)
    expected = build(spec, wish.activation or "relu").state_dict()
    best = max(candidates, key=lambda candidate: len(candidate[0].keys() & expected.keys()))
    state = best[0]
    rows = {
        state[key].shape[0]
        for key, tensor in expected.items()
        if key in state and state[key].dim() and tensor.shape[:1] == (odd,)
    }
    last = next((len(tensor) for tensor in reversed(state.values()) if tensor.dim()), 1)
    return replace(spec, classes=max(rows) if rows else shape.classes or last), best


def _network(
    spec: NetworkSpec,
    state: object,
    activation: str,
    alpha: float,
    normalization: Normalization,
    *,
    data: ImageChoice | None,
    seed: int | None,
    remarks: tuple[str, ...],
) -> Network:
    entry = lookup(ACTIVATIONS, activation, kind="activation")
    if not isinstance(state, dict) or not is_state_dict(state):
        raise UserError("a damaged larobust checkpoint (its state_dict is not a dictionary of tensors)")
    if not spec.is_code:  # shapes first, without memory: a file may ask for any size
        with torch.device("meta"):
            _check_keys(build(spec, activation, alpha), state, spec.architecture)
    model = build(spec, activation, alpha)
    _check_keys(model, state, spec.architecture)
    model.load_state_dict(state, strict=False)
    return Network(
        name="",
        sha256="",
        model=model.eval(),
        spec=spec,
        activation=activation,
        alpha=alpha if entry.level == "layer" else None,
        normalization=normalization,
        data=data,
        seed=seed,
        remarks=remarks,
    )


def _check_keys(model: nn.Module, state: dict[str, Tensor], architecture: str) -> None:
    """Raise UserError unless every weight of ``model`` stands in ``state`` and the other way round, finite and of its shape."""
    expected = model.state_dict()
    # Counters of BatchNorm: files from before torch 0.4.1 lack them, and evaluation does not use them.
    missing = [key for key in expected if key not in state and not key.endswith("num_batches_tracked")]
    extra = [key for key in state if key not in expected]
    misshapen = [
        f"{key} {tuple(state[key].shape)} for {tuple(expected[key].shape)}"
        for key in expected
        if key in state and state[key].shape != expected[key].shape
    ]
    faults = [f"{len(keys)} {kind} ({_some(keys)})" for kind, keys in
              (("missing", missing), ("not expected", extra), ("misshapen", misshapen)) if keys]  # fmt: skip
    if faults:
        raise UserError(f"the weights do not fit {architecture}: keys {'; '.join(faults)}")
    broken = [key for key, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        raise UserError(f"NaN or infinite weights in {_some(broken)}")


def _some(keys: object) -> str:
    names = [str(key) for key in keys]  # type: ignore[attr-defined]  # any collection of names
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
