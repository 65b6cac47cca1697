"""``larobust check``."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robustbench_la.cli import filters, options
from robustbench_la.cli.baseline import DEFAULT
from robustbench_la.cli.check_outputs import Outputs, reported_under_actions
from robustbench_la.cli.plan_flags import PlanFlags, is_given, with_plan_flags
from robustbench_la.cli.streams import say
from robustbench_la.errors import RunError, UserError
from robustbench_la.wording import as_flags

if TYPE_CHECKING:
    from robustbench_la.gate.tolerances import Rules
    from robustbench_la.gate.verdict import Verdict
    from robustbench_la.records.cells import Condition
    from robustbench_la.records.snapshot import Snapshot

HELP = """Judge a checkpoint by a baseline: exit code 1 if its robustness got worse.

The plan (images, noise, levels, seed) is the baseline's. With --results nothing is measured and torch is not needed.

Exit codes: 0 no regression; 1 a regression (with --strict also what is inconclusive); 2 a mistake in the input; 3 could not run
here; 4 not comparable: no baseline, other data, noise or preprocessing; 5 nothing selected; 130 interrupted."""
EXAMPLE = "Example: larobust check --ckpt model.pt --max-drop 1.0 --max-drop clean:0.5"

_OF_THE_BASELINE = (
    "checkpoint_table",
    "allow_code",
    "keep_going",
    "channels",
    "interpolation",
    "jpeg",
    "resize",
    "crop",
    "limit",
    "noise",
    "severity",
    "profile",
    "noise_seed",
    "noise_seeds",
    "amp",
)
"""Keys of plans that check takes from the baseline, or that make no sense for a single checkpoint."""
REGRESSION = 1
"""The exit code of a regression, and of nothing else."""

RULES, BASELINE = "Rules", "Baseline"
BaselineFile = Annotated[
    str,
    typer.Option("--baseline", metavar="FILE", help="What `larobust baseline` has written.", rich_help_panel=BASELINE),
]
AllowMissingBaseline = Annotated[
    bool, options.switch("--allow-missing-baseline", help="Exit with 0 if there is no baseline yet.", panel=BASELINE)
]
Checkpoint = Annotated[
    list[str] | None,
    typer.Option(
        "--ckpt",
        metavar="FILE",
        help="Checkpoint to measure; with --results, which of the results to judge.",
        rich_help_panel=options.CHECKPOINT,
    ),
]
Results = Annotated[
    str | None,
    typer.Option(
        "--results",
        metavar="FILE",
        help="Judge what this store holds, and measure nothing.",
        rich_help_panel=options.CHECKPOINT,
    ),
]
MaxDrop = Annotated[
    list[str] | None,
    typer.Option(
        "--max-drop",
        metavar="POINTS",
        help="Points of accuracy that may be lost (default 1.0); for one corruption or mean alone: gaussian:2.0, clean:0.5, "
        "mean:0.5. Repeatable.",
        rich_help_panel=RULES,
    ),
]
MaxRise = Annotated[
    list[str] | None,
    typer.Option(
        "--max-rise",
        metavar="RULE",
        help="By how much the relative fluctuation may rise (default fluctuation:10%).",
        rich_help_panel=RULES,
    ),
]
Significance = Annotated[
    float,
    typer.Option(
        "--alpha",
        metavar="LEVEL",
        help="Level of significance over all conditions; 1: the tolerance alone decides.",
        rich_help_panel=RULES,
    ),
]
Strict = Annotated[
    bool,
    options.switch(
        "--strict",
        help="Fail also what is inconclusive: accuracy fell, and the images are too few to tell by how much. For releases.",
        panel=RULES,
    ),
]
DataHere = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DATASET",
        help="Where the baseline's images are on this machine, such as mnist:data.",
        rich_help_panel=options.IMAGES,
    ),
]
Junit = Annotated[
    str | None, typer.Option("--junit", metavar="FILE", help="Write a JUnit report.", rich_help_panel=options.OUTPUT)
]
Summary = Annotated[
    str | None,
    typer.Option(
        "--summary",
        metavar="FILE",
        help="Write Markdown; - prints it instead of the table (default: $GITHUB_STEP_SUMMARY, if set).",
        rich_help_panel=options.OUTPUT,
    ),
]


@with_plan_flags(*_OF_THE_BASELINE, checkpoints=Checkpoint, data=DataHere)
def command(
    flags: PlanFlags,
    baseline: BaselineFile = DEFAULT,
    results: Results = None,
    max_drop: MaxDrop = None,
    max_rise: MaxRise = None,
    alpha: Significance = 0.05,
    strict: Strict = False,
    noise: filters.Noise = None,
    severity: filters.Severity = None,
    download: options.Download = False,
    junit: Junit = None,
    summary: Summary = None,
    json_: options.Json = False,
    allow_missing_baseline: AllowMissingBaseline = False,
) -> None:
    """Read arguments, judge, print, exit."""
    with reported_under_actions():
        ckpt = flags["checkpoints"]
        if ckpt is not None and len(ckpt) > 1:
            raise UserError(f"one checkpoint is judged at a time, not {len(ckpt)} ({', '.join(ckpt)})")
        one = ckpt[0] if ckpt else None
        for option, word in {"baseline": baseline, "ckpt": one, "results": results, "junit": junit, "summary": summary}.items():
            if word == "" or (option == "junit" and word == "-"):
                raise UserError(f"--{option} takes a file, not {word!r}")
        source = _Source(one, results, {**flags, "download": download or None}, {"noise": noise, "severity": severity})
        from robustbench_la.gate.baseline import corruptions_in
        from robustbench_la.gate.tolerances import parse_rules

        rules = parse_rules(max_drop or (), max_rise or (), alpha, lambda: corruptions_in(Path(baseline)))
        outputs = Outputs(junit, summary, json_)
        outputs.check({"the baseline": baseline, "what is judged": one, "the store": results})
        verdict = _verdict(Path(baseline), source, rules, allow_missing=allow_missing_baseline)
        failures = outputs.publish(verdict, strict=strict)
    if verdict.failing(strict=strict):  # whatever happened to the reports
        for failure in failures:
            say(failure)
        raise typer.Exit(REGRESSION)
    if failures:
        raise RunError("; ".join(failures))


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the answers come from, by the flags of the command; None for flags that were not given."""

    ckpt: str | None
    results: str | None
    flags: Mapping[str, Any]
    only: Mapping[str, Any]
    """The conditions to judge."""

    def snapshot(self, known: Snapshot, only: Callable[[Condition], bool] | None) -> Snapshot:
        """Measured, or from the store."""
        given = {name: value for name, value in self.flags.items() if is_given(value)}
        if self.results is None:
            if self.ckpt is None:
                raise UserError(
                    "nothing to judge: --ckpt model.pt measures a checkpoint, --results runs/results.sqlite reads results"
                )
            from robustbench_la.gate.selection import to_measure

            return _measured(to_measure(known, only), given)
        from robustbench_la.gate.from_store import TELLING, from_store
        from robustbench_la.images.normalization import canonical

        given.pop("checkpoints", None)
        if idle := [f"--{name.replace('_', '-')}" for name in given if name not in TELLING]:
            raise UserError(f"--results measures nothing, so {', '.join(idle)} would do nothing")
        if "normalize" in given:
            given["normalize"] = canonical(str(given["normalize"]))
        return from_store(Path(self.results), known, self.ckpt, given)


