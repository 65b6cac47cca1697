"""Whether weights fit a network: every key, every shape, every number."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from robustbench_la.errors import UserError
from robustbench_la.text import printable

_SHOWN = 3
"""How many keys a message lists."""


def check_keys(model: nn.Module, state: Mapping[str, Tensor], architecture: str) -> None:
    """Check that weights fit a network.

    Args:
        model: The network.
        state: The weights.
        architecture: Its name, for errors.

    Raises:
        UserError: If keys are missing or unexpected, shapes differ, or weights are not finite.
    """
    if faults := faults_of(model.state_dict(), state):
        raise UserError(f"the weights do not fit {architecture}; keys: {faults}")
    broken = [key for key, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        raise UserError(f"NaN or infinite weights in {some(broken)}")


def faults_of(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """Which keys do not fit, in words; empty if all do."""
    faults = {
        "missing": missing(expected, state),
        "unexpected": [key for key in state if key not in expected],
        "of the wrong shape": [
            f"{key} {tuple(state[key].shape)} for {tuple(expected[key].shape)}"
            for key in expected
            if key in state and state[key].shape != expected[key].shape
        ],
    }
    return "; ".join(f"{len(keys)} {kind} ({some(keys)})" for kind, keys in faults.items() if keys)


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
    names = [printable(str(key)) for key in keys]  # type: ignore[attr-defined]  # any collection of names
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
