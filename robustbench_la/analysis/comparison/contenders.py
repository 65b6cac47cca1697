"""What is compared: the networks of each activation together, or each network on its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from robustbench_la.analysis.groups.groups import Group
from robustbench_la.analysis.groups.variants import Variant
from robustbench_la.errors import UserError

By = Literal["activation", "checkpoint"]
Against = Literal["counterpart", "best"]
BEST = "best element-level"
"""Stands for the element-level activation that is best in each column."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contender:
    """One row of a comparison: all networks of an activation, or a single network."""

    name: str
    """What rows of differences call it: its activation, or its checkpoint."""
    variant: Variant
    level: str
    indices: tuple[int, ...]
    """Indices of its networks in the group."""
    seeds: Mapping[int, int] = field(repr=False)
    """Training seed -> index in the group."""
    duplicates: tuple[tuple[int, int], ...] = ()
    """Indices of networks that are left out, each with that of the one whose weights it repeats."""


def contenders_of(
    group: Group, by: By, *, by_name: bool = False, remedy: str = "or compare them with --by checkpoint"
) -> list[Contender]:
    """The contenders of a group, in the order of its networks.

    Args:
        group: The networks to compare.
        by: ``activation`` puts the networks of an activation (with the same alpha) together, ``checkpoint`` keeps each separate.
        by_name: Name the contenders by their checkpoints.
        remedy: What else than selecting one can be done where two networks share a training seed, for the message.

    Returns:
        One contender per activation or network.

    Raises:
        UserError: If two networks of the same activation share a training seed.
    """
    indices: dict[object, list[int]] = {}
    for index, results in enumerate(group.networks):
        indices.setdefault(results.variant if by == "activation" else index, []).append(index)
    names = group.names
    try:
        contenders = [_contender(group, members, names, once=by == "activation") for members in indices.values()]
    except UserError as error:
        raise UserError(f"{error}; select one with --ckpt, {remedy}") from None
    return [replace(one, name=names[one.indices[0]]) for one in contenders] if by_name else contenders


def _contender(group: Group, members: Sequence[int], names: Sequence[str], *, once: bool) -> Contender:
    """once: leave out networks that repeat the weights of another."""
    seeds: dict[int, int] = {}
    first_with: dict[str, int] = {}
    kept: list[int] = []
    duplicates: list[tuple[int, int]] = []
    for index in members:
        network = group.networks[index].network
        if once and network.weights and network.weights in first_with:
            duplicates.append((index, first_with[network.weights]))
            continue
        first_with[network.weights] = index
        kept.append(index)
        if network.training_seed is None:
            continue
        if network.training_seed in seeds:
            raise UserError(
                f"{group.title}: {names[seeds[network.training_seed]]} and {names[index]} are both {network.activation} with "
                f"training seed {network.training_seed}"
            )
        seeds[network.training_seed] = index
    first = group.networks[members[0]]
    return Contender(
        name=first.network.activation,
        variant=first.variant,
        level=first.network.activation_level,
        indices=tuple(kept),
        seeds=seeds,
        duplicates=tuple(duplicates),
    )