def _verdict(path: Path, source: _Source, rules: Rules, *, allow_missing: bool) -> Verdict:
    from robustbench_la.files import is_missing
    from robustbench_la.gate import baseline as baselines
    from robustbench_la.gate.judge import check_rules, judge
    from robustbench_la.gate.verdict import Verdict

    given = as_flags({**source.flags, **source.only, "checkpoints": source.ckpt or "model.pt"})
    remedy = f"larobust baseline{given} -o {shlex.quote(str(path))}"
    if allow_missing and is_missing(path):
        return Verdict(
            judgements=(), rules=rules, baseline=None, now=None, remarks=(f"there is no {path}; make it with: {remedy}",)
        )
    known = baselines.read_baseline(path, remedy=remedy)
    if "fluctuation" in rules.named and not known.fluctuations:
        remedy = f"larobust baseline --ckpt {known.network.checkpoint} -o {path}"  # what is judged would become the baseline
        raise UserError(f"{path} holds no fluctuation; add it with: {remedy} --fluctuation --update")
    only = _filter(known, source.only)
    check_rules(known, rules, only)  # before anything is measured
    now = source.snapshot(known, only)
    if "fluctuation" in rules.named and not now.fluctuations:
        raise UserError(f"{source.results} holds no fluctuation of {now.network.checkpoint}; `larobust fluctuation` measures it")
    return judge(known, now, rules, only=only)


def _filter(known: Snapshot, words: Mapping[str, list[str] | None]) -> Callable[[Condition], bool] | None:
    """Which conditions of a baseline are meant; None for all."""
    if not any(words.values()):
        return None
    from robustbench_la.gate.selection import only_these
    from robustbench_la.store.filters import select

    return only_these(select(noise=words["noise"], severities=words["severity"], of=known.corruptions))


def _measured(known: Snapshot, flags: dict[str, object]) -> Snapshot:
    from robustbench_la.models.checkpoints.present import check_present

    download, checkpoints = bool(flags.pop("download", False)), flags.get("checkpoints")
    check_present(checkpoints if isinstance(checkpoints, list) else (), str(flags.get("data", known.data)), download=download)
    from robustbench_la.cli.evaluate import announce
    from robustbench_la.measuring import for_gate
    from robustbench_la.models.allocator import keep_freed_memory
    from robustbench_la.progress import bar

    keep_freed_memory()
    meter = bar("images")
    ready = for_gate.prepare_by_baseline(known, flags, download=download, meter=meter)
    announce(ready.evaluation)
    return for_gate.measure_snapshot(ready, fluctuation=bool(known.fluctuations), said={}, meter=meter)
