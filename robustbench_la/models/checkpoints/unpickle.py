"""A pickle as plain values: of its instructions only those that build data, of what it names only what a table holds.

Not the unpickler of torch, which allocates whatever a file declares and takes half a millisecond for every tensor.
"""

from __future__ import annotations

import argparse
import pickletools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO

_MOST_INSTRUCTIONS = 400_000
"""More than 10,000 tensors take."""
_MOST_AT_ONCE = 50_000
"""Values that are not yet part of a collection, such as the names of 21,841 classes in a tuple."""
_DEEPEST = 100
"""Levels of nested collections."""
_MOST_COPIED = 2**20
"""Items and characters that are handed to makers in all: a file may hand the same long list to thousands of them."""
_LEVELS = 7
"""How deep the content of a checkpoint is ever searched."""
_MOST_SEARCHED = 2**20
"""Values that such a search may meet: collections may hold the same collection many times."""
_LARGEST_KEY = 2**61 - 1
"""From here on different whole numbers have the same hash, so that a dictionary of them takes quadratic time."""


class DamagedError(Exception):
    """The file cannot be a checkpoint that torch wrote."""


class NotAllowedError(Exception):
    """The file needs an object that only code could build; the message is its name."""


@dataclass(frozen=True, slots=True)
class Maker:
    """What a pickle may call."""

    make: Callable[..., Any]


class Unpickler:
    """Reads a pickle.

    Args:
        named: What a pickle may name, by ``module name``.
        stored: From what it says about stored numbers to a reference to them.
        build: Sets the state of an object that a maker made.
    """

    def __init__(
        self, named: Mapping[str, object], stored: Callable[[object], object], build: Callable[[object, object], None]
    ) -> None:
        self.named, self.stored, self.build = named, stored, build
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.copied = 0

    def load(self, file: BinaryIO) -> Any:
        """Read the next pickle of a file, which is then behind it.

        Raises:
            DamagedError: If it does what no checkpoint needs.
            NotAllowedError: If it names what the table does not hold.
        """
        self.stack, self.outer, self.memo = [], [], {}
        for count, (instruction, argument, _) in enumerate(pickletools.genops(file)):
            if instruction.name not in _INSTRUCTIONS:
                raise DamagedError(f"the pickle instruction {instruction.name}, which torch does not write")
            if count == _MOST_INSTRUCTIONS:
                raise DamagedError(f"more than {_MOST_INSTRUCTIONS:,} pickle instructions")
            _INSTRUCTIONS[instruction.name](self, argument)
            if len(self.stack) > _MOST_AT_ONCE:
                raise DamagedError(f"more than {_MOST_AT_ONCE:,} values at once, or nested so deep")
        content = self.stack.pop()
        _check_extent(content)
        return content

    def top(self) -> Any:
        """What was made last."""
        return self.stack[-1]

    def after_mark(self) -> list[Any]:
        """What was made since the last mark."""
        items, self.stack = self.stack, self.outer.pop()
        return items

    def call(self) -> None:
        """Call a maker with its arguments."""
        arguments, maker = self.stack.pop(), self.stack.pop()
        if not isinstance(maker, Maker) or type(arguments) is not tuple:
            raise DamagedError("a call of what is no function")
        self.copied += sum(len(argument) for argument in arguments if isinstance(argument, (str, bytes, list, tuple, dict, set)))
        if self.copied > _MOST_COPIED:
            raise DamagedError("the same values copied many times")
        self.stack.append(maker.make(*arguments))


def _mark(machine: Unpickler, _: object) -> None:
    if len(machine.outer) >= _DEEPEST:
        raise DamagedError(f"nested more than {_DEEPEST} levels deep")
    machine.outer.append(machine.stack)
    machine.stack = []


def _push(machine: Unpickler, value: object) -> None:
    machine.stack.append(value)


def _push_text(machine: Unpickler, text: str) -> None:
    # Half a surrogate pair, as the names of files may have, can be neither shown nor stored.
    machine.stack.append(text if text.isascii() else text.encode("utf-8", "replace").decode())


def _push_named(machine: Unpickler, _: object) -> None:
    module, name = _last(machine, 2)
    if type(module) is not str or type(name) is not str:
        raise DamagedError("a name that is no text")
    _push_name(machine, f"{module} {name}")


def _push_name(machine: Unpickler, argument: str) -> None:
    name = argument.replace("__builtin__ ", "builtins ")
    if name not in machine.named:
        raise NotAllowedError(name.replace(" ", "."))
    machine.stack.append(machine.named[name])


