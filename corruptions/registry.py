"""The table of corruptions: names, groups, levels. Imports no torch; the work is in the family's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

SEVERITIES = (1, 2, 3, 4, 5)
_LEAST_LEVEL = 1e-6
"""Below it the noises' formulas lose their digits."""

PROFILES: Mapping[str, str] = MappingProxyType(
    {
        "cifar-c": "CIFAR-10-C and CIFAR-100-C, 32 px; chosen up to 48 px",
        "tiny-c": "Tiny-ImageNet-C, 64 px; chosen above 48 and up to 128 px",
        "imagenet-c": "ImageNet-C, 224 px; chosen above 128 px",
        "imagenet-c-299": "ImageNet-C for 299 px networks; chosen at exactly 299 px",
    }
)


class Operator(Protocol):
    """A corruption at one level, ready to be applied to any number of batches."""

    def __call__(self, images: Tensor, keys: Callable[[], Tensor]) -> Tensor:
        """Corrupt ``images``, uint8 (N, C, H, W); gives uint8 (N, C, H, W). keys: gives those to draw by, int64 (N,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corruption:
    """One corruption and its published levels."""

    name: str
    """Hendrycks' snake_case name: file and folder name of the published sets."""
    group: str
    """Hendrycks' group: noise, blur, weather, digital or extra."""
    aliases: tuple[str, ...]
    parameter: str
    """What a level is, with its unit."""
    noisier: Literal["higher", "lower"]
    """The direction in which a level does more harm."""
    bound: float
    """A level is at least 1e-6 and not above this."""
    levels: Mapping[str, tuple[float, ...]]
    """Profile -> levels of severity 1 to 5."""
    source: str
    summary: str
    prepare: Callable[[float], Operator]

    def check(self, level: float) -> None:
        """Raise ValueError unless ``level`` is one that this corruption takes."""
        if not _LEAST_LEVEL <= level <= self.bound:
            raise ValueError(f"{self.name} takes a level above 0 and up to {self.bound:g} ({self.parameter}), not {level:g}")


_table: dict[str, Corruption] = {}
CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(_table)

GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "paper": "the three of the LayerAct paper: gaussian_noise, shot_noise, gaussian_blur",
        "noise": "Hendrycks' group Noise",
        "extra": "Hendrycks' group Extra",
        "all": "every corruption there is",
    }
)
_PAPER = ("gaussian_noise", "shot_noise", "gaussian_blur")


def corruption(
    *,
    group: str,
    parameter: str,
    noisier: Literal["higher", "lower"],
    bound: float,
    source: str,
    cifar_c: tuple[float, ...],
    tiny_c: tuple[float, ...],
    imagenet_c: tuple[float, ...],
    imagenet_c_299: tuple[float, ...],
    aliases: tuple[str, ...] = (),
) -> Callable[[Callable[[float], Operator]], Callable[[float], Operator]]:
    """Enter the decorated function ``level -> Operator`` into CORRUPTIONS under its own name."""
    levels = MappingProxyType(dict(zip(PROFILES, (cifar_c, tiny_c, imagenet_c, imagenet_c_299), strict=True)))

    def enter(prepare: Callable[[float], Operator]) -> Callable[[float], Operator]:
        name = prepare.__name__
        _table[name] = Corruption(
            name=name,
            group=group,
            aliases=aliases,
            parameter=parameter,
            noisier=noisier,
            bound=bound,
            levels=levels,
            source=source,
            summary=(prepare.__doc__ or "").strip().splitlines()[0],
            prepare=prepare,
        )
        return prepare

    return enter


def names_of(word: str) -> tuple[str, ...]:
    """Names of the corruptions that a name, an alias or a group stands for; none if it is unknown.

    >>> names_of("poisson"), names_of("gaussian-blur")
    (('shot_noise',), ('gaussian_blur',))
    """
    word = word.strip().lower().replace("-", "_")
    if word in CORRUPTIONS:
        return (word,)
    for entry in CORRUPTIONS.values():
        if word in entry.aliases:
            return (entry.name,)
    if word == "all":
        return tuple(CORRUPTIONS)
    if word == "paper":
        return _PAPER
    if word in GROUPS:
        return tuple(entry.name for entry in CORRUPTIONS.values() if entry.group == word)
    return ()


def known_words() -> tuple[str, ...]:
    """Every word that ``names_of`` understands."""
    aliases = (alias for entry in CORRUPTIONS.values() for alias in entry.aliases)
    return (*CORRUPTIONS, *aliases, *GROUPS)


def profile_for(height: int, width: int) -> str:
    """The level table that fits images of this size, in pixels (the longer side decides)."""
    side = max(height, width)
    if side <= 48:
        return "cifar-c"
    if side <= 128:
        return "tiny-c"
    return "imagenet-c-299" if side == 299 else "imagenet-c"


def level_of(name: str, *, severity: int, profile: str) -> float:
    """The physical level of a severity from 1 to 5 under a profile."""
    if severity not in SEVERITIES:
        raise ValueError(f"severity is a whole number from 1 to 5, not {severity}")
    return CORRUPTIONS[name].levels[profile][severity - 1]
