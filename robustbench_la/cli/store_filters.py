"""The filters of a command, as a selection of results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from robustbench_la.store.schema import Selection


def select(
    ckpt: Sequence[str] | None = None,
    activation: Sequence[str] | None = None,
    arch: Sequence[str] | None = None,
    data: Sequence[str] | None = None,
    noise: Sequence[str] | None = None,
    severity: Sequence[str] | None = None,
    noise_seed: Sequence[int] | None = None,
) -> Selection:
    """The selection that the filters of a command describe.

    Raises:
        UserError: For unknown corruptions, levels and severities.
    """
    from robustbench_la.records.noise_words import parse_noise_filter, parse_severities
    from robustbench_la.store.schema import Selection

    corruptions, levels = parse_noise_filter(list(noise or ()))
    return Selection(
        checkpoints=tuple(ckpt or ()),
        activations=tuple(activation or ()),
        architectures=tuple(arch or ()),
        data=tuple(data or ()),
        corruptions=corruptions,
        levels=levels,
        severities=parse_severities(list(severity)) if severity else (),
        noise_seeds=tuple(noise_seed or ()),
    )
