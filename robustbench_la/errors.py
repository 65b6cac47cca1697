"""The errors that a user can mend, and the look-up that makes most of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")
_SHOWN = 24
"""How many names an error lists."""


class UserError(Exception):
    """A mistake in what was given: said in one line, without a traceback; exit code 2."""

    exit_code = 2


class ArgumentError(UserError, ValueError):
    """A wrong value of an argument of a Python function: a UserError to the commands, a ValueError to whoever calls it."""


class RunError(UserError):
    """What was given is right, but it could not be run here (no space left, numbers not finite); exit code 3."""

    exit_code = 3


class NotComparableError(UserError):
    """There is nothing that the measurement could be judged against: no baseline, other data, other noise; exit code 4."""

    exit_code = 4


class NothingSelectedError(UserError):
    """What was asked for fits nothing that is there; exit code 5."""

    exit_code = 5


def first_line(error: BaseException) -> str:
    """What an error says, in at most one line of 160 characters; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown ``word``: what is near, or what there is.

    >>> did_you_mean("gausian", ["gaussian_noise", "gaussian_blur", "fog"])
    '; did you mean gaussian_blur, gaussian_noise?'
    """
    known = list(known)
    near = difflib.get_close_matches(word.lower(), known, n=3, cutoff=0.55)
    if near:
        return f"; did you mean {', '.join(near)}?"
    return f"; there are {', '.join(known[:_SHOWN])}" + (f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else "")


def lookup(table: Mapping[str, T], name: str, *, kind: str) -> T:
    """``table[name]``, or a UserError that says what is near.

    >>> lookup({"relu": 1}, "rleu", kind="activation")
    Traceback (most recent call last):
    robustbench_la.errors.UserError: unknown activation 'rleu'; did you mean relu?
    """
    try:
        return table[name]
    except KeyError:
        raise UserError(f"unknown {kind} {name!r}{did_you_mean(name, table)}") from None
