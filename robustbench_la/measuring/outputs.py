"""From what a network returns (a tensor, a tuple, a dictionary, an output object) to its logits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from robustbench_la.errors import UnfitError, UserError
from robustbench_la.text import counted

_LOGITS = "logits"
"""The name under which libraries keep them, as Hugging Face's outputs and torchvision's Inception do."""
_SUM_ERROR = 1e-3
"""How far a row of probabilities may be from 1: half precision keeps three digits."""


def logits_of(output: object, name: str, *, images: int, classes: int | None = None, of_data: int | None = None) -> Tensor:
    """Find the logits in what a network returned.

    Args:
        output: Of the forward pass.
        name: Of the network, for errors.
        images: Number of images that it was shown.
        classes: Number of its classes; None if it is not known yet.
        of_data: Number of classes of the data, which decides between several tensors if ``classes`` is not known.

    Returns:
        (images, classes).

    Raises:
        UserError: If there is no such tensor, or more than one without the name ``logits``.
    """
    found = _possible(output, images=images, classes=classes, of_data=of_data)
    if len(found) == 1:
        return found[0][1]
    wanted = f"logits of shape ({images}, {classes or 'classes'})"
    other = [tensor.shape[1] for _, tensor in _tensors(output) if _has_shape(tensor, images, None)]
    if not found and len(other) == 1 and classes is not None:
        raise UnfitError(
            f"{name} has {other[0]} outputs, but the data has {classes} classes",
            f"specify the data it was trained for with --data{labels_hint(other[0], classes)}",
        )
    if not found:
        raise UserError(f"{name} returned {_described(output)}, not {wanted}")
    raise UserError(f"{name} returned {counted(len(found), 'tensor')} that could be {wanted}; name one of them logits")


def _possible(output: object, *, images: int, classes: int | None, of_data: int | None) -> list[tuple[str, Tensor]]:
    """The tensors that may be the logits, with their names; the one that is named so, if there is one."""
    found = [(own, tensor) for own, tensor in _tensors(output) if _has_shape(tensor, images, classes)]
    if len(found) > 1 and classes is None:
        found = [entry for entry in found if entry[1].shape[1] == of_data or entry[0] == _LOGITS] or found
    named = [entry for entry in found if entry[0] == _LOGITS]
    return named if len(named) == 1 else found


def which_is_taken(output: object, *, images: int, of_data: int) -> tuple[str, ...]:
    """What to say about a network that returns several things, of which one is taken for the logits without being named so.

    Args:
        output: Of the forward pass.
        images: Number of images that it was shown.
        of_data: Number of classes of the data.

    Returns:
        A remark; none if it returns logits and nothing else, or nothing that could be logits.
    """
    found = _possible(output, images=images, classes=None, of_data=of_data)
    if len(found) != 1 or found[0][0] == _LOGITS or len([*_tensors(output)]) < 2:
        return ()
    own, logits = found[0]
    parts = list(output) if isinstance(output, (tuple, list)) else []
    place = next((str(at) for at, part in enumerate(parts) if any(one is logits for _, one in _tensors(part))), "")
    which = repr(own) if own else place
    return (f"it returns {_described(output)}; element {which}, of shape (N, {logits.shape[1]}), is taken as its logits",)


def labels_hint(outputs: int, classes: int) -> str:
    """What to do about data that have images for some of the outputs only; empty if they have more classes than that."""
    if outputs < classes:
        return ""
    wordnet = "; --label-map imagenet-subset, if its folders are WordNet ids" if outputs == 1000 else ""
    return f", or which folder each output stands for with --labels FILE (line i: the folder of output i){wordnet}"


def channels_remedy(channels: int) -> str:
    """What to do about data whose images have another number of channels than the network takes."""
    converted = f"--channels {channels} converts them, or " if channels in (1, 3) else ""
    return f"{converted}specify the data it was trained for with --data"


def unfit_channels(model: nn.Module, given: int) -> str:
    """How many channels the first convolution of a network takes and what to do, if images have another number; else empty."""
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    if first is None or first.in_channels == given:
        return ""
    return f"its first convolution takes {counted(first.in_channels, 'channel')}; {channels_remedy(first.in_channels)}"


def are_probabilities(outputs: Tensor) -> bool:
    """Whether outputs (N, classes) are probabilities: none is negative, and each row sums to 1."""
    rows = outputs.double()
    return bool((rows >= 0).all()) and bool(((rows.sum(1) - 1).abs() < _SUM_ERROR).all())


def log_probabilities(probabilities: Tensor) -> Tensor:
    """The logarithm, whose softmax gives the probabilities back; one that is 0 counts as the smallest float32."""
    return probabilities.float().clamp_min(torch.finfo(torch.float32).tiny).log()


def _tensors(output: object, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor of an output with its name, if it has one."""
    if isinstance(output, Tensor):
        yield name, output
    elif isinstance(output, Mapping):  # Hugging Face's outputs, too
        for key, value in output.items():
            yield from _tensors(value, str(key))
    elif isinstance(output, (tuple, list)):
        names = getattr(output, "_fields", None) or [""] * len(output)
        for own, value in zip(names, output, strict=True):
            yield from _tensors(value, own)
    elif dataclasses.is_dataclass(output):
        for field in dataclasses.fields(output):
            yield from _tensors(getattr(output, field.name), field.name)
    elif isinstance(logits := getattr(output, _LOGITS, None), Tensor):
        yield _LOGITS, logits


def _has_shape(tensor: Tensor, images: int, classes: int | None) -> bool:
    return tensor.dim() == 2 and len(tensor) == images and classes in (None, tensor.shape[1])


def _described(output: object) -> str:
    shapes = [str(tuple(tensor.shape)) for _, tensor in _tensors(output)]
    if isinstance(output, Tensor):
        return f"a tensor of shape {shapes[0]}"
    return f"{type(output).__name__} with tensors of shape {', '.join(shapes[:4])}" if shapes else type(output).__name__
