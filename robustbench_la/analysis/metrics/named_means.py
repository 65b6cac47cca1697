"""Means that the literature knows by name: which corruptions and severities each covers, and why it is missing where it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from robustbench_la.analysis.metrics.imagenet_c import COMMON, GROUP_MEMBERS, SEVERITIES
from robustbench_la.records.cells import Condition

_LISTED = 4
"""The largest number of missing corruptions that a reason lists by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedMean:
    """A mean over given corruptions at given severities, each condition with the same weight."""

    column: str
    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    definition: str

    def weights(self, conditions: Collection[Condition]) -> dict[Condition, float]:
        """The conditions of the mean with their weights; none unless all of them were measured."""
        members = [one for one in conditions if one.corruption in self.corruptions and one.severity in self.severities]
        complete = len(members) == len(self.corruptions) * len(self.severities)
        return dict.fromkeys(members, 1 / len(members)) if complete else {}

    def missing(self, conditions: Collection[Condition]) -> str:
        """Why the conditions do not make up the mean, in words; empty if they do."""
        if lacking := lacks(conditions, self.corruptions, self.severities):
            at = "severities 1 to 5" if self.severities == SEVERITIES else f"severity {self.severities[0]}"
            return f"{self.column} needs {len(self.corruptions)} corruptions at {at}; not measured: {lacking}"
        return ""


def lacks(conditions: Collection[Condition], corruptions: Sequence[str], severities: Sequence[int] = SEVERITIES) -> str:
    """The corruptions that were not measured at all of some severities, in words: by name, and with the severities if some were.

    >>> lacks([], ["fog", "snow"])
    'fog, snow'
    """
    measured = {(one.corruption, one.severity) for one in conditions}
    listed = []
    for name in corruptions:
        gaps = [severity for severity in severities if (name, severity) not in measured]
        if gaps:
            listed.append(name if len(gaps) == len(severities) else f"{name} {' '.join(map(str, gaps))}")
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return ", ".join(listed[:_LISTED]) + more


_ALL = tuple(name for names in GROUP_MEMBERS.values() for name in names)
NAMED_MEANS: Mapping[str, NamedMean] = MappingProxyType(
    {
        "mean-15": NamedMean(
            column="mean 15",
            corruptions=COMMON,
            severities=SEVERITIES,
            definition="mean over the 15 common corruptions and severities 1 to 5, the usual mean on ImageNet-C",
        ),
        "mean-19": NamedMean(
            column="mean 19",
            corruptions=_ALL,
            severities=SEVERITIES,
            definition="mean over all 19 corruptions and severities 1 to 5, the usual mean on CIFAR-C where the extra four count",
        ),
        "robustbench": NamedMean(
            column="RobustBench",
            corruptions=COMMON,
            severities=(5,),
            definition="mean over the 15 common corruptions at severity 5, as in RobustBench's tables (Croce et al. 2021)",
        ),
    }
)
"""Name of the metric -> its mean. Each is also a column of every metric that has means over conditions, shown on request."""


def named_columns(conditions: Sequence[Condition]) -> dict[str, dict[Condition, float]]:
    """Column -> weighted conditions, for the means of which all conditions were measured."""
    found = {one.column: one.weights(conditions) for one in NAMED_MEANS.values()}
    return {column: weights for column, weights in found.items() if weights}
