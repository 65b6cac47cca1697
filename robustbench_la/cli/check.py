"""``larobust check``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_la.cli import options
from robustbench_la.cli.baseline import DEFAULT

if TYPE_CHECKING:
    from robustbench_la.gate import Verdict
    from robustbench_la.records import Condition
    from robustbench_la.snapshot import Snapshot

HELP = """Judge a checkpoint by a baseline: exit code 1 where its robustness fell.

The plan (images, noise, levels, seed) is the baseline's. With --results nothing is measured and torch is not needed.

Exit codes: 0 no regression; 1 a regression (with --strict also what is inconclusive); 2 a mistake in what was given; 3 could not
run here; 4 not comparable: no baseline, other data, noise or preprocessing; 5 nothing selected; 130 interrupted.

Example: larobust check --ckpt model.pt --max-drop 1.0 --max-drop clean:0.5 --junit report.xml"""

REGRESSION = 1
"""The exit code of a regression, and of nothing else."""


def command(
    baseline: Annotated[str, typer.Option("--baseline", metavar="FILE", help="What `larobust baseline` wrote.")] = DEFAULT,
    ckpt: Annotated[
        str | None,
        typer.Option("--ckpt", metavar="FILE", help="Checkpoint to measure; with --results, the one of the results to judge."),
    ] = None,
    results: Annotated[
        str | None, typer.Option("--results", metavar="FILE", help="Judge what is in this store; measure nothing.")
    ] = None,
    max_drop: Annotated[
        list[str] | None,
        typer.Option(
            "--max-drop",
            metavar="[NAME:]POINTS",
            help="Points of accuracy that may be lost (1.0): 0.5, gaussian_noise:2.0, clean:0.5, mean:0.5; repeatable.",
        ),
    ] = None,
    max_rise: Annotated[
        list[str] | None,
        typer.Option("--max-rise", metavar="fluctuation:N%", help="By how much the relative fluctuation may rise (10%)."),
    ] = None,
    alpha: Annotated[
        float, typer.Option("--alpha", metavar="LEVEL", help="Significance over all conditions; 1: the tolerance alone decides.")
    ] = 0.05,
    strict: Annotated[bool, typer.Option("--strict", help="Fail also where a fall is inconclusive.")] = False,
    noise: options.FilterNoise = None,
    severity: options.FilterSeverity = None,
    arch: options.Arch = None,
    activation: options.Activation = None,
    layeract_alpha: Annotated[
        float | None, typer.Option("--layeract-alpha", metavar="NUMBER", help="LayerAct's alpha, where the file does not tell.")
    ] = None,
    normalize: options.Normalize = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="DATASET", help="Where the baseline's images lie on this machine.")
    ] = None,
    download: options.Download = False,
    device: options.Device = None,
    batch_size: options.BatchSize = None,
    junit: Annotated[str | None, typer.Option("--junit", metavar="FILE", help="Write a JUnit report.")] = None,
    summary: Annotated[
        str | None,
        typer.Option(
            "--summary",
            metavar="FILE",
            help="Write Markdown; - prints it in place of the table. In $GITHUB_STEP_SUMMARY by itself.",
        ),
    ] = None,
    json_: options.Json = False,
    allow_missing_baseline: Annotated[
        bool, typer.Option("--allow-missing-baseline", help="Exit with 0 where there is no baseline yet.")
    ] = False,
) -> None:
    """Read arguments, judge, print, exit."""
    from robustbench_la import baseline as baselines
    from robustbench_la.errors import UserError
    from robustbench_la.files import check_writable
    from robustbench_la.rules import parse_rules

    rules = parse_rules(max_drop or (), max_rise or (), alpha)
    only = _filter(noise, severity)
    for name in (junit, summary):
        if name is not None and name != "-":
            check_writable(Path(name))
    path = Path(baseline)
    if allow_missing_baseline and not path.exists():
        from robustbench_la.gate import Verdict

        remark = f"there is no {path}; make it with: {_remedy(ckpt, path)}"
        _publish(Verdict(judgements=(), rules=rules, baseline=None, now=None, remarks=(remark,)), False, junit, summary, json_)
        return
    known = baselines.read(path, remedy=_remedy(ckpt, path))
    if max_rise and not known.fluctuations:
        raise UserError(f"{path} holds no fluctuation; measure it with: {_remedy(ckpt, path)} --fluctuation --update")
    if results is not None:
        from robustbench_la.snapshot import from_store

        now = from_store(Path(results), known, ckpt)
        if max_rise and not now.fluctuations:
            raise UserError(f"{results} holds no fluctuation of {now.checkpoint}; larobust fluctuation puts it there")
    else:
        if ckpt is None:
            raise UserError("say what to judge: --ckpt model.pt measures, --results runs/results.sqlite takes what was measured")
        flags: dict[str, object] = {
            "checkpoints": [ckpt],
            "arch": arch,
            "activation": activation,
            "alpha": layeract_alpha,
            "normalize": normalize,
        }
        flags |= {"data": data, "device": device, "batch_size": batch_size}
        now = _measured(_selected(known, only), flags, download=download)
    from robustbench_la.gate import judge

    verdict = judge(known, now, rules, only=only)
    _publish(verdict, strict, junit, summary, json_)
    if verdict.failing(strict=strict):
        raise typer.Exit(REGRESSION)


def _remedy(ckpt: str | None, path: Path) -> str:
    return f"larobust baseline --ckpt {ckpt or 'model.pt'} -o {path}"


def _filter(noise: list[str] | None, severity: list[str] | None) -> Callable[[Condition], bool] | None:
    """Which conditions are meant; None for all."""
    if not noise and not severity:
        return None
    from robustbench_la.cli.results import select

    wanted = select(None, None, None, None, noise, severity, None)

    def only(condition: Condition) -> bool:
        named = not wanted.corruptions or condition.corruption in wanted.corruptions
        return named and (not wanted.severities or condition.severity in wanted.severities)

    return only


def _selected(known: Snapshot, only: Callable[[Condition], bool] | None) -> Snapshot:
    """Of a baseline what is to be measured again."""
    import dataclasses

    from robustbench_la.errors import NothingSelectedError

    answers = tuple(one for one in known.answers if only is None or only(one.condition))
    if not answers:
        raise NothingSelectedError("the baseline holds no condition" + ("" if only is None else " that matches"))
    fluctuations = tuple(one for one in known.fluctuations if only is None or only(one.condition))
    return dataclasses.replace(known, answers=answers, fluctuations=fluctuations)


def _measured(known: Snapshot, flags: dict[str, object], *, download: bool) -> Snapshot:
    from robustbench_la import remeasure
    from robustbench_la.cli.evaluate import announce
    from robustbench_la.progress import bar

    meter = bar("images")
    evaluation = remeasure.prepare(known, flags, download=download, meter=meter)
    announce(evaluation)
    return remeasure.measure(evaluation, fluctuation=bool(known.fluctuations), said={}, meter=meter)


def _publish(verdict: Verdict, strict: bool, junit: str | None, summary: str | None, as_json: bool) -> None:
    """Everywhere that it was asked for; stdout holds one of JSON, Markdown and table."""
    from robustbench_la import render, report
    from robustbench_la.files import write_whole

    markdown = report.markdown(verdict, strict=strict)
    if as_json:
        print(json.dumps(report.document(verdict, strict=strict), indent=1, allow_nan=False))
    elif summary == "-":
        print(markdown, end="")
    else:
        print(report.headline(verdict, strict=strict))
        render.show(report.tables(verdict))
        if verdict.now is not None:
            print(report.about(verdict))
    if summary == "-" and as_json:
        print(markdown, end="", file=sys.stderr)
    for remark in verdict.remarks:
        print(remark, file=sys.stderr)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in report.github(verdict, strict=strict):  # the runner reads them from stderr too
            print(line, file=sys.stderr)
    if junit is not None:
        write_whole(Path(junit), report.junit(verdict, strict=strict))
    if summary is not None and summary != "-":
        write_whole(Path(summary), markdown.encode())
    elif summary is None and (page := os.environ.get("GITHUB_STEP_SUMMARY")):
        _append(Path(page), markdown)


def _append(path: Path, text: str) -> None:
    """Other steps write to the same page."""
    from robustbench_la.errors import RunError

    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from None
