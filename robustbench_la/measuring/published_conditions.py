"""Which conditions of a published set a plan asks for, each with what identifies its images."""

from __future__ import annotations

from collections.abc import Sequence

from corruptions import names_of
from robustbench_la.errors import UserError, did_you_mean
from robustbench_la.images.published.base import PublishedSet
from robustbench_la.progress import Meter, silent
from robustbench_la.records.cells import CLEAN, Condition
from robustbench_la.records.noise_words import parse_severities
from robustbench_la.records.plan import EvaluationPlan
from robustbench_la.text import some

_AS_MADE = "its noise and levels are those of its authors"
_AS_SIZED = "its images are measured in the size in which they were published; another one would change results"
_USELESS = {
    "noise_seed": _AS_MADE,
    "noise_seeds": _AS_MADE,
    "profile": _AS_MADE,
    "frost_textures": _AS_MADE,
    "jpeg": "its images are stored as its authors stored them",
    "resize": _AS_SIZED,
    "crop": _AS_SIZED,
    "interpolation": _AS_SIZED,
    "channels": _AS_SIZED,
}
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
    for setting, why in _USELESS.items():
        if getattr(plan, setting) != type(plan).model_fields[setting].default:
            raise UserError(f"--{setting.replace('_', '-')} has no effect on {published.name}: {why}; omit it")
    names, left_out = _names(plan, published)
    wanted = parse_severities([str(part) for part in plan.severity])
    conditions = []
    for name in names:
        held = published.held[name]
        if None in held and "severity" in plan.model_fields_set:
            raise UserError(f"{published.name} has a single level per corruption; omit --severity")
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


def _names(plan: EvaluationPlan, published: PublishedSet) -> tuple[list[str], tuple[str, ...]]:
    """The corruptions that are asked for; and what was left out of groups."""
    words = [word.strip() for text in plan.noise for word in text.split(",")]
    if "noise" not in plan.model_fields_set:
        return list(published.held), ()
    names: dict[str, None] = {}
    left_out: dict[str, None] = {}
    for word in words:
        if word == "clean":
            continue
        if "=" in word:
            raise UserError(f"{published.name} has no custom levels such as {word}; name the corruption, and --severity")
        known = names_of(word)
        held = [name for name in known if name in published.held]
        if word in published.held:
            names[word] = None
        elif word == "all":
            names |= dict.fromkeys(published.held)
            left_out |= dict.fromkeys(name for name in known if held and name not in published.held)
        elif held:
            names |= dict.fromkeys(held)
            left_out |= dict.fromkeys(name for name in known if name not in published.held)
        else:
            raise UserError(f"{published.name} has no {word!r}{did_you_mean(word, published.held)}")
    missing = [name for name in left_out if name not in names]
    return list(names), (f"{', '.join(missing)}, which the set does not hold",) if missing else ()
