"""Intercepts every activation call in the forward pass of any model; the caller decides what to do with it.

Calls are intercepted where torch dispatches them, not at modules: functional and in-place calls, modules used twice and LayerAct
inside user code are all detected. The model is left unchanged.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from robustbench_la.activations import ACTIVATIONS, resolve
from robustbench_la.errors import UserError

_OTHERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "relu6": ("torch.nn.functional:relu6",),
        "hardtanh": ("torch.nn.functional:hardtanh", "torch.nn.functional:hardtanh_"),  # nn.ReLU6 calls it
        "selu": ("torch.nn.functional:selu", "torch:selu", "torch:selu_"),
        "celu": ("torch.nn.functional:celu", "torch:celu", "torch:celu_"),
        "tanh": ("torch.nn.functional:tanh", "torch:tanh", "torch:tanh_", "torch:Tensor.tanh", "torch:Tensor.tanh_"),
        "softsign": ("torch.nn.functional:softsign",),
    }
)
"""What else counts as an activation, besides those of the table: value x scale with a scale that is finite everywhere. Not
sigmoids, which usually gate other values."""
_OTHER_MODULES = (nn.ReLU6, nn.SELU, nn.CELU, nn.Tanh, nn.Softsign)


def watched_functions() -> dict[Callable[..., Any], str]:
    """The functions to look for in a forward pass, each with the name of its activation."""
    rows = {name: entry.functions for name, entry in ACTIVATIONS.items()} | dict(_OTHERS)
    return {resolve(function): name for name, functions in rows.items() for function in functions}


def has_scale(function: str) -> bool:
    """Whether an activation is value x scale.

    Args:
        function: The name that the probe gives it.
    """
    return function not in ACTIVATIONS or ACTIVATIONS[function].has_scale


Apply = Callable[[Tensor], Tensor]
"""Applies the activation of one call to other pre-activations of the same shape; never in place."""
Observe = Callable[[str, str, Tensor, Tensor, Apply], None]
"""Called once per activation call, in order, with: name of the call, name of the function, pre-activation, activation, and the
function itself."""


class Probe:
    """Passes every activation call of a model, in eval mode, to a function.

    A call made by an activation module is named by the path of the module (``layer1.0.act1``; ``layer1.0.relu[1]`` the second
    time), any other call by the enclosing module, the function and a count from 0 (``layer1.0/relu[1]``). Compiled parts run
    uncompiled.
    """

    def __init__(self, model: nn.Module, observe: Observe) -> None:
        """Set up the probe; see ``watching`` for its use.

        Args:
            model: The network.
            observe: Called once per activation call.

        Raises:
            UserError: If the model contains TorchScript, whose calls cannot be intercepted.
        """
        scripted = [path or "the model" for path, module in model.named_modules() if isinstance(module, torch.jit.ScriptModule)]
        if scripted:
            raise UserError(
                f"{scripted[0]} is TorchScript, whose activation calls cannot be detected; give the network as Python code"
            )
        self._modules = tuple(model.modules())
        self._places = _Places(model)
        self._observe = observe
        self._functions = watched_functions()

    @contextlib.contextmanager
    def watching(self, names: Sequence[str] | None = None) -> Iterator[None]:
        """Observe the forward passes inside the context; on exit the model is restored.

        Args:
            names: Names of the calls of a single forward pass, in order, if known from an earlier one: this avoids hooks on all
                modules.
        """
        training = [module for module in self._modules if module.training]
        with contextlib.ExitStack() as stack:
            stack.callback(_set_training, training, True)
            _set_training(training, False)
            if names is None:
                hooks = nn.modules.module
                stack.callback(hooks.register_module_forward_pre_hook(self._places.enter).remove)
                stack.callback(hooks.register_module_forward_hook(self._places.leave, always_call=True).remove)
                name: Callable[[str], str] = self._places.name
            else:
                name = _in_turn(names)
            stack.enter_context(torch.compiler.set_stance("force_eager"))
            stack.enter_context(warnings.catch_warnings())
            # The hooks run once more for a compiled module, which is harmless: it has the path of the module inside.
            warnings.filterwarnings("ignore", message=r"Using `torch\.compile\(module\)` when there are global hooks")
            stack.enter_context(_Watch(name, self._observe, self._functions))
            yield


def _set_training(modules: Sequence[nn.Module], training: bool) -> None:
    for module in modules:
        module.training = training


def _in_turn(names: Sequence[str]) -> Callable[[str], str]:
    """Names in the order of the calls; a call after the last name gets the name of its function."""
    turns = iter(names)
    return lambda function: next(turns, function)


class _Places:
    """Tracks where in the model the forward pass is, and how often each call occurred there."""

    def __init__(self, model: nn.Module) -> None:
        self.root = model
        self.paths = {module: _written(path) for path, module in model.named_modules()}
        self.kinds = _activation_modules()
        self.stack: list[nn.Module] = []
        self.counts: dict[tuple[str, str], int] = {}

    def enter(self, module: nn.Module, inputs: object) -> None:
        if module is self.root:
            self.stack.clear()  # an earlier pass may have ended with an exception
            self.counts.clear()
        self.stack.append(module)

    def leave(self, module: nn.Module, inputs: object, output: object) -> None:
        if self.stack and self.stack[-1] is module:
            self.stack.pop()

    def name(self, function: str) -> str:
        """The name of the current call."""
        # A module created during the forward pass has no path: use that of the module that created it.
        module = next((module for module in reversed(self.stack) if module in self.paths), None)
        path = self.paths[module] if module is not None else ""
        count = self.counts[path, function] = self.counts.get((path, function), -1) + 1
        if module is not None and path and self._is_activation(module):
            return path if count == 0 else f"{path}[{count}]"
        return f"{path}/{function}[{count}]" if path else f"{function}[{count}]"

    def _is_activation(self, module: nn.Module) -> bool:
        """Whether a module is an activation and nothing else, so that its path names the call."""
        return type(module) in self.kinds or type(module).__module__ == "torch.nn.modules.activation"


def _activation_modules() -> tuple[type[nn.Module], ...]:
    """The classes of activation modules that the probe detects."""
    return tuple(resolve(entry.module) for entry in ACTIVATIONS.values()) + _OTHER_MODULES


def activation_paths(model: nn.Module) -> list[str]:
    """The paths of all activation modules of a model that the probe detects."""
    kinds = _activation_modules()
    return [_written(path) for path, module in model.named_modules() if isinstance(module, kinds)]


def _written(path: str) -> str:
    """The path of a module without the parts that torch.compile adds."""
    return ".".join(part for part in path.split(".") if part != "_orig_mod")


class _Watch(TorchFunctionMode):
    def __init__(self, name: Callable[[str], str], observe: Observe, functions: Mapping[Callable[..., Any], str]) -> None:
        super().__init__()
        self.name = name
        self.observe = observe
        self.functions = functions

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = self.functions.get(func)
        if name is None:
            return _linear(*args, **kwargs) if func is F.linear else func(*args, **kwargs)
        if name == "hardtanh" and (*args[1:3], *(kwargs.get(bound) for bound in ("min_val", "max_val")))[:2] == (0.0, 6.0):
            name = "relu6"  # what nn.ReLU6 calls
        received, rest = (args[0], args[1:]) if args else (kwargs["input"], ())
        named = {key: value for key, value in kwargs.items() if key not in ("input", "out")}

        def apply(pre_activation: Tensor) -> Tensor:
            result: Tensor = func(pre_activation.clone() if in_place else pre_activation, *rest, **named)
            return result

        in_place = func.__name__.endswith("_") or named.get("inplace", False) or any(value is True for value in rest)
        pre_activation = received.clone() if in_place else received
        result = func(*args, **kwargs)
        self.observe(self.name(name), name, pre_activation, result, apply)
        return result


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # the name that F.linear uses
    """F.linear in float64, rounded once, so that its last bits depend on neither the batch size nor the number of threads.

    The summation order of float32 matrix products depends on both. Convolutions are left unchanged, because from 16 images on
    theirs does not; so are other products (attention, einsum).
    """
    mixed = any(tensor.dtype != torch.float32 for tensor in (input, weight, bias) if tensor is not None)
    if mixed or input.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return F.linear(input, weight, bias)
    return F.linear(input.double(), weight.double(), None if bias is None else bias.double()).float()
