"""``larobust quickstart``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_la.cli import options, plan_flags
from robustbench_la.cli.streams import say

if TYPE_CHECKING:
    from robustbench_la.progress import Meter
    from robustbench_la.training.jobs import Job

HELP = """Train two small networks on real digits, corrupt the images, compare. Takes under a minute on a laptop."""
EXAMPLE = "Example: larobust quickstart"


Folder = Annotated[
    str,
    typer.Option("--output", "-o", metavar="DIR", help="Folder for the two checkpoints.", rich_help_panel=options.OUTPUT),
]


def command(output: Folder = "runs/quickstart", store: options.Store = None) -> None:
    """Train what is missing, evaluate what the store lacks, print."""
    from robustbench_la.records.plan_file import read_plan, shipped_configs

    plan = read_plan(str(shipped_configs() / "quickstart.yaml"), {}, purpose="train")
    from robustbench_la.cli.evaluate import announce, measure_and_print
    from robustbench_la.errors import UserError
    from robustbench_la.measuring import session
    from robustbench_la.models.allocator import keep_freed_memory
    from robustbench_la.progress import bar
    from robustbench_la.training.jobs import prepare_jobs

    keep_freed_memory()
    path = plan_flags.results_of(store, fresh=False, no_store=False)
    meter = bar("images")
    jobs = prepare_jobs(plan, str(Path(output) / "{activation}.pt"), force=True, meter=meter)
    for job in jobs:
        if job.path.exists():
            say(f"{job.path} exists already; using it")
            continue
        say(_trained(job, meter))
    paths = [str(job.path) for job in jobs]
    try:
        trained = plan.model_copy(update={"checkpoints": paths, "activation": [], "arch": None})
        evaluation = session.prepare_evaluation(trained, meter=meter)
    except UserError as error:
        raise UserError(f"{error}; remove it, and quickstart trains it again") from None
    announce(evaluation)
    say(f"Digits are easy, so the levels are the strong ones of {plan.profile}, not those for small images.")
    measure_and_print(evaluation, detail=False, as_json=False, output=None, store=path)
    kept = "" if store is None else f" --store {shlex.quote(store)}"
    say(f"The results are kept in {path}. One seed and 500 images prove nothing yet. Next:")
    say(f"  larobust compare --by checkpoint --ckpt '{output}/*.pt'{kept}")
    say(f"  larobust eval --ckpt '{output}/*.pt' --noise all --profile {plan.profile} --detail")
    say(
        "  larobust train --data digits --arch cnn --activation la_silu --activation silu --training-seed 11 --training-seed 22 "
        "-o 'runs/{activation}-{seed}.pt'"
    )


def _trained(job: Job, meter: Meter) -> str:
    """Train a network, from where an interrupted command left it; from the start if that is not one of these settings."""
    from robustbench_la.cli.train import outcome
    from robustbench_la.errors import RunError, UserError
    from robustbench_la.training import train

    try:
        return outcome(train.train(job, meter=meter))
    except UserError as error:
        if isinstance(error, RunError) or not job.unfinished.exists():
            raise
    say(f"{job.unfinished} is no training of this version of larobust; {job.path} is trained from the start")
    return outcome(train.train(job, force=True, meter=meter))
