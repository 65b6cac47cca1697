"""Filters and words as Python callers give them: one, several, or none."""

from __future__ import annotations

import numbers
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from robustbench_la.api.settings import Filters, Numbers, Only
from robustbench_la.errors import ArgumentError, UserError

if TYPE_CHECKING:
    from robustbench_la.store.schema import Selection

Word = TypeVar("Word", bound=str)


def selection_of(filters: Filters, of: Path | Collection[str]) -> Selection:
    """The selection that filters describe, from a store or from what has these corruptions.

    Raises:
        ArgumentError: For unknown corruptions, levels and severities.
    """
    from robustbench_la.store.filters import select

    try:
        return select(
            words_of(filters.get("checkpoint")),
            words_of(filters.get("activation")),
            words_of(filters.get("architecture")),
            words_of(filters.get("data")),
            words_of(filters.get("noise")),
            map(str, _several(filters.get("severity"))),
            map(int, _several(filters.get("noise_seed"))),
            of=of,
        )
    except UserError as error:
        raise ArgumentError(str(error)) from None


def _several(given: Numbers) -> list[int | str]:
    """One number or several as a list; numpy's whole numbers are numbers too."""
    if given is None:
        return []
    return [given] if isinstance(given, (numbers.Integral, str)) else list(given)  # type: ignore[arg-type]


def words_of(given: Only) -> tuple[str, ...]:
    """One word or several as a tuple; empty for None."""
    return () if given is None else (given,) if isinstance(given, str) else tuple(given)


def one_of(name: str, word: str, known: tuple[Word, ...]) -> Word:
    """The word, if it is one of the known ones.

    Raises:
        ArgumentError: For any other word.
    """
    for one in known:
        if one == word:
            return one
    raise ArgumentError(f"{name}= must be one of {', '.join(known)}, not {word!r}")
