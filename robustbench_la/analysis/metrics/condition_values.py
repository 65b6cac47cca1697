"""One number per network and condition: what every metric starts from. No means, no text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from robustbench_la.analysis.groups.groups import Group
from robustbench_la.analysis.metrics.formulas import Curve
from robustbench_la.records.cells import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Errors that corruption errors are relative to."""

    name: str
    errors: Mapping[str, Curve]
    """Corruption -> severity -> error."""
    clean_error: float | None
    """None where it was not measured on clean images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionValues:
    """One value per network of a group and condition; None where it was not measured."""

    group: Group
    conditions: tuple[Condition, ...]
    rows: tuple[Mapping[Condition, float | None], ...]
    """In the order of the networks."""
    reference: Reference | None

    def by_severity(self, row: int, corruption: str) -> dict[int, float | None]:
        """The values of one network under one corruption.

        Raises:
            ValueError: for custom levels.
        """
        values = {}
        for condition in self.conditions:
            if condition.corruption == corruption:
                if condition.severity is None:
                    raise ValueError("this metric is defined over severities, and these are custom levels")
                values[condition.severity] = self.rows[row][condition]
        return values

    def errors(self, row: int) -> dict[str, dict[int, float | None]]:
        """1 - accuracy of one network, by corruption and severity; missing ones stay missing."""
        return {
            name: {severity: None if value is None else 1 - value for severity, value in self.by_severity(row, name).items()}
            for name in self.group.corruptions
        }
