"""Sees each call of an activation where torch dispatches it, and the products that are one: value x sigmoid(value)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from robustbench_la.activations import ACTIVATIONS, resolve
from robustbench_la.models.composed import Composed, alphas_of
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
_CLOSE = 1e-3
"""Relative: how far from a normalised value a gate's input may be and still count as one."""


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
class _Gate:
    """A call of a gate, kept until it is known whether its output is multiplied with its own input."""

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
        self._gate: _Gate | None = None

    def __exit__(self, *error: object) -> None:
        try:
            if error[0] is None:
                self._let_go()
        finally:
            self._gate = None
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
        if self._silent:
            return func(*args, **kwargs)
        if self._gate is not None and not _looks_only(func):
            if func in _products() and (product := self._product(func, args, kwargs)) is not None:
                return product
            self._let_go()
        name = self._name(func, args, kwargs)
        if name is None:
            return _linear(*args, **kwargs) if func is F.linear else func(*args, **kwargs)
        received, rest = (args[0], args[1:]) if args else (kwargs["input"], ())
        named = {key: value for key, value in kwargs.items() if key not in ("input", "out")}

        def apply(pre_activation: Tensor) -> Tensor:
            result: Tensor = func(pre_activation.clone() if in_place else pre_activation, *rest, **named)
            return result

        in_place = func.__name__.endswith("_") or named.get("inplace", False) or any(value is True for value in rest)
        pre_activation = received.clone() if in_place else received
        result = func(*args, **kwargs)
        call = _Gate(name, self._locate(), received, pre_activation, result, apply)
        if name in GATES:
            self._gate = call
        else:
            self._report(call)
        return result

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
        self._report(_Gate(composed.function, self._locate(), received, before, result, apply))
        return result

    def _name(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        """The name of the activation that a call is; None for anything else."""
        name = self._functions.get(func)
        if name == "hardtanh" and _bounded(args, kwargs, "min_val", "max_val") == (0.0, 6.0):
            return "relu6"  # what nn.ReLU6 calls
        if name is None and func in _clamps():
            return {(0, None): "relu", (0, 6): "relu6"}.get(_numbers(_bounded(args, kwargs, "min", "max")))
        return name

    def _report(self, call: _Gate) -> None:
        with self.silence():
            self._observe(call.name(call.function), call.function, call.pre_activation, call.result, call.apply)

    def _let_go(self) -> None:
        """Report the gate that was kept as a call of its own."""
        gate, self._gate = self._gate, None
        if gate is not None:
            self._report(gate)

    def _product(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
        """Run a product with the gate's output and report it as an activation; None if it is not one."""
        gate, operands = self._gate, (*args, *(value for name, value in kwargs.items() if name in ("input", "other")))
        if gate is None or len(operands) != 2 or "out" in kwargs or not any(one is gate.result for one in operands):
            return None
        value = operands[0] if operands[1] is gate.result else operands[1]
        if not isinstance(value, Tensor) or value.shape != gate.result.shape:
            return None
        element, layer = GATES[gate.function]
        with self.silence():
            if value is gate.received and gate.pre_activation is gate.received:
                name, apply = element, lambda y: y * gate.apply(y)
            elif (alpha := _alpha(value, gate.pre_activation)) is not None:
                name, apply = layer, functools.partial(_LAYERACT[layer], alpha=alpha)
                if float(f"{alpha:.2g}") != alpha:
                    apply.is_rough = True  # type: ignore[attr-defined]  # partial objects take attributes
            else:
                return None
            before = value.clone() if func.__name__ in ("mul_", "__imul__") else value
            product: Tensor = func(*args, **kwargs)
        self._gate = None
        self._report(_Gate(name, gate.name, value, before, product, apply))
        return product


def _numbers(bounds: tuple[Any, Any]) -> tuple[Any, Any]:
    """Bounds that are plain numbers; others cannot be compared."""
    return bounds if all(bound is None or isinstance(bound, (int, float)) for bound in bounds) else (None, None)


def _looks_only(func: Any) -> bool:
    """Whether a function only asks for the shape, the type or the device of a tensor."""
    return getattr(func, "__name__", "") in ("__get__", "size", "dim", "__len__", "is_floating_point", "numel")


def _alpha(value: Tensor, normalised: Tensor) -> float | None:
    """The alpha with which a gate's input is the value normalised over its sample; None if it is something else.

    It has two digits, or more where rounding in float32 hides it.
    """
    if value.dim() < 2 or not value.is_floating_point() or value[0].numel() < 2:
        return None
    # On the CPU where the device has no float64.
    rows, inputs = ((one.cpu() if one.device.type == "mps" else one).flatten(1).double() for one in (value, normalised))
    deviation = rows - rows.mean(1, keepdim=True)
    slope = (deviation * inputs).sum(1, keepdim=True) / deviation.square().sum(1, keepdim=True)
    if not bool(((inputs - slope * deviation).norm(dim=1) <= _CLOSE * inputs.norm(dim=1)).all() & (slope > 0).all()):
        return None
    # Of different samples the slopes differ with their variances: a plain affine function has the same for all.
    for variance, alpha in alphas_of(deviation, inputs, rows):
        least = float(variance.min())
        if alpha > -_CLOSE * least and torch.allclose(slope[:, 0], (variance + alpha).rsqrt(), rtol=_CLOSE):
            rounded = float(f"{alpha:.2g}")
            return rounded if alpha > 20 * torch.finfo(torch.float32).eps * least else max(alpha, 1e-12)
    return None


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # the name that F.linear uses
    """F.linear in float64, rounded once, so that its last bits depend on neither the batch size nor the number of threads.

    The summation order of float32 matrix products depends on both. Convolutions are left unchanged, because from 16 images on
    theirs does not; so are other products (attention, einsum).
    """
    mixed = any(tensor.dtype != torch.float32 for tensor in (input, weight, bias) if tensor is not None)
    if mixed or input.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return F.linear(input, weight, bias)
    return F.linear(input.double(), weight.double(), None if bias is None else bias.double()).float()
