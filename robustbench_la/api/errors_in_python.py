"""Errors of the library as a caller in Python reads them: arguments instead of flags, and a ValueError for a wrong argument."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from robustbench_la.errors import ArgumentError, UnfitError, UserError
from robustbench_la.wording import in_python

P = ParamSpec("P")
R = TypeVar("R")


def errors_in_python(function: Callable[P, R]) -> Callable[P, R]:
    """The function, its UserErrors reworded and raised without the library's own frames."""

    filters = "filters" in inspect.signature(function).parameters

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except UserError as error:
            kind = ArgumentError if type(error) in (UserError, UnfitError) else type(error)
            raise kind(in_python(str(error), filters=filters)) from error.__cause__
        except KeyboardInterrupt:  # the commands' own kind of it carries results that nobody would read here
            raise KeyboardInterrupt from None

    return wrapped
