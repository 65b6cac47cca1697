"""Activations that a forward pass writes as arithmetic, such as ``x * (x > 0)``: recognised by what they compute.

Functions of single elements are followed from one tensor on, step by step, until something else uses the result.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from robustbench_la.activations import ACTIVATIONS
from robustbench_la.models.composed import recognise_function
from robustbench_la.other_activations import OTHERS

_LONGEST = 16
"""Steps that are followed."""
_TRIED = (4, 300)
"""The shape of the test inputs."""
_LINEAR = frozenset(
    {
        *("add", "radd", "sub", "rsub", "subtract", "neg", "negative", "mul", "rmul", "multiply", "div", "divide", "true_divide"),
        *("truediv", "float", "double", "to", "type_as", "positive", "clone"),
    }
)
"""Functions of elements that are linear as long as only one operand is a tensor of many elements."""
_TELLING = frozenset({"maximum", "minimum", "max", "min", "gt", "ge", "lt", "le", "erf"})
"""Those that hardly anything but an activation uses on the features of images."""
_CURVED = _TELLING | {
    *(
        "pow",
        "rpow",
        "square",
        "sqrt",
        "rsqrt",
        "reciprocal",
        "rtruediv",
        "rdiv",
        "exp",
        "expm1",
        "log",
        "log1p",
        "abs",
        "absolute",
    ),
    *("sign", "sgn", "erfc", "where", "clamp", "clip", "clamp_min", "clamp_max", "heaviside", "logaddexp", "masked_fill"),
    *("logical_not", "invert", "eq", "ne", "threshold"),
}
_CONSTANT = frozenset({"zeros", "ones", "full", "new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like"})
_UNKNOWN = "arithmetic"
_KEPT = 1024


@dataclass(frozen=True, slots=True)
class _Value:
    """Stands for a value of the chain among the arguments of a step: its number, 0 for the tensor at the start."""

    number: int


@dataclass(frozen=True, slots=True)
class _Filled:
    """Stands for a tensor of the shape of the others that holds one number."""

    value: float


@dataclass(frozen=True, slots=True)
class Step:
    """One function, and what it was given."""

    function: Callable[..., Any]
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    is_activation: bool
    """Whether it is an activation itself."""

    @property
    def given(self) -> list[int]:
        """The values of the chain that it was given."""
        return [one.number for one in (*self.args, *self.kwargs.values()) if isinstance(one, _Value)]

    @property
    def is_curved(self) -> bool:
        """Whether it is more than a linear function of one value."""
        return self.is_activation or self.name not in _LINEAR or len(self.given) > 1

    @property
    def signature(self) -> tuple[object, ...]:
        """Equal for steps that compute the same."""
        return (self.function, *map(_plain, self.args), *((key, _plain(value)) for key, value in sorted(self.kwargs.items())))


def _plain(value: object) -> object:
    return ("tensor", str(value.dtype), value.item()) if isinstance(value, Tensor) else repr(value)


Program: TypeAlias = Sequence[tuple[int, Step]]
"""Steps with the numbers of their results; every value that they are given is a result, or the start."""


class Chain:
    """Functions of the elements of one tensor, one after the other."""

    def __init__(self, start: Tensor) -> None:
        self.values = [start]
        self.steps: list[Step] = []

    def add(self, step: Step, result: Tensor) -> int:
        """Add a step; returns the number of its result."""
        self.steps.append(step)
        self.values.append(result)
        return len(self.steps)

    @property
    def is_full(self) -> bool:
        """Whether no further step is followed."""
        return len(self.steps) >= _LONGEST

    def activation(self) -> tuple[int, int, str] | None:
        """The longest part that is an activation which is known: the numbers of its input and output, and its name."""
        for last in range(len(self.steps), 0, -1):
            if self.steps[last - 1].is_activation or (not self.steps[last - 1].is_curved and last < 2):
                continue
            for first in range(last):
                program = self.program(first, last)
                if program and any(step.is_curved for _, step in program) and (name := _name_of(first, last, program)):
                    return first, last, name
        return None

    def program(self, first: int, last: int) -> Program | None:
        """The steps from one value to another; None if others are needed, too."""
        needed, waiting = set[int](), [last]
        while waiting:
            number = waiting.pop()
            if number < first:
                return None
            if number != first and number not in needed:
                needed.add(number)
                waiting += self.steps[number - 1].given
        return [(number, self.steps[number - 1]) for number in sorted(needed)]

    def unknown(self, first: int, last: int) -> Iterator[str]:
        """Names of the steps outside of a part that hint at an activation."""
        return (step.name for number, step in enumerate(self.steps, 1) if step.name in _TELLING and not first < number <= last)


def run(program: Program, first: int, last: int, start: Tensor) -> Tensor:
    """Compute a value of a chain from another."""
    values: dict[int, Any] = {first: start.clone()}  # the first step may overwrite it

    def own(argument: object) -> object:
        if isinstance(argument, _Value):
            return values[argument.number]
        if isinstance(argument, _Filled):
            return torch.full_like(start, argument.value)
        return argument.to(start.device) if isinstance(argument, Tensor) else argument

    for number, step in program:
        values[number] = step.function(*map(own, step.args), **{key: own(value) for key, value in step.kwargs.items()})
    result: Tensor = values[last]
    return result


_NAMES: dict[tuple[object, ...], str | None] = {}
"""What programs turned out to be: a network runs the same ones for every batch."""


def _name_of(first: int, last: int, program: Program) -> str | None:
    """The activation that a program computes; None if it is none of the tables."""
    signature = (first, *((number, *step.signature) for number, step in program))
    if signature not in _NAMES:
        if len(_NAMES) >= _KEPT:
            _NAMES.clear()
        found = recognise_function(functools.partial(run, program, first, last), _TRIED, torch.device("cpu"), _UNKNOWN)
        _NAMES[signature] = found.function if found and found.function in {*ACTIVATIONS, *OTHERS} else None
    return _NAMES[signature]


class Follower:
    """Follows functions of elements through a forward pass."""

    def __init__(self) -> None:
        self.chain: Chain | None = None
        self.unknown: Counter[str] = Counter()
        """Steps that hint at activations which are not known."""
        self._constants: list[tuple[Tensor, float]] = []

    def is_beside(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether a call uses no values: it is given no tensor, or only the shape of one, as in torch.zeros_like(x)."""
        return _plain_name(func) in _CONSTANT or not any(map(_has_tensor, (*args, *kwargs.values())))

    def remember(self, func: Any, result: object) -> None:
        """Keep the last tensors that hold one number."""
        if _plain_name(func) in _CONSTANT and isinstance(result, Tensor) and result.numel() > 1:
            self._constants = [*self._constants[-3:], (result, float(result.flatten()[0]))]

    def begin(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], before: Tensor) -> tuple[Chain, Step]:
        """A chain whose first step is an activation that overwrites its input.

        Args:
            func: The activation.
            args: Its arguments.
            kwargs: And those by name.
            before: A copy of its input.
        """
        rest = tuple(args[1:])
        named = {key: _Value(0) if key == "input" else value for key, value in kwargs.items()}
        return Chain(before), Step(func, _plain_name(func), (_Value(0), *rest) if args else (), named, True)

    def follow(
        self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, is_activation: bool
    ) -> tuple[Chain, Step] | None:
        """The next step, if a call is a function of the elements of one tensor.

        Args:
            func: As torch dispatches it.
            args: Its arguments.
            kwargs: And those by name.
            is_activation: Whether it is an activation by itself, never in place.

        Returns:
            The chain that it continues, or starts; and the step. None if it is none.
        """
        name = _plain_name(func)
        if (not is_activation and (name not in _LINEAR | _CURVED or _is_in_place(func))) or "out" in kwargs:
            return None
        chain = self.chain if self.chain is not None and not self.chain.is_full else None
        for attempt in filter(None, (chain, _started(args, kwargs))):
            written = [self._written(attempt, value) for value in (*args, *kwargs.values())]
            if not any(value is None for value in written) and any(isinstance(value, _Value) for value in written):
                own = tuple(None if value is _NOTHING else value for value in written)
                named = dict(zip(kwargs, own[len(args) :], strict=True))
                return attempt, Step(func, name, own[: len(args)], named, is_activation)
        return None

    def _written(self, chain: Chain, value: object) -> object:
        """An argument as a step has it; None for a tensor that is not of the chain."""
        if not isinstance(value, Tensor):
            return None if isinstance(value, (list, tuple, dict)) else _NOTHING if value is None else value
        number = next((at for at, own in enumerate(chain.values) if own is value), None)
        if number is not None:
            return _Value(number)
        if value.numel() == 1:
            return value.detach()
        filled = next((number for constant, number in self._constants if constant is value), None)
        return None if filled is None or not bool((value == filled).all()) else _Filled(filled)

    def end(self) -> Chain | None:
        """The chain, which ends here."""
        chain, self.chain = self.chain, None
        return chain


_NOTHING = object()
"""Stands for an argument that is None."""


def _started(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Chain | None:
    """A chain that starts at the only tensor of many elements among arguments."""
    tensors = {id(one): one for one in (*args, *kwargs.values()) if isinstance(one, Tensor) and one.numel() > 1}
    start = next(iter(tensors.values()), None)
    large = start is not None and start.dim() > 1 and start.is_floating_point()
    return Chain(start) if start is not None and large else None


def _has_tensor(value: object) -> bool:
    several = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return isinstance(value, Tensor) or any(map(_has_tensor, several))


@functools.lru_cache(maxsize=4096)
def _plain_name(func: Any) -> str:
    """The name of a function, of a method or of an operator, without underscores around it."""
    return str(getattr(func, "__name__", "")).strip("_")


def _is_in_place(func: Any) -> bool:
    name = str(getattr(func, "__name__", ""))
    return (name.endswith("_") and not name.endswith("__")) or name in ("__iadd__", "__isub__", "__imul__", "__itruediv__")
