"""From a checkpoint's content, and what the user says of it, to a network that can be run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from robustbench_la.activations import ACTIVATIONS, DEFAULT_ALPHA
from robustbench_la.errors import UserError, lookup
from robustbench_la.images.decoding import ImageChoice, Shape
from robustbench_la.images.normalization import NORMALIZATIONS, Normalization
from robustbench_la.models.architectures import NetworkSpec, check_architecture
from robustbench_la.models.build import build
from robustbench_la.models.checkpoints.file import FORMAT, VERSION, CheckpointFile, damaged, read_checkpoint
from robustbench_la.models.checkpoints.network import LoadOverrides, Network
from robustbench_la.models.checkpoints.recognise import recognise
from robustbench_la.models.checkpoints.unpack import Candidate, is_state_dict, state_dicts
from robustbench_la.models.user_code import code_of

_SHOWN = 3
"""How many keys an error names."""


def load_network(path: Path, overrides: LoadOverrides, shape: Shape | None = None) -> Network:
    """Read a checkpoint and make its network. shape: as in ``assemble_network``."""
    return assemble_network(read_checkpoint(path), overrides, shape or Shape(classes=0, channels=0, height=0, width=0))


def assemble_network(file: CheckpointFile, overrides: LoadOverrides, shape: Shape) -> Network:
    """The network of a checkpoint. shape: of the data to come, for what neither file nor weights tell.

    Raises: UserError for a file that does not say what is needed or does not fit, with its name.
    """
    try:
        own = file.content.get("format") == FORMAT
        network = _own(file, overrides, shape) if own else _foreign(file.content, overrides, shape)
    except UserError as error:
        raise type(error)(str(error) if str(error).startswith(f"{file.path}: ") else f"{file.path}: {error}") from None
    return replace(network, name=str(file.path), sha256=file.sha256, code=code_of(network.spec.architecture))


def _own(file: CheckpointFile, overrides: LoadOverrides, shape: Shape) -> Network:
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
        raise UserError(damaged(error)) from None
    if spec.is_code and overrides.architecture != spec.architecture:
        raise UserError(f"its network is made by the code {spec.architecture}; allow that with --arch {spec.architecture}")
    given = (
        ("--arch", overrides.architecture, spec.architecture),
        ("--activation", overrides.activation, activation),
        ("--layeract-alpha", overrides.alpha, alpha),
        ("--normalize", overrides.normalization, normalization),
    )
    for flag, wanted, written in given:
        if wanted is not None and wanted != written:
            raise UserError(f"{flag} says {wanted}, but the file says {written}")
    trained, shown = (spec.width, spec.height), (shape.width, shape.height)
    other = shape.height and trained != shown
    remark = f"trained on images of {trained[0]}x{trained[1]} px; these are {shown[0]}x{shown[1]} px"
    return _network(spec, state, activation, alpha, normalization, data=file.data, seed=seed, remarks=(remark,) if other else ())


def _foreign(content: dict[str, Any], overrides: LoadOverrides, shape: Shape) -> Network:
    if overrides.architecture is not None:
        check_architecture(overrides.architecture)
    remarks, candidates = state_dicts(content)
    state, removed = candidates[-1]
    known = recognise(state)
    if known is not None and overrides.architecture in (None, known[0].architecture):
        spec, state = known
        removed = (*removed, f"recognised as {spec.architecture} for {spec.classes} classes, {spec.channels} channels")
    elif overrides.architecture is None:
        raise UserError(f"not a network of the table (its keys begin {_some(state)}); say which with --arch")
    elif known is not None and ":" not in overrides.architecture:
        raise UserError(f"--arch says {overrides.architecture}, but the weights are of {known[0].architecture}")
    else:
        spec, (state, removed) = _measured(overrides, candidates, shape)
    remarks += removed
    if overrides.activation is None:
        raise UserError(
            f"the activation cannot be seen in the weights of {spec.architecture}; say it with --activation, "
            f"one of {', '.join(ACTIVATIONS)}"
        )
    spec = replace(spec, height=spec.height or shape.height, width=spec.width or shape.width)
    return _network(
        spec,
        state,
        overrides.activation,
        DEFAULT_ALPHA if overrides.alpha is None else overrides.alpha,
        overrides.normalization or NORMALIZATIONS["none"],
        data=None,
        seed=None,
        remarks=(*remarks, *(() if overrides.normalization else ("no --normalize given: pixels on [0, 1] as they are",))),
    )


def _measured(overrides: LoadOverrides, candidates: list[Candidate], shape: Shape) -> tuple[NetworkSpec, Candidate]:
    """The spec of an architecture that is not in the table, and the candidate whose keys fit it best.

    Its classes are found by building it for a number of classes that no layer has by chance, and looking at what the weights have
    in its place. A function of the user's that takes no ``classes`` is for those of the data.
    """
    assert overrides.architecture is not None
    if ":" not in overrides.architecture:
        raise UserError(f"the weights are not of {overrides.architecture}: their keys begin {_some(candidates[-1][0])}")
    odd = 7919
    spec = NetworkSpec(architecture=overrides.architecture, classes=odd, channels=shape.channels or 3, height=0, width=0)
    expected = build(spec, overrides.activation or "relu").state_dict()
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
            check_keys(build(spec, activation, alpha), state, spec.architecture)
    model = build(spec, activation, alpha)
    check_keys(model, state, spec.architecture)
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


def check_keys(model: nn.Module, state: dict[str, Tensor], architecture: str) -> None:
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
