"""``larobust corrupt``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_la.cli import completion, options, plan_flags
from robustbench_la.cli.plan_flags import PlanFlags
from robustbench_la.cli.streams import say

if TYPE_CHECKING:
    from robustbench_la.writing.preparing import Writing
    from robustbench_la.writing.write import Written

HELP = """Write corrupted images, in the layouts of ImageNet-C and CIFAR-10-C.

They are the images that `larobust eval` measures on, for other programs. To continue an interrupted run, give the same command
again: it ends with the same bytes."""
EXAMPLE = "Example: larobust corrupt --data folder:photos --noise all -o photos-c"

Folder = Annotated[
    str,
    typer.Option(
        "--output", "-o", metavar="DIR", help="Folder to write into.", show_default=False, rich_help_panel=options.OUTPUT
    ),
]
Noise = Annotated[
    list[str] | None,
    typer.Option(
        "--noise",
        metavar="NAMES",
        help="Corruption, group or custom levels, as for `larobust eval` (default paper). Repeatable.",
        autocompletion=completion.corruptions,
        rich_help_panel=options.NOISE,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="png (default): folders as in ImageNet-C, without loss; jpeg85: as JPEG, as there; npy: arrays as in CIFAR-10-C.",
        autocompletion=completion.formats_of_images,
        rich_help_panel=options.OUTPUT,
    ),
]
_USELESS = ("checkpoints", "checkpoint_table", *plan_flags.OF_NETWORKS, "labels", "label_map", "jpeg", "noise_seeds")


@plan_flags.with_plan_flags(*_USELESS, noise=Noise)
def command(
    flags: PlanFlags,
    output: Folder,
    format_: Format = None,
    download: options.Download = False,
    config: options.Config = None,
) -> None:
    """Read arguments, write, report."""
    from pathlib import Path

    from robustbench_la.models.checkpoints.present import check_present
    from robustbench_la.writing import request

    plan = plan_flags.plan_of(config, flags, purpose="corrupt")
    request.check_request(plan, Path(output), format_)  # before torch is imported
    check_present((), plan.data, download=download)
    from robustbench_la.models.allocator import keep_freed_memory
    from robustbench_la.progress import bar
    from robustbench_la.writing import preparing, write

    keep_freed_memory()
    meter = bar("images")
    writing = preparing.prepare_writing(plan, Path(output), form=format_, download=download, meter=meter)
    if plan.data is None:
        say(f"no --data given: using {writing.images.name}, the default")
    _announce(writing)
    try:
        written = write.write(writing, meter=meter)
    except KeyboardInterrupt:
        say(f"{output} is not finished; the same command goes on")
        raise
    say(outcome(written, output))


def _announce(writing: Writing) -> None:
    """Say on stderr what will be written, and how much."""
    from robustbench_la.measuring.descriptions import describe_images, describe_levels
    from robustbench_la.text import counted
    from robustbench_la.writing.write import largest_size, size_text

    for remark in writing.images.remarks:
        say(f"{writing.images.name}: {remark}")
    most = "" if writing.format == "npy" else "at most "
    levels = describe_levels(writing.conditions, writing.profile)
    say(
        f"{describe_images(writing.images)}; {levels}; noise seed {writing.seed}; "
        f"{counted(len(writing.conditions), 'condition')} as {writing.format}, {most}{size_text(largest_size(writing))}."
        + "".join(f" Left out: {reason}." for reason in writing.unmeasurable)
    )


def outcome(written: Written, output: str) -> str:
    """One line about what was written."""
    from robustbench_la.writing.write import size_text

    if not written.images:
        return f"{output} is finished already ({written.there:,} images)"
    before = f", {written.there:,} were there" if written.there else ""
    speed = f"{written.images / written.seconds:,.0f} images/s"
    return f"{output}: {written.images:,} images, {size_text(written.size)}, in {written.seconds:.1f} s ({speed}){before}"
