"""``larobust fluctuation``."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_la.cli import measuring, options

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from robustbench_la.measuring.fluctuation import Measure
    from robustbench_la.measuring.session import Evaluation
    from robustbench_la.records.cells import Key, Setting
    from robustbench_la.records.layers import NetworkFluctuation

HELP = """Measure what noise does inside the network, layer by layer.

Every activation call of the network is compared between a clean image and the same image with noise: fluctuation (L1), its upper
bound, saturation, activation means, spread. Layer-level activations are compared with their element-level counterparts.

Example: larobust fluctuation --ckpt 'runs/*.pt' --noise gaussian --severity 3 --plot layers.png"""

PLOTS = ("layers", "distribution", "means")


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
    inject: Annotated[
        list[str] | None,
        typer.Option(
            "--inject",
            metavar="NOISE",
            help="In place of noise on the images: noise on each pre-activation, one layer at a time. gaussian=0.1: a tenth of "
            "the image's own spread there; gaussian-absolute=0.1: in its units. Repeatable.",
        ),
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="WHAT", help="fluctuation: nothing but that, in less time.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", metavar="SCALE", help="An element is saturated when its scale is below this (0.01)."),
    ] = None,
    device: options.Device = None,
    batch_size: options.BatchSize = None,
    amp: options.Amp = False,
    config: options.Config = None,
    detail: Annotated[bool, typer.Option("--detail", help="Show every condition instead of means over them.")] = False,
    plot: Annotated[
        list[str] | None,
        typer.Option(
            "--plot",
            metavar="[KIND=]FILE",
            help="Write a figure, .png, .svg or .pdf. KIND: layers (if not given), distribution (over images) or means (of the "
            "activations). Repeatable.",
        ),
    ] = None,
    csv: Annotated[str | None, typer.Option("--csv", metavar="FILE", help="Write one row a layer and condition.")] = None,
    json_: options.Json = False,
    output: options.Output = None,
    store: options.Store = None,
    fresh: options.Fresh = False,
    no_store: options.NoStore = False,
) -> None:
    """Read arguments, measure, print."""
    plan = measuring.plan_of(config, locals())
    from pathlib import Path

    from robustbench_la.errors import UserError, lookup
    from robustbench_la.measuring import session
    from robustbench_la.measuring.fluctuation import THRESHOLD, Measure
    from robustbench_la.measuring.inject import parse_injection
    from robustbench_la.progress import bar
    from robustbench_la.records.noise_words import parse_noise

    injections = [injection for text in inject or () for injection in parse_injection(text)]
    if only is not None:
        lookup({"fluctuation": None}, only, kind="--only")
    if threshold is not None and not 0 < threshold < 1:
        raise UserError(f"--threshold is a scale between 0 and 1, not {threshold}")
    if only is not None and threshold is not None:
        raise UserError("--only fluctuation counts no saturated elements, so --threshold would do nothing")
    if inject and (noise or severity or profile):
        raise UserError("--inject takes the place of --noise, --severity and --profile: give one or the other")
    if not injections and not parse_noise(plan.noise):
        raise UserError("activations fluctuate under noise, and no noise is asked for; give one with --noise")
    figures = [_figure(text) for text in plot or ()]
    if only is not None and any(kind == "means" for kind, _ in figures):
        raise UserError("--only fluctuation measures no activation means to plot")
    results = measuring.results_of(store, fresh=fresh, no_store=no_store)
    written = [Path(name) for name in (output, csv) if name is not None] + [path for _, path in figures]
    measuring.check_outputs(written, plan, config, results)
    measure = Measure(
        only="fluctuation" if only else None,
        threshold=THRESHOLD if threshold is None else threshold,
        injections=tuple(dict.fromkeys(injections)),
    )
    if injections:  # the images stay clean
        plan = plan.model_copy(update={"noise": [], "noise_seeds": 1})
    evaluation = session.prepare_evaluation(plan, download=download, meter=bar("images"))
    _announce(evaluation, measure)
    _measure_and_print(
        evaluation, measure, results=results, fresh=fresh, detail=detail, figures=figures, csv=csv, as_json=json_, output=output
    )


def _figure(text: str) -> tuple[str, Path]:
    """Kind and file of a --plot."""
    from pathlib import Path

    from robustbench_la.errors import lookup
    from robustbench_la.output.figures.style import check_path

    kind, equals, name = text.partition("=")
    if not equals:
        kind, name = PLOTS[0], text
    lookup(dict.fromkeys(PLOTS), kind, kind="figure")
    path = Path(name)
    check_path(path)
    return kind, path


def _announce(evaluation: Evaluation, measure: Measure) -> None:
    from robustbench_la.measuring.fluctuation import conditions_of

    conditions = measuring.count(len(conditions_of(evaluation, measure)), "condition")
    measuring.announce(evaluation, f"{measuring.count(len(evaluation.networks), 'checkpoint')} x {conditions}")


def _about(evaluation: Evaluation, measure: Measure) -> str:
    return measuring.about(evaluation) + (f" Saturated: scale below {measure.threshold:g}." if measure.only is None else "")


def _measure_and_print(
    evaluation: Evaluation,
    measure: Measure,
    *,
    results: Path | None,
    fresh: bool,
    detail: bool,
    figures: Sequence[tuple[str, Path]],
    csv: str | None,
    as_json: bool,
    output: str | None,
) -> None:
    """Measure what is not in the store; print and write what is finished, also after Ctrl-C, which then exits with 130."""
    import datetime
    import time
    from pathlib import Path

    from robustbench_la.analysis import layer_pairs, layer_tables
    from robustbench_la.files import write_whole
    from robustbench_la.measuring import fluctuation, provenance
    from robustbench_la.output import terminal
    from robustbench_la.output.documents import fluctuation_document
    from robustbench_la.output.records_csv import records_csv
    from robustbench_la.progress import bar

    started, began = datetime.datetime.now(datetime.UTC), time.perf_counter()
    shared = provenance.setting(evaluation, started=started)
    fresh_means = any(kind == "means" for kind, _ in figures)
    finished: list[NetworkFluctuation] = []
    interrupted = False
    with contextlib.ExitStack() as stack:
        keep, known = _opened(evaluation, measure, shared, results, fresh=fresh, again=fresh_means, stack=stack)
        try:
            for one in fluctuation.run(evaluation, measure, known=known, meter=bar("images")):
                keep(one)
                finished.append(one if fresh_means else dataclasses.replace(one, activation_means=()))
        except KeyboardInterrupt:
            interrupted = True
    seconds = time.perf_counter() - began
    measured = _in_order(evaluation, measure, known, finished)
    if measured:
        pairs = layer_pairs.pairs(measured)
        collected = provenance.collect(evaluation, shared, wall_time_s=seconds)
        report = {**fluctuation_document(measured, pairs, collected), "interrupted": interrupted}
        text = json.dumps(report, indent=1, allow_nan=False)
        if as_json:
            print(text)
        else:
            about = _about(evaluation, measure)
            tables = [layer_tables.layers(measured, detail=detail, about=about), layer_tables.activations(measured), pairs]
            terminal.show([table for table in tables if table is not None])
        if csv:
            write_whole(Path(csv), records_csv([layer.as_dict() for one in measured for layer in one.layers]).encode())
        for kind, path in figures:
            _plot(kind, path, measured)
        if output:  # last: if it cannot be written, the numbers stand on the screen
            write_whole(Path(output), text.encode())
    if finished or interrupted or not known:
        print(f"{measuring.count(len(finished), 'pass', 'passes')} in {seconds:.1f} s", file=sys.stderr)
    if interrupted:
        raise KeyboardInterrupt


def _opened(
    evaluation: Evaluation,
    measure: Measure,
    shared: Setting,
    results: Path | None,
    *,
    fresh: bool,
    again: bool,
    stack: contextlib.ExitStack,
) -> tuple[Callable[[NetworkFluctuation], object], dict[Key, NetworkFluctuation]]:
    """What keeps a result as soon as it is there, and the results that are there already; says on stderr how many.

    again: measure also what is there, for numbers that a store does not hold.
    """
    if results is None:
        return (lambda _: None), {}
    from robustbench_la.measuring.fluctuation import conditions_of
    from robustbench_la.measuring.layer_totals import Sample
    from robustbench_la.measuring.session import key_of
    from robustbench_la.store import layer_rows
    from robustbench_la.store.schema import Selection
    from robustbench_la.store.store import Store

    store = stack.enter_context(Store(results))

    def keep(one: NetworkFluctuation) -> None:
        store.add_layers(shared, layer_rows.rows(one), replace=measure.only is None)  # never less in the place of more

    if fresh or again:
        return keep, {}
    selection = Selection(fingerprints=(shared.fingerprint,), precisions=(shared.precision,))
    rows = (row for _, row in store.layers(selection))
    wanted = [
        key_of(network, condition, evaluation.seed)
        for condition in conditions_of(evaluation, measure)
        for network in evaluation.networks
    ]
    there = layer_rows.networks(rows, Sample(evaluation.images.ids).ids, set(wanted))
    # Everything answers the question for the fluctuation alone, not the other way round.
    if measure.only is not None:
        fit = {key: layer_rows.alone(one) for key, one in there.items()}
    else:
        fit = {key: one for key, one in there.items() if one.threshold == measure.threshold}
    found = [key for key in wanted if key in fit]
    if found:
        rest = "; nothing is left to measure (--fresh measures again)" if len(found) == len(wanted) else ""
        print(f"in {results}: {len(found)} of {measuring.count(len(wanted), 'pass', 'passes')}{rest}", file=sys.stderr)
    return keep, {key: fit[key] for key in found}


def _in_order(
    evaluation: Evaluation, measure: Measure, known: dict[Key, NetworkFluctuation], finished: Sequence[NetworkFluctuation]
) -> list[NetworkFluctuation]:
    """What is wanted, known or measured, as if all had been measured now: by checkpoint, then condition."""
    from robustbench_la.measuring.fluctuation import conditions_of
    from robustbench_la.measuring.session import key_of

    there = known | {one.layers[0].key: one for one in finished}
    found = []
    for network in evaluation.networks:
        for condition in conditions_of(evaluation, measure):
            one = there.get(key_of(network, condition, evaluation.seed))
            if one is not None:  # a checkpoint may have had another name when it was measured
                layers = tuple(dataclasses.replace(layer, checkpoint=network.name) for layer in one.layers)
                found.append(dataclasses.replace(one, layers=layers))
    return found


def _plot(kind: str, path: Path, measured: Sequence[NetworkFluctuation]) -> None:
    from robustbench_la.output.figures import layers as plots
    from robustbench_la.output.figures import style

    figures: dict[str, Callable[[Sequence[NetworkFluctuation]], Figure]] = {
        "layers": plots.layers,
        "distribution": plots.distribution,
        "means": plots.activation_means,
    }
    style.save(figures[kind](measured), path)
