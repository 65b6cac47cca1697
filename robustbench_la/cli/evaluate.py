"""``larobust eval``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from robustbench_la.cli import options, plan_flags
from robustbench_la.cli.plan_flags import PlanFlags
from robustbench_la.cli.streams import say

if TYPE_CHECKING:
    from pathlib import Path

    from robustbench_la.measuring.resume import Results
    from robustbench_la.measuring.session import Evaluation
    from robustbench_la.records.cells import Cell, RunSetting

HELP = """Measure accuracy on clean and on corrupted images.

Every checkpoint sees the same images with the same noise, so differences between checkpoints are paired. Results are kept in a
store, and what the store holds is not measured again."""
EXAMPLE = "Example: larobust eval --ckpt 'runs/*.pt' --noise gaussian,poisson,fog"

Detail = Annotated[bool, options.switch("--detail", help="Also show every severity, top-5 and NLL.", panel=options.OUTPUT)]


@plan_flags.with_plan_flags()
def command(
    flags: PlanFlags,
    download: options.Download = False,
    config: options.Config = None,
    detail: Detail = False,
    json_: options.Json = False,
    output: options.Output = None,
    store: options.Store = None,
    fresh: options.Fresh = False,
    no_store: options.NoStore = False,
) -> None:
    """Read arguments, measure, print."""
    plan = plan_flags.plan_of(config, flags)
    path = plan_flags.results_of(store, fresh=fresh, no_store=no_store)
    plan_flags.check_inputs(plan, download=download)
    from pathlib import Path

    from robustbench_la.measuring import session
    from robustbench_la.progress import bar

    plan_flags.check_outputs([Path(output)] if output is not None else [], plan, config, path)
    evaluation = session.prepare_evaluation(plan, download=download, meter=bar("images"), go_on=plan_flags.go_on_without(plan))
    plan_flags.report_default_data(plan, evaluation)
    announce(evaluation)
    measure_and_print(evaluation, detail=detail, as_json=json_, output=output, store=path, fresh=fresh)


def announce(evaluation: Evaluation) -> None:
    """Say on stderr what will be measured."""
    from robustbench_la.text import counted

    networks, conditions = len(evaluation.networks), len(evaluation.conditions)
    counts = f"{counted(networks, 'checkpoint')} x {counted(conditions, 'condition')}"
    if evaluation.noise_seeds > 1:
        counts += f" x {evaluation.noise_seeds} noise seeds (clean once)"
    plan_flags.announce(evaluation, counts)


def measure_and_print(
    evaluation: Evaluation,
    *,
    detail: bool,
    as_json: bool,
    output: str | None,
    store: Path | None = None,
    fresh: bool = False,
) -> None:
    """Measure what is not in the store; print and write what is finished, also after Ctrl-C, which then exits with 130.

    store: None for none.  fresh: measure also what is there.
    """
    from pathlib import Path

    from robustbench_la.files import write_whole
    from robustbench_la.measuring import provenance
    from robustbench_la.measuring.label_order import order_remarks
    from robustbench_la.measuring.quantities import Accuracy

    results, interrupted = plan_flags.measure(evaluation, Accuracy(), store=store, fresh=fresh, unit="cells")
    text = _document(evaluation, results, interrupted=interrupted) if as_json or output else None
    if as_json:
        print(text)
    elif results.records:
        print_tables(results.records, results.setting, provenance.about(evaluation), detail=detail)
    for remark in order_remarks(evaluation.images, results.records):
        say(remark)
    if output and text:  # last: if it cannot be written, the numbers stand on the screen
        write_whole(plan_flags.written_to(Path(output), interrupted=interrupted), text)
    if results.measured or interrupted:
        speed = results.measured * len(evaluation.images.ids) / results.seconds
        missing = results.wanted - results.from_store
        stopped = f"interrupted after {results.measured} of {missing}" if interrupted else f"{results.measured}"
        unit = "cell" if stopped == "1" else "cells"
        say(f"{stopped} {unit} in {results.seconds:.1f} s ({speed:,.0f} images/s)")
    if interrupted:
        raise KeyboardInterrupt
    plan_flags.finish(evaluation)


def _document(evaluation: Evaluation, results: Results[Cell], *, interrupted: bool) -> str:
    from robustbench_la.measuring import provenance
    from robustbench_la.output.json_documents import cells_document, json_text

    document = cells_document(results.records, provenance.collect(evaluation, results.setting, wall_time_s=results.seconds))
    more = {"interrupted": interrupted, "from_store": results.from_store, "left_out": list(evaluation.left_out)}
    return json_text({**document, **more})


def print_tables(cells: Sequence[Cell], setting: RunSetting, about: str, *, detail: bool) -> None:
    """The tables on stdout."""
    from robustbench_la.analysis.tables import accuracy_tables
    from robustbench_la.analysis.tables.convention_table import conventions
    from robustbench_la.output import terminal

    details = [accuracy_tables.detail(cells)] if detail else []
    terminal.show([accuracy_tables.summary(cells, about=about), *conventions(cells, setting), *details])
