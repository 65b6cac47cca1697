"""``larobust baseline``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_la.cli import options, plan_flags
from robustbench_la.cli.plan_flags import PlanFlags
from robustbench_la.cli.streams import say

if TYPE_CHECKING:
    from pathlib import Path

    from robustbench_la.records.plan import EvaluationPlan
    from robustbench_la.records.snapshot import Snapshot

HELP = """Record the robustness of a checkpoint, for `larobust check` to judge later ones by.

The file is small, readable, and meant to be reviewed and committed like code."""
EXAMPLE = "Example: larobust baseline --ckpt model.pt --noise paper --limit 2000"

DEFAULT = "robustness-baseline.json"

Fluctuation = Annotated[
    bool,
    options.switch("--fluctuation", help="Also record how much activations fluctuate.", panel=options.COMPUTATION),
]
Update = Annotated[
    bool,
    options.switch(
        "--update",
        help="Replace the baseline: measure again by its own plan, changed by the flags given, and show what moved.",
        panel=options.OUTPUT,
    ),
]
Written = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", help="The baseline to write.", rich_help_panel=options.OUTPUT)
]


Checkpoint = Annotated[
    list[str] | None,
    typer.Option("--ckpt", metavar="FILE", help="The checkpoint to record: exactly one.", rich_help_panel=options.CHECKPOINT),
]


@plan_flags.with_plan_flags("checkpoint_table", "allow_code", "keep_going", checkpoints=Checkpoint)
def command(
    flags: PlanFlags,
    download: options.Download = False,
    config: options.Config = None,
    fluctuation: Fluctuation = False,
    update: Update = False,
    output: Written = DEFAULT,
) -> None:
    """Read arguments, measure, write, report what moved."""
    from pathlib import Path

    path = Path(output)
    old = _replaced(path, update=update)
    plan = plan_flags.plan_of(config, {**flags, "fluctuation": fluctuation or None})
    _check_not_measured(path, plan)
    plan_flags.check_inputs(plan, download=download)
    _measure_and_write(path, plan, old, flags=flags if old is not None and config is None else None, download=download)


def _replaced(path: Path, *, update: bool) -> Snapshot | None:
    """The baseline to update; None for a new one. Raises UserError if there must be one, or must not."""
    from robustbench_la.errors import UserError
    from robustbench_la.files import check_writable
    from robustbench_la.gate import baseline as baselines

    check_writable(path)
    if path.exists() and not update:
        raise UserError(f"{path} exists; give --update to replace it")
    return baselines.read_baseline(path, remedy=f"larobust baseline --ckpt model.pt -o {path}") if update else None


def _check_not_measured(path: Path, plan: EvaluationPlan) -> None:
    """Raise UserError for a baseline that would be written over a checkpoint."""
    from robustbench_la.errors import UserError
    from robustbench_la.files import is_same
    from robustbench_la.models.checkpoints.find import find_checkpoints

    if any(is_same(path, named.path) for named in find_checkpoints(plan.checkpoints)):
        raise UserError(f"-o {path} would overwrite what is measured")


def _measure_and_write(
    path: Path,
    plan: EvaluationPlan,
    old: Snapshot | None,
    *,
    flags: Mapping[str, object] | None,
    download: bool,
) -> None:
    """Measure by the plan or, with ``flags``, like the old baseline except for what they say; write and report."""
    from robustbench_la.cli.evaluate import announce
    from robustbench_la.gate import baseline as baselines
    from robustbench_la.gate.recorded import recorded
    from robustbench_la.measuring import for_gate, session
    from robustbench_la.models.allocator import keep_freed_memory
    from robustbench_la.progress import bar
    from robustbench_la.text import counted

    keep_freed_memory()
    meter, given = bar("images"), for_gate.given(plan)
    if old is None or flags is None:
        ready = for_gate.prepared(session.prepare_evaluation(plan, download=download, meter=meter))
        plan_flags.report_default_data(plan, ready.evaluation)
    else:
        ready = for_gate.prepare_by_baseline(old, flags, download=download, renew=True, meter=meter)
        given = {**old.given, **given}
    announce(ready.evaluation)
    wanted = plan.fluctuation or (old is not None and bool(old.fluctuations))
    new = for_gate.measure_snapshot(ready, fluctuation=wanted, said=given, meter=meter)
    if old is not None:
        _show_what_moved(old, new)
    size = baselines.write_baseline(path, for_gate.with_content(new, ready))
    for line in recorded(new):
        say(line, on=sys.stdout)
    conditions = counted(len(new.answers), "condition")
    say(f"{path}: {conditions} of {new.images:,} images, {size / 1000:,.1f} kB")
    code = f" --arch {shlex.quote(plan.arch)}" if plan.arch is not None else ""  # a baseline runs no code that is not named again
    say(f"Next: larobust check --baseline {shlex.quote(str(path))} --ckpt NEW.pt{code}")


def _show_what_moved(old: Snapshot, new: Snapshot) -> None:
    """Print the table of ``larobust check`` with no tolerance: every significant change counts."""
    from fractions import Fraction

    from robustbench_la.errors import NotComparableError
    from robustbench_la.gate import judge, report
    from robustbench_la.gate.tolerances import Rules
    from robustbench_la.output import terminal

    try:
        verdict = judge.judge(old, new, Rules(drop=Fraction(0), rise=Fraction(0)))
    except NotComparableError as error:
        say(f"cannot show what moved: {error}")
        return
    terminal.show(report.verdict_tables(verdict))
    say(report.about(verdict))
