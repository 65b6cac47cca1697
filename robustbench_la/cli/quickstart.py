"""``larobust quickstart``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from robustbench_la.cli import options

HELP = """Train two small networks on real digits, corrupt the images, compare. Takes under a minute on a laptop."""
EXAMPLE = "Example: larobust quickstart"


Folder = Annotated[
    str,
    typer.Option("--output", "-o", metavar="DIR", help="Folder for the two checkpoints.", rich_help_panel=options.OUTPUT),
]


def command(output: Folder = "runs/quickstart") -> None:
    """Train what is missing, evaluate, print."""
    from robustbench_la.records.plan_file import read_plan

    plan = read_plan("quickstart", {}, purpose="train")
    from robustbench_la.cli.evaluate import announce, measure_and_print
    from robustbench_la.cli.train import outcome
    from robustbench_la.errors import UserError
    from robustbench_la.measuring import session
    from robustbench_la.models.allocator import keep_freed_memory
    from robustbench_la.progress import bar
    from robustbench_la.training import train
    from robustbench_la.training.jobs import prepare_jobs

    keep_freed_memory()
    meter = bar("images")
    jobs = prepare_jobs(plan, str(Path(output) / "{activation}.pt"), force=True, meter=meter)
    for job in jobs:
        if job.path.exists():
            print(f"{job.path} exists already; using it", file=sys.stderr)
            continue
        print(outcome(train.train(job, force=True, meter=meter)), file=sys.stderr)
    paths = [str(job.path) for job in jobs]
    try:
        trained = plan.model_copy(update={"checkpoints": paths, "activation": [], "arch": None})
        evaluation = session.prepare_evaluation(trained, meter=meter)
    except UserError as error:
        raise UserError(f"{error}; remove it, and quickstart trains it again") from None
    announce(evaluation)
    print(f"Digits are easy, so the levels are the strong ones of {plan.profile}, not those for small images.", file=sys.stderr)
    measure_and_print(evaluation, detail=False, as_json=False, output=None)
    print(
        "One seed and 500 images prove nothing yet. Next:\n"
        f"  larobust eval --ckpt '{output}/*.pt' --noise all --profile {plan.profile} --detail\n"
        "  larobust train --data digits --arch cnn --activation la_silu --activation silu --training-seed 11 --training-seed 22 "
        "-o 'runs/{activation}-{seed}.pt'",
        file=sys.stderr,
    )
