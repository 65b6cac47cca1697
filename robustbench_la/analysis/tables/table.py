"""What a table is: numbers with unit, direction and evidence. No text is laid out here: see output/."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a difference is based on; None where nothing was tested."""

    one: str
    """The side that the difference is positive for."""
    other: str
    test: str | None = None
    statistic: float | None = None
    p: float | None = None
    """Of this test alone."""
    corrected: float | None = None
    """The same after Holm's correction over the table."""
    effect: float | None = None
    """See seed_tests.SeedTest."""
    gained: int | None = None
    """Answers that only ``one`` has right."""
    lost: int | None = None
    """Answers that only ``other`` has right."""
    answers: int | None = None
    """Of each side."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval, its spread, and what it rests on; None where that is not known."""

    value: float
    low: float | None = None
    high: float | None = None
    deviation: float | None = None
    """Standard deviation over training seeds."""
    count: int | None = None
    """Training seeds."""
    noise_deviation: float | None = None
    """Standard deviation over noise seeds within a training seed."""
    evidence: Evidence | None = None


Value = float | int | str | Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What a column holds."""

    name: str
    kind: Literal["text", "percent", "number", "count"] = "text"
    """percent: a fraction, shown in percent."""
    better: Literal["higher", "lower"] | None = None
    """The direction in which a value is better; None where there is none."""
    label: bool = False
    """Whether it distinguishes rows although it is not text."""
    bar: bool = False
    """Whether a terminal draws a bar next to the number, as long as it is large."""
    grouped: bool = False
    """Whether a terminal leaves out a value that is the same in the row above."""
    intervals: bool = True
    """Whether people want to see the intervals of its numbers; files for programs hold them anyway."""
    signed: bool = False
    """Whether its numbers are differences, shown with their sign."""

    @property
    def is_label(self) -> bool:
        """Whether it is repeated in every block of a table that is too wide for one."""
        return self.label or self.kind == "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One value for each column."""

    values: tuple[Value, ...]
    is_difference: bool = False
    """A row of differences between the rows above it."""
    is_published: bool = False
    """Not measured here, but printed elsewhere: never the best of a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Numbers with their meaning."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    """What a reader must know to read it."""


def best(table: Table, index: int) -> float | None:
    """The best number of a column among what was measured here, where rows differ."""
    better = table.columns[index].better
    values = [number(row.values[index]) for row in table.rows if not (row.is_difference or row.is_published)]
    numbers = [value for value in values if value is not None]
    if better is None or len(set(numbers)) < 2:
        return None
    return max(numbers) if better == "higher" else min(numbers)


def number(value: Value) -> float | None:
    """The number alone; None for texts and gaps."""
    value = value.value if isinstance(value, Estimate) else value
    return None if isinstance(value, str) else value
