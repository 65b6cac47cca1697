"""Errors of the library as a caller in Python reads them: arguments instead of flags, and a ValueError for a wrong argument."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from robustbench_la.errors import ArgumentError, UnfitError, UserError

P = ParamSpec("P")
R = TypeVar("R")
_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z-]*[a-z])\b")
_OTHER_NAMES = {"ckpt": "model", "as": "arch_label"}
"""Flags whose argument has another name."""


def errors_in_python(function: Callable[P, R]) -> Callable[P, R]:
    """The function, its UserErrors reworded and raised without the library's own frames."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except UserError as error:
            kind = ArgumentError if type(error) in (UserError, UnfitError) else type(error)
            raise kind(reworded(str(error))) from error.__cause__
        except KeyboardInterrupt:  # the commands' own kind of it carries results that nobody would read here
            raise KeyboardInterrupt from None

    return wrapped


def reworded(message: str) -> str:
    """A message that names flags, naming arguments; a command that it gives stays one.

    >>> reworded("images of unequal size; give --resize and --crop")
    'images of unequal size; give resize= and crop='
    >>> reworded("there is no baseline; make one with: larobust baseline --ckpt model.pt")
    'there is no baseline; make one with: larobust baseline --ckpt model.pt'
    """
    before, command, after = message.partition("larobust ")
    return _FLAG.sub(lambda flag: f"{_OTHER_NAMES.get(flag[1], flag[1].replace('-', '_'))}=", before) + command + after
