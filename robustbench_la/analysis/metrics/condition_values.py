"""One number per network and condition: the starting point of every metric. Computes no means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from robustbench_la.analysis.groups.groups import Group
from robustbench_la.analysis.metrics.formulas import Curve
from robustbench_la.records.cells import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Errors of the network that corruption errors are relative to."""

    name: str
    errors: Mapping[str, Curve]
    """Corruption -> severity -> error."""
    clean_error: float | None
    """None if it was not measured on clean images."""
    profile: str | None = None
    """The level table that its errors belong to; None if it was measured under the same conditions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionValues:
    """One value per network and condition of a group; None where it was not measured."""

    group: Group
    conditions: tuple[Condition, ...]
    rows: tuple[Mapping[Condition, float | None], ...]
    """One per network, in the group's order."""
    reference: Reference | None

    def by_severity(self, row: int, corruption: str) -> dict[int, float | None]:
        """The values of one network under one corruption.

        Args:
            row: Index of the network.
            corruption: Name of the corruption.

        Returns:
            Severity -> value, None where it was not measured.

        Raises:
            ValueError: If the corruption was measured at custom levels.
        """
        values = {}
        for condition in self.conditions:
            if condition.corruption == corruption:
                if condition.severity is None:
                    levels = "these are custom levels" if condition.is_custom else "the set has none"
                    raise ValueError(f"this metric is defined over severities, but {levels}")
                values[condition.severity] = self.rows[row][condition]
        return values

    def errors(self, row: int) -> dict[str, dict[int, float | None]]:
        """1 - accuracy of one network, by corruption and severity; None where it was not measured."""
        return {
            name: {severity: None if value is None else 1 - value for severity, value in self.by_severity(row, name).items()}
            for name in self.group.corruptions
        }
