"""Selects the conditions of a baseline to judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from robustbench_la.errors import NothingSelectedError
from robustbench_la.records.cells import Condition
from robustbench_la.records.snapshot import Answers, Snapshot
from robustbench_la.store.schema import EVERYTHING, Selection

Filter = Callable[[Condition], bool]


def only_these(selection: Selection) -> Filter | None:
    """A filter for the conditions that a selection includes; None if it includes all of them."""
    return None if selection == EVERYTHING else selection.fits


def selected(baseline: Snapshot, only: Filter | None) -> tuple[Answers, ...]:
    """The answers of a baseline that a filter keeps.

    Raises:
        NothingSelectedError: If there are none; the message says what there is.
    """
    answers = tuple(one for one in baseline.answers if only is None or only(one.condition))
    if not baseline.answers:
        raise NothingSelectedError("the baseline holds no condition; record one again with: larobust baseline --update")
    if not answers:
        there = ", ".join(dict.fromkeys(_described(baseline, one.condition) for one in baseline.answers))
        raise NothingSelectedError(f"the baseline holds no condition that matches --noise and --severity, only {there}")
    return answers


def _described(baseline: Snapshot, condition: Condition) -> str:
    """A corruption with all its severities, or a custom level."""
    name = condition.corruption
    severities = sorted({one.condition.severity or 0 for one in baseline.answers if one.condition.corruption == name} - {0})
    return f"{name} {', '.join(map(str, severities))}" if condition.severity else str(condition)


def to_measure(baseline: Snapshot, only: Filter | None) -> Snapshot:
    """The part of a baseline that is to be measured again.

    Raises:
        NothingSelectedError: If no condition matches.
    """
    answers = selected(baseline, only)
    fluctuations = tuple(one for one in baseline.fluctuations if only is None or only(one.condition))
    return dataclasses.replace(baseline, answers=answers, fluctuations=fluctuations)
