"""What is asked of writing, checked as far as it can be without torch and without the images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from corruptions.registry import SEVERITIES
from robustbench_la.errors import UserError, lookup
from robustbench_la.files import at_home
from robustbench_la.images.datasets import check_name
from robustbench_la.images.folders import is_split
from robustbench_la.records.noise_words import parse_noise, parse_severities
from robustbench_la.records.plan import EvaluationPlan
from robustbench_la.records.published_sets import is_published
from robustbench_la.writing import layouts
from robustbench_la.writing.folder import check_output

DEFAULT_FORMAT = "png"
"""Its images are those that ``larobust eval`` measures on; JPEG changes them."""


def check_request(plan: EvaluationPlan, output: Path, form: str | None) -> str:
    """Check data, format, severities and the folder to write into.

    Args:
        plan: As for ``prepare_writing``.
        output: The folder to write into.
        form: A key of layouts.FORMATS; DEFAULT_FORMAT if not given.

    Returns:
        The format.

    Raises:
        UserError: For the first thing that does not fit.
    """
    form = format_of(form, plan)
    if plan.data is not None:
        check_name(plan.data)
    if plan.data is not None and is_published(plan.data):
        kind = plan.data.partition(":")[0]
        raise UserError(f"the images of {kind} are corrupted already: only eval, baseline and check take them; give other --data")
    noise = parse_noise(plan.noise)
    by_severity = any(not levels for _, levels in noise)
    check_arrays(
        form,
        custom=any(levels for _, levels in noise),
        severities=parse_severities([str(part) for part in plan.severity]) if by_severity else SEVERITIES,
    )
    _check_apart(output, plan.data or "")
    check_output(output)
    return form


def check_arrays(form: str, *, custom: bool, severities: Sequence[int | None]) -> None:
    """Raise UserError for arrays of other levels than the five severities. custom: whether there are custom levels."""
    if form == "npy" and custom:
        raise UserError("an array holds the five severities of a corruption; for custom levels give --format png")
    if form == "npy" and set(severities) != set(SEVERITIES):
        raise UserError(
            "an array holds the five severities of a corruption, one after another, and readers count on that; give --severity "
            "1-5, or --format png"
        )


def format_of(form: str | None, plan: EvaluationPlan) -> str:
    """The format. Raises UserError for an unknown one, and for what a plan says that it does not do."""
    form = form or ("jpeg85" if plan.jpeg == layouts.QUALITY else DEFAULT_FORMAT)
    if plan.jpeg is not None and (form, plan.jpeg) != ("jpeg85", layouts.QUALITY):
        raise UserError(f"the plan says JPEG of quality {plan.jpeg}, which is not how {form} stores images; leave jpeg out")
    lookup(layouts.FORMATS, form, kind="format")
    if plan.noise_seeds > 1:
        raise UserError("a folder holds images of one noise seed; for each of several, give --noise-seed and its own folder")
    return form


def _check_apart(output: Path, data: str) -> None:
    """Raise UserError for a folder within the images of which it would become a class."""
    kind, _, root = data.partition(":")
    folder = at_home(root)
    try:
        inside = kind == "folder" and output.resolve().is_relative_to(folder.resolve()) and not is_split(folder)
    except (OSError, ValueError, RuntimeError):  # no path; opening it will report why
        return
    if inside:
        raise UserError(f"{output} is within {folder}, where it would be taken for a class of images; give a folder elsewhere")
