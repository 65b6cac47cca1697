"""Where the weights are in the content of a checkpoint: nested under any name, with any prefix, next to anything else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from robustbench_la.errors import UserError, did_you_mean
from robustbench_la.models.checkpoints.keys import some
from robustbench_la.models.checkpoints.usable import check_tensors, check_usable

_DEEPEST = 4
"""How many nested dictionaries, and prefixes of a key, are searched for weights."""
_SHARE = 0.3
"""The smallest part of the keys that may be a network of its own: three copies of it can stand next to each other."""
_TOP = "top"
"""How ``--key`` names the weights that are nested in nothing."""
_NO_NETWORK = re.compile(r"optim.*|opt|.*(lr_?|_?)sched.*|.*scaler|.*rng.*|callbacks|loops", re.IGNORECASE)
"""Names under which scripts keep tensors that belong to training."""
_AVERAGES = "(?i:ema|averaged?|swa|teacher|shadow)"
"""Names of weights that are averages of the others."""
_TRAINING_ONLY = re.compile(
    r"(n_averaged|(.*_)?(criterion|loss|loss_fn|loss_func)|(.*_)?metrics?|(train|val|valid|test)_\w+"
    rf"|(.*_)?{_AVERAGES}(_\w+)?)(\..*|$)"
    r"|.*\b(num_batches_tracked|total_ops|total_params|confmat|measure)"
)
"""Keys of what computes nothing in the network: losses, torchmetrics, averages of the weights, counters of profilers."""
_AVERAGE = re.compile(rf"(^|[._]){_AVERAGES}([._]|$)")
"""Prefixes of such weights."""
_SHOWN = 4
"""Names in a message."""
_MOST_NETWORKS = 32
"""How many state dicts of a file are looked at: each is compared with every network that it could be of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A state dict that was found, with what was done to find it."""

    place: str
    """Dotted names of the dictionaries that it is nested in; empty at the top."""
    prefix: str = ""
    """What was removed from its keys, with the dot at its end."""
    tensors: Mapping[str, Tensor]
    left: tuple[str, ...] = ()
    """Keys next to it that are no part of it."""

    @property
    def name(self) -> str:
        """How ``--key`` names it."""
        return ".".join(filter(None, (self.place, self.prefix.rstrip(".")))) or _TOP

    @property
    def remarks(self) -> tuple[str, ...]:
        """Where it was found, for the user to read."""
        remarks = [f"weights taken from '{self.place}'"] * bool(self.place)
        if self.prefix and not self.left:
            remarks += [f"prefix '{segment}.' removed from every key" for segment in self.prefix.split(".")[:-1]]
        elif self.prefix:
            remarks.append(f"weights taken from the keys that start with '{self.prefix}'")
        if self.left:
            remarks.append(f"not used, since they are no part of the network: {some(self.left)}")
        halves = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in self.tensors.values() if _is_half(tensor)})
        return (*remarks, *(f"its weights are {name}; computed in float32" for name in halves))


def _is_half(tensor: Tensor) -> bool:
    return tensor.dtype in (torch.float16, torch.bfloat16)


def find_weights(content: Mapping[str, Any], key: str | None = None) -> list[Weights]:
    """Find all state dicts in the content of a checkpoint.

    Args:
        content: The content.
        key: ``--key``: only what is found there.

    Returns:
        At least one, without those that differ only by a prefix of all keys.

    Raises:
        UserError: If there are none, or they are quantised, sparse, or larger than the file.
    """
    found = list(_nested(content, ""))
    if not found:
        raise UserError("no weights found: looked for tensors at the top level and under state_dict, model and all other names")
    if key is None and len(found) > _MOST_NETWORKS:
        raise UserError(f"holds {len(found)} sets of weights; choose with --key {found[0].name}")
    if key is None:
        return found
    chosen = [weights for weights in found if key in (weights.place, weights.place.rpartition(".")[2], weights.name)]
    parts = [view for weights in found for view in views(weights) if key in (view.name, view.prefix.rstrip("."))]
    if not chosen and not parts:
        raise UserError(f"no weights under --key {key}{did_you_mean(key, [weights.name for weights in found])}")
    return chosen or parts[:1]


def _nested(content: Mapping[Any, Any], place: str, depth: int = 0) -> Iterator[Weights]:
    """The state dicts in a dictionary, the outermost first."""
    if "param_groups" in content:  # an optimizer, whose tensors have the shapes of weights
        return
    tensors = {str(key): torch.Tensor.detach(value) for key, value in content.items() if isinstance(value, Tensor)}
    check_usable(content)
    if tensors and all(isinstance(key, str) for key in content):
        check_tensors(tensors)
        if any(tensor.is_floating_point() and tensor.dim() > 1 for tensor in tensors.values()):
            beside = tuple(str(key) for key, value in content.items() if not isinstance(value, (Tensor, Mapping)))
            yield Weights(place=place, tensors=tensors, left=beside)
    if depth < _DEEPEST:
        for key, value in content.items():
            if isinstance(value, Mapping) and isinstance(key, str) and not _NO_NETWORK.fullmatch(key):
                yield from _nested(value, f"{place}.{key}" if place else key, depth + 1)


def views(weights: Weights) -> Iterator[Weights]:
    """A state dict as it is, and the parts of it that could be networks of their own: keys with one prefix, without it."""
    yield weights
    groups: dict[str, list[str]] = {}
    for key in weights.tensors:
        segment, dot, _ = key.partition(".")
        if dot:
            groups.setdefault(segment, []).append(key)
    depth = weights.prefix.count(".")
    for segment, keys in groups.items():
        if depth < _DEEPEST and len(keys) >= _SHARE * len(weights.tensors):
            inner = {key.removeprefix(f"{segment}."): weights.tensors[key] for key in keys}
            if not any(tensor.dim() > 1 for tensor in inner.values()):
                continue
            outside = tuple(weights.prefix + key for key in weights.tensors.keys() - set(keys))
            left = tuple(sorted(key for key in outside if not key.endswith("n_averaged")))
            yield from views(
                Weights(place=weights.place, prefix=f"{weights.prefix}{segment}.", tensors=inner, left=(*weights.left, *left))
            )


def choose(found: Sequence[Weights], fits: Callable[[Mapping[str, Tensor]], bool]) -> Weights | None:
    """The one state dict that fits a network.

    Args:
        found: All state dicts of a file.
        fits: Whether weights fit.

    Returns:
        The one that fits, with the others named among its remarks; None if none does.

    Raises:
        UserError: If several fit that differ: which one is meant, only the user can say.
    """
    fitting = [view for weights in found for view in views(weights) if fits(view.tensors)]
    trained = [view for view in fitting if not _AVERAGE.search(view.prefix)]
    if trained and {view.place for view in trained} == {view.place for view in fitting}:  # averages next to each weight
        fitting = trained
    different = [view for place, view in enumerate(fitting) if not any(_equal(view, other) for other in fitting[:place])]
    if len(different) > 1:
        named = ", ".join(f"{view.name} ({len(view.tensors)} tensors)" for view in different)
        keys = " or ".join(f"--key {view.name}" for view in different[:_SHOWN])
        raise UserError(f"holds the weights of several networks: {named}; choose with {keys}")
    return fitting[0] if fitting else None


def _equal(first: Weights, second: Weights) -> bool:
    """Whether two state dicts hold the same numbers."""
    tensors, others = first.tensors, second.tensors
    return tensors.keys() == others.keys() and all(
        tensors[key].shape == others[key].shape and torch.equal(tensors[key], others[key]) for key in tensors
    )


def without_training_only(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Separate the weights of a network from what only its training used.

    Args:
        tensors: A state dict.
        expected: That of the network.

    Returns:
        The state dict without such keys, and those keys. Unexpected keys that may belong to another network remain.
    """
    left = tuple(key for key in tensors if key not in expected and _TRAINING_ONLY.fullmatch(key))
    return {key: tensor for key, tensor in tensors.items() if key not in left}, left


def is_state_dict(content: object) -> bool:
    """Whether an object is a dictionary of dense tensors, as our own files hold it."""
    return (
        isinstance(content, dict)
        and bool(content)
        and all(
            isinstance(key, str) and isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta
            for key, value in content.items()
        )
    )
