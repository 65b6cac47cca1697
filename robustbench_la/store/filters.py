"""Filters of a store as users give them, at any front door, become a selection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from pathlib import Path

from robustbench_la.records.noise_words import parse_noise_filter, parse_severities
from robustbench_la.store.schema import Selection


def select(
    checkpoints: Sequence[str] | None = None,
    activations: Sequence[str] | None = None,
    architectures: Sequence[str] | None = None,
    data: Sequence[str] | None = None,
    noise: Sequence[str] | None = None,
    severities: Iterable[str] | None = None,
    noise_seeds: Iterable[int] | None = None,
    *,
    of: Path | Collection[str] = (),
) -> Selection:
    """The selection that filters describe; None and nothing leave a property open.

    Args:
        checkpoints: Paths, file names, patterns, or the first digits of a SHA-256.
        activations: Names.
        architectures: Names.
        data: Names, or patterns such as ``mnist:*``.
        noise: Corruptions, aliases, groups, custom levels, or ``clean``.
        severities: 1 to 5, or ranges such as ``1-3``.
        noise_seeds: Seeds of the noise.
        of: The store, or the corruptions of what is selected from: published sets may have some that larobust has not.

    Returns:
        The selection.

    Raises:
        UserError: For unknown corruptions, levels and severities.
    """
    corruptions, levels = parse_noise_filter(list(noise or ()), partial(_corruptions, of))
    numbers = list(severities or ())
    return Selection(
        checkpoints=tuple(checkpoints or ()),
        activations=tuple(activations or ()),
        architectures=tuple(architectures or ()),
        data=tuple(data or ()),
        corruptions=corruptions,
        levels=levels,
        severities=parse_severities(numbers) if numbers else (),
        noise_seeds=tuple(noise_seeds or ()),
    )


def _corruptions(of: Path | Collection[str]) -> Collection[str]:
    """Those of a store, none if there is no such file; or as they are given."""
    from robustbench_la.store.store import Store

    if not isinstance(of, Path):
        return of
    if not of.exists():
        return ()
    with Store(of, reading=True) as store:
        return store.corruptions()
