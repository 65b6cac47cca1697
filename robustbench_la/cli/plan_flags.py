"""What the measuring commands share, apart from their flags."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from robustbench_la.cli import options
from robustbench_la.errors import UserError

if TYPE_CHECKING:
    from robustbench_la.measuring.quantities import Quantity, Record
    from robustbench_la.measuring.resume import Results
    from robustbench_la.measuring.session import Evaluation
    from robustbench_la.records.plan import EvaluationPlan


class FileFlags(TypedDict):
    """Which checkpoints, of which architecture, and how their files are read."""

    checkpoints: list[str] | None
    arch: str | None
    key: str | None
    trust_file: bool


class NetworkFlags(TypedDict):
    """What else the files of checkpoints do not record."""

    arch_label: str | None
    exchange: list[str] | None
    activation: str | None
    layeract_alpha: float | None
    normalize: str | None


class ImageFlags(TypedDict):
    """Which images, and their size."""

    data: str | None
    resize: int | None
    crop: int | None
    limit: int | None


class NoiseFlags(TypedDict):
    """What is done to the images."""

    noise: list[str] | None
    severity: list[str] | None
    profile: str | None
    noise_seed: int | None
    noise_seeds: int | None


class RunFlags(TypedDict):
    """How the measurement is computed."""

    device: str | None
    batch_size: int | None
    amp: bool


def plan_of(
    config: str | None,
    file: FileFlags,
    network: NetworkFlags,
    images: ImageFlags,
    noise: NoiseFlags,
    run: RunFlags,
    *,
    fluctuation: bool = False,
) -> EvaluationPlan:
    """The plan of a file, overridden by the flags of a command; None, and a switch that is off, override nothing."""
    from robustbench_la.records.plan_file import read_plan

    flags = {**file, **network, **images, **noise, **run, "fluctuation": fluctuation}
    return read_plan(config, {name: value for name, value in flags.items() if value is not False})


def results_of(store: str | None, *, fresh: bool, no_store: bool) -> Path | None:
    """The store to use, None for none; checked before anything is measured."""
    from robustbench_la.store import store as stores

    if no_store and (store is not None or fresh):
        raise UserError(f"--no-store contradicts {'--store' if store is not None else '--fresh'}")
    if no_store:
        return None
    path = options.store_path(store)
    stores.check(path)
    return path


def check_outputs(outputs: Sequence[Path], plan: EvaluationPlan, config: str | None, results: Path | None) -> None:
    """Raise UserError for files that cannot be written, or that would overwrite what is read or each other."""
    from robustbench_la import files
    from robustbench_la.measuring import session
    from robustbench_la.records.plan_file import find_config

    if outputs:
        inputs = [*session.find_checkpoints(plan.checkpoints), *([find_config(config)] if config else [])]
        files.check_outputs(outputs, {"the store": [results] if results else [], "what is measured": inputs})


def announce(evaluation: Evaluation, counts: str) -> None:
    """Report on stderr what will be measured, and how checkpoints were made to fit."""
    from robustbench_la.measuring.session import describe

    for network in evaluation.networks:
        for remark in network.remarks:
            print(f"{network.name}: {remark}", file=sys.stderr)
    print(f"{describe(evaluation)} {counts}, {evaluation.batch_size} images at a time.", file=sys.stderr)


def report_default_data(plan: EvaluationPlan, evaluation: Evaluation) -> None:
    """Report on stderr which images are used if no --data was given."""
    if plan.data is None:
        recorded = any(network.data is not None for network in evaluation.networks)
        why = "recorded in the checkpoint" if recorded else "the default"
        print(f"no --data given: using {evaluation.images.name}, {why}", file=sys.stderr)


def measure(
    evaluation: Evaluation, quantity: Quantity[Record], *, store: Path | None, fresh: bool, unit: str
) -> tuple[Results[Record], bool]:
    """Measure, with a progress bar, what is missing in the store.

    Args:
        evaluation: Networks, images and conditions.
        quantity: What is measured.
        store: None for none.
        fresh: Whether to measure again what the store holds.
        unit: What records are called, in the plural, in the line on stderr about what the store held.

    Returns:
        The results, and whether Ctrl-C ended the measurement early.
    """
    from robustbench_la.measuring.resume import Interrupted, measure_missing
    from robustbench_la.models.allocator import keep_freed_memory
    from robustbench_la.progress import bar

    def say(found: int, wanted: int) -> None:
        if found:
            rest = "; nothing is left to measure (--fresh measures again)" if found == wanted else ""
            print(f"{found} of {wanted} {unit} were in {store}{rest}", file=sys.stderr)

    keep_freed_memory()
    try:
        return measure_missing(evaluation, quantity, store=store, fresh=fresh, meter=bar("images"), on_found=say), False
    except Interrupted as stop:
        return stop.results, True
