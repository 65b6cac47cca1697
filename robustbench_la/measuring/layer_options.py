"""What can be asked about the layers of a network: which statistics, which threshold, which noise on pre-activations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from robustbench_la.errors import UserError, lookup
from robustbench_la.measuring.inject import Injection, parse_injection

THRESHOLD = 0.01
"""Of the scale: below it an element counts as saturated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FluctuationOptions:
    """What to measure at every layer."""

    only: Literal["fluctuation"] | None = None
    """None for everything in records.layers.STATISTICS."""
    threshold: float = THRESHOLD
    """Of the scale: below it an element counts as saturated."""
    injections: tuple[Injection, ...] = ()
    """Noise on the pre-activations, instead of the conditions."""


def parse_options(only: str | None, threshold: float | None, inject: Iterable[str]) -> FluctuationOptions:
    """The options of a measurement, as the command and the Python function are given them.

    Args:
        only: ``fluctuation``, or None for every statistic.
        threshold: As in FluctuationOptions; None for THRESHOLD.
        inject: Words for ``parse_injection``.

    Returns:
        The options; each injection once.

    Raises:
        UserError: For unknown words, or a threshold that is out of range or would have no effect.
    """
    injections = dict.fromkeys(injection for word in inject for injection in parse_injection(word))
    if only is not None:
        lookup({"fluctuation": None}, only, kind="--only")
    if threshold is not None and not 0 < threshold < 1:
        raise UserError(f"--threshold must be a scale between 0 and 1, not {threshold}")
    if only is not None and threshold is not None:
        raise UserError("--threshold would have no effect: --only leaves out saturated elements")
    return FluctuationOptions(
        only=None if only is None else "fluctuation",
        threshold=THRESHOLD if threshold is None else threshold,
        injections=tuple(injections),
    )
