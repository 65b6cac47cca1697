"""Which conditions of a baseline are judged, where not all are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection

from robustbench_la.errors import NothingSelectedError
from robustbench_la.records.answers import Snapshot
from robustbench_la.records.cells import Condition

Filter = Callable[[Condition], bool]


def only_these(corruptions: Collection[str], severities: Collection[int]) -> Filter | None:
    """Whether a condition is meant. None where all are: no corruptions and no severities are given."""
    if not corruptions and not severities:
        return None

    def only(condition: Condition) -> bool:
        named = not corruptions or condition.corruption in corruptions
        return named and (not severities or condition.severity in severities)

    return only


def to_measure(baseline: Snapshot, only: Filter | None) -> Snapshot:
    """The part of a baseline that is to be measured again.

    Raises:
        NothingSelectedError: Where nothing is.
    """
    answers = tuple(one for one in baseline.answers if only is None or only(one.condition))
    if not answers:
        raise NothingSelectedError("the baseline holds no condition" + ("" if only is None else " that matches"))
    fluctuations = tuple(one for one in baseline.fluctuations if only is None or only(one.condition))
    return dataclasses.replace(baseline, answers=answers, fluctuations=fluctuations)
