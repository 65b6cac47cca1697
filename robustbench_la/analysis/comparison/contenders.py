"""What is compared: the networks of each activation together, or each network on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from robustbench_la.analysis.groups.groups import Group, Variant
from robustbench_la.errors import UserError

By = Literal["activation", "checkpoint"]
Against = Literal["counterpart", "best"]
BEST = "best element-level"
"""Stands for the element-level activation that is best in each column."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contender:
    """One row of a comparison: all networks of an activation, or a single network."""

    variant: Variant
    level: str
    indices: tuple[int, ...]
    """Indices of its networks in the group."""
    seeds: Mapping[int, int] = field(repr=False)
    """Training seed -> index in the group."""


def contenders_of(group: Group, by: By) -> list[Contender]:
    """The contenders of a group, in the order of its networks.

    Args:
        group: The networks to compare.
        by: ``activation`` puts the networks of an activation (with the same alpha) together, ``checkpoint`` keeps each separate.

    Returns:
        One contender per activation or network.

    Raises:
        UserError: If two networks of the same activation share a training seed.
    """
    indices: dict[object, list[int]] = {}
    for index, results in enumerate(group.networks):
        indices.setdefault(results.variant if by == "activation" else index, []).append(index)
    contenders = []
    names = group.names
    for members in indices.values():
        networks = [group.networks[index].network for index in members]
        seeds: dict[int, int] = {}
        for index, network in zip(members, networks, strict=True):
            if network.training_seed is None:
                continue
            if network.training_seed in seeds:
                first = names[seeds[network.training_seed]]
                raise UserError(
                    f"{group.title}: {first} and {names[index]} are both {network.activation} with training seed "
                    f"{network.training_seed}; select one with --ckpt, or compare --by checkpoint"
                )
            seeds[network.training_seed] = index
        variant, level = group.networks[members[0]].variant, networks[0].activation_level
        contenders.append(Contender(variant=variant, level=level, indices=tuple(members), seeds=seeds))
    return contenders
