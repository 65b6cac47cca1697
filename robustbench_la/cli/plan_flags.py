"""What the measuring commands share: the flags that set keys of a plan, and what comes before and after measuring."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args, get_type_hints

from robustbench_la.cli import options
from robustbench_la.cli.streams import say
from robustbench_la.errors import UserError

if TYPE_CHECKING:
    from robustbench_la.measuring.loading import GoOn
    from robustbench_la.measuring.quantities import Quantity, Record
    from robustbench_la.measuring.resume import Results
    from robustbench_la.measuring.session import Evaluation
    from robustbench_la.records.plan import EvaluationPlan, TrainingPlan


KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY
OF_NETWORKS = (
    "keep_going", "arch", "arch_label", "exchange", "key", "trust_file", "allow_code", "activation", "layeract_alpha",
    "normalize", "preprocess", "amp", "allow_stochastic",
)  # fmt: skip
"""The flags that have no effect where there are only images."""


class PlanFlags(TypedDict):
    """The flags that set keys of a plan, by the names of the keys: a flag added here is one of every measuring command."""

    checkpoints: options.Checkpoints
    checkpoint_table: options.CheckpointTable
    keep_going: options.KeepGoing
    arch: options.Arch
    arch_label: options.ArchLabel
    exchange: options.Exchange
    key: options.WeightsKey
    trust_file: options.TrustFile
    allow_code: options.AllowCode
    activation: options.Activation
    layeract_alpha: options.LayerActAlpha
    normalize: options.Normalize
    preprocess: options.Preprocess
    labels: options.Labels
    label_map: options.LabelMap
    data: options.Data
    resize: options.Resize
    crop: options.Crop
    channels: options.Channels
    interpolation: options.Interpolation
    limit: options.Limit
    noise: options.Noise
    severity: options.Severity
    profile: options.Profile
    jpeg: options.Jpeg
    frost_textures: options.FrostTextures
    noise_seed: options.NoiseSeed
    noise_seeds: options.NoiseSeeds
    device: options.Device
    batch_size: options.BatchSize
    amp: options.Amp
    allow_stochastic: options.AllowStochastic


def with_plan_flags(*without: str, **instead: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the flags of PlanFlags, which it takes together as its first argument.

    Args:
        without: Those that it does not have.
        instead: Those that it explains in its own way, with their types.

    Returns:
        A decorator; the signature of what it returns is what the command line is made from.
    """
    types = {**get_type_hints(PlanFlags, include_extras=True), **instead}
    names = [name for name in types if name not in without]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        shared = [
            inspect.Parameter(name, KEYWORD_ONLY, default=False if get_args(kind)[0] is bool else None, annotation=kind)
            for name, kind in types.items()
            if name in names
        ]
        own = [each.replace(kind=KEYWORD_ONLY) for each in inspect.signature(command, eval_str=True).parameters.values()][1:]

        def call(**given: Any) -> None:
            flags = {name: given.pop(name) for name in names}
            command({name: value for name, value in flags.items() if value is not False}, **given)

        call.__signature__ = inspect.Signature([*shared, *own])  # type: ignore[attr-defined]  # inspect reads it
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in (*shared, *own)}
        return call

    return decorate


def is_given(value: object) -> bool:
    """Whether a flag was given, by its value; 0 is a value, although Python takes it to equal False."""
    return value is not None and value is not False and value != []


def written_to(path: Path, *, interrupted: bool) -> Path:
    """Where to write results: the part that an interrupted run measured never replaces a file that is there.

    Args:
        path: The file that was asked for.
        interrupted: Whether the run was.

    Returns:
        That file, or one next to it.
    """
    from robustbench_la.files import is_there

    if not (interrupted and is_there(path)):
        return path
    part = path.with_name(f"{path.stem}.partial{path.suffix}")
    say(f"{path} is left as it was; the part that was measured before the interruption is in {part}")
    return part


LEFT_OUT = 6
"""Exit code of a measurement that went on without a checkpoint that could not be used."""


