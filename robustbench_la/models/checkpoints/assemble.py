"""From the content of a checkpoint, and what the user specifies, to a network that can be run."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from robustbench_la.activations import ACTIVATIONS, DEFAULT_ALPHA
from robustbench_la.errors import UserError, lookup
from robustbench_la.images.decoding import ImageChoice, Shape
from robustbench_la.images.normalization import NORMALIZATIONS, Normalization
from robustbench_la.models.architectures import NetworkSpec, check_architecture, is_as_it_is
from robustbench_la.models.build import build, exchange_for, takes_activation
from robustbench_la.models.checkpoints.file import FORMAT, VERSION, CheckpointFile, damaged
from robustbench_la.models.checkpoints.formats import Candidate, is_state_dict, state_dicts
from robustbench_la.models.checkpoints.network import LoadOverrides, Network
from robustbench_la.models.checkpoints.recipes import recipe_of, seed_of
from robustbench_la.models.checkpoints.recognise import recognise
from robustbench_la.models.exchange import exchange_all, parse_exchange
from robustbench_la.models.in_memory import state_sha256
from robustbench_la.models.user_code import code_of
from robustbench_la.text import counted

_SHOWN = 3
"""How many keys an error message lists."""
_LARGE_IMAGES = 200
"""Pixels: from here on images are like those of ImageNet, for which the paper has another alpha."""


def assemble_network(file: CheckpointFile, overrides: LoadOverrides, shape: Shape) -> Network:
    """Build the network of a checkpoint.

    Args:
        file: The checkpoint.
        overrides: What the user specifies, because a foreign file does not record it.
        shape: Of the data to evaluate on; used for what neither the file nor the weights show.

    Returns:
        The network, in eval mode on the CPU.

    Raises:
        UserError: If something is missing, contradictory or does not fit; the message starts with the path.
    """
    try:
        ours = file.content.get("format") == FORMAT
        network = _own(file, overrides, shape) if ours else _foreign(file.content, overrides, shape)
    except UserError as error:
        raise type(error)(str(error) if str(error).startswith(f"{file.path}: ") else f"{file.path}: {error}") from None
    return replace(
        network,
        name=str(file.path),
        sha256=file.sha256,
        code=code_of(network.spec.architecture),
        recipe=recipe_of(file.content),
        weights=state_sha256(network.model),
    )


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
        raise UserError(f"its network is built by the code {spec.architecture}; allow that with --arch {spec.architecture}")
    if spec.is_as_it_is and "exchange" not in content["network"]:  # older files: ReLUs were exchanged without being asked
        spec = replace(spec, exchange=exchange_for(spec, activation))
    settings = (
        ("--arch", overrides.architecture, spec.architecture),
        ("--activation", overrides.activation, activation),
        ("--layeract-alpha", overrides.alpha, alpha),
        ("--exchange", ", ".join(overrides.exchange) or None, ", ".join(spec.exchange) or "none"),
        ("--normalize", overrides.normalization, normalization),
    )
    for flag, given, recorded in settings:
        if given is not None and given != recorded:
            raise UserError(f"{flag} is {given}, but the file records {recorded}; omit {flag}")
    trained, shown = (spec.width, spec.height), (shape.width, shape.height)
    differs = shape.height and trained != shown
    remark = f"trained on images of {trained[0]}x{trained[1]} px; these are {shown[0]}x{shown[1]} px"
    remarks = (remark,) if differs else ()
    return _network(spec, state, activation, alpha, normalization, data=file.data, seed=seed, remarks=remarks)


def _foreign(content: dict[str, Any], overrides: LoadOverrides, shape: Shape) -> Network:
    if overrides.architecture is not None:
        check_architecture(overrides.architecture)
    remarks, candidates = state_dicts(content)
    state, removed = candidates[-1]
    # Keys of other networks may begin alike: what the user specifies decides.
    recognised = None if is_as_it_is(overrides.architecture or "") else recognise(state)
    if recognised is not None and overrides.architecture in (None, recognised[0].architecture):
        spec, state = recognised
        removed = (*removed, f"recognised as {spec.architecture} for {spec.classes} classes, {spec.channels} channels")
    elif overrides.architecture is None:
        raise UserError(f"architecture not recognised from the weights (keys start with {_some(state)}); specify it with --arch")
    elif recognised is not None and ":" not in overrides.architecture:
        raise UserError(_look_like(recognised[0].architecture) + f" (not those of {overrides.architecture})")
    else:
        spec, (state, removed) = _measured(overrides, candidates, shape)
    remarks += removed
    if overrides.activation is None and not spec.is_as_it_is:
        raise UserError(
            f"the weights of {spec.architecture} do not show the activation; specify it with --activation, "
            f"one of {', '.join(ACTIVATIONS)}"
        )
    if overrides.exchange and not spec.is_as_it_is:
        raise UserError(
            f"--exchange is for networks that are taken as they are; a {spec.architecture} is built with the activation that "
            "--activation names"
        )
    seed = seed_of(content)
    if seed is not None:
        remarks.append(f"trained with seed {seed}, as the file records")
    spec = replace(spec, height=spec.height or shape.height, width=spec.width or shape.width)
    network = _network(
        spec,
        state,
        overrides.activation,
        overrides.alpha,
        overrides.normalization or NORMALIZATIONS["none"],
        data=None,
        seed=seed,
        remarks=(*remarks, *(() if overrides.normalization else ("no --normalize given: pixels on [0, 1], not normalized",))),
    )
    alpha = () if network.alpha is None or overrides.alpha is not None else (_assumed_alpha(network.alpha, shape),)
    return replace(
        network,
        assumed=(*(() if overrides.normalization else ("normalization none",)), *alpha),
        architecture_label=overrides.architecture_label,
    )


def _assumed_alpha(alpha: float, shape: Shape) -> str:
    large = min(shape.height, shape.width) >= _LARGE_IMAGES
    return f"layeract_alpha {alpha:g}" + (" (the paper's is 0.1 for images of this size)" if large else "")


def _look_like(architecture: str) -> str:
    return f"these look like the weights of {architecture}; omit --arch"


def _measured(overrides: LoadOverrides, candidates: list[Candidate], shape: Shape) -> tuple[NetworkSpec, Candidate]:
    """The spec of an architecture that is not in the table, and the candidate whose keys match it best.

    The number of classes is found by building the network for a number that no layer has by chance, and looking up the size that
    the weights have in its place. For a user function without an argument ``classes`` it is that of the data.
    """
    assert overrides.architecture is not None
    if not is_as_it_is(overrides.architecture):
        raise UserError(f"these are not weights of a {overrides.architecture}: their keys start with {_some(candidates[-1][0])}")
    unlikely = 7919
    spec = NetworkSpec(
        architecture=overrides.architecture,
        classes=unlikely,
        channels=shape.channels or 3,
        height=0,
        width=0,
        exchange=overrides.exchange,
    )
    expected = build(spec, overrides.activation).state_dict()
    best = max(candidates, key=lambda candidate: len(candidate[0].keys() & expected.keys()))
    state = best[0]
    rows = {
        state[key].shape[0]
        for key, tensor in expected.items()
        if key in state and state[key].dim() and tensor.shape[:1] == (unlikely,)
    }
    last = next((len(tensor) for tensor in reversed(state.values()) if tensor.dim()), 1)
    return replace(spec, classes=max(rows) if rows else shape.classes or last), best


def _network(
    spec: NetworkSpec,
    state: object,
    activation: str | None,
    alpha: float | None,
    normalization: Normalization,
    *,
    data: ImageChoice | None,
    seed: int | None,
    remarks: tuple[str, ...],
) -> Network:
    layer_level = _built_with_layeract(spec, activation)
    alpha = DEFAULT_ALPHA if alpha is None and layer_level else alpha
    if not isinstance(state, dict) or not is_state_dict(state):
        raise UserError("a damaged larobust checkpoint (its state_dict is not a dictionary of tensors)")
    if not spec.is_code:  # first check the shapes without allocating memory: a file may demand any size
        with torch.device("meta"):
            check_keys(build(spec, activation, alpha or DEFAULT_ALPHA), state, spec.architecture)
    model = build(replace(spec, exchange=()), activation, alpha or DEFAULT_ALPHA)
    exchanged = exchange_all(model, spec.exchange, alpha or DEFAULT_ALPHA)
    check_keys(model, state, spec.architecture)
    model.load_state_dict(state, strict=False)
    return Network(
        name="",
        sha256="",
        model=model.eval(),
        spec=spec,
        activation=activation,
        alpha=alpha if layer_level or spec.is_as_it_is else None,
        normalization=normalization,
        data=data,
        seed=seed,
        remarks=(*remarks, *(f"{words}: {counted(count, 'module')} exchanged" for words, count in exchanged.items())),
    )


def _built_with_layeract(spec: NetworkSpec, activation: str | None) -> bool:
    """Whether a LayerAct module of ours, which takes an alpha, is put into the network."""
    if not spec.is_as_it_is:
        return lookup(ACTIVATIONS, activation or "", kind="activation").level == "layer"
    put = [parse_exchange(words)[1] for words in spec.exchange]
    if activation is not None and activation in ACTIVATIONS and takes_activation(spec.architecture):
        put.append(activation)
    return any(ACTIVATIONS[name].level == "layer" for name in put)


def check_keys(model: nn.Module, state: dict[str, Tensor], architecture: str) -> None:
    """Check that weights fit a network.

    Args:
        model: The network.
        state: The weights.
        architecture: Its name, for errors.

    Raises:
        UserError: If keys are missing or unexpected, shapes differ, or weights are not finite.
    """
    expected = model.state_dict()
    # BatchNorm counters: files from before torch 0.4.1 do not have them, and evaluation does not use them.
    missing = [key for key in expected if key not in state and not key.endswith("num_batches_tracked")]
    extra = [key for key in state if key not in expected]
    misshapen = [
        f"{key} {tuple(state[key].shape)} for {tuple(expected[key].shape)}"
        for key in expected
        if key in state and state[key].shape != expected[key].shape
    ]
    faults = [f"{len(keys)} {kind} ({_some(keys)})" for kind, keys in
              (("missing", missing), ("unexpected", extra), ("of the wrong shape", misshapen)) if keys]  # fmt: skip
    if faults:
        raise UserError(f"the weights do not fit {architecture}; keys: {'; '.join(faults)}")
    broken = [key for key, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        raise UserError(f"NaN or infinite weights in {_some(broken)}")


def _some(keys: object) -> str:
    names = [str(key) for key in keys]  # type: ignore[attr-defined]  # any collection of names
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
