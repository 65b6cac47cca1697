"""Sees each call of an activation where torch dispatches it, and the arithmetic that is one: value x sigmoid(value)."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from robustbench_la.activations import ACTIVATIONS, resolve
from robustbench_la.measuring.arithmetic import Chain, Follower, Step, run
from robustbench_la.models.composed import Composed, alpha_of_gate
from robustbench_la.models.layeract import la_hardsilu, la_silu
from robustbench_la.other_activations import GATES, OTHERS

Apply: TypeAlias = Callable[[Tensor], Tensor]
"""Applies the activation of one call to other pre-activations of the same shape; never in place."""
Observe: TypeAlias = Callable[[str, str, Tensor, Tensor, Apply], None]
"""Called once per activation call, in order, with: name of the call, name of the function, pre-activation, activation, and the
function itself."""
Locate: TypeAlias = Callable[[], Callable[[str], str]]
"""Where the forward pass is: from the name of a function to the name of a call of it there."""

_LAYERACT = {"la_silu": la_silu, "la_hardsilu": la_hardsilu}
_CLAMPS: tuple[str, ...] = (
    *("torch:clamp", "torch:clamp_", "torch:Tensor.clamp", "torch:Tensor.clamp_", "torch:clip", "torch:Tensor.clip"),
    *("torch:clamp_min", "torch:clamp_min_", "torch:Tensor.clamp_min", "torch:Tensor.clamp_min_"),
)
_PRODUCTS: tuple[str, ...] = (
    *("torch:mul", "torch:multiply", "torch:Tensor.mul", "torch:Tensor.mul_", "torch:Tensor.multiply"),
    *("torch:Tensor.__mul__", "torch:Tensor.__rmul__", "torch:Tensor.__imul__"),
)


@functools.lru_cache(maxsize=1)
def _products() -> frozenset[Any]:
    return frozenset(resolve(name) for name in _PRODUCTS)


@functools.lru_cache(maxsize=1)
def _clamps() -> frozenset[Any]:
    return frozenset(resolve(name) for name in _CLAMPS)


def watched_functions() -> dict[Callable[..., Any], str]:
    """The functions to look for in a forward pass, each with the name of its activation."""
    rows = {name: entry.functions for name, entry in OTHERS.items()} | {name: row.functions for name, row in ACTIVATIONS.items()}
    return {resolve(function): name for name, functions in rows.items() for function in functions}


def _bounded(args: tuple[Any, ...], kwargs: Mapping[str, Any], low: str, high: str) -> tuple[Any, Any]:
    bounds = [*args[1:3], None, None][:2]
    return (bounds[0] if bounds[0] is not None else kwargs.get(low), bounds[1] if bounds[1] is not None else kwargs.get(high))


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of an activation, kept until it is known whether it is but a step of another one."""

    function: str
    name: Callable[[str], str]
    received: Tensor
    """The tensor that was passed, to be recognised."""
    pre_activation: Tensor
    result: Tensor
    apply: Apply


