"""``larobust preview``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_la.cli import options, plan_flags
from robustbench_la.cli.plan_flags import PlanFlags
from robustbench_la.cli.streams import say
from robustbench_la.errors import UserError
from robustbench_la.records.published_sets import is_published

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from robustbench_la.measuring.session import Evaluation
    from robustbench_la.records.plan import EvaluationPlan

HELP = """Show images under corruptions, with exactly the pixels that `larobust eval` measures on.

Rows are corruptions; columns are the clean image and its severities, with the level below. Where each corruption has one
level, several images share a grid. With --ckpt, what a network takes each image for is below it: ✓ right, ✗ wrong."""
EXAMPLE = "Example: larobust preview --data mnist:data --image 7 -o grid.png"

Image = Annotated[
    list[str] | None,
    typer.Option(
        "--image",
        metavar="INDEX|FILE",
        help="Index of an image in the dataset, or an image file, also from elsewhere. Repeatable. (default: the first of the "
        "permutation of --limit)",
        rich_help_panel=options.IMAGES,
    ),
]
Limit = Annotated[
    int | None,
    options.value("--limit", "IMAGES", options.IMAGES, "Show IMAGES images: those that `larobust eval --limit` measures."),
]
Noise = Annotated[
    list[str] | None,
    typer.Option(
        "--noise",
        metavar="NAMES",
        help="Corruption, group or custom levels, as for `larobust eval` (default all). Repeatable.",
        autocompletion=options.completion.corruptions,
        rich_help_panel=options.NOISE,
    ),
]
Written = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="File to write: .png, .svg, .pdf (a page per image) or .html (default preview.png).",
        show_default=False,
        rich_help_panel=options.OUTPUT,
    ),
]


@plan_flags.with_plan_flags("noise_seeds", limit=Limit, noise=Noise)
def command(flags: PlanFlags, download: options.Download = False, image: Image = None, output: Written = "preview.png") -> None:
    """Read arguments, corrupt, draw, write."""
    everything = None if is_published(flags.get("data")) else ["all"]  # of a set: what it holds
    plan = plan_flags.plan_of(None, {**flags, "noise": flags.get("noise") or everything})
    _check_use(flags)
    from pathlib import Path

    from robustbench_la.files import is_there
    from robustbench_la.output.previews.files import check_path, save

    path, words = Path(output), image or []
    check_path(path)
    _check_place(path, plan, words)
    _check_inputs(plan, words, download=download)
    from robustbench_la.measuring.preview import check_size, prepare_preview, preview_of

    evaluation = prepare_preview(plan, words, download=download, go_on=plan_flags.go_on_without(plan))
    check_size(evaluation)
    _announce(plan, evaluation, words)
    preview = preview_of(evaluation)
    say(preview.about)
    replaced = is_there(path)
    save(preview, path)
    say(f"{output} written{', in place of the file that was there' if replaced else ''}")
    plan_flags.finish(evaluation)


def _check_use(flags: PlanFlags) -> None:
    """Raise UserError for flags about networks, when there is none."""
    from robustbench_la.wording import as_flags

    given = dict(flags)
    if plan_flags.is_given(given["checkpoints"]) or given["checkpoint_table"] is not None:
        return
    for name in plan_flags.OF_NETWORKS:
        if plan_flags.is_given(given.get(name)):
            raise UserError(f"{as_flags({name: True}).strip()} is about a network, and none is given; add --ckpt, or omit it")


def _check_inputs(plan: EvaluationPlan, words: Sequence[str], *, download: bool) -> None:
    """Raise UserError for what is not there, before torch is imported."""
    import sys

    from robustbench_la.images.chosen import places_of

    plan_flags.check_inputs(plan, download=download)
    places_of(words, sys.maxsize, "")


def _check_place(path: Path, plan: EvaluationPlan, words: Sequence[str]) -> None:
    """Raise UserError for a file that would overwrite what is read, or become an image of the dataset."""
    from pathlib import Path

    from robustbench_la.files import at_home, is_same, is_there

    if any(is_there(at_home(word)) and is_same(at_home(word), path) for word in words):
        raise UserError(f"{path} would overwrite an image that is shown; give another file name")
    if plan.checkpoints:
        plan_flags.check_outputs([path], plan, None, None)
    kind, _, root = (plan.data or "").partition(":")
    if kind in ("folder", "imagenet") and root:
        try:
            inside = path.resolve().parent.relative_to(at_home(root).resolve())
        except (ValueError, OSError, RuntimeError):
            return
        if inside != Path():
            raise UserError(f"{path} is among the images of {plan.data}, and would be taken for one; write it elsewhere")


def _announce(plan: EvaluationPlan, evaluation: Evaluation, words: Sequence[str]) -> None:
    """Say on stderr which images are shown if none were given, and how checkpoints were made to fit."""
    if plan.data is None and evaluation.images.classes:
        plan_flags.report_default_data(plan, evaluation)
    if not words and plan.limit is None:
        say(f"no --image given: image {evaluation.images.ids[0]} is shown")
    plan_flags.announce_networks(evaluation)
