"""The errors that a user can fix, and the lookup that raises most of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from robustbench_la.text import printable

T = TypeVar("T")
_LONGEST = 200
_SHOWN = 24
"""How many names an error message lists."""


class UserError(Exception):
    """Invalid input, reported in one line without a traceback; exit code 2."""

    exit_code = 2

    def __str__(self) -> str:
        """The message on one line, with what names from outside hold shown as escapes: it may be printed anywhere."""
        return printable(super().__str__())


class ArgumentError(UserError, ValueError):
    """An invalid argument of a Python function: a UserError for the commands, a ValueError for the caller."""


class UnfitError(UserError):
    """A network does not take the images of a dataset."""

    def __init__(self, what: str, remedy: str = "") -> None:
        """remedy: kept apart, as where the images are given (by a baseline) another one applies."""
        super().__init__(f"{what}; {remedy}" if remedy else what)
        self.what = what


class RunError(UserError):
    """The input is valid, but the run failed (no space left, non-finite numbers); exit code 3."""

    exit_code = 3


class NotComparableError(UserError):
    """There is nothing to judge the measurement against: no baseline, different data, different noise; exit code 4."""

    exit_code = 4


class NothingSelectedError(UserError):
    """Nothing matches the selection; exit code 5."""

    exit_code = 5


def first_line(error: BaseException) -> str:
    """The first line of an error message, cut to 160 characters; the name of its type if the message is empty.

    A line that ends with a colon only announces the next one, which then belongs to it.

    >>> first_line(RuntimeError("Error(s) in loading state_dict:\\n\\tsize mismatch for a.weight\\n\\tsize mismatch for b"))
    'Error(s) in loading state_dict: size mismatch for a.weight'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    count = next((number for number, line in enumerate(lines, 1) if not line.endswith(":")), len(lines))
    return " ".join(lines[:count])[:160]


def did_you_mean(word: str, known: Iterable[str], *, shown: int = _SHOWN) -> str:
    """The end of a message about an unknown ``word``: close matches, or else the first ``shown`` known words.

    >>> did_you_mean("gausian", ["gaussian_noise", "gaussian_blur", "fog"])
    '; did you mean gaussian_blur, gaussian_noise?'
    """
    names = list(known)
    near = difflib.get_close_matches(word.lower(), names, n=3, cutoff=0.55)
    if near:
        return f"; did you mean {', '.join(near)}?"
    return f"; available: {', '.join(names[:shown])}" + (f" and {len(names) - shown} more" if len(names) > shown else "")


def lookup(table: Mapping[str, T], name: str, *, kind: str) -> T:
    """Look a name up in a table.

    Args:
        table: The known names and their values.
        name: The name given.
        kind: What the names stand for, in the singular, for the error message.

    Returns:
        ``table[name]``.

    Raises:
        UserError: If the name is unknown; the message suggests close matches.

    >>> lookup({"relu": 1}, "rleu", kind="activation")
    Traceback (most recent call last):
    robustbench_la.errors.UserError: unknown activation 'rleu'; did you mean relu?
    """
    try:
        return table[name]
    except KeyError:
        shown = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."
        raise UserError(f"unknown {kind} {shown!r}{did_you_mean(name, table)}") from None
