"""What a comparison is to show: by activation or checkpoint, which metric, which columns, in which order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from robustbench_la.analysis.comparison.contenders import Against, By
from robustbench_la.analysis.metrics.means import Detail
from robustbench_la.analysis.tables.table import Column
from robustbench_la.errors import UserError, did_you_mean

BYS: tuple[By, ...] = ("activation", "checkpoint")
DETAILS: tuple[Detail, ...] = ("group", "corruption", "severity")
AGAINST: Mapping[str, tuple[Against, ...]] = MappingProxyType(
    {"counterpart": ("counterpart",), "best": ("best",), "both": ("counterpart", "best"), "none": ()}
)
"""What users say -> what layer-level activations are compared with."""
FIRST = "first"
"""Stands for the first checkpoint of a table."""


def against_of(word: str, by: By) -> tuple[tuple[Against, ...], str | None]:
    """What a word after ``--against`` asks for.

    Args:
        word: A key of AGAINST or, by checkpoint, FIRST or a checkpoint.
        by: What a row is.

    Returns:
        What layer-level activations are compared with, and the checkpoint that all others are compared with.

    Raises:
        UserError: For any other word.

    >>> against_of("best", "activation"), against_of("runs/relu.pt", "checkpoint")
    ((('best',), None), ((), 'runs/relu.pt'))
    """
    if word in AGAINST:
        return AGAINST[word], None
    if by == "checkpoint":
        return (), word
    raise UserError(f"--against {word!r} is unknown{did_you_mean(word, AGAINST)}; a checkpoint is for --by checkpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a comparison is to show."""

    by: By = "activation"
    metric: str = "top1"
    """A key of METRICS."""
    detail: Detail = "corruption"
    against: tuple[Against, ...] = ("counterpart", "best")
    opponent: str | None = None
    """The checkpoint that all others are compared with: FIRST, or a word as in Selection.checkpoints; None if there is none."""
    reference: str | None = None
    """What corruption errors are relative to: a checkpoint as in Selection.checkpoints, or AlexNet (``alexnet``, None)."""
    columns: tuple[str, ...] = ()
    """Names of the columns to show, in this order; empty for all."""
    sort: str | None = None
    intervals: bool = False
    tests: bool = False
    """Whether to add a table of every difference with its test."""
    layers: bool = False
    """Whether to compare layer records in place of accuracies."""
    sources: tuple[str, ...] = ()
    """Only images of these sources; both: published images beside those corrupted here; none: each in tables of its own."""
    allow_missing: bool = False


def without_effect(*, metric: str, detail: object, reference: object, published: object) -> str | None:
    """The first of these arguments that layers are compared without, if it is given."""
    given = {"metric": metric != "top1", "detail": detail, "reference": reference, "published": published}
    return next((name for name, value in given.items() if value), None)


class NoColumnError(UserError):
    """A column that was asked for is not among those of a table."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what + hint)
        self.what = what
        """The fact alone, without a hint at other columns."""


def chosen_columns(
    columns: Sequence[Column], request: Request, repeated: Sequence[Column] = (), absent: Mapping[str, str] = MappingProxyType({})
) -> tuple[Column, ...]:
    """The requested columns, in the requested order.

    Args:
        columns: All columns of the comparison.
        request: What to show.
        repeated: Further columns, which are shown only on request.
        absent: Columns that there could be -> why they are not there.

    Returns:
        The columns to show.

    Raises:
        NoColumnError: If a requested column does not exist.
    """
    reasons = {plain_name(name): reason for name, reason in absent.items()}
    for wanted in (*request.columns, request.sort or ""):
        if plain_name(wanted) in reasons:
            raise NoColumnError(f"no column {wanted!r}: {reasons[plain_name(wanted)]}")
    if not request.columns:
        return (*columns, *(column for column in repeated if plain_name(column.name) == plain_name(request.sort or "")))
    named = {plain_name(column.name): column for column in (*columns, *repeated)}
    return tuple(_column(named, wanted) for wanted in dict.fromkeys(request.columns))


def _column(named: dict[str, Column], wanted: str) -> Column:
    if plain_name(wanted) not in named:
        raise NoColumnError(f"no column {wanted!r}", did_you_mean(plain_name(wanted), named))
    return named[plain_name(wanted)]


def plain_name(name: str) -> str:
    """A column's name as users may type it.

    >>> plain_name("mean corr."), plain_name("Gaussian-noise 3")
    ('mean_corr', 'gaussian_noise_3')
    """
    return re.sub(r"[\s_-]+", "_", name.strip().strip(".").lower())
