"""The table of architectures, and the specification of a network. Imports no torch until it builds one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from robustbench_la.errors import UserError, lookup
from robustbench_la.files import is_there
from robustbench_la.models.user_code import offered_by
from robustbench_la.records.named_code import is_code

if TYPE_CHECKING:
    from torch import nn


WHOLE = ("onnx", "torchscript")
"""What networks are called that a file holds as a whole."""
HUGGING_FACE = "hf"
_RESNETS = {f"resnet{6 * blocks + 2}": blocks for blocks in (3, 5, 7, 9)}
"""ResNets for CIFAR, with their blocks per stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """Everything that determines the shape of a network, except its activation."""

    architecture: str
    """A name of ARCHITECTURES, or something that PATTERNS describes: a network that is taken as it is."""
    classes: int
    channels: int
    height: int
    """Of the images, in pixels."""
    width: int
    hidden: int = 128
    """Width of the hidden layer; mlp only."""
    conv_bias: bool = False
    """Whether convolutions have a bias; resnets only."""
    padding: Literal["centre", "end"] = "centre"
    """Where shortcuts add their zero channels; resnets only."""
    exchange: tuple[str, ...] = ()
    """Activations exchanged after it was built, such as ``relu=la_silu``; only for networks that are taken as they are."""
    shortcut: Literal["padding", "convolution"] = "padding"
    """What shortcuts do where the number of channels grows (options A and B); resnets only."""

    def as_dict(self) -> dict[str, str | int | bool | list[str]]:
        """Plain values, for a checkpoint and for JSON."""
        return {**asdict(self), "exchange": list(self.exchange)}

    @property
    def pads_channels(self) -> bool:
        """Whether its shortcuts add zero channels (option A of He et al. 2016), and no weights show where."""
        return self.architecture in _RESNETS and self.shortcut == "padding"

    @property
    def padding_in_words(self) -> str:
        """Where its shortcuts add channels."""
        return "on both sides" if self.padding == "centre" else "after the others"

    @property
    def is_code(self) -> bool:
        """Whether building it runs user code."""
        return is_code(self.architecture)

    @property
    def is_as_it_is(self) -> bool:
        """Whether it is somebody else's network, which comes with its activation, and not one of the table."""
        return is_as_it_is(self.architecture)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A row of the table."""

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
        shortcut=spec.shortcut,
    )


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "mlp": Architecture(summary="one hidden activation layer; the paper's MNIST network", build=_mlp),
        "cnn": Architecture(summary="two convolutions; for images of 8 to 32 px", build=_cnn),
        **{
            name: Architecture(
                summary=f"ResNet for CIFAR, {blocks} blocks per stage (He et al. 2016)",
                build=functools.partial(_resnet, blocks=blocks),
            )
            for name, blocks in _RESNETS.items()
        },
    }
)
PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        "torchvision:NAME": "any torchvision classifier, as it is",
        "timm:NAME": "any timm classifier, as it is",
        HUGGING_FACE: "the network that the config.json next to the weights describes, as it is",
        "FILE.py:FUNCTION": "your own: a function or class that gives a network (it may take classes, channels, activation)",
        "PACKAGE.MODULE:FUNCTION": "the same, from a package that can be imported",
    }
)
"""Networks that are taken as they are: nothing in them is exchanged unless ``--exchange`` says so."""


def is_as_it_is(architecture: str) -> bool:
    """Whether an architecture is one of PATTERNS.

    >>> is_as_it_is("torchvision:resnet18"), is_as_it_is("net.py:Net"), is_as_it_is("resnet20")
    (True, True, False)
    """
    return ":" in architecture or architecture in (HUGGING_FACE, *WHOLE)


def check_architecture(name: str) -> None:
    """Raise UserError unless ``name`` is a valid architecture; the hints consult torchvision, and the file that it names."""
    if is_as_it_is(name) or name in ARCHITECTURES:
        return
    path = Path(name)
    if path.suffix == ".py" and is_there(path):
        offered = offered_by(path)
        if not offered:
            raise UserError(f"--arch {name} names no function, and {name} defines none")
        raise UserError(
            f"--arch {name} names no function; {name} offers: {', '.join(offered)}; give --arch {name}:{offered[0].split()[0]}"
        )
    if name in _torchvision_names():
        raise UserError(f"unknown architecture {name!r}; did you mean torchvision:{name}?")
    lookup({**ARCHITECTURES, **dict.fromkeys(PATTERNS)}, name, kind="architecture")


def _torchvision_names() -> list[str]:
    import torchvision

    names: list[str] = torchvision.models.list_models(module=torchvision.models)
    return names
