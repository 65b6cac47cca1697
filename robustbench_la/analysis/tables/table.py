"""The table type: numbers with their unit, direction and evidence. Rendered in output/."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a difference is based on; fields are None if nothing was tested."""

    one: str
    """The side from which the other is subtracted."""
    other: str
    test: str | None = None
    statistic: float | None = None
    p: float | None = None
    """p-value of this test alone."""
    corrected: float | None = None
    """The same after Holm's correction over the table."""
    effect: float | None = None
    """See seed_tests.SeedTest."""
    gained: int | None = None
    """Number of answers that only ``one`` has right."""
    lost: int | None = None
    """Number of answers that only ``other`` has right."""
    answers: int | None = None
    """Number of answers of each side."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval, spread and evidence; None for what is not known."""

    value: float
    low: float | None = None
    high: float | None = None
    deviation: float | None = None
    """Standard deviation over training seeds."""
    count: int | None = None
    """Number of training seeds."""
    noise_deviation: float | None = None
    """Standard deviation over noise seeds, within a training seed."""
    evidence: Evidence | None = None


Value = float | int | str | Estimate | None
Kind = Literal["text", "percent", "number", "count"]
"""What a column holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The name, kind and display of a column."""

    name: str
    kind: Kind = "text"
    """percent: a fraction, shown in percent."""
    better: Literal["higher", "lower"] | None = None
    """The direction in which a value is better; None if there is none."""
    label: bool = False
    """Whether it identifies rows although it is not text."""
    bar: bool = False
    """Whether terminals draw a bar next to the number, proportional to it."""
    grouped: bool = False
    """Whether terminals leave out a value that repeats the row above."""
    intervals: bool = True
    """Whether intervals are shown to readers; machine-readable formats always contain them."""
    signed: bool = False
    """Whether its numbers are differences, shown with their sign."""

    @property
    def is_label(self) -> bool:
        """Whether it identifies rows, and so is repeated in every block of a table too wide for one."""
        return self.label or self.kind == "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One value for each column."""

    values: tuple[Value, ...]
    is_difference: bool = False
    """Whether it holds differences between other rows."""
    is_published: bool = False
    """Whether its numbers were published elsewhere, not measured here: never the best of a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A titled table with its columns, rows and notes."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    """What readers need to know to understand it."""
    paths: tuple[str, ...] = ()
    """Files and folders of the user's that its texts may name, as they name them."""


def best(table: Table, index: int) -> float | None:
    """The best measured number of a column; None if the column has no direction or all rows agree."""
    better = table.columns[index].better
    values = [number(row.values[index]) for row in table.rows if not (row.is_difference or row.is_published)]
    numbers = [value for value in values if value is not None]
    if better is None or len(set(numbers)) < 2:
        return None
    return max(numbers) if better == "higher" else min(numbers)


def number(value: Value) -> float | None:
    """The plain number of a value; None for text and gaps."""
    value = value.value if isinstance(value, Estimate) else value
    return None if isinstance(value, str) else value
