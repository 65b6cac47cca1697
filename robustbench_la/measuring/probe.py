"""Sees every activation call in the forward pass of any model. What is done with a call is the caller's matter.

Calls are seen where torch dispatches them, not where modules stand: a functional call, an in-place one, a module used twice and
LayerAct inside a block of the user's are all found. The model comes out as it went in.
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
"""What counts as an activation beside those of the table: value x scale with a scale that is finite everywhere. Not the sigmoids,
which gate other values instead of being passed on."""
_OTHER_MODULES = (nn.ReLU6, nn.SELU, nn.CELU, nn.Tanh, nn.Softsign)


def watched_functions() -> dict[Callable[..., Any], str]:
    """What is looked for in a forward pass, with the name of the activation that it is."""
    rows = {name: entry.functions for name, entry in ACTIVATIONS.items()} | dict(_OTHERS)
    return {resolve(function): name for name, functions in rows.items() for function in functions}


def has_scale(function: str) -> bool:
    """Whether an activation, by the name that the probe gives it, is value x scale."""
    return function not in ACTIVATIONS or ACTIVATIONS[function].has_scale


Apply = Callable[[Tensor], Tensor]
"""The activation of one call, for other pre-activations of the same shape; never in place."""
Observe = Callable[[str, str, Tensor, Tensor, Apply], None]
"""Called once an activation call, in order: its name, the function's name, pre-activation, activation, the function itself."""


class Probe:
    """Shows every activation call of a model, in eval mode, to a function.

    A call by a module that is an activation bears the module's path (``layer1.0.act1``; ``layer1.0.relu[1]`` the second time),
    any other its place, function and a count from 0 (``layer1.0/relu[1]``). Compiled parts run as they were written. Raises
    UserError for a model with TorchScript inside, whose calls cannot be seen.
    """

    def __init__(self, model: nn.Module, observe: Observe) -> None:
        scripted = [path or "the model" for path, module in model.named_modules() if isinstance(module, torch.jit.ScriptModule)]
        if scripted:
            raise UserError(
                f"{scripted[0]} is TorchScript, whose activation calls cannot be seen; give the network as Python code"
            )
        self._modules = tuple(model.modules())
        self._places = _Places(model)
        self._observe = observe
        self._functions = watched_functions()

    @contextlib.contextmanager
    def watching(self, names: Sequence[str] | None = None) -> Iterator[None]:
        """While the context lasts, forward passes are seen; afterwards the model is as it was.

        names: of the calls of one forward pass, in order, where they are known from another: that saves the hooks on all modules.
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
            # That the hooks are called once more for a compiled module does no harm: it has its module's path.
            warnings.filterwarnings("ignore", message=r"Using `torch\.compile\(module\)` when there are global hooks")
            stack.enter_context(_Watch(name, self._observe, self._functions))
            yield


def _set_training(modules: Sequence[nn.Module], training: bool) -> None:
    for module in modules:
        module.training = training


def _in_turn(names: Sequence[str]) -> Callable[[str], str]:
    """Names by the order of calls; one that comes after the last is named by its function."""
    turns = iter(names)
    return lambda function: next(turns, function)


class _Places:
    """Where in the model the forward pass is, and how often each call was met there."""

    def __init__(self, model: nn.Module) -> None:
        self.root = model
        self.paths = {module: _written(path) for path, module in model.named_modules()}
        self.kinds = _activation_modules()
        self.stack: list[nn.Module] = []
        self.met: dict[tuple[str, str], int] = {}

    def enter(self, module: nn.Module, inputs: object) -> None:
        if module is self.root:
            self.stack.clear()  # a pass that an exception ended leaves nothing behind
            self.met.clear()
        self.stack.append(module)

    def leave(self, module: nn.Module, inputs: object, output: object) -> None:
        if self.stack and self.stack[-1] is module:
            self.stack.pop()

    def name(self, function: str) -> str:
        """Of the call that is being made."""
        # A module that was made in the forward pass has no path: the place is that of the module it was made in.
        module = next((module for module in reversed(self.stack) if module in self.paths), None)
        path = self.paths[module] if module is not None else ""
        count = self.met[path, function] = self.met.get((path, function), -1) + 1
        if module is not None and path and self._is_activation(module):
            return path if count == 0 else f"{path}[{count}]"
        return f"{path}/{function}[{count}]" if path else f"{function}[{count}]"

    def _is_activation(self, module: nn.Module) -> bool:
        """Whether a module is an activation and nothing else, so that its path names the call."""
        return type(module) in self.kinds or type(module).__module__ == "torch.nn.modules.activation"


def _activation_modules() -> tuple[type[nn.Module], ...]:
    """Modules that are activations which ``watching`` would see."""
    return tuple(resolve(entry.module) for entry in ACTIVATIONS.values()) + _OTHER_MODULES


def activation_paths(model: nn.Module) -> list[str]:
    """Paths of the modules that are activations which ``watching`` would see."""
    kinds = _activation_modules()
    return [_written(path) for path, module in model.named_modules() if isinstance(module, kinds)]


def _written(path: str) -> str:
    """A module's path as it would be without torch.compile."""
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
        given, rest = (args[0], args[1:]) if args else (kwargs["input"], ())
        named = {key: value for key, value in kwargs.items() if key not in ("input", "out")}

        def apply(pre_activation: Tensor) -> Tensor:
            result: Tensor = func(pre_activation.clone() if in_place else pre_activation, *rest, **named)
            return result

        in_place = func.__name__.endswith("_") or named.get("inplace", False) or any(value is True for value in rest)
        pre_activation = given.clone() if in_place else given
        result = func(*args, **kwargs)
        self.observe(self.name(name), name, pre_activation, result, apply)
        return result


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # F.linear names it so
    """F.linear whose last bits depend on neither the batch size nor the threads: in float64, rounded once.

    The order in which float32 matrix products are added up does. Convolutions are left as they are, since from 16 images up
    theirs does not; other products (attention, einsum) too.
    """
    mixed = any(tensor.dtype != torch.float32 for tensor in (input, weight, bias) if tensor is not None)
    if mixed or input.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return F.linear(input, weight, bias)
    return F.linear(input.double(), weight.double(), None if bias is None else bias.double()).float()
