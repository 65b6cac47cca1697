"""Whether weights fit a network: every key, every shape, every number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from robustbench_la.errors import UserError
from robustbench_la.text import quoted

_SHOWN = 3
"""How many keys a message lists."""


def check_keys(model: nn.Module, state: Mapping[str, Tensor], architecture: str) -> None:
    """Check that weights fit a network.

    Args:
        model: The network.
        state: The weights.
        architecture: Its name, for errors.

    Raises:
        UserError: If keys are missing or unexpected, shapes or kinds of numbers differ, or weights are not finite.
    """
    expected = model.state_dict()
    if faults := faults_of(expected, state):
        raise UserError(f"the weights do not fit {architecture}; keys: {faults}")
    for key, tensor in state.items():
        _check_kind(key, tensor, expected[key].dtype)
    # Also those that are finite in the file, but not in the precision that they are computed in.
    broken = [key for key, tensor in state.items() if tensor.is_floating_point() and not _is_finite(tensor, expected[key].dtype)]
    if broken:
        raise UserError(f"NaN or infinite weights in {some(broken)}")


def check_real(state: Mapping[str, Tensor]) -> None:
    """Raise UserError for weights that are no real floating-point numbers, where a library puts them into a network by itself."""
    for key, tensor in state.items():
        if key.endswith((".weight", ".bias")):
            _check_kind(key, tensor, torch.float32)


def _check_kind(key: str, tensor: Tensor, expected: torch.dtype) -> None:
    """Raise UserError for numbers that would lose their meaning if they were taken for those of the network."""
    given = str(tensor.dtype).removeprefix("torch.")
    if expected.is_floating_point and not tensor.is_floating_point():
        raise UserError(
            f"{quoted(key)} is {given}, but the network computes with floating-point numbers; save the weights as float32, or "
            "those from before quantisation"
        )
    # Averages of whole state dicts make fractions of the counters of BatchNorm, which compute nothing, and leave indices whole.
    if (
        not expected.is_floating_point
        and not expected.is_complex
        and tensor.is_floating_point()
        and not (is_counter(key) or _is_whole(tensor))
    ):
        raise UserError(f"{quoted(key)} is {given}, but the network has whole numbers there")
    if expected.is_complex or tensor.is_complex():
        raise UserError(f"{quoted(key)} is complex, which larobust does not compute with")


def _is_whole(tensor: Tensor) -> bool:
    return bool((tensor.isfinite() & (tensor == tensor.trunc())).all())


def _is_finite(tensor: Tensor, dtype: torch.dtype) -> bool:
    return bool((tensor.to(dtype) if dtype.is_floating_point else tensor).isfinite().all())


def faults_of(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """Which keys do not fit, in words; empty if all do."""
    faults = {
        "missing": [quoted(key) for key in missing(expected, state)],
        "unexpected": [quoted(key) for key in state if key not in expected],
        "of the wrong shape": [
            f"{quoted(key)} {tuple(state[key].shape)} for {tuple(expected[key].shape)}"
            for key in expected
            if key in state and state[key].shape != expected[key].shape
        ],
    }
    return "; ".join(f"{len(keys)} {kind} ({_first(keys)})" for kind, keys in faults.items() if keys)


def missing(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """The keys of a network that the weights lack.

    Counters of BatchNorm do not count: files from before torch 0.4.1 do not have them, and evaluation does not use them.
    """
    return [key for key in expected if key not in state and not is_counter(key)]


def is_counter(key: str) -> bool:
    """Whether it is a counter of BatchNorm, which a network has, though it computes nothing."""
    return key.endswith("num_batches_tracked")


def some(keys: object) -> str:
    """A few of some keys, for a message; keys of a file may hold anything."""
    return _first([quoted(str(key)) for key in keys])  # type: ignore[attr-defined]  # any collection of names


def _first(words: Sequence[str]) -> str:
    return ", ".join(words[:_SHOWN]) + (", ..." if len(words) > _SHOWN else "")
