"""Intercepts every activation call in the forward pass of any model; the caller decides what to do with it.

Calls are intercepted where torch dispatches them, not at modules: functional and in-place calls, modules used twice and LayerAct
inside user code are all detected. The model is left unchanged.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import nn

from robustbench_la.activations import ACTIVATIONS, resolve
from robustbench_la.errors import UserError
from robustbench_la.measuring.watch import Locate, Observe, Watch, watched_functions
from robustbench_la.models.composed import Composed

_OTHER_MODULES = (nn.ReLU6, nn.SELU, nn.CELU, nn.Tanh, nn.Softsign, nn.Sigmoid, nn.Softplus, nn.Hardsigmoid, nn.Hardtanh)


class Probe:
    """Passes every activation call of a model, in eval mode, to a function.

    A call made by an activation module is named by the path of the module (``layer1.0.act1``; ``layer1.0.relu[1]`` the second
    time), any other call by the enclosing module, the function and a count from 0 (``layer1.0/relu[1]``). Compiled parts run
    uncompiled.
    """

    def __init__(self, model: nn.Module, observe: Observe, composed: Mapping[str, Composed] = MappingProxyType({})) -> None:
        """Set up the probe; see ``watching`` for its use.

        Args:
            model: The network.
            observe: Called once per activation call.
            composed: Modules, by path, that are seen as one call each, see ``models.composed``.

        Raises:
            UserError: If something else than torch runs the model, or it contains TorchScript: calls cannot be intercepted there.
        """
        scripted = [path or "the model" for path, module in model.named_modules() if isinstance(module, torch.jit.ScriptModule)]
        if scripted:
            raise UserError(
                f"{scripted[0]} is TorchScript, whose activation calls cannot be detected; give the network as Python code"
            )
        for module in model.modules():
            if reason := getattr(module, "layers_unseen", None):
                raise UserError(reason)
        self._modules = tuple(model.modules())
        modules = dict(model.named_modules())
        self._composed = {modules[path]: entry for path, entry in composed.items()}
        self._places = _Places(model, self._composed)
        self._observe = observe
        self._functions = watched_functions()
        self.unknown: Mapping[str, int] = {}
        """Functions, with counts, that hint at activations written as arithmetic which the last passes did not reveal."""

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
                locate: Locate = self._places.locate
            else:
                locate = _in_turn(names)
            if "torch._dynamo" in sys.modules:  # otherwise nothing is compiled, and importing it takes seconds
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            stack.enter_context(warnings.catch_warnings())
            # The hooks run once more for a compiled module, which is harmless: it has the path of the module inside.
            warnings.filterwarnings("ignore", message=r"Using `torch\.compile\(module\)` when there are global hooks")
            watch = Watch(locate, self._observe, self._functions)
            self.unknown = watch.unknown
            for module, entry in self._composed.items():
                stack.enter_context(_as_a_whole(module, entry, watch))
            stack.enter_context(watch)
            yield


def _set_training(modules: Sequence[nn.Module], training: bool) -> None:
    for module in modules:
        module.training = training


@contextlib.contextmanager
def _as_a_whole(module: nn.Module, composed: Composed, watch: Watch) -> Iterator[None]:
    """Let a module report to ``watch`` what it computes, instead of the calls inside it."""
    original, own = module.forward, module.__dict__.get("forward")
    module.__dict__["forward"] = lambda *args, **kwargs: watch.whole(composed, original, args, kwargs)
    try:
        yield
    finally:
        del module.__dict__["forward"]
        if own is not None:
            module.__dict__["forward"] = own


def _in_turn(names: Sequence[str]) -> Locate:
    """Names in the order of the calls; a call after the last name gets the name of its function."""
    turns = iter(names)
    return lambda: lambda function: next(turns, function)


class _Places:
    """Tracks where in the model the forward pass is, and how often each call occurred there."""

    def __init__(self, model: nn.Module, composed: Mapping[nn.Module, Composed]) -> None:
        self.root = model
        self.composed = composed
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

    def locate(self) -> Callable[[str], str]:
        """Where the forward pass is now: from the name of a function to that of the next call of it there."""
        # A module created during the forward pass has no path: use that of the module that created it.
        module = next((module for module in reversed(self.stack) if module in self.paths), None)

        def name(function: str) -> str:
            path = self.paths[module] if module is not None else ""
            count = self.counts[path, function] = self.counts.get((path, function), -1) + 1
            if module is not None and path and self._is_activation(module):
                return path if count == 0 else f"{path}[{count}]"
            return f"{path}/{function}[{count}]" if path else f"{function}[{count}]"

        return name

    def _is_activation(self, module: nn.Module) -> bool:
        """Whether a module is an activation and nothing else, so that its path names the call."""
        of_torch = type(module).__module__ == "torch.nn.modules.activation"
        return module in self.composed or type(module) in self.kinds or of_torch


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
