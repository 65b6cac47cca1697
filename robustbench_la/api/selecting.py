"""Filters of a store, as Python says them."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, TypeVar

from robustbench_la.api.settings import Filters, Numbers, Only
from robustbench_la.errors import ArgumentError, UserError

if TYPE_CHECKING:
    from robustbench_la.store.schema import Selection

Word = TypeVar("Word", bound=str)


def selection_of(filters: Filters) -> Selection:
    """The selection that filters mean.

    Raises:
        ArgumentError: For unknown corruptions, levels and severities.
    """
    from robustbench_la.records.noise_words import parse_noise_filter, parse_severities
    from robustbench_la.store.schema import Selection

    severities, noise_seeds = _several(filters.get("severity")), _several(filters.get("noise_seed"))
    try:
        corruptions, levels = parse_noise_filter(list(words_of(filters.get("noise"))))
    except UserError as error:
        raise ArgumentError(str(error)) from None
    return Selection(
        checkpoints=words_of(filters.get("checkpoint")),
        activations=words_of(filters.get("activation")),
        architectures=words_of(filters.get("architecture")),
        data=words_of(filters.get("data")),
        corruptions=corruptions,
        levels=levels,
        severities=parse_severities([str(one) for one in severities]) if severities else (),
        noise_seeds=tuple(map(int, noise_seeds)),
    )


def _several(given: Numbers) -> list[int | str]:
    """One number or several as a list; numpy's whole numbers are numbers too."""
    if given is None:
        return []
    return [given] if isinstance(given, (numbers.Integral, str)) else list(given)  # type: ignore[arg-type]


def words_of(given: Only) -> tuple[str, ...]:
    return () if given is None else (given,) if isinstance(given, str) else tuple(given)


def one_of(name: str, word: str, known: tuple[Word, ...]) -> Word:
    """The word, once it is known to be one of those.

    Raises:
        ArgumentError: For another.
    """
    for one in known:
        if one == word:
            return one
    raise ArgumentError(f"{name}= is one of {', '.join(known)}, not {word!r}")
