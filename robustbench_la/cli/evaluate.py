"""``larobust eval``."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_la.cli import measuring, options

if TYPE_CHECKING:
    from pathlib import Path

    from robustbench_la.measuring.session import Evaluation
    from robustbench_la.records.cells import Cell, Key, Setting

HELP = """Measure accuracy on clean and on corrupted images.

Every checkpoint sees the same images with the same noise, so differences are paired. What is finished goes into a store, and
what is there is not measured again.

Example: larobust eval --ckpt 'runs/*.pt' --noise gaussian --noise poisson --noise blur"""


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
    detail: Annotated[bool, typer.Option("--detail", help="Show every severity, top-5 and NLL.")] = False,
    json_: options.Json = False,
    output: options.Output = None,
    store: options.Store = None,
    fresh: options.Fresh = False,
    no_store: options.NoStore = False,
) -> None:
    """Read arguments, measure, print."""
    plan = measuring.plan_of(config, locals())
    from pathlib import Path

    from robustbench_la.measuring import session
    from robustbench_la.progress import bar

    results = measuring.results_of(store, fresh=fresh, no_store=no_store)
    measuring.check_outputs([Path(output)] if output is not None else [], plan, config, results)
    evaluation = session.prepare_evaluation(plan, download=download, meter=bar("images"))
    announce(evaluation)
    measure_and_print(evaluation, detail=detail, as_json=json_, output=output, results=results, fresh=fresh)


def announce(evaluation: Evaluation) -> None:
    """Say on stderr what will be measured."""
    networks, conditions = len(evaluation.networks), len(evaluation.conditions)
    counts = f"{measuring.count(networks, 'checkpoint')} x {measuring.count(conditions, 'condition')}"
    if evaluation.noise_seeds > 1:
        counts += f" x {evaluation.noise_seeds} noise seeds (clean once)"
    measuring.announce(evaluation, counts)


def measure_and_print(
    evaluation: Evaluation,
    *,
    detail: bool,
    as_json: bool,
    output: str | None,
    results: Path | None = None,
    fresh: bool = False,
) -> None:
    """Measure what is not in the store; print and write what is finished, also after Ctrl-C, which then exits with 130.

    results: the store's file; None for none.  fresh: measure also what is there.
    """
    import datetime
    import time
    from pathlib import Path

    from robustbench_la.files import write_whole
    from robustbench_la.measuring import provenance, session
    from robustbench_la.output.documents import cells_document
    from robustbench_la.progress import bar

    started, began = datetime.datetime.now(datetime.UTC), time.perf_counter()
    shared = provenance.setting(evaluation, started=started)
    cells: list[Cell] = []
    interrupted = False
    with contextlib.ExitStack() as stack:
        keep, known = _opened(evaluation, shared, results, fresh=fresh, stack=stack)
        try:
            for cell in session.run(evaluation, known=known, meter=bar("images")):
                keep(cell)
                cells.append(cell)
        except KeyboardInterrupt:
            interrupted = True
    seconds = time.perf_counter() - began
    measured, cells = cells, _in_order(evaluation, known, cells)
    text = None
    if as_json or output:
        report = cells_document(cells, provenance.collect(evaluation, shared, wall_time_s=seconds))
        told = {**report, "interrupted": interrupted, "from_store": len(cells) - len(measured)}
        text = json.dumps(told, indent=1, allow_nan=False)
    if as_json:
        print(text)
    elif cells:
        print_tables(cells, measuring.about(evaluation), detail=detail)
    if output and text:  # last: if it cannot be written, the numbers stand on the screen
        write_whole(Path(output), text.encode())
    if measured or interrupted or not known:
        speed = sum(cell.total for cell in measured) / seconds
        wanted = len(evaluation.networks) * len(evaluation.passes) - (len(cells) - len(measured))
        stopped = f"interrupted after {len(measured)} of {wanted}" if interrupted else f"{len(measured)}"
        print(f"{stopped} cells in {seconds:.1f} s ({speed:,.0f} images/s)", file=sys.stderr)
    if interrupted:
        raise KeyboardInterrupt


def _opened(
    evaluation: Evaluation, shared: Setting, results: Path | None, *, fresh: bool, stack: contextlib.ExitStack
) -> tuple[Callable[[Cell], object], dict[Key, Cell]]:
    """What keeps a cell as soon as it is measured, and the cells that are there already; says on stderr how many."""
    if results is None:
        return (lambda _: None), {}
    from robustbench_la.measuring.session import key_of
    from robustbench_la.records.packing import pack_classes
    from robustbench_la.store.schema import Selection
    from robustbench_la.store.store import Store

    store = stack.enter_context(Store(results))
    labels = pack_classes(evaluation.images.labels)

    def keep(cell: Cell) -> None:
        store.add(shared, [cell], labels=labels, replace=fresh)

    if fresh:
        return keep, {}
    selection = Selection(fingerprints=(shared.fingerprint,), precisions=(shared.precision,))
    there = {stored.cell.key: stored.cell for stored in store.cells(selection)}
    wanted = [key_of(network, condition, seed) for condition, seed in evaluation.passes for network in evaluation.networks]
    found = sum(key in there for key in wanted)
    if found:
        rest = "; nothing is left to measure (--fresh measures again)" if found == len(wanted) else ""
        print(f"{found} of {len(wanted)} cells were in {results}{rest}", file=sys.stderr)
    return keep, there


def _in_order(evaluation: Evaluation, known: dict[Key, Cell], measured: list[Cell]) -> list[Cell]:
    """The cells that are wanted, known or measured, as if all had been measured now."""
    from robustbench_la.measuring.session import key_of

    found = known | {cell.key: cell for cell in measured}
    wanted = [(network, condition, seed) for condition, seed in evaluation.passes for network in evaluation.networks]
    there = [(network, found.get(key_of(network, condition, seed))) for network, condition, seed in wanted]
    # A checkpoint may have had another name when it was measured.
    return [dataclasses.replace(cell, checkpoint=network.name) for network, cell in there if cell is not None]


def print_tables(cells: list[Cell], about: str, *, detail: bool) -> None:
    """The tables on stdout."""
    from robustbench_la.analysis import accuracy_tables
    from robustbench_la.output import terminal

    terminal.show([accuracy_tables.summary(cells, about=about), *([accuracy_tables.detail(cells)] if detail else [])])
