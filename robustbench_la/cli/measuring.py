"""What the commands that measure have in common, beside their flags."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_la.cli import options
from robustbench_la.errors import UserError

if TYPE_CHECKING:
    from robustbench_la.measuring.session import Evaluation
    from robustbench_la.records.plan import EvaluationPlan

_FLAGS = (
    "arch",
    "activation",
    "layeract_alpha",
    "normalize",
    "data",
    "resize",
    "crop",
    "limit",
    "noise",
    "severity",
    "profile",
    "noise_seed",
    "noise_seeds",
    "device",
    "batch_size",
)


def plan_of(config: str | None, arguments: Mapping[str, object]) -> EvaluationPlan:
    """The plan of a file and of a command's arguments, by name; None, and a switch that is off, say nothing."""
    from robustbench_la.records.plan_file import read_plan

    flags = {name: arguments[name] for name in _FLAGS if name in arguments}
    switches = {name: arguments.get(name) or None for name in ("amp", "fluctuation")}
    return read_plan(config, {"checkpoints": arguments["ckpt"], **switches, **flags})


def results_of(store: str | None, *, fresh: bool, no_store: bool) -> Path | None:
    """The store to use, None for none; checked before anything is measured."""
    from robustbench_la.store import store as stores

    if no_store and (store is not None or fresh):
        raise UserError(f"--no-store leaves {'--store' if store is not None else '--fresh'} nothing to do")
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
    """Say on stderr what will be measured, and what was done to make checkpoints fit."""
    for network in evaluation.networks:
        for remark in network.remarks:
            print(f"{network.name}: {remark}", file=sys.stderr)
    print(f"{about(evaluation)} {counts}, {evaluation.batch_size} images at a time.", file=sys.stderr)


def about(evaluation: Evaluation) -> str:
    """What is measured on, in a sentence."""
    images = evaluation.images
    channels, height, width = images.images.shape[1:]
    part = f" of {images.total:,} (partial)" if images.partial else ""
    last = evaluation.seed + evaluation.noise_seeds - 1
    seeds = f"noise seed {evaluation.seed}" if last == evaluation.seed else f"noise seeds {evaluation.seed} to {last}"
    return (
        f"{len(images.ids):,}{part} images of {images.name}, {width}x{height} px, {count(channels, 'channel')}; "
        f"levels of profile {evaluation.profile}; {seeds}; {evaluation.precision} on {evaluation.device}."
    )


def count(number: int, one: str, many: str | None = None) -> str:
    """``1 image``, ``2 images``."""
    return f"{number} {one if number == 1 else many or one + 's'}"
