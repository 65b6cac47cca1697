"""Which of the weights in a foreign checkpoint are meant, and of which network they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from robustbench_la.errors import UserError
from robustbench_la.images.decoding import Shape
from robustbench_la.models.architectures import NetworkSpec, is_as_it_is
from robustbench_la.models.build import build
from robustbench_la.models.checkpoints.keys import faults_of, is_counter, missing, some
from robustbench_la.models.checkpoints.layouts import Weights, choose, find_weights, views, without_training_only
from robustbench_la.models.checkpoints.network import LoadOverrides
from robustbench_la.models.checkpoints.recognise import recognise, unknown_depth
from robustbench_la.models.checkpoints.torchvision_networks import recognise_torchvision
from robustbench_la.models.unallocated import unallocated

_UNLIKELY = 7919
"""A number of classes that no layer has as its size by chance."""


@dataclass(frozen=True, slots=True)
class Located:
    """Weights, and the network that they belong to."""

    spec: NetworkSpec
    """Image sizes that the weights do not show are 0."""
    state: dict[str, Tensor]
    """With the names of the network."""
    remarks: tuple[str, ...]


def locate(content: Mapping[str, object], overrides: LoadOverrides, shape: Shape) -> Located:
    """Find the weights in a checkpoint, and their network.

    Args:
        content: Of the checkpoint.
        overrides: What the user specifies: an architecture of one's own wins over what the keys look like.
        shape: Of the data; used for what the weights do not show.

    Returns:
        The weights and their network.

    Raises:
        UserError: If there are no weights, several that fit, or none that fits.
    """
    found = find_weights(content, overrides.key)
    if overrides.architecture is not None and is_as_it_is(overrides.architecture):
        return _specified(found, overrides, overrides.architecture, shape)
    weights = choose(found, lambda tensors: _known(tensors) is not None)
    known = None if weights is None else _known(weights.tensors)
    if weights is None or known is None:
        weights, known = _nearly_known(found, overrides.architecture)
    spec, state, left = known
    if overrides.architecture not in (None, spec.architecture):
        raise UserError(_look_like(spec.architecture) + f" (not those of {overrides.architecture})")
    recognised = f"recognised as {spec.architecture} for {spec.classes} classes, {spec.channels} channels"
    if spec.is_as_it_is:
        spec = replace(spec, exchange=overrides.exchange)
    return Located(spec, state, (*weights.remarks, *_others(found, weights), *_left(left), recognised))


Known = tuple[NetworkSpec, dict[str, Tensor], tuple[str, ...]]
"""A network, its weights, and keys that only training used."""


def _known(tensors: Mapping[str, Tensor]) -> Known | None:
    """The network of the table or of torchvision that weights belong to, if nothing is missing."""
    if (known := _of_the_table(tensors)) is not None and _is_complete(known):
        return known
    state, left = without_training_only(tensors, {})
    spec = recognise_torchvision(state)
    return None if spec is None else (spec, {key: tensors[key] for key in tensors if key not in left or is_counter(key)}, left)


def _of_the_table(tensors: Mapping[str, Tensor]) -> Known | None:
    recognised = recognise(tensors)
    if recognised is None:
        return None
    spec, state = recognised
    return spec, *without_training_only(state, _expected(spec))


def _expected(spec: NetworkSpec) -> Mapping[str, Tensor]:
    """The keys and shapes of a network of the table; they take no memory."""
    with unallocated():
        return build(spec, "relu").state_dict()


def _is_complete(known: Known) -> bool:
    expected = _expected(known[0])
    return not missing(expected, known[1]) and all(
        key not in expected or tensor.shape == expected[key].shape for key, tensor in known[1].items()
    )


def _nearly_known(found: Sequence[Weights], architecture: str | None) -> tuple[Weights, Known]:
    """Weights that look like a network of the table but do not fit, for the message that names their keys."""
    if architecture is None:
        for view in _all_views(found):
            if (known := _of_the_table(view.tensors)) is not None:
                return view, known
    innermost = _innermost(found[0])
    for view in _all_views(found):
        if (message := unknown_depth(view.tensors)) is not None:
            raise UserError(message)
    if architecture is None:
        keys = some(innermost.tensors)
        raise UserError(f"architecture not recognised from the weights (keys start with {keys}); specify it with --arch")
    raise UserError(f"these are not weights of a {architecture}: their keys start with {some(innermost.tensors)}")


def _all_views(found: Sequence[Weights]) -> Iterator[Weights]:
    return (view for weights in found for view in views(weights))


def _innermost(weights: Weights) -> Weights:
    """Without the prefixes that all keys share."""
    return [view for view in views(weights) if len(view.tensors) >= len(weights.tensors) - 1][-1]


def _specified(found: Sequence[Weights], overrides: LoadOverrides, architecture: str, shape: Shape) -> Located:
    """The weights of a network that the user specifies.

    The number of classes is found by building the network for a number that no layer has by chance, and looking up the size that
    the weights have in its place. For a user function without an argument ``classes`` it is that of the data.
    """
    spec = NetworkSpec(
        architecture=architecture,
        classes=_UNLIKELY,
        channels=shape.channels or 3,
        height=0,
        width=0,
        exchange=overrides.exchange,
    )
    expected = build(spec, overrides.activation).state_dict()
    weights = choose(found, lambda tensors: not missing(expected, tensors))
    nearest = weights or max(_all_views(found), key=lambda view: len(view.tensors.keys() & expected.keys()))
    state, left = without_training_only(nearest.tensors, expected)
    if weights is None and (known := next(filter(None, (_known(view.tensors) for view in _all_views(found))), None)) is not None:
        fit = f"the weights do not fit {architecture}; keys: {faults_of(expected, state)}"
        raise UserError(f"{_look_like(known[0].architecture)} ({fit})")
    rows = {
        state[key].shape[0]
        for key, tensor in expected.items()
        if key in state and state[key].dim() and tensor.shape[:1] == (_UNLIKELY,)
    }
    last = next((len(tensor) for tensor in reversed(state.values()) if tensor.dim()), 1)
    spec = replace(spec, classes=max(rows) if rows else shape.classes or last)
    return Located(spec, state, (*nearest.remarks, *_others(found, nearest), *_left(left)))


def _look_like(architecture: str) -> str:
    return f"these look like the weights of {architecture}; omit --arch"


def _left(keys: tuple[str, ...]) -> tuple[str, ...]:
    named = [key for key in keys if not is_counter(key) and key != "n_averaged"]
    return (f"not used, since only training needs them: {some(named)}",) if named else ()


def _others(found: Sequence[Weights], chosen: Weights) -> tuple[str, ...]:
    """Which other weights a file holds."""
    others = [weights.name for weights in found if weights.place != chosen.place]
    return (f"the file also holds the weights '{', '.join(others)}' (take them with --key)",) if others else ()
