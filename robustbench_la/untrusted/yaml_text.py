"""YAML that came from anywhere: plain values only, checked for depth, size and expansion before anything is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML without libyaml
    from yaml import SafeLoader  # type: ignore[assignment]  # the same, slower

from robustbench_la.errors import UserError, first_line
from robustbench_la.untrusted.content import CONTROL, named, place, read_text

LARGEST = 2**20
"""The largest file that is read, in bytes; 500 checkpoints with all that can be said about them take 60,000."""
_DEEPEST = 24
_MOST_VALUES = 20_000
"""A table of 500 rows and 12 columns takes 12,500. With what aliases stand for counted each time:
a file of 600 bytes can stand for 10^9 values."""
_LONGEST_TEXT = 4096
_LARGEST_WHOLE = 2**63
_TAG = "tag:yaml.org,2002:"
_TAGS = frozenset({None, "!", *(_TAG + name for name in ("str", "int", "float", "bool", "null", "seq", "map", "merge"))})
"""Those of plain values; dates, sets and binary data are settings of nothing."""


def read_yaml(path: Path) -> object:
    """Read a YAML file.

    Dates are texts. An alias is read where what it stands for stays small.

    Args:
        path: The file.

    Returns:
        Dictionaries with texts as keys, lists, texts, whole numbers below 2^63, floats, booleans and None.

    Raises:
        FileNotFoundError: If it does not exist.
        UserError: If it cannot be read, or holds something else; the message says where, and does not name the file.
    """
    text = read_text(path, largest=LARGEST)
    if (wrong := yaml.reader.Reader.NON_PRINTABLE.search(text)) is not None:
        raise UserError(f"{place(text, wrong.start())}: not readable as YAML ({named(wrong[0])})")
    try:
        _check_bounds(text)
        return yaml.load(text, Loader=_Loader)  # a SafeLoader of fewer types
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = (error.problem or error.context or "syntax")[:160]
        raise UserError(f"{_at(mark)}: not readable as YAML ({problem})") from None
    except (yaml.YAMLError, RecursionError, MemoryError) as error:
        raise UserError(f"not readable as YAML ({first_line(error)})") from None


def _at(mark: Any) -> str:
    return "the file" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"


def _check_bounds(text: str) -> None:
    """Raise UserError if a document is nested too deeply, or stands for too much; it is scanned, and nothing is built."""
    known: dict[str, tuple[int, int]] = {}  # anchor -> number of values, and depth, of what it stands for
    opened: list[tuple[str | None, int, int]] = []  # the same of the lists and mappings around
    for event in yaml.parse(text, Loader=SafeLoader):
        if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            _check_tag(event)
            opened.append((event.anchor, 1, 0))
            count, depth = 0, 0
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in known:
                inside = any(anchor == event.anchor for anchor, _, _ in opened)
                raise _refused(event, "an alias of what it is in" if inside else "an alias of nothing before it")
            count, depth = known[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            _check_scalar(event)
            count, depth = 1, 0
            if event.anchor is not None:
                known[event.anchor] = (count, depth)
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            anchor, count, depth = opened.pop()
            if anchor is not None:
                known[anchor] = (count, depth)
        else:
            continue
        if opened:
            anchor, before, height = opened[-1]
            opened[-1] = (anchor, before + count, max(height, depth + 1))
            if len(opened) + depth > _DEEPEST:
                raise _refused(event, f"nested more than {_DEEPEST} deep")
            if before + count > _MOST_VALUES:
                raise _refused(event, f"stands for more than {_MOST_VALUES:,} values")


def _check_tag(event: Any) -> None:
    if event.tag not in _TAGS:
        raise _refused(event, f"the tag {event.tag.replace(_TAG, '!!')[:40]!r} is of no plain value")


def _check_scalar(event: Any) -> None:
    _check_tag(event)
    if len(event.value) > _LONGEST_TEXT:
        raise _refused(event, f"a value of {len(event.value):,} characters is too long")
    if (wrong := CONTROL.search(event.value)) is not None:
        raise _refused(event, f"a value holds {named(wrong[0])}")


def _refused(event: Any, problem: str) -> UserError:
    return UserError(f"{_at(event.start_mark)}: {problem}")


class _Loader(SafeLoader):
    """Reads plain values; anything that goes wrong in the making of one has its place."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # as PyYAML declares it
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_TAG + "timestamp", _TAG + "value")]
        for first, resolvers in SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """The value of a node."""
        try:
            value = super().construct_object(node, deep)
        except (yaml.YAMLError, UserError):
            raise
        except Exception:  # PyYAML's own conversions raise what int() and dictionaries raise
            kind = node.tag.replace(_TAG, "!!")
            raise UserError(f"{_at(node.start_mark)}: {str(node.value)[:40]!r} is no {kind}") from None
        if isinstance(value, int) and abs(value) >= _LARGEST_WHOLE:
            raise UserError(f"{_at(node.start_mark)}: the number is too large")
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """The value of a mapping, whose keys are texts, each given once."""
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key.tag == _TAG + "merge":
                continue
            if key.tag != _TAG + "str":
                shown = f" ({key.value[:40]!r})" if isinstance(key, yaml.ScalarNode) else ""
                raise UserError(f"{_at(key.start_mark)}: a key must be text{shown}")
            if key.value in seen:
                raise UserError(f"{_at(key.start_mark)}: the key {key.value[:40]!r} is given twice")
            seen.add(key.value)
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made
