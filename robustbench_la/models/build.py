"""The table of architectures, building a network from it, and exchanging activations. Imports no torch until it builds."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Literal

from robustbench_la.activations import ACTIVATIONS, DEFAULT_ALPHA, resolve
from robustbench_la.errors import UserError, did_you_mean, first_line, lookup

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """All that decides a network's shape, except its activation."""

    architecture: str
    """A name of ARCHITECTURES, ``torchvision:<name>``, ``file.py:function`` or ``package.module:function``."""
    classes: int
    channels: int
    height: int
    """Of the images, in pixels."""
    width: int
    hidden: int = 128
    """Elements of the hidden layer; mlp only."""
    conv_bias: bool = False
    """Whether convolutions have a bias; resnets only."""
    padding: Literal["centre", "end"] = "centre"
    """Where a shortcut adds its zero channels; resnets only."""

    def as_dict(self) -> dict[str, str | int | bool]:
        """Plain values, for a checkpoint."""
        return asdict(self)

    @property
    def is_code(self) -> bool:
        """Whether building it runs a function of the user's."""
        return ":" in self.architecture and not self.architecture.startswith("torchvision:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A line of the table."""

    summary: str
    build: Callable[[NetworkSpec, Callable[[], nn.Module]], nn.Module]


def _mlp(spec: NetworkSpec, make: Callable[[], nn.Module]) -> nn.Module:
    from robustbench_la.models.paper_networks import Mlp

    pixels = spec.channels * spec.height * spec.width
    return Mlp(make, pixels=pixels, classes=spec.classes, hidden=spec.hidden)


def _cnn(spec: NetworkSpec, make: Callable[[], nn.Module]) -> nn.Module:
    from robustbench_la.models.paper_networks import Cnn

    return Cnn(make, channels=spec.channels, classes=spec.classes)


def _resnet(spec: NetworkSpec, make: Callable[[], nn.Module], *, blocks: int) -> nn.Module:
    from robustbench_la.models.paper_networks import ResNet

    return ResNet(
        make,
        blocks=blocks,
        channels=spec.channels,
        classes=spec.classes,
        conv_bias=spec.conv_bias,
        padding=spec.padding,
    )


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "mlp": Architecture(summary="one hidden activation layer; the paper's MNIST network", build=_mlp),
        "cnn": Architecture(summary="two convolutions; for images of 8 to 32 px", build=_cnn),
        **{
            f"resnet{6 * blocks + 2}": Architecture(
                summary=f"ResNet for CIFAR, {blocks} blocks a stage (He et al. 2016)",
                build=functools.partial(_resnet, blocks=blocks),
            )
            for blocks in (3, 5, 7, 9)
        },
    }
)
PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        "torchvision:NAME": "any classifier of torchvision, its ReLUs exchanged for the activation",
        "FILE.py:FUNCTION": "your own: a function that gives a network (it may take classes, channels, activation)",
        "PACKAGE.MODULE:FUNCTION": "the same, from an installed package",
    }
)


def make_activation(name: str, alpha: float = DEFAULT_ALPHA) -> nn.Module:
    """The module of an activation; ``alpha`` matters to layer-level ones alone."""
    entry = lookup(ACTIVATIONS, name, kind="activation")
    made: nn.Module = resolve(entry.module)(**({"alpha": alpha} if entry.level == "layer" else {}))
    return made


def check_architecture(name: str) -> None:
    """Raise UserError unless ``name`` can be an architecture; looks at the name alone."""
    if ":" not in name:
        lookup({**ARCHITECTURES, **dict.fromkeys(PATTERNS)}, name, kind="architecture")


def build(spec: NetworkSpec, activation: str, alpha: float = DEFAULT_ALPHA) -> nn.Module:
    """A new network with freshly drawn weights. Raises UserError for unknown names."""
    make = functools.partial(make_activation, activation, alpha)
    lookup(ACTIVATIONS, activation, kind="activation")
    check_architecture(spec.architecture)
    if ":" not in spec.architecture:
        return ARCHITECTURES[spec.architecture].build(spec, make)
    source, _, name = spec.architecture.rpartition(":")
    if source == "torchvision":
        return _with_activation(_torchvision(name, spec), spec.architecture, activation, alpha)
    return _user_network(source, name, spec, activation, alpha)


def _torchvision(name: str, spec: NetworkSpec) -> nn.Module:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise UserError(f"unknown torchvision classifier {name!r}{did_you_mean(name, known)}")
    if spec.channels != 3:
        raise UserError(f"torchvision:{name} takes images of 3 channels, not {spec.channels}")
    more = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    model: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=spec.classes, **more)
    return model


