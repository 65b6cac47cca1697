"""How a setting is written where it is read: as a flag of a command, as an argument in Python, or as an option of pytest."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Container, Mapping

_FLAGS = {"arch_label": "--as", "checkpoints": "--ckpt"}
"""Flags that are not called like their keys of plans."""
_ARGUMENTS = {"as": "arch_label", "ckpt": "model", "interval": "intervals"}
_OF_FILTERS = {"ckpt": "checkpoint", "arch": "architecture"}
"""Flags whose argument has another name; those of filters where results of a store are selected."""
_WHOLE = {"ckpt-table": 'model="TABLE.csv"'}
"""Flags of which Python has no argument, and what does the same."""
_SWITCHES = frozenset(
    {
        "allow-missing",
        "allow-stochastic",
        "amp",
        "download",
        "fresh",
        "interval",
        "keep-going",
        "layers",
        "strict",
        "tests",
        "trust-file",
    }
)
_NUMBERS = frozenset(
    {
        "alpha",
        "batch-size",
        "channels",
        "crop",
        "jpeg",
        "layeract-alpha",
        "limit",
        "noise-seed",
        "noise-seeds",
        "resize",
        "severity",
        "threshold",
    }
)
_LISTS = ("allow-code", "exchange")
_ALWAYS_GIVEN = frozenset(
    {
        "against",
        "by",
        "device",
        "group",
        "image",
        "key",
        "metric",
        "noise",
        "reference",
        "severity",
    }
)
"""Flags after which any word is their value, except those of _NEVER_VALUES."""
_NEVER_VALUES = ("and", "is", "or", "to", "with")

_COMMAND = re.compile(
    r"larobust (?:baseline|check|compare|corrupt|eval|fluctuation|forget|list|merge|plot|preview|results|train)\b[^;)`]*"
)
_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z-]*[a-z])\b(?: ('[^']*'|[^\s'][^\s]*?)(?=[.,;:?)]*(?:\s|$)))?")
_LITERAL = re.compile(r"'.*'|.*[=:/.*{}\d-].*|[A-Z]{2,}|hf")
"""What follows a flag as its value: quoted, no plain word, or the name of what to put there, such as FILE."""

_SAME_LIST = re.compile(r"\b([a-z_]+)=\[([^\]]*)\] \1=\[")
_NEIGHBOURS = re.compile(r"""(\b[a-z_]+=(?:"[^"]*"|[\d.]+)) (?=[a-z_]+=)""")


def as_flags(settings: Mapping[str, object]) -> str:
    """Settings as the flags of a command that a message suggests, with a space before each; empty for none.

    Args:
        settings: Keys of plans and their values; None, False and empty lists are not given.

    >>> as_flags({"arch": "net.py:my net", "limit": None, "trust_file": True, "exchange": ["relu=silu"]})
    " --arch 'net.py:my net' --trust-file --exchange relu=silu"
    """
    words: list[str] = []
    for name, value in settings.items():
        flag = _FLAGS.get(name, f"--{name.replace('_', '-')}")
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            values = value if isinstance(value, (list, tuple)) else [value]
            words += [word for each in values for word in (flag, shlex.quote(str(each)))]
    return "".join(f" {word}" for word in words)


def in_python(message: str, *, filters: bool = False) -> str:
    """A message that names flags, naming arguments; a command that it gives stays one.

    Args:
        message: As a command prints it.
        filters: Whether ``--ckpt`` and ``--arch`` select results of a store.

    >>> in_python("images of unequal size; give --resize and --crop, or --keep-going")
    'images of unequal size; give resize= and crop=, or keep_going=True'
    >>> in_python("put it there with --exchange silu=relu; join them with --as LABEL, --channels 3")
    'put it there with exchange=["silu=relu"]; join them with arch_label="LABEL", channels=3'
    >>> in_python("allow that with --allow-code a.py:f --allow-code b.py:g")
    'allow that with allow_code=["a.py:f", "b.py:g"]'
    >>> in_python("folder:DIR with --resize 256 --crop 224")
    'folder:DIR with resize=256, crop=224'
    >>> in_python("there is no baseline; make one with: larobust baseline --ckpt model.pt")
    'there is no baseline; make one with: larobust baseline --ckpt model.pt'
    """
    names = _ARGUMENTS | _OF_FILTERS if filters else _ARGUMENTS

    def argument(match: re.Match[str]) -> str:
        flag, word = match[1], match[2]
        if flag in _WHOLE:
            return _WHOLE[flag] + (f" {word}" if word else "")
        name = names.get(flag, flag.replace("-", "_"))
        if flag in _SWITCHES:
            return f"{name}=True" + (f" {word}" if word else "")
        if word is None or word in _NEVER_VALUES or not (flag in _ALWAYS_GIVEN or _LITERAL.fullmatch(word)):
            return f"{name}=" + (f" {word}" if word else "")
        text = word.strip("'")
        quoted = text if flag in _NUMBERS and re.fullmatch(r"-?[\d.e-]+", text) else f'"{text}"'
        return f"{name}=[{quoted}]" if flag in _LISTS else f"{name}={quoted}"

    def reworded(text: str) -> str:
        text = _FLAG.sub(argument, text)
        while (joined := _SAME_LIST.sub(r"\1=[\2, ", text)) != text:
            text = joined
        return _NEIGHBOURS.sub(r"\1, ", text)

    return _outside_commands(message, reworded)


def in_pytest(message: str, options: Container[str]) -> str:
    """A message that names flags, naming the options of our plugin; a command that it gives stays one.

    Args:
        message: As a command prints it.
        options: The flags that are options of the plugin, without dashes.

    >>> in_pytest("allow that with --arch net.py:Net", {"arch"})
    'allow that with --larobust-arch net.py:Net'
    """

    def reworded(text: str) -> str:
        return _FLAG.sub(lambda match: match[0].replace("--", "--larobust-", 1) if match[1] in options else match[0], text)

    return _outside_commands(message, reworded)


def _outside_commands(message: str, reworded: Callable[[str], str]) -> str:
    """A message, all of it reworded but the commands of larobust that it gives."""
    parts, end = [], 0
    for command in _COMMAND.finditer(message):
        parts += [reworded(message[end : command.start()]), command[0]]
        end = command.end()
    return "".join([*parts, reworded(message[end:])])
