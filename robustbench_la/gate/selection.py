"""Selects the conditions of a baseline to judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from robustbench_la.errors import NothingSelectedError
from robustbench_la.records.cells import Condition
from robustbench_la.records.snapshot import Snapshot
from robustbench_la.store.schema import EVERYTHING, Selection

Filter = Callable[[Condition], bool]


def only_these(selection: Selection) -> Filter | None:
    """A filter for the conditions that a selection includes; None if it includes all of them."""
    return None if selection == EVERYTHING else selection.fits


def to_measure(baseline: Snapshot, only: Filter | None) -> Snapshot:
    """The part of a baseline that is to be measured again.

    Raises:
        NothingSelectedError: If no condition matches.
    """
    answers = tuple(one for one in baseline.answers if only is None or only(one.condition))
    if not answers:
        raise NothingSelectedError("the baseline holds no condition" + ("" if only is None else " that matches"))
    fluctuations = tuple(one for one in baseline.fluctuations if only is None or only(one.condition))
    return dataclasses.replace(baseline, answers=answers, fluctuations=fluctuations)