class Watch(TorchFunctionMode):
    """Passes every activation call of a forward pass to a function."""

    def __init__(self, locate: Locate, observe: Observe, functions: Mapping[Callable[..., Any], str]) -> None:
        super().__init__()
        self._locate = locate
        self._observe = observe
        self._functions = functions
        self._silent = False
        self._follower = Follower()
        self._calls: dict[int, _Call] = {}
        """Of the chain that is followed, by the number of their results."""
        self._places: dict[int, Callable[[str], str]] = {}
        """Where the other steps of the chain were."""

    @property
    def unknown(self) -> Counter[str]:
        """Functions that hint at activations which were not recognised, with counts."""
        return self._follower.unknown

    def __exit__(self, *error: object) -> None:
        try:
            if error[0] is None:
                self._let_go()
        finally:
            self._follower.end()
            self._calls.clear()
            super().__exit__(*error)  # type: ignore[no-untyped-call]  # torch does not type it

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Let calls pass unseen: those of the observer, and those inside a module that is seen as a whole."""
        before, self._silent = self._silent, True
        try:
            yield
        finally:
            self._silent = before

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._silent or _looks_only(func):
            return func(*args, **kwargs)
        if self._follower.is_beside(func, args, kwargs):
            made = func(*args, **kwargs)
            self._follower.remember(func, made)
            return made
        if (
            (gate := self._gate) is not None
            and func in _products()
            and (found := self._product(gate, func, args, kwargs)) is not None
        ):
            return found
        name = self._name(func, args, kwargs)
        if name is not None and (name in _LAYERACT or _in_place(func, args, kwargs)):
            self._let_go()
            call = self._call(name, func, args, kwargs)
            if name in _LAYERACT:
                self._report(call)
            else:
                self._continue(*self._follower.begin(func, args, kwargs, call.pre_activation), call.result, call)
            return call.result
        link = self._follower.follow(func, args, kwargs, is_activation=name is not None)
        if link is None or link[0] is not self._follower.chain:
            self._let_go()
        if name is None:
            result = _linear(*args, **kwargs) if func is F.linear else func(*args, **kwargs)
            if link is not None:
                self._continue(*link, result, None)
            return result
        call = self._call(name, func, args, kwargs)
        if link is None:
            self._report(call)
        else:
            self._continue(*link, call.result, call)
        return call.result

    def _call(self, name: str, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _Call:
        """Call an activation."""
        in_place = _in_place(func, args, kwargs)
        received, rest = (args[0], args[1:]) if args else (kwargs["input"], ())
        named = {key: value for key, value in kwargs.items() if key not in ("input", "out")}

        def apply(pre_activation: Tensor) -> Tensor:
            result: Tensor = func(pre_activation.clone() if in_place else pre_activation, *rest, **named)
            return result

        pre_activation = received.clone() if in_place else received
        return _Call(name, self._locate(), received, pre_activation, func(*args, **kwargs), apply)

    def _continue(self, chain: Chain, step: Step, result: object, call: _Call | None) -> None:
        """Take in a step of a chain, or end it where a result has another shape."""
        if not isinstance(result, Tensor) or result.shape != chain.values[0].shape:
            self._let_go()
            if call is not None:
                self._report(call)
            return
        self._follower.chain = chain
        number = chain.add(step, result)
        if call is not None:
            self._calls[number] = call
        else:
            self._places[number] = self._locate()

    def whole(self, composed: Composed, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a module that is an activation as a whole, and report it as one call."""
        received = next(iter((*args, *kwargs.values())), None)
        if self._silent or not isinstance(received, Tensor):
            return original(*args, **kwargs)
        self._let_go()
        before = received.clone() if composed.in_place else received
        with self.silence():
            result = original(*args, **kwargs)
        apply: Apply = lambda y: original(y.clone() if composed.in_place else y)  # noqa: E731
        self._report(_Call(composed.function, self._locate(), received, before, result, apply))
        return result

    def _name(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        """The name of the activation that a call is; None for anything else."""
        name = self._functions.get(func)
        if name == "hardtanh" and _bounded(args, kwargs, "min_val", "max_val") == (0.0, 6.0):
            return "relu6"  # what nn.ReLU6 calls
        if name is None and func in _clamps():
            return {(0, None): "relu", (0, 6): "relu6"}.get(_numbers(_bounded(args, kwargs, "min", "max")))
        return name

    def _report(self, call: _Call) -> None:
        with self.silence():
            self._observe(call.name(call.function), call.function, call.pre_activation, call.result, call.apply)

    def _let_go(self) -> None:
        """Report what the chain that was followed is: an activation as a whole, and otherwise the activations among its steps."""
        chain, calls, places = self._follower.end(), self._calls, self._places
        self._calls, self._places = {}, {}
        if chain is None:
            return
        with self.silence():
            found = chain.activation()
        first, last, name = found or (0, 0, "")
        self._follower.unknown.update(chain.unknown(first, last))
        within = [number for number in calls if first < number <= last]
        for number in sorted({*calls, last} - {0, *within}):
            if number != last:
                self._report(calls[number])
                continue
            place = calls[within[0]].name if within else places[last]
            apply = functools.partial(run, chain.program(first, last) or (), first, last)
            self._report(_Call(name, place, chain.values[first], chain.values[first], chain.values[last], apply))

    @property
    def _gate(self) -> _Call | None:
        """The gate whose output may be multiplied next."""
        chain = self._follower.chain
        call = None if chain is None else self._calls.get(len(chain.steps))
        return call if call is not None and call.function in GATES else None

    def _product(self, gate: _Call, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
        """Run a product with the output of a gate whose input was normalised, and report it as a LayerAct; None if it is none."""
        operands = (*args, *(value for name, value in kwargs.items() if name in ("input", "other")))
        if len(operands) != 2 or "out" in kwargs or not any(one is gate.result for one in operands):
            return None
        value = operands[0] if operands[1] is gate.result else operands[1]
        if not isinstance(value, Tensor) or value.shape != gate.result.shape:
            return None
        element, layer = GATES[gate.function]
        apply: Apply
        with self.silence():
            if value is gate.received and gate.pre_activation is gate.received:
                name, apply = element, lambda y: y * gate.apply(y)
            elif (alpha := alpha_of_gate(value, gate.pre_activation)) is not None:
                name, apply = layer, functools.partial(_LAYERACT[layer], alpha=alpha)
                if float(f"{alpha:.2g}") != alpha:
                    apply.is_rough = True  # type: ignore[attr-defined]  # partial objects take attributes
            else:
                return None
            before = value.clone() if func.__name__ in ("mul_", "__imul__") else value
            product: Tensor = func(*args, **kwargs)
        chain = self._follower.chain
        assert chain is not None
        self._calls.pop(len(chain.steps))
        self._let_go()
        self._report(_Call(name, gate.name, value, before, product, apply))
        return product


def _in_place(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether an activation overwrites its input."""
    return bool(func.__name__.endswith("_") or kwargs.get("inplace", False) or any(value is True for value in args[1:]))


def _numbers(bounds: tuple[Any, Any]) -> tuple[Any, Any]:
    """Bounds that are plain numbers; others cannot be compared."""
    return bounds if all(bound is None or isinstance(bound, (int, float)) for bound in bounds) else (None, None)


def _looks_only(func: Any) -> bool:
    """Whether a function only asks for the shape, the type or the device of a tensor."""
    return getattr(func, "__name__", "") in ("__get__", "size", "dim", "__len__", "is_floating_point", "numel")


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # the name that F.linear uses
    """F.linear in float64, rounded once, so that its last bits depend on neither the batch size nor the number of threads.

    The summation order of float32 matrix products depends on both. Convolutions are left unchanged, because from 16 images on
    theirs does not; so are other products (attention, einsum).
    """
    mixed = any(tensor.dtype != torch.float32 for tensor in (input, weight, bias) if tensor is not None)
    if mixed or input.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return F.linear(input, weight, bias)
    return F.linear(input.double(), weight.double(), None if bias is None else bias.double()).float()
