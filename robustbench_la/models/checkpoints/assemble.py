"""From the content of a checkpoint, and what the user specifies, to a network that can be run."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import nn

from robustbench_la.activations import ACTIVATIONS, DEFAULT_ALPHA
from robustbench_la.errors import UserError, lookup
from robustbench_la.images.decoding import ImageChoice, Shape
from robustbench_la.images.normalization import NORMALIZATIONS, Normalization
from robustbench_la.models.architectures import NetworkSpec, check_architecture
from robustbench_la.models.build import build, exchange_for, takes_activation
from robustbench_la.models.checkpoints.file import FORMAT, VERSION, CheckpointFile, damaged
from robustbench_la.models.checkpoints.keys import check_keys
from robustbench_la.models.checkpoints.layouts import is_state_dict
from robustbench_la.models.checkpoints.locate import locate
from robustbench_la.models.checkpoints.network import PADDING, LoadOverrides, Network
from robustbench_la.models.checkpoints.preprocessing import timm_images, timm_normalization
from robustbench_la.models.checkpoints.recipes import recipe_of, seed_of
from robustbench_la.models.checkpoints.usable import check_tensors
from robustbench_la.models.checkpoints.whole import WholeNetwork
from robustbench_la.models.exchange import exchange_all, parse_exchange
from robustbench_la.models.in_memory import code_sha256, state_sha256
from robustbench_la.models.libraries import timm_settings
from robustbench_la.models.unallocated import unallocated
from robustbench_la.models.user_code import code_of
from robustbench_la.text import counted, printable

_NOT_NORMALIZED = "no --normalize given: pixels on [0, 1], not normalized"
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
        if file.whole is not None:
            network = _whole(file.whole, overrides, shape)
        else:
            network = _own(file, overrides, shape) if ours else _foreign(file.content, overrides, shape)
        seed = _agreed_seed(network.seed, overrides)
    except UserError as error:
        raise type(error)(str(error) if str(error).startswith(printable(f"{file.path}: ")) else f"{file.path}: {error}") from None
    return replace(
        network,
        name=overrides.name or str(file.path),
        seed=seed,
        sha256=file.sha256,
        weights_key=overrides.key or "",
        code=network.code or code_of(network.spec.architecture),
        architecture_label=overrides.architecture_label,
        recipe=overrides.group or recipe_of(file.content),
        weights=state_sha256(network.model),
    )


def _agreed_seed(recorded: int | None, overrides: LoadOverrides) -> int | None:
    """The training seed. Raises UserError if the file records another than is said."""
    if None not in (recorded, overrides.seed) and recorded != overrides.seed:
        raise UserError(f"{overrides.source} says training seed {overrides.seed}, but the file records {recorded}")
    return recorded if overrides.seed is None else overrides.seed


def _own(file: CheckpointFile, overrides: LoadOverrides, shape: Shape) -> Network:
    content = file.content
    if content.get("version") != VERSION:
        raise UserError(f"written by another version of larobust (format {content.get('version')!r}; this one reads {VERSION})")
    try:
        spec = TypeAdapter(NetworkSpec).validate_python(content["network"])
        activation, alpha = content["activation"]["name"], float(content["activation"]["alpha"])
        normalization = Normalization(tuple(content["normalization"]["mean"]), tuple(content["normalization"]["std"]))
        seed = content["training"].get("seed")
        state, classes = content["state_dict"], tuple(content.get("classes", ()))
        numbers = (alpha, *normalization.mean, *normalization.std)
        if not isinstance(activation, str) or not all(map(math.isfinite, numbers)) or min(alpha, *normalization.std) <= 0:
            raise ValueError("activation, alpha or normalization")
        if min(spec.classes, spec.channels, spec.hidden) < 1 or not isinstance(seed, int | None):
            raise ValueError("network or seed")
        if len(classes) not in (0, spec.classes) or not all(isinstance(name, str) for name in classes):
            raise ValueError("names of classes")
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
        if given is None or given == recorded:
            continue
        if overrides.source:
            raise UserError(f"{overrides.source} says {given}, but the file records {recorded}")
        raise UserError(f"{flag} is {given}, but the file records {recorded}; omit {flag}")
    trained, shown = (spec.width, spec.height), (shape.width, shape.height)
    differs = shape.height and trained != shown
    remark = f"trained on images of {trained[0]}x{trained[1]} px; these are {shown[0]}x{shown[1]} px"
    remarks = (remark,) if differs else ()
    network = _network(spec, state, activation, alpha, normalization, data=file.data, seed=seed, remarks=remarks)
    return replace(network, classes=classes)


def _whole(whole: WholeNetwork, overrides: LoadOverrides, shape: Shape) -> Network:
    given, named = overrides.architecture, whole.architecture
    if given is not None and not named.startswith("pickled:") and given.partition(".")[0] != named.partition(".")[0]:
        raise UserError(f"--arch is {given}, but the file holds {named}; omit --arch")
    model, remarks = whole.make(overrides.key)
    exchanged = exchange_all(model, overrides.exchange, overrides.alpha or DEFAULT_ALPHA)
    spec = NetworkSpec(
        architecture=named,
        classes=whole.classes or _outputs(model.eval(), shape, whole.channels or shape.channels) or shape.classes,
        channels=whole.channels or shape.channels,
        height=shape.height,
        width=shape.width,
        exchange=overrides.exchange,
    )
    known = overrides.normalization or whole.normalization
    alpha = DEFAULT_ALPHA if overrides.alpha is None and _built_with_layeract(spec, None) else overrides.alpha
    return Network(
        name="",
        sha256="",
        model=model.eval(),
        spec=spec,
        activation=overrides.activation,
        alpha=alpha,
        normalization=known or NORMALIZATIONS["none"],
        data=None,
        seed=None,
        remarks=(
            *remarks,
            *(f"{words}: {counted(count, 'module')} exchanged" for words, count in exchanged.items()),
            *((f"preprocessing, as recorded: {whole.preprocessing}",) if whole.preprocessing else ()),
            *(() if known else (_NOT_NORMALIZED,)),
        ),
        assumed=(*(() if known else ("normalization none",)), *_assumed_alpha(alpha, overrides, shape)),
        classes=tuple(whole.class_names),
        code=code_sha256(model) if named.startswith("pickled:") else None,
    )


def _outputs(model: nn.Module, shape: Shape, channels: int) -> int | None:
    """The number of outputs of a network, if it takes images like those and gives one tensor."""
    if not shape.height:
        return None
    try:
        with torch.inference_mode():
            output: object = model(torch.zeros(2, channels, shape.height, shape.width))
    except Exception:  # of the network's own code: whoever runs it next says what is wrong
        return None
    return output.shape[1] if isinstance(output, torch.Tensor) and output.dim() == 2 else None


def _foreign(content: dict[str, Any], overrides: LoadOverrides, shape: Shape) -> Network:
    if overrides.architecture is not None:
        check_architecture(overrides.architecture)
    located = locate(content, overrides, shape)
    spec, remarks = located.spec, list(located.remarks)
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
    remarks += _passed(spec, overrides)
    seed = seed_of(content)
    if seed is not None:
        remarks.append("its training seed is the one that the file records")
    spec = replace(spec, height=spec.height or shape.height, width=spec.width or shape.width)
    known, unsaid = _preprocessing(spec, overrides)
    network = _network(
        spec,
        located.state,
        overrides.activation,
        overrides.alpha,
        known,
        data=None,
        seed=seed,
        remarks=(*remarks, *unsaid),
    )
    alpha = _assumed_alpha(network.alpha, overrides, shape)
    padding = (f"{PADDING} {spec.padding}",) if spec.pads_channels else ()
    return replace(network, assumed=(*((f"normalization {known}",) if unsaid else ()), *alpha, *padding))


def _passed(spec: NetworkSpec, overrides: LoadOverrides) -> list[str]:
    """What to say about user code that builds with an activation: another one makes another network of the same weights."""
    if not takes_activation(spec.architecture):
        return []
    if overrides.activation is None:
        return [f"{spec.architecture} has an argument activation: its default was taken, as no --activation was given"]
    name = overrides.activation
    note = f"{spec.architecture} has an argument activation: it was built with {name}"
    if name in ACTIVATIONS and ACTIVATIONS[name].level == "layer":
        note += " of larobust; to measure a class of your own, name a function that takes no activation"
    return [note]


def _preprocessing(spec: NetworkSpec, overrides: LoadOverrides) -> tuple[Normalization, tuple[str, ...]]:
    """The normalization of a network whose file does not record it, and what to say if nobody gave it."""
    if overrides.normalization is not None:
        return overrides.normalization, ()
    library, _, name = spec.architecture.partition(":")
    settings = timm_settings(name) if library == "timm" else {}
    known = timm_normalization(settings)
    if known is None:
        return NORMALIZATIONS["none"], (_NOT_NORMALIZED,)
    remark = f"no --normalize given: that of timm's own weights of {name} is taken, {known}"
    try:
        images = timm_images(settings)
    except UserError:
        return known, (remark,)
    sizes = f"--resize {images.resize} --crop {images.crop} --interpolation {images.interpolation}"
    other = (spec.height, spec.width) != (images.crop, images.crop)
    return known, (f"{remark}; for images as timm prepares them, give {sizes}" if other else remark,)


def _assumed_alpha(alpha: float | None, overrides: LoadOverrides, shape: Shape) -> tuple[str, ...]:
    """What was assumed about LayerAct's alpha; nothing if the user gave it or it is not used."""
    if alpha is None or overrides.alpha is not None:
        return ()
    large = min(shape.height, shape.width) >= _LARGE_IMAGES
    return (f"layeract_alpha {alpha:g}" + (" (the paper's is 0.1 for images of this size)" if large else ""),)


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
    check_tensors(state)
    if not spec.is_code:  # first check the shapes without allocating memory: a file may demand any size
        with unallocated():
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