def _set_items(machine: Unpickler, items: list[Any]) -> None:
    target = machine.top()
    if type(target) is not dict or len(items) % 2:
        raise DamagedError("items of what is no dictionary")
    target.update(zip(map(plain_key, items[::2]), items[1::2], strict=True))


def _append(machine: Unpickler, items: list[Any]) -> None:
    if type(machine.top()) is not list:
        raise DamagedError("items of what is no list")
    machine.top().extend(items)


def _add_items(machine: Unpickler, _: object) -> None:
    items = machine.after_mark()
    if type(machine.top()) is not set:
        raise DamagedError("items of what is no set")
    machine.top().update(map(plain_key, items))


def _build(machine: Unpickler, _: object) -> None:
    state = machine.stack.pop()
    machine.build(machine.top(), state)


def _last(machine: Unpickler, count: int) -> list[Any]:
    if len(machine.stack) < count:
        raise DamagedError("too few values")
    items = machine.stack[-count:]
    del machine.stack[-count:]
    return items


def _tuple(machine: Unpickler, _: object) -> None:
    items = machine.after_mark()  # which also changes the stack
    machine.stack.append(tuple(items))


def _put(machine: Unpickler, index: int) -> None:
    machine.memo[index] = machine.top()


_INSTRUCTIONS: Mapping[str, Callable[[Unpickler, Any], None]] = MappingProxyType(
    {
        **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda machine, argument: None),
        "MARK": _mark,
        "NONE": lambda machine, nothing: machine.stack.append(None),
        "NEWTRUE": lambda machine, nothing: machine.stack.append(True),
        "NEWFALSE": lambda machine, nothing: machine.stack.append(False),
        **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINBYTES", "SHORT_BINBYTES", "BYTEARRAY8"), _push),
        **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING"), _push_text),
        "EMPTY_DICT": lambda machine, nothing: machine.stack.append({}),
        "EMPTY_LIST": lambda machine, nothing: machine.stack.append([]),
        "EMPTY_SET": lambda machine, nothing: machine.stack.append(set()),
        "EMPTY_TUPLE": lambda machine, nothing: machine.stack.append(()),
        "TUPLE": _tuple,
        "TUPLE1": lambda machine, nothing: machine.stack.append(tuple(_last(machine, 1))),
        "TUPLE2": lambda machine, nothing: machine.stack.append(tuple(_last(machine, 2))),
        "TUPLE3": lambda machine, nothing: machine.stack.append(tuple(_last(machine, 3))),
        "SETITEM": lambda machine, nothing: _set_items(machine, _last(machine, 2)),
        "SETITEMS": lambda machine, nothing: _set_items(machine, machine.after_mark()),
        "APPEND": lambda machine, nothing: _append(machine, _last(machine, 1)),
        "APPENDS": lambda machine, nothing: _append(machine, machine.after_mark()),
        "ADDITEMS": _add_items,
        **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _put),
        "MEMOIZE": lambda machine, nothing: _put(machine, len(machine.memo)),
        **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda machine, index: machine.stack.append(machine.memo[index])),
        "GLOBAL": _push_name,
        "STACK_GLOBAL": _push_named,
        **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda machine, nothing: machine.call()),
        "BUILD": _build,
        "BINPERSID": lambda machine, nothing: machine.stack.append(machine.stored(machine.stack.pop())),
    }
)
"""Those of protocols 2 to 5 that torch may write. None takes more memory than its own bytes in the file."""


def plain_key(key: object, *, within: bool = False) -> Any:
    """A key of a dictionary, if it is a plain value, whose hash costs nothing. Raises DamagedError for another."""
    if key is None or isinstance(key, (str, bytes, float)) or (isinstance(key, int) and abs(key) < _LARGEST_KEY):
        return key
    if type(key) is tuple and len(key) <= 8 and not within:
        return tuple(plain_key(part, within=True) for part in key)
    raise DamagedError(f"a dictionary with a key that is a {type(key).__name__}, not a plain value")


def _children(value: object) -> Iterable[object]:
    if isinstance(value, argparse.Namespace):
        return vars(value).values()
    return value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple, set)) else ()


def _check_extent(content: object) -> None:
    """Raise DamagedError if whoever searches the content, some levels deep, would meet the same values again and again."""
    level: dict[int, tuple[object, int]] = {id(content): (content, 1)}
    met = 1
    for _ in range(_LEVELS):
        below: dict[int, tuple[object, int]] = {}
        for value, times in level.values():
            for child in _children(value):
                met += times
                if isinstance(child, (dict, list, tuple, set, argparse.Namespace)) and child:
                    below[id(child)] = (child, below.get(id(child), (child, 0))[1] + times)
        if met > _MOST_SEARCHED:
            raise DamagedError("collections that hold the same collections again and again")
        level = below
