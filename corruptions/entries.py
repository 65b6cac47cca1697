"""What a corruption is: its name, parameters, levels and fidelity, and the operator that applies it. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

Level = tuple[float, ...]
"""The strength of a corruption: one number per parameter, in the order of ``Corruption.parameters``."""
_LEAST = 1e-6
"""Below this the formulas of the noises lose precision."""


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
    whole: bool = False
    """Whether only whole numbers are accepted."""

    @property
    def range_text(self) -> str:
        """The values accepted, in words."""
        return f"{'above 0 and' if self.least == _LEAST else f'from {self.least:g}'} up to {self.bound:g}"

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
            raise ValueError(f"{corruption} takes a {called} {self.range_text} ({self.unit}), not {value:g}")
        if self.whole and value != int(value):
            raise ValueError(f"{corruption} takes a whole number as {called} ({self.unit}), not {value:g}")


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How the images compare with those of the published code."""

    kind: Literal["equal bytes", "equal in law", "not compared"]
    """Equal bytes: the same image for the same level. Equal in law: the same image for the same random draws, which have the same
    distribution; the draws themselves cannot be the same, since the published ones were not seeded."""
    remark: str
    """What was compared, and what differs; a sentence."""


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
    noisier: Literal["higher", "lower"] | None
    """The direction in which levels become more severe; with several parameters, that of the first one that differs. None if the
    published levels have no direction."""
    levels: Mapping[str, tuple[Level, ...]]
    """Profile -> levels of severities 1 to 5."""
    source: str
    summary: str
    prepare: Callable[..., Operator]
    """Builds the operator; takes the numbers of a level as positional arguments."""
    random: bool
    """Whether it draws random words; otherwise images and level decide everything."""
    fidelity: Fidelity
    missing: Callable[[], str | None]
    """Returns why it cannot be applied here, as a clause that says what to do; None if it can."""
    channels: tuple[int, ...]
    """The numbers of channels that images may have; empty if any number will do."""

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


def as_level(level: float | Sequence[float]) -> Level:
    """A level given as one number or as several, as a tuple of floats.

    >>> as_level(3), as_level((1.5, 2))
    ((3.0,), (1.5, 2.0))
    """
    return (float(level),) if isinstance(level, (int, float)) else tuple(map(float, level))
