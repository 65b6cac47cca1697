"""What the name of a checkpoint says about its network: patterns such as ``runs/{arch}_{activation}_seed{seed}.pth``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from robustbench_la.activations import ACTIVATIONS
from robustbench_la.errors import UserError, did_you_mean
from robustbench_la.models.architectures import ARCHITECTURES
from robustbench_la.models.checkpoints.named import FIELDS, activation_named, field_of

_FIELD = re.compile(r"\{(\w*)\}")
_WILD = re.compile(r"(\*\*/|\*|\?|\[[^\]]+\])")
_ANY = {"**/": r"(?:.*/)?", "*": r"[^/]*", "?": r"[^/]"}
_WHOLE = re.compile(r"-?\d+")
_MOST_STEPS = 200_000
"""A tenth of a second; four fields in a name of 60 characters take 10,000."""

Ways = list[dict[str, str]]
"""Each way to read a name: the values of the fields."""


def is_template(pattern: str) -> bool:
    """Whether a path names fields in braces."""
    return _FIELD.search(pattern) is not None and not Path(pattern).exists()


def glob_of(template: str) -> str:
    """The pattern of the files that a template may match.

    >>> glob_of("runs/{arch}_{activation}_seed{seed}.pth")
    'runs/*_*_seed*.pth'
    """
    return _FIELD.sub("*", template)


def fields_of(template: str) -> list[str]:
    """The fields of a template, in order.

    Raises:
        UserError: For an unknown field.
    """
    names = []
    for name in _FIELD.findall(template):
        if field_of(name) not in FIELDS:
            raise UserError(f"unknown field {{{name}}} in {template!r}{did_you_mean(name, ('seed', *FIELDS))}")
        names.append(field_of(name))
    return names


def read_name(template: str, path: str) -> Mapping[str, str]:
    """Read the fields of a template from the path of a file.

    If a name can be read in several ways, activations and architectures that are known decide: ``resnet20_la_silu`` fits
    ``{arch}_{activation}`` as ``la_silu`` of a ``resnet20``.

    Args:
        template: With fields in braces; ``*`` and ``?`` match anything.
        path: Of a file.

    Returns:
        Field -> text.

    Raises:
        UserError: If the path does not fit the template, or fits in several ways.
    """
    names = fields_of(template)
    ways = _ways(template, path)
    if not ways:
        raise UserError(f"{path} does not fit {template!r}; narrow the pattern down, or put * in place of a field")
    readable = [way for way in ways if _WHOLE.fullmatch(way.get("training_seed", "0"))]
    if not readable:
        raise UserError(f"{path} does not fit {template!r}: {{seed}} must be a whole number, not {ways[0]['training_seed']!r}")
    known = [way for way in readable if "activation" not in way or activation_named(way["activation"]) is not None]
    if not known:
        word = readable[0]["activation"]
        # A label names one network in tables; the seeds of an activation need a name that they share.
        field = "group" if "training_seed" in names and "group" not in names else "label"
        raise UserError(
            f"{path}: its name says activation {word!r}, which is unknown (if it is your own, put {{{field}}} in place of "
            f"{{activation}}){did_you_mean(word, ACTIVATIONS)}"
        )
    best = max(map(_likelihood, known))
    likely = [way for way in known if _likelihood(way) == best]
    if len(likely) > 1:
        read = " or ".join(", ".join(f"{name} {way[name]}" for name in dict.fromkeys(names)) for way in likely[:2])
        raise UserError(f"{path} fits {template!r} in several ways ({read}); a table of files says which: --ckpt-table")
    return likely[0]


def _likelihood(way: Mapping[str, str]) -> tuple[int, bool, int]:
    """Known architectures and long names of activations and seeds are likelier: ``la_silu`` is not a ``silu`` after ``_la``."""
    return len(way.get("activation", "")), way.get("arch", "").lower() in ARCHITECTURES, len(way.get("training_seed", ""))


def _ways(template: str, path: str) -> Ways:
    tokens: list[tuple[str, str]] = []
    for index, part in enumerate(_FIELD.split(template)):
        if index % 2:
            tokens.append(("field", field_of(part)))
        else:
            tokens += [("wild" if _WILD.fullmatch(text) else "text", text) for text in _WILD.split(part) if text]
    steps = iter(range(_MOST_STEPS))
    try:
        return [dict(way) for way in dict.fromkeys(tuple(way.items()) for way in _match(tokens, path, {}, steps))]
    except _TooManyError:
        raise UserError(f"{path} fits {template!r} in too many ways; put text between its fields, or use fewer") from None


class _TooManyError(Exception):
    """A name can be read in more ways than anybody could mean."""


def _match(
    tokens: Sequence[tuple[str, str]], rest: str, values: Mapping[str, str], steps: Iterator[int]
) -> Iterator[dict[str, str]]:
    if not tokens:
        if not rest:
            yield dict(values)
        return
    (kind, text), *others = tokens
    if kind == "text":
        if rest.startswith(text):
            yield from _match(others, rest[len(text) :], values, steps)
        return
    pattern = re.compile(r"[^/]+" if kind == "field" else _ANY.get(text) or text.replace("[!", "[^"))
    for end in range(len(rest) + 1):
        if next(steps, None) is None:
            raise _TooManyError
        piece = rest[:end]
        if pattern.fullmatch(piece) and (kind == "wild" or values.get(text, piece) == piece):
            yield from _match(others, rest[end:], {**values, text: piece} if kind == "field" else values, steps)