def go_on_without(plan: EvaluationPlan) -> GoOn:
    """What to do about a checkpoint that cannot be used: go on with --keep-going, ask in a terminal, otherwise stop."""

    def go_on(error: UserError) -> bool:
        if plan.keep_going:
            say(f"left out: {error}")
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        import typer

        say(error)
        return typer.confirm("Go on without it?", err=True)

    return go_on


def finish(evaluation: Evaluation) -> None:
    """Exit with LEFT_OUT if a checkpoint was left out."""
    if evaluation.left_out:
        import typer

        from robustbench_la.text import counted

        say(f"{counted(len(evaluation.left_out), 'checkpoint')} left out")
        raise typer.Exit(LEFT_OUT)


def plan_of(config: str | None, flags: Mapping[str, object], *, purpose: Literal["eval", "corrupt"] = "eval") -> EvaluationPlan:
    """The plan of a file, overridden by the flags of a command; None overrides nothing."""
    from robustbench_la.records.plan_file import read_plan

    flags = dict(flags)
    table = flags.pop("checkpoint_table", None)
    if isinstance(table, str):
        if not table.endswith((".csv", ".tsv", ".yaml", ".yml")):
            raise UserError(f"--ckpt-table takes a .csv, .tsv, .yaml or .yml file, not {table}")
        named = flags.get("checkpoints")
        flags["checkpoints"] = [*(named if isinstance(named, list) else ()), table]
    return read_plan(config, flags, purpose=purpose)


def check_inputs(plan: EvaluationPlan | TrainingPlan, *, download: bool) -> None:
    """Raise UserError for names that are unknown, and for what is not there, before torch is imported."""
    from robustbench_la.images.published.asked import check_asked
    from robustbench_la.models.checkpoints.present import check_present
    from robustbench_la.models.names import check_names
    from robustbench_la.records.plan import EvaluationPlan

    check_names(plan)
    check_present(getattr(plan, "checkpoints", ()), plan.data, download=download)
    if isinstance(plan, EvaluationPlan):
        check_asked(plan)


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
    from robustbench_la.models.checkpoints.find import find_checkpoints
    from robustbench_la.records.plan_file import find_config

    if outputs:
        inputs = [*(named.path for named in find_checkpoints(plan.checkpoints)), *([find_config(config)] if config else [])]
        files.check_outputs(outputs, {"the store": [results] if results else [], "what is measured": inputs})


def announce(evaluation: Evaluation, counts: str) -> None:
    """Report on stderr what will be measured, and how checkpoints were made to fit."""
    from robustbench_la.measuring.descriptions import describe

    announce_networks(evaluation)
    say(f"{describe(evaluation)} {counts}, {evaluation.batch_size} images at a time.")


def announce_networks(evaluation: Evaluation) -> None:
    """Report on stderr how checkpoints and images were made to fit."""
    from robustbench_la.measuring.session import same_weights
    from robustbench_la.text import some

    names: dict[str, list[str]] = {remark: [evaluation.images.name] for remark in evaluation.images.remarks}
    for network in evaluation.networks:
        for remark in network.remarks:
            names.setdefault(remark, []).append(network.name)
    for remark, having in names.items():
        say(f"{some(having)}: {remark}")
    for sentence in same_weights(evaluation.networks):
        say(sentence)


def report_default_data(plan: EvaluationPlan, evaluation: Evaluation) -> None:
    """Report on stderr which images are used if no --data was given."""
    if plan.data is None:
        recorded = any(network.data is not None for network in evaluation.networks)
        why = "recorded in the checkpoint" if recorded else "the default"
        say(f"no --data given: using {evaluation.images.name}, {why}")


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

    def report_found(found: int, wanted: int) -> None:
        if found:
            rest = "; nothing is left to measure (--fresh measures again)" if found == wanted else ""
            say(f"{found} of {wanted} {unit} were in {store}{rest}")

    keep_freed_memory()
    try:
        return measure_missing(evaluation, quantity, store=store, fresh=fresh, meter=bar("images"), on_found=report_found), False
    except Interrupted as stop:
        return stop.results, True
