"""``larobust eval``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_la.cli import options

if TYPE_CHECKING:
    from robustbench_la.evaluate import Evaluation
    from robustbench_la.records import Cell

HELP = """Measure accuracy on clean and on corrupted images.

Every checkpoint sees the same images with the same noise, so differences are paired.

Example: larobust eval --ckpt 'runs/*.pt' --noise gaussian --noise poisson --noise blur"""


def command(
    ckpt: options.Checkpoints = None,
    arch: options.Arch = None,
    activation: options.Activation = None,
    alpha: options.Alpha = None,
    normalize: options.Normalize = None,
    data: options.Data = None,
    download: options.Download = False,
    resize: options.Resize = None,
    crop: options.Crop = None,
    limit: options.Limit = None,
    noise: options.Noise = None,
    severity: options.Severity = None,
    profile: options.Profile = None,
    seed: options.NoiseSeed = None,
    device: options.Device = None,
    batch_size: options.BatchSize = None,
    amp: options.Amp = False,
    config: options.Config = None,
    detail: Annotated[bool, typer.Option("--detail", help="Show every severity, top-5 and NLL.")] = False,
    json_: options.Json = False,
    output: options.Output = None,
) -> None:
    """Read arguments, measure, print."""
    from pathlib import Path

    from robustbench_la.errors import UserError
    from robustbench_la.files import check_writable
    from robustbench_la.plan import find_config, read_plan

    plan = read_plan(
        config,
        {
            "checkpoints": ckpt,
            "arch": arch,
            "activation": activation,
            "alpha": alpha,
            "normalize": normalize,
            "data": data,
            "resize": resize,
            "crop": crop,
            "limit": limit,
            "noise": noise,
            "severity": severity,
            "profile": profile,
            "seed": seed,
            "device": device,
            "batch_size": batch_size,
            "amp": amp or None,
        },
    )
    from robustbench_la import evaluate
    from robustbench_la.progress import bar

    if output is not None:
        check_writable(Path(output))
        inputs = [*evaluate.find_checkpoints(plan.checkpoints), *([find_config(config)] if config else [])]
        if any(Path(output).resolve() == path.resolve() for path in inputs):
            raise UserError(f"-o {output} would overwrite what is measured")

    meter = bar("images")
    evaluation = evaluate.prepare(plan, download=download, meter=meter)
    announce(evaluation)
    measure_and_print(evaluation, detail=detail, as_json=json_, output=output)


def announce(evaluation: Evaluation) -> None:
    """Say on stderr what will be measured."""
    conditions = evaluation.conditions
    for network in evaluation.networks:
        for remark in network.remarks:
            print(f"{network.name}: {remark}", file=sys.stderr)
    counts = f"{_count(len(evaluation.networks), 'checkpoint')} x {_count(len(conditions), 'condition')}"
    print(f"{about(evaluation)} {counts}, {evaluation.batch_size} images at a time.", file=sys.stderr)


def about(evaluation: Evaluation) -> str:
    """What is measured on, in a sentence."""
    images = evaluation.images
    channels, height, width = images.images.shape[1:]
    part = f" of {images.total:,} (partial)" if images.partial else ""
    precision = "bfloat16 autocast" if evaluation.amp else "float32"
    return (
        f"{len(images.ids):,}{part} images of {images.name}, {width}x{height} px, {_count(channels, 'channel')}; "
        f"levels of profile {evaluation.profile}; noise seed {evaluation.seed}; {precision} on {evaluation.device}."
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def measure_and_print(evaluation: Evaluation, *, detail: bool, as_json: bool, output: str | None) -> None:
    """Measure; print and write what was finished, also after Ctrl-C, which then exits with 130."""
    import datetime
    import time
    from pathlib import Path

    from robustbench_la import evaluate, provenance
    from robustbench_la.files import write_whole
    from robustbench_la.progress import bar
    from robustbench_la.records import document

    started, began = datetime.datetime.now(datetime.UTC), time.perf_counter()
    cells: list[Cell] = []
    interrupted = False
    try:
        for cell in evaluate.run(evaluation, meter=bar("images")):
            cells.append(cell)
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - began
    text = None
    if as_json or output:
        report = document(cells, provenance.collect(evaluation, started=started, wall_time_s=seconds))
        text = json.dumps({**report, "interrupted": interrupted}, indent=1, allow_nan=False)
    if as_json:
        print(text)
    elif cells:
        print_tables(cells, about(evaluation), detail=detail)
    if output and text:  # last: if it cannot be written, the numbers stand on the screen
        write_whole(Path(output), text.encode())
    speed = sum(cell.total for cell in cells) / seconds
    wanted = len(evaluation.networks) * len(evaluation.conditions)
    stopped = f"interrupted after {len(cells)} of {wanted}" if interrupted else f"{len(cells)}"
    print(f"{stopped} cells in {seconds:.1f} s ({speed:,.0f} images/s)", file=sys.stderr)
    if interrupted:
        raise KeyboardInterrupt


def print_tables(cells: list[Cell], about: str, *, detail: bool) -> None:
    """The tables on stdout."""
    from robustbench_la import compare, render

    render.show([compare.summary(cells, about=about), *([compare.detail(cells)] if detail else [])])
