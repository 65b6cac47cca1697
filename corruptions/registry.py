"""The table of corruptions: names, groups, levels. Imports no torch; each family's operators are in its own file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

SEVERITIES = (1, 2, 3, 4, 5)
NOISE_VERSION = 2
"""How random words are keyed: 1 by seed, corruption and image; 2 also by the level. Another version gives other draws."""
Level = tuple[float, ...]
"""The strength of a corruption: one number per parameter, in the order of ``Corruption.parameters``."""
_LEAST = 1e-6
"""Below this the formulas of the noises lose precision."""

PROFILES: Mapping[str, str] = MappingProxyType(
    {
        "cifar-c": "CIFAR-10-C and CIFAR-100-C, 32 px; default up to 48 px",
        "tiny-c": "Tiny-ImageNet-C, 64 px; default above 48 and up to 128 px",
        "imagenet-c": "ImageNet-C, 224 px; default above 128 px",
        "imagenet-c-299": "ImageNet-C for 299 px networks; default at exactly 299 px",
    }
)


class Operator(Protocol):
    """A corruption at one level, ready to be applied to any number of batches."""

    def __call__(self, images: Tensor, keys: Callable[[], Tensor]) -> Tensor:
        """Corrupt a batch.

        Args:
            images: uint8 (N, C, H, W).
            keys: Returns one random key per image, int64 (N,); called only if the corruption is random.

        Returns:
            uint8 (N, C, H, W).
        """


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of the numbers that make up a level."""

    name: str
    """The name of the argument in the corruption's function."""
    unit: str
    """What it is, with its unit."""
    bound: float
    """The largest value accepted."""
    least: float = _LEAST
    """The smallest value accepted."""

    def check(self, value: float, corruption: str, *, called: str) -> None:
        """Check that a value is within bounds.

        Args:
            value: The value given.
            corruption: The name of the corruption, for the error.
            called: What the error calls the number.

        Raises:
            ValueError: If ``value`` is out of bounds.
        """
        if not self.least <= value <= self.bound:
            lower = "above 0 and" if self.least == _LEAST else f"from {self.least:g}"
            raise ValueError(f"{corruption} takes a {called} {lower} up to {self.bound:g} ({self.unit}), not {value:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corruption:
    """One corruption and its published levels."""

    name: str
    """Hendrycks' snake_case name: the file or folder name in the published datasets."""
    group: str
    """Hendrycks' group: noise, blur, weather, digital or extra."""
    aliases: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    """What the numbers of a level mean."""
    noisier: Literal["higher", "lower"]
    """The direction in which levels become more severe; with several parameters, that of the first one that differs."""
    levels: Mapping[str, tuple[Level, ...]]
    """Profile -> levels of severities 1 to 5."""
    source: str
    summary: str
    prepare: Callable[..., Operator]
    """Builds the operator; takes the numbers of a level as positional arguments."""
    random: bool
    """Whether it draws random words; otherwise images and level decide everything."""

    def check(self, level: float | Level) -> Level:
        """Check a level.

        Args:
            level: One number per parameter, or a plain number if there is only one.

        Returns:
            The level as a tuple.

        Raises:
            ValueError: If the number of parameters is wrong, or one of them is out of bounds.
        """
        values = as_level(level)
        if len(values) != len(self.parameters):
            names = "/".join(parameter.name for parameter in self.parameters)
            expected = "1 parameter" if len(self.parameters) == 1 else f"{len(self.parameters)} parameters"
            raise ValueError(f"{self.name} takes {expected} ({names}), not {len(values)}")
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.check(value, self.name, called="level" if len(values) == 1 else parameter.name)
        return values


_table: dict[str, Corruption] = {}
CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(_table)

GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "paper": "those of the LayerAct paper: gaussian_noise, shot_noise, gaussian_blur",
        "noise": "Hendrycks' group Noise",
        "extra": "Hendrycks' group Extra",
        "all": "every corruption",
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
    random: bool = True,
) -> Callable[[_Prepare], _Prepare]:
    """Register the decorated function in CORRUPTIONS under its own name.

    The function takes the numbers of a level as positional arguments, named as in ``parameters``, and returns an Operator. The
    first line of its docstring becomes the summary.

    Args:
        group: Hendrycks' group: noise, blur, weather, digital or extra.
        parameters: What the numbers of a level mean.
        noisier: The direction in which levels become more severe.
        source: Where the levels and the definition come from.
        cifar_c: Levels of severities 1 to 5 for images up to 48 px; with a single parameter they may be plain numbers.
        tiny_c: The same above 48 and up to 128 px.
        imagenet_c: The same above 128 px.
        imagenet_c_299: The same for 299 px.
        aliases: Other names that users may give.
        random: Whether its operator draws random words.

    Returns:
        A decorator that returns the function unchanged.

    Raises:
        TypeError: If the function's arguments are not named as in ``parameters``.
        ValueError: If a level is out of bounds.
    """
    tables = dict(zip(PROFILES, (cifar_c, tiny_c, imagenet_c, imagenet_c_299), strict=True))

    def enter(prepare: _Prepare) -> _Prepare:
        name = prepare.__name__
        _check_arguments(prepare, parameters)
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
            random=random,
        )
        for level in (level for table in entry.levels.values() for level in table):
            entry.check(level)
        _table[name] = entry
        return prepare

    return enter


def _check_arguments(prepare: Callable[..., Operator], parameters: Sequence[Parameter]) -> None:
    """Raise TypeError unless the arguments of a corruption's function are named as its parameters."""
    arguments, names = tuple(inspect.signature(prepare).parameters), tuple(parameter.name for parameter in parameters)
    if arguments != names or not names:
        raise TypeError(f"{prepare.__name__} takes ({', '.join(arguments)}), but its parameters are named ({', '.join(names)})")


def as_level(level: float | Sequence[float]) -> Level:
    """A level given as one number or as several, as a tuple of floats.

    >>> as_level(3), as_level((1.5, 2))
    ((3.0,), (1.5, 2.0))
    """
    return (float(level),) if isinstance(level, (int, float)) else tuple(map(float, level))


def names_of(word: str) -> tuple[str, ...]:
    """The names of the corruptions that a name, an alias or a group stands for; empty if the word is unknown.

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
    """Every word that ``names_of`` accepts."""
    aliases = (alias for entry in CORRUPTIONS.values() for alias in entry.aliases)
    return (*CORRUPTIONS, *aliases, *GROUPS)


def profile_for(height: int, width: int) -> str:
    """The default profile for images of this size, in pixels (the longer side decides)."""
    side = max(height, width)
    if side <= 48:
        return "cifar-c"
    if side <= 128:
        return "tiny-c"
    return "imagenet-c-299" if side == 299 else "imagenet-c"


def level_of(name: str, *, severity: int, profile: str) -> Level:
    """The physical level of a severity.

    Args:
        name: A key of CORRUPTIONS.
        severity: 1 (mild) to 5 (strong).
        profile: A key of PROFILES.

    Returns:
        One number per parameter of the corruption.

    Raises:
        ValueError: If the severity is not from 1 to 5.
    """
    if severity not in SEVERITIES:
        raise ValueError(f"severity must be a whole number from 1 to 5, not {severity}")
    return CORRUPTIONS[name].levels[profile][severity - 1]
