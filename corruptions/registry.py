"""The table of corruptions: names, groups, levels. Imports no torch; each family's operators are in its own file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, TypeVar

from corruptions.entries import Corruption, Fidelity, Level, Operator, Parameter, as_level

__all__ = [
    "CORRUPTIONS",
    "GROUPS",
    "NOISE_VERSION",
    "PROFILES",
    "SEVERITIES",
    "Corruption",
    "Fidelity",
    "Level",
    "Operator",
    "Parameter",
    "as_level",
    "corruption",
    "known_words",
    "level_of",
    "names_of",
    "names_with_level",
    "profile_for",
]

SEVERITIES = (1, 2, 3, 4, 5)
NOISE_VERSION = 2
"""How random words are keyed: 1 by seed, corruption and image; 2 also by the level. Another version gives other draws."""

PROFILES: Mapping[str, str] = MappingProxyType(
    {
        "cifar-c": "CIFAR-10-C and CIFAR-100-C, 32 px; default up to 48 px",
        "tiny-c": "Tiny-ImageNet-C, 64 px; default above 48 and up to 128 px",
        "imagenet-c": "ImageNet-C, 224 px; default above 128 px",
        "imagenet-c-299": "ImageNet-C for 299 px networks; default at exactly 299 px",
    }
)

_table: dict[str, Corruption] = {}
CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(_table)

GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "noise": "gaussian_noise, shot_noise, impulse_noise",
        "blur": "defocus_blur, glass_blur, motion_blur, zoom_blur",
        "weather": "snow, frost, fog, brightness",
        "digital": "contrast, elastic_transform, pixelate, jpeg_compression",
        "extra": "speckle_noise, gaussian_blur, spatter, saturate",
        "common": "the first four groups, the 15 corruptions of mCE",
        "all": "every corruption",
        "paper": "those of the LayerAct paper: gaussian_noise, shot_noise, gaussian_blur",
    }
)
"""Those of Hendrycks & Dietterich 2019, in their order, and two of our own."""
_OF_MCE = ("noise", "blur", "weather", "digital")
_GIVEN_BY_ONE_NUMBER = MappingProxyType({"blur": "gaussian_blur"})
"""Groups of which no corruption is given by one number, and the corruption that such a level is for."""
_PAPER = ("gaussian_noise", "shot_noise", "gaussian_blur")
_NOT_COMPARED = Fidelity("not compared", "Not compared with any published code.")

_Prepare = TypeVar("_Prepare", bound=Callable[..., Operator])


def corruption(
    *,
    group: str,
    parameters: tuple[Parameter, ...],
    noisier: Literal["higher", "lower"] | None,
    source: str,
    cifar_c: Sequence[float | Level],
    tiny_c: Sequence[float | Level],
    imagenet_c: Sequence[float | Level],
    imagenet_c_299: Sequence[float | Level],
    aliases: tuple[str, ...] = (),
    random: bool = True,
    fidelity: Fidelity = _NOT_COMPARED,
    channels: tuple[int, ...] = (),
    missing: Callable[[], str | None] = lambda: None,
) -> Callable[[_Prepare], _Prepare]:
    """Register the decorated function in CORRUPTIONS under its own name.

    The function takes the numbers of a level as positional arguments, named as in ``parameters``, and returns an Operator. The
    first line of its docstring becomes the summary.

    Args:
        group: Hendrycks' group: noise, blur, weather, digital or extra.
        parameters: What the numbers of a level mean.
        noisier: The direction in which levels become more severe, if they have one.
        source: Where the levels and the definition come from.
        cifar_c: Levels of severities 1 to 5 for images up to 48 px; with a single parameter they may be plain numbers.
        tiny_c: The same above 48 and up to 128 px.
        imagenet_c: The same above 128 px.
        imagenet_c_299: The same for 299 px.
        aliases: Other names that users may give.
        random: Whether its operator draws random words.
        fidelity: How the images compare with those of the published code.
        channels: The numbers of channels that images may have; empty if any number will do.
        missing: Returns why it cannot be applied here; None if it can.

    Returns:
        A decorator that returns the function unchanged.

    Raises:
        TypeError: If the function's arguments are not named as in ``parameters``.
        ValueError: If a level is out of bounds.
    """
    tables = (tuple(map(as_level, table)) for table in (cifar_c, tiny_c, imagenet_c, imagenet_c_299))
    levels = MappingProxyType(dict(zip(PROFILES, tables, strict=True)))

    def enter(prepare: _Prepare) -> _Prepare:
        _check_arguments(prepare, parameters)
        name, summary = prepare.__name__, (prepare.__doc__ or "").strip().splitlines()[0]
        entry = Corruption(name=name, group=group, aliases=aliases, parameters=parameters, noisier=noisier, levels=levels,
            source=source, summary=summary, prepare=prepare, random=random, fidelity=fidelity,
            channels=channels, missing=missing)  # fmt: skip
        for level in (level for table in levels.values() for level in table):
            entry.check(level)
        _table[name] = entry
        return prepare

    return enter


def _check_arguments(prepare: Callable[..., Operator], parameters: Sequence[Parameter]) -> None:
    """Raise TypeError unless the arguments of a corruption's function are named as its parameters."""
    arguments, names = tuple(inspect.signature(prepare).parameters), tuple(parameter.name for parameter in parameters)
    if arguments != names or not names:
        raise TypeError(f"{prepare.__name__} takes ({', '.join(arguments)}), but its parameters are named ({', '.join(names)})")


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
    if word == "common":
        return tuple(entry.name for entry in CORRUPTIONS.values() if entry.group in _OF_MCE)
    if word in GROUPS:
        return tuple(entry.name for entry in CORRUPTIONS.values() if entry.group == word)
    return ()


def names_with_level(word: str) -> tuple[str, ...]:
    """The same for a word that a custom level follows: ``blur=0.7`` is Gaussian blur, and no group.

    >>> names_with_level("blur"), names_with_level("gaussian")
    (('gaussian_blur',), ('gaussian_noise',))
    """
    single = _GIVEN_BY_ONE_NUMBER.get(word.strip().lower())
    return (single,) if single else names_of(word)


def put_in_order() -> None:
    """Sort CORRUPTIONS by group; within a group, those entered first come first."""
    order = list(GROUPS)
    entries = sorted(_table.values(), key=lambda entry: order.index(entry.group))
    _table.clear()
    _table.update((entry.name, entry) for entry in entries)


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
