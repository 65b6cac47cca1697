"""``larobust fluctuation``."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_la.cli import options, plan_flags
from robustbench_la.cli.plan_flags import PlanFlags
from robustbench_la.cli.streams import say
from robustbench_la.errors import UserError, lookup
from robustbench_la.output.figures.kinds import FIGURES, OF_LAYERS

if TYPE_CHECKING:
    from pathlib import Path

    from robustbench_la.measuring.quantities import Fluctuation
    from robustbench_la.records.layers import NetworkFluctuation
    from robustbench_la.records.plan import EvaluationPlan

HELP = """Measure what noise does inside a network, layer by layer.

Every activation call of the network is compared between a clean image and the same image with noise: fluctuation (L1), its upper
bound, saturation, activation means, spread. Layer-level activations are compared with their element-level counterparts."""
EXAMPLE = "Example: larobust fluctuation --ckpt model.pt --noise fog --plot layers.png"


Inject = Annotated[
    list[str] | None,
    typer.Option(
        "--inject",
        metavar="NOISE",
        help="Instead of noise on the images: noise on each pre-activation, one layer at a time. gaussian=0.1: a tenth of the "
        "image's own spread there; gaussian-absolute=0.1: in the units of the pre-activation. Repeatable.",
        rich_help_panel=options.NOISE,
    ),
]
Only = Annotated[
    str | None,
    typer.Option(
        "--only", metavar="WHAT", help="fluctuation: measure only that, in less time.", rich_help_panel=options.COMPUTATION
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="SCALE",
        help="An element counts as saturated if its scale is below this (default 0.01).",
        rich_help_panel=options.COMPUTATION,
    ),
]
Detail = Annotated[
    bool,
    options.switch("--detail", help="Show every condition instead of means over them.", panel=options.OUTPUT),
]
Plot = Annotated[
    list[str] | None,
    typer.Option(
        "--plot",
        metavar="FILE",
        help="Write a figure of the layers as .png, .svg or .pdf; distribution=FILE: of the images; means=FILE: of the "
        "activation means. Repeatable.",
        rich_help_panel=options.OUTPUT,
    ),
]
Csv = Annotated[
    str | None,
    typer.Option("--csv", metavar="FILE", help="Write one row per layer and condition.", rich_help_panel=options.OUTPUT),
]


@plan_flags.with_plan_flags("noise_seeds", "allow_stochastic")
def command(
    flags: PlanFlags,
    download: options.Download = False,
    inject: Inject = None,
    only: Only = None,
    threshold: Threshold = None,
    config: options.Config = None,
    detail: Detail = False,
    plot: Plot = None,
    csv: Csv = None,
    json_: options.Json = False,
    output: options.Output = None,
    store: options.Store = None,
    fresh: options.Fresh = False,
    no_store: options.NoStore = False,
) -> None:
    """Read arguments, measure, print."""
    plan = plan_flags.plan_of(config, {**flags, "noise_seeds": 1})
    if inject and any(flags[name] for name in ("noise", "severity", "profile")):
        raise UserError("--inject replaces --noise, --severity and --profile: give one or the other")
    figures = [_figure(text) for text in plot or ()]
    plan_flags.check_inputs(plan, download=download)
    quantity = _quantity(plan, only, threshold, inject or (), {kind for kind, _ in figures})
    outputs = _Outputs(detail, json_, output, csv, figures)
    path = plan_flags.results_of(store, fresh=fresh, no_store=no_store)
    plan_flags.check_outputs(outputs.files, plan, config, path)
    if quantity.options.injections:  # the images stay clean
        plan = plan.clean_only()
    _measure_and_print(plan, quantity, outputs, download=download, store=path, fresh=fresh)


def _quantity(
    plan: EvaluationPlan, only: str | None, threshold: float | None, inject: Sequence[str], figures: Container[str]
) -> Fluctuation:
    """What is to be measured. Raises UserError for options that contradict each other or would have no effect."""
    from robustbench_la.measuring.layer_options import parse_options
    from robustbench_la.measuring.quantities import Fluctuation
    from robustbench_la.records.noise_words import parse_noise

    chosen = parse_options(only, threshold, inject)
    if not chosen.injections and not parse_noise(plan.noise):
        raise UserError("fluctuation needs noise; give some with --noise")
    if only is not None and "means" in figures:
        raise UserError("--only fluctuation measures no activation means to plot")
    return Fluctuation(options=chosen, activation_means="means" in figures)


def _figure(text: str) -> tuple[str, Path]:
    """Kind and file of a --plot."""
    from pathlib import Path

    from robustbench_la.output.figures.style import check_path

    kind, equals, name = text.partition("=")
    if not equals:
        kind, name = OF_LAYERS[0], text
    lookup(dict.fromkeys(OF_LAYERS), kind, kind="figure")
    path = Path(name)
    check_path(path)
    return kind, path


@dataclass(frozen=True, slots=True)
class _Outputs:
    """Where the results go."""

    detail: bool
    as_json: bool
    output: str | None
    csv: str | None
    figures: Sequence[tuple[str, Path]]

    @property
    def files(self) -> list[Path]:
        """All that will be written."""
        from pathlib import Path

        return [Path(name) for name in (self.output, self.csv) if name is not None] + [path for _, path in self.figures]

    def publish(self, measured: Sequence[NetworkFluctuation], document: Mapping[str, object], about: str) -> None:
        """Print and write what was measured."""
        from functools import partial
        from pathlib import Path

        from robustbench_la.analysis.tables import layer_pairs, layer_tables
        from robustbench_la.files import write_whole
        from robustbench_la.output import terminal
        from robustbench_la.output.json_documents import json_text
        from robustbench_la.output.records_csv import records_csv

        text = json_text(document)
        place = partial(plan_flags.written_to, interrupted=bool(document["interrupted"]))
        if self.as_json:
            print(text)
        else:
            layers = layer_tables.layers(measured, detail=self.detail, about=about)
            tables = [layers, layer_tables.activations(measured), layer_pairs.pairs(measured)]
            terminal.show([table for table in tables if table is not None])
        if self.csv:
            write_whole(place(Path(self.csv)), records_csv([layer.as_dict() for one in measured for layer in one.layers]))
        for kind, path in self.figures:
            _plot(kind, place(path), measured)
        if self.output:  # last: if it cannot be written, the numbers stand on the screen
            write_whole(place(Path(self.output)), text)


def _measure_and_print(
    plan: EvaluationPlan, quantity: Fluctuation, outputs: _Outputs, *, download: bool, store: Path | None, fresh: bool
) -> None:
    """Measure what is not in the store; print and write what is finished, also after Ctrl-C, which then exits with 130."""
    from robustbench_la.analysis.tables import layer_pairs
    from robustbench_la.measuring import provenance, session
    from robustbench_la.measuring.fluctuation import conditions_of
    from robustbench_la.output.json_documents import fluctuation_document
    from robustbench_la.progress import bar
    from robustbench_la.text import counted

    evaluation = session.prepare_evaluation(plan, download=download, meter=bar("images"), go_on=plan_flags.go_on_without(plan))
    plan_flags.report_default_data(plan, evaluation)
    conditions = counted(len(conditions_of(evaluation, quantity.options)), "condition")
    plan_flags.announce(evaluation, f"{counted(len(evaluation.networks), 'checkpoint')} x {conditions}")
    results, interrupted = plan_flags.measure(evaluation, quantity, store=store, fresh=fresh, unit="passes")
    if results.records:
        collected = provenance.collect(evaluation, results.setting, wall_time_s=results.seconds)
        document = fluctuation_document(results.records, layer_pairs.pairs(results.records), collected)
        chosen = quantity.options
        saturated = f" Saturated: scale below {chosen.threshold:g}." if chosen.only is None else ""
        outputs.publish(
            results.records,
            {**document, "interrupted": interrupted, "left_out": list(evaluation.left_out)},
            provenance.about(evaluation) + saturated,
        )
    if results.measured or interrupted:
        say(f"{counted(results.measured, 'pass', 'passes')} in {results.seconds:.1f} s")
    if interrupted:
        raise KeyboardInterrupt
    plan_flags.finish(evaluation)


def _plot(kind: str, path: Path, measured: Sequence[NetworkFluctuation]) -> None:
    from robustbench_la.output.figures import style

    style.save(FIGURES[kind].draw(measured), path)
    say(f"{path} written")
