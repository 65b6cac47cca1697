"""Which conditions can be measured here: a corruption may need files that are not installed."""

from __future__ import annotations

from corruptions import CORRUPTIONS
from corruptions.registry import names_with_level
from corruptions.textures import look_in
from robustbench_la.errors import UserError
from robustbench_la.files import at_home
from robustbench_la.records.cells import Condition
from robustbench_la.records.plan import EvaluationPlan


def conditions_here(plan: EvaluationPlan, *, height: int, width: int) -> tuple[list[Condition], tuple[str, ...]]:
    """The conditions of a plan that can be measured here.

    Args:
        plan: The plan.
        height: Of the images, in pixels.
        width: The same.

    Returns:
        The conditions except clean; and why each corruption that a group of the plan stands for is left out.

    Raises:
        UserError: If a corruption that cannot be applied here is named itself, or the plan's conditions are wrong.
    """
    use_textures(plan.frost_textures)
    conditions = plan.conditions(height=height, width=width)
    reasons = {name: CORRUPTIONS[name].missing() for name in dict.fromkeys(one.corruption for one in conditions)}
    missing = {name: reason for name, reason in reasons.items() if reason is not None}
    words = [word.partition("=")[0] for text in plan.noise for word in text.split(",")]
    for name, reason in missing.items():
        if any(names_with_level(word) == (name,) for word in words):
            raise UserError(reason)
    return [one for one in conditions if one.corruption not in missing], tuple(missing.values())


def check_available(condition: Condition) -> None:
    """Raise UserError if the corruption of a condition cannot be applied here."""
    entry = CORRUPTIONS.get(condition.corruption)
    if entry is not None and (reason := entry.missing()) is not None:
        raise UserError(reason)


def use_textures(folder: str | None) -> None:
    """Take the photographs of frost from a folder, if one is given. Raises UserError if it does not have them."""
    if folder is not None:
        try:
            look_in(at_home(folder))
        except (ValueError, OSError) as error:
            raise UserError(f"--frost-textures {folder}: {error}") from None
