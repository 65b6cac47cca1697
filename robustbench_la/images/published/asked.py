"""What is asked of a published set: settings that have no effect on it, and corruptions that it lacks, are refused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from corruptions import names_of
from robustbench_la.errors import UserError, did_you_mean
from robustbench_la.images.decoding import ImageChoice, open_dataset
from robustbench_la.images.published.base import PublishedSet
from robustbench_la.records.plan import EvaluationPlan
from robustbench_la.records.published_sets import is_published

_AS_MADE = "its noise and levels are those of its authors"
_AS_SIZED = "its images are measured in the size in which they were published; another one would change results"
_USELESS: Mapping[str, str] = MappingProxyType(
    {
        "noise_seed": _AS_MADE,
        "noise_seeds": _AS_MADE,
        "profile": _AS_MADE,
        "frost_textures": _AS_MADE,
        "jpeg": "its images are stored as its authors stored them",
        "resize": _AS_SIZED,
        "crop": _AS_SIZED,
        "interpolation": _AS_SIZED,
        "channels": "its images are measured with the channels with which they were published; others would change results",
    }
)
"""Key of a plan -> why it has no effect."""


def check_settings(plan: EvaluationPlan, name: str) -> None:
    """Raise UserError for a setting that has no effect on a published set, and for custom levels; the set is not opened.

    Args:
        plan: The plan.
        name: The kind of the set, such as ``cifar10-c``.
    """
    for setting, why in _USELESS.items():
        if getattr(plan, setting) != type(plan).model_fields[setting].default:
            raise UserError(f"--{setting.replace('_', '-')} has no effect on {name}: {why}; omit it")
    custom = next((word for word in words_of(plan) if "=" in word), None)
    if custom is not None:
        raise UserError(f"{name} has no custom levels such as {custom}; name the corruption, and --severity")


def check_asked(plan: EvaluationPlan) -> None:
    """Raise UserError for what a plan asks of a published set that it lacks, before torch is imported; other data pass."""
    if plan.data is None or not is_published(plan.data):
        return
    check_settings(plan, plan.data.partition(":")[0])
    if plan.model_fields_set & {"noise", "severity"}:
        published = open_dataset(ImageChoice(plan.data)).source.published
        assert published is not None
        asked_names(plan, published)


def words_of(plan: EvaluationPlan) -> list[str]:
    """What the plan says of noise, word by word."""
    return [word.strip() for text in plan.noise for word in text.split(",")]


def asked_names(plan: EvaluationPlan, published: PublishedSet) -> tuple[list[str], tuple[str, ...]]:
    """The corruptions of a set that a plan asks for; and what was left out of groups.

    Raises:
        UserError: If the set lacks what is named, or has no severities.
    """
    names, left_out = _names(plan, published)
    if "severity" in plan.model_fields_set and any(None in published.held[name] for name in names):
        raise UserError(f"{published.name} has a single level per corruption; omit --severity")
    return names, left_out


def _names(plan: EvaluationPlan, published: PublishedSet) -> tuple[list[str], tuple[str, ...]]:
    if "noise" not in plan.model_fields_set:
        return list(published.held), ()
    names: dict[str, None] = {}
    left_out: dict[str, None] = {}
    for word in words_of(plan):
        if word == "clean":
            continue
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
