"""Which conditions of a published set a plan asks for, each with what identifies its images."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_la.errors import UserError
from robustbench_la.images.published.asked import asked_names, check_settings
from robustbench_la.images.published.base import PublishedSet
from robustbench_la.progress import Meter, silent
from robustbench_la.records.cells import CLEAN, Condition
from robustbench_la.records.noise_words import parse_severities
from robustbench_la.records.plan import EvaluationPlan
from robustbench_la.text import some

_MODIFIED = " (modified)"


def read_conditions(
    plan: EvaluationPlan, published: PublishedSet, meter: Meter = silent
) -> tuple[list[Condition], tuple[str, ...]]:
    """The conditions of a plan, among those that a set holds.

    Args:
        plan: The plan.
        published: The set.
        meter: Shows the progress of reading its files.

    Returns:
        The conditions except clean; and what groups of the plan name that the set does not hold.

    Raises:
        UserError: If the set lacks what is named, its files do not fit, or a setting would have no effect.
    """
    check_settings(plan, published.name)
    names, left_out = asked_names(plan, published)
    wanted = parse_severities([str(part) for part in plan.severity])
    conditions = []
    for name in names:
        held = published.held[name]
        for severity in held if None in held else wanted:
            if severity not in held:
                raise UserError(f"{published.name} has no severity {severity} of {name}; it has {', '.join(map(str, held))}")
            digest, modified = published.identify(name, severity, meter)
            profile = published.name + _MODIFIED * modified
            conditions.append(Condition(corruption=name, severity=severity, parameters=(), profile=profile, prebuilt=digest))
    return conditions, left_out


def sets_in_words(conditions: Sequence[Condition]) -> str:
    """Which images of a set are measured, and which of them are not the published ones."""
    read = [one for one in conditions if one != CLEAN]
    modified = list(dict.fromkeys(one.corruption for one in read if str(one.profile).endswith(_MODIFIED)))
    clean = "" if CLEAN in conditions else "; the set holds no clean images"
    if not modified:
        return f"images as published{clean}"
    if len(modified) == len({one.corruption for one in read}):
        return f"modified images, not those published{clean}"
    return f"images as published, except {some(modified)} (modified){clean}"