def _user_network(source: str, name: str, spec: NetworkSpec, activation: str, alpha: float) -> nn.Module:
    from torch import nn

    function = _user_function(source, name)
    offered = {
        "classes": spec.classes,
        "channels": spec.channels,
        "activation": functools.partial(make_activation, activation, alpha),
    }
    parameters = inspect.signature(function).parameters
    with _blaming(spec.architecture):
        model = function(**{key: value for key, value in offered.items() if key in parameters})
    if not isinstance(model, nn.Module):
        raise UserError(f"{spec.architecture} gave {type(model).__name__}, not a torch.nn.Module")
    return model if "activation" in parameters else _with_activation(model, spec.architecture, activation, alpha)


def code_of(architecture: str) -> str | None:
    """SHA-256 of the user's file that builds the network; None for an architecture that is not code of the user's.

    The same weights in changed code are another network.
    """
    source, colon, _ = architecture.rpartition(":")
    if not colon or source == "torchvision":
        return None
    found = None if source.endswith(".py") else importlib.util.find_spec(source)
    path = Path(source if found is None else found.origin or source)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _user_function(source: str, name: str) -> Callable[..., object]:
    """The function ``name`` of a Python file or of an importable module."""
    if source.endswith(".py"):
        path = Path(source)
        if not path.is_file():
            raise UserError(f"no file {source!r} (the architecture was {source}:{name})")
        with _blaming(source):
            module = _executed(path.resolve())
    else:
        try:
            found = importlib.util.find_spec(source)
        except (ImportError, ValueError):
            found = None
        if found is None:
            raise UserError(f"no module {source!r} can be imported (the architecture was {source}:{name})")
        module = importlib.import_module(source)
    function = getattr(module, name, None)
    if not inspect.isroutine(function) and not inspect.isclass(function):
        raise UserError(f"{source} holds no function {name!r}{did_you_mean(name, public_names(module))}")
    made: Callable[..., object] = function
    return made


@functools.lru_cache(maxsize=16)
def _executed(path: Path) -> ModuleType:
    """The module of a Python file, executed once; files beside it can be imported by it."""
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module_spec = importlib.util.spec_from_file_location(f"larobust_user_{path.stem}", path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module_spec.name] = module
    module_spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _blaming(what: str) -> Iterator[None]:
    """Tell a fault of the user's code in one line, with its place."""
    try:
        yield
    except (Exception, SystemExit) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{place.filename}, line {place.lineno}"
        raise UserError(f"{what} failed with {type(error).__name__}: {first_line(error)} ({where})") from error


def public_names(module: object) -> list[str]:
    """Names of what ``module`` offers to be called."""
    return [name for name in dir(module) if not name.startswith("_") and inspect.isroutine(getattr(module, name))] or ["nothing"]


def _with_activation(model: nn.Module, architecture: str, activation: str, alpha: float) -> nn.Module:
    """``model`` with its ReLUs exchanged; a network without ReLU modules runs with its own activation only."""
    native = native_activations(model)
    if activation == "relu" and "relu" in native:
        return model  # as it was trained: a ReLU6 stays one
    if "relu" in native:
        exchange(model, "relu", activation, alpha)
    elif activation not in native and not (activation == "relu" and not native):
        own = f"its activation is {', '.join(native)}" if native else "it has no activation module"
        raise UserError(f"{architecture} holds no ReLU module to exchange for {activation!r}: {own}")
    return model


def native_activations(model: nn.Module) -> list[str]:
    """Names of the activations that stand in ``model`` as modules, sorted."""
    types = {kind: name for name in ACTIVATIONS for kind in _types(name)}
    return sorted({types[type(module)] for module in model.modules() if type(module) in types})


def exchange(model: nn.Module, from_: str, to: str, alpha: float = DEFAULT_ALPHA) -> int:
    """Swap every activation module ``from_`` of ``model`` for a new one ``to``, in place; nn.ReLU6 counts as relu.

    Gives the number of modules swapped. A module used in several places stays one module. Functional calls are not modules: they
    stay. Raises UserError where there is nothing to swap.
    """
    kinds = _types(from_)
    made: dict[nn.Module, nn.Module] = {}
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child is not None and type(child) in kinds:
                if child not in made:
                    made[child] = make_activation(to, alpha).train(child.training)
                parent._modules[name] = made[child]
    if not made:
        raise UserError(f"the network holds no {from_} module to exchange for {to}")
    return len(made)


def _types(name: str) -> tuple[type[nn.Module], ...]:
    from torch import nn

    kind = type(make_activation(name))
    return (kind, nn.ReLU6) if name == "relu" else (kind,)
