"""The checkpoints of a plan: found, read and built, each with what the plan, its name or a table says about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from robustbench_la.errors import UserError
from robustbench_la.images.decoding import Shape
from robustbench_la.images.normalization import Normalization, parse_normalization
from robustbench_la.measuring.seen import look
from robustbench_la.models.checkpoints.assemble import assemble_network
from robustbench_la.models.checkpoints.file import CheckpointFile, read_checkpoint
from robustbench_la.models.checkpoints.find import find_checkpoints
from robustbench_la.models.checkpoints.named import NamedFile
from robustbench_la.models.checkpoints.network import LoadOverrides, Network
from robustbench_la.models.preprocess import Preprocess, read_preprocess
from robustbench_la.records.named_code import check_codes_are_named, is_code
from robustbench_la.records.plan import EvaluationPlan

Item = TypeVar("Item")
Made = TypeVar("Made")
GoOn = Callable[[UserError], bool]
"""Told why a checkpoint cannot be used; says whether to go on without it."""


@dataclass(frozen=True, slots=True)
class ReadCheckpoint:
    """A checkpoint that was read, with what is specified about it."""

    file: CheckpointFile
    overrides: LoadOverrides


def read_checkpoints(plan: EvaluationPlan, go_on: GoOn, *, patterns: Sequence[str] | None = None) -> list[ReadCheckpoint]:
    """Find and read checkpoints.

    Args:
        plan: Says what holds for all of them.
        go_on: Whether to go on without one that cannot be read.
        patterns: As for ``find_checkpoints``; those of the plan if not given.

    Returns:
        The checkpoints, in order.

    Raises:
        UserError: If one cannot be found, or cannot be read and ``go_on`` says no, or none is left.
    """

    def read(named: NamedFile) -> ReadCheckpoint:
        overrides = overrides_of(plan, named)
        return ReadCheckpoint(read_checkpoint(named.path, trusted=plan.trust_file, source=overrides.architecture), overrides)

    files = find_checkpoints(plan.checkpoints if patterns is None else patterns)
    if plan.arch is None:  # otherwise nothing is built by what tables say
        codes = [(named.source, named.arch) for named in files if named.arch is not None and is_code(named.arch)]
        check_codes_are_named(codes, plan.allow_code, setting="allow_code" if len(files) > 1 else "arch")
    return _those_that_work(files, read, go_on)


def load_networks(
    checkpoints: Iterable[ReadCheckpoint], shape: Shape, go_on: GoOn, *, check: Callable[[Network], object] = id
) -> list[Network]:
    """Build the networks of checkpoints, with the activations that they are seen to have.

    Args:
        checkpoints: As read.
        shape: Of the data to evaluate on.
        go_on: Whether to go on without one that does not fit.
        check: Raises UserError for a network that does not fit for other reasons.

    Returns:
        The networks, in order.

    Raises:
        UserError: If one does not fit and ``go_on`` says no, or none is left.
    """

    def made(one: ReadCheckpoint) -> Network:
        own = one.overrides.normalization
        network = assemble_network(one.file, one.overrides, own.shape(shape) if isinstance(own, Preprocess) else shape)
        check(network)
        return look(network, shape)

    return _those_that_work(checkpoints, made, go_on)


def _those_that_work(items: Iterable[Item], make: Callable[[Item], Made], go_on: GoOn) -> list[Made]:
    made: list[Made] = []
    last: UserError | None = None
    several = [*items]
    for item in several:
        try:
            made.append(make(item))
        except UserError as error:
            if not go_on(error):
                if len(several) == 1:
                    raise
                raise type(error)(f"{error} (--keep-going goes on without it)") from error.__cause__
            last = error
    if not made and last is not None:
        raise last
    return made


def _normalization(normalize: str | None, preprocess: str | None) -> Normalization | None:
    if normalize and preprocess:
        raise UserError("--preprocess takes the place of --normalize; give one of the two")
    return read_preprocess(preprocess) if preprocess else parse_normalization(normalize) if normalize else None


def overrides_of(plan: EvaluationPlan, named: NamedFile | None = None) -> LoadOverrides:
    """What is specified about a checkpoint.

    Args:
        plan: Says what holds for all checkpoints.
        named: What its name or a table says about it.

    Returns:
        Both together.

    Raises:
        UserError: If the plan names several activations, or the two contradict each other.
    """
    if len(plan.activation) > 1:
        raise UserError(
            f"give one --activation for all checkpoints of a command, not {', '.join(plan.activation)}; names of files can say "
            "which has which: --ckpt 'runs/{activation}_seed{seed}.pt'"
        )
    said = named or NamedFile()
    activation = plan.activation[0] if plan.activation else None
    for flag, given, name in (
        ("--activation", activation, said.activation or (said.hint if activation else None)),
        ("--layeract-alpha", plan.layeract_alpha, said.layeract_alpha),
        ("--normalize", plan.normalize, said.normalize),
    ):
        if given is not None and name is not None and given != name:
            remedy = "give one of the two" if said.source else "--ckpt 'runs/{activation}_*.pt' takes it from the names"
            raise UserError(f"{said.path}: {said.source or 'its name'} says {name}, but {flag} is {given}; {remedy}")
    normalize = plan.normalize or said.normalize
    known = said.known_arch
    if plan.arch is not None and ":" not in plan.arch and known not in (None, plan.arch):
        raise UserError(f"{said.path}: {said.source} says {said.arch}, but --arch is {plan.arch}; give one of the two")
    is_label = said.arch is not None and said.arch != plan.arch and (plan.arch is not None or known is None)
    return LoadOverrides(
        architecture=plan.arch or known,
        architecture_label=plan.arch_label or (said.arch if is_label else None),
        exchange=tuple(plan.exchange),
        key=plan.key,
        activation=activation or said.activation,
        alpha=said.layeract_alpha if plan.layeract_alpha is None else plan.layeract_alpha,
        normalization=_normalization(normalize, plan.preprocess),
        seed=said.training_seed,
        name=said.label,
        group=said.group,
        source=said.source,
    )
