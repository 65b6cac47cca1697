"""The table of corruptions: names, groups, levels. Imports no torch; the work is in the family's file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

SEVERITIES = (1, 2, 3, 4, 5)
Level = tuple[float, ...]
"""How strong a corruption is: one number per parameter, in the order of ``Corruption.parameters``."""
_LEAST = 1e-6
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


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of the numbers that make up a level."""

    name: str
    """As the corruption's function calls it."""
    unit: str
    """What it is, with its unit."""
    bound: float
    """The largest value taken."""
    least: float = _LEAST
    """The smallest value taken."""

    def check(self, value: float, corruption: str, *, called: str) -> None:
        """Raise ValueError unless ``value`` is within bounds. called: what the error calls the number."""
        if not self.least <= value <= self.bound:
            lower = "above 0 and" if self.least == _LEAST else f"from {self.least:g}"
            raise ValueError(f"{corruption} takes a {called} {lower} up to {self.bound:g} ({self.unit}), not {value:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corruption:
    """One corruption and its published levels."""

    name: str
    """Hendrycks' snake_case name: file and folder name of the published sets."""
    group: str
    """Hendrycks' group: noise, blur, weather, digital or extra."""
    aliases: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    """What the numbers of a level are."""
    noisier: Literal["higher", "lower"]
    """The direction in which a level does more harm; with several parameters, that of the first one that differs."""
    levels: Mapping[str, tuple[Level, ...]]
    """Profile -> levels of severity 1 to 5."""
    source: str
    summary: str
    prepare: Callable[..., Operator]
    """Takes the numbers of a level one by one."""

    def check(self, level: float | Level) -> Level:
        """The level as a tuple, once it is known to be one that this corruption takes.

        Raises: ValueError for another number of parameters, or one that is out of bounds.
        """
        values = as_level(level)
        if len(values) != len(self.parameters):
            names = "/".join(parameter.name for parameter in self.parameters)
            wanted = "1 parameter" if len(self.parameters) == 1 else f"{len(self.parameters)} parameters"
            raise ValueError(f"{self.name} takes {wanted} ({names}), not {len(values)}")
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.check(value, self.name, called="level" if len(values) == 1 else parameter.name)
        return values


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


_Prepare = TypeVar("_Prepare", bound=Callable[..., Operator])


def corruption(
    *,
    group: str,
    parameters: tuple[Parameter, ...],
    noisier: Literal["higher", "lower"],
    source: str,
    cifar_c: Sequence[float | Level],
    tiny_c: Sequence[float | Level],
    imagenet_c: Sequence[float | Level],
    imagenet_c_299: Sequence[float | Level],
    aliases: tuple[str, ...] = (),
) -> Callable[[_Prepare], _Prepare]:
    """Enter the decorated function into CORRUPTIONS under its own name.

    The function takes the parameters by position, under the names of ``parameters``, and returns an Operator. Levels of a single
    parameter may be written as plain numbers.

    Raises: TypeError where the function takes other parameters, ValueError for a level that is out of bounds.
    """
    tables = dict(zip(PROFILES, (cifar_c, tiny_c, imagenet_c, imagenet_c_299), strict=True))

    def enter(prepare: _Prepare) -> _Prepare:
        name = prepare.__name__
        taken, named = tuple(inspect.signature(prepare).parameters), tuple(parameter.name for parameter in parameters)
        if taken != named or not named:
            raise TypeError(f"{name} takes ({', '.join(taken)}), but its parameters are named ({', '.join(named)})")
        entry = Corruption(
            name=name,
            group=group,
            aliases=aliases,
            parameters=parameters,
            noisier=noisier,
            levels=MappingProxyType({profile: tuple(map(as_level, table)) for profile, table in tables.items()}),
            source=source,
            summary=(prepare.__doc__ or "").strip().splitlines()[0],
            prepare=prepare,
        )
        for level in (level for table in entry.levels.values() for level in table):
            entry.check(level)
        _table[name] = entry
        return prepare

    return enter


def as_level(level: float | Sequence[float]) -> Level:
    """A level given as one number or several, as a tuple of floats.

    >>> as_level(3), as_level((1.5, 2))
    ((3.0,), (1.5, 2.0))
    """
    return (float(level),) if isinstance(level, (int, float)) else tuple(map(float, level))


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


def level_of(name: str, *, severity: int, profile: str) -> Level:
    """The physical level of a severity from 1 to 5 under a profile, one number per parameter."""
    if severity not in SEVERITIES:
        raise ValueError(f"severity is a whole number from 1 to 5, not {severity}")
    return CORRUPTIONS[name].levels[profile][severity - 1]
