"""``larobust baseline``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_la.cli import measuring, options

if TYPE_CHECKING:
    from robustbench_la.records.answers import Snapshot

HELP = """Measure a checkpoint and write what `larobust check` judges later ones by.

The file is small, readable, and meant to be reviewed and committed like code.

Example: larobust baseline --ckpt model.pt --noise paper --limit 2000 -o robustness-baseline.json"""

DEFAULT = "robustness-baseline.json"
_BY_PLAN = ("resize", "crop", "limit", "noise", "severity", "profile", "noise_seed", "noise_seeds")
"""Options that change the plan of the baseline which is updated; --amp does too."""


def command(
    ckpt: options.Checkpoints = None,
    arch: options.Arch = None,
    activation: options.Activation = None,
    layeract_alpha: options.LayerActAlpha = None,
    normalize: options.Normalize = None,
    data: options.Data = None,
    download: options.Download = False,
    resize: options.Resize = None,
    crop: options.Crop = None,
    limit: options.Limit = None,
    noise: options.Noise = None,
    severity: options.Severity = None,
    profile: options.Profile = None,
    noise_seed: options.NoiseSeed = None,
    noise_seeds: options.NoiseSeeds = None,
    device: options.Device = None,
    batch_size: options.BatchSize = None,
    amp: options.Amp = False,
    config: options.Config = None,
    fluctuation: Annotated[bool, typer.Option("--fluctuation", help="Also hold how much activations move.")] = False,
    update: Annotated[
        bool,
        typer.Option("--update", help="Replace the baseline, measured by its own plan and what is said here; tell what moved."),
    ] = False,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="The baseline to write.")] = DEFAULT,
) -> None:
    """Read arguments, measure, write, say what moved."""
    given = locals()
    from pathlib import Path

    from robustbench_la.errors import UserError
    from robustbench_la.files import check_writable
    from robustbench_la.gate import baseline as baselines

    path = Path(output)
    check_writable(path)
    if path.exists() and not update:
        raise UserError(f"{path} exists; give --update to replace it")
    old = baselines.read_baseline(path, remedy=f"larobust baseline --ckpt model.pt -o {path}") if update else None
    plan = measuring.plan_of(config, given)
    from robustbench_la.cli.evaluate import announce
    from robustbench_la.measuring import answers, session
    from robustbench_la.progress import bar

    meter = bar("images")
    if any(path.resolve() == found.resolve() for found in session.find_checkpoints(plan.checkpoints)):
        raise UserError(f"-o {path} would overwrite what is measured")
    if old is None or config is not None:
        evaluation, said = session.prepare_evaluation(plan, download=download, meter=meter), answers.given(plan)
        answers.check_one(evaluation)
    else:
        flags = {name: given[name] for name in (*answers.GIVEN, "data", "device", "batch_size")}
        changed = {name: given[name] for name in _BY_PLAN if given[name] is not None} | ({"amp": True} if amp else {})
        evaluation = answers.prepare_by_baseline(
            old, {"checkpoints": ckpt, **flags}, changed=changed, download=download, meter=meter
        )
        said = {**old.given, **answers.given(plan)}
    announce(evaluation)
    wanted = plan.fluctuation or (old is not None and bool(old.fluctuations))
    new = answers.measure_snapshot(evaluation, fluctuation=wanted, said=said, meter=meter)
    if old is not None:
        _show_what_moved(old, new)
    size = baselines.write_baseline(path, new)
    conditions = measuring.count(len(new.answers), "condition")
    print(f"{path}: {conditions} of {new.images:,} images, {size / 1000:,.1f} kB", file=sys.stderr)


def _show_what_moved(old: Snapshot, new: Snapshot) -> None:
    """The table of ``larobust check`` on stdout, with no tolerance: whatever is significant counts."""
    from fractions import Fraction

    from robustbench_la.errors import NotComparableError
    from robustbench_la.gate import judge, report
    from robustbench_la.gate.rules import Rules
    from robustbench_la.output import terminal

    try:
        verdict = judge.judge(old, new, Rules(drop=Fraction(0), rise=Fraction(0)))
    except NotComparableError as error:
        print(f"what moved cannot be said: {error}", file=sys.stderr)
        return
    terminal.show(report.verdict_tables(verdict))
    print(report.about(verdict), file=sys.stderr)
