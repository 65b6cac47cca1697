"""A pickle as plain values: of its instructions only those that build data, of what it names only what a table holds.

Not the unpickler of torch, which allocates whatever a file declares and takes half a millisecond for every tensor.
"""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO, NoReturn

from robustbench_la.models.checkpoints.plain_values import DamagedError, NotAllowedError, TooMuchError, check_extent, plain_key

_MOST_INSTRUCTIONS = 1_000_000
"""What a second reads: 10,000 tensors take a quarter, 60,000 dictionaries of metrics three quarters."""
_MOST_CALLS = 150_000
"""Of makers, each of which takes longer, and makes more, than an instruction: tensors, sets, scalars of NumPy."""
_MOST_AT_ONCE = 50_000
"""Values that are not yet part of a collection, such as the names of 21,841 classes in a tuple."""
_DEEPEST = 100
"""Levels of nested collections."""
_MOST_COPIED = 2**20
"""Items and characters of what is handed on again: a file may hand the same long list to thousands of makers."""
_SHORT = 8
"""Up to so many items may be handed on again and again, as shapes are."""
_SIZED = (str, bytes, bytearray, list, tuple, dict, set, frozenset)


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
        self.calls = self.copied = 0
        self.handed: dict[int, object] = {}

    def load(self, file: BinaryIO) -> Any:
        """Read the next pickle of a file, which is then behind it.

        Raises:
            DamagedError: If it does what no checkpoint needs.
            NotAllowedError: If it names what the table does not hold, or holds too much.
        """
        self.stack, self.outer, self.memo = [], [], {}
        for _ in range(_MOST_INSTRUCTIONS):
            code = file.read(1)
            instruction, argument = _BY_CODE.get(code) or _unknown(code)
            instruction(self, argument(file) if argument else None)
            if len(self.stack) > _MOST_AT_ONCE:
                raise DamagedError(f"more than {_MOST_AT_ONCE:,} values at once, or nested so deep")
            if code == pickle.STOP:
                break
        else:
            raise TooMuchError(f"more than {_MOST_INSTRUCTIONS:,} values")
        content = self.stack.pop()
        check_extent(content)
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
        self.calls += 1
        if self.calls > _MOST_CALLS:
            raise TooMuchError(f"more than {_MOST_CALLS:,} tensors, sets and others")
        for argument in arguments:
            self.hand_on(argument)
        self.stack.append(maker.make(*arguments))

    def hand_on(self, value: object) -> None:
        """Count what is about to be copied, unless it is for the first time. Raises DamagedError if it is too much."""
        if not isinstance(value, _SIZED) or len(value) <= _SHORT:
            return
        if id(value) in self.handed:
            self.copied += len(value)
            if self.copied > _MOST_COPIED:
                raise DamagedError("the same values copied many times")
        self.handed[id(value)] = value


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


def _empty_set(machine: Unpickler, _: object) -> None:
    machine.stack.append(Maker(set))
    machine.stack.append(())
    machine.call()


def _frozen_set(machine: Unpickler, _: object) -> None:
    items = machine.after_mark()  # which also changes the stack
    machine.stack.append(frozenset(map(plain_key, items)))


def _add_items(machine: Unpickler, _: object) -> None:
    items = machine.after_mark()
    if type(machine.top()) is not set:
        raise DamagedError("items of what is no set")
    machine.top().update(map(plain_key, items))


def _build(machine: Unpickler, _: object) -> None:
    state = machine.stack.pop()
    machine.hand_on(state)
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
        "EMPTY_SET": _empty_set,
        "FROZENSET": _frozen_set,
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


_BY_CODE: Mapping[bytes, tuple[Callable[[Unpickler, Any], None], Callable[[BinaryIO], Any] | None]] = MappingProxyType(
    {
        known.code.encode("latin1"): (_INSTRUCTIONS[known.name], known.arg.reader if known.arg else None)
        for known in pickletools.opcodes
        if known.name in _INSTRUCTIONS
    }
)
"""What is done, and how the argument in the file is read."""


def _unknown(code: bytes) -> NoReturn:
    names = [known.name for known in pickletools.opcodes if known.code.encode("latin1") == code]
    raise DamagedError(f"the pickle instruction {names[0]}, which torch does not write" if names else "a damaged pickle")
