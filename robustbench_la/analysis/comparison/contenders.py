"""Who is compared: the networks of each activation, or each network alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from robustbench_la.analysis.groups.groups import Group, Variant
from robustbench_la.errors import UserError

By = Literal["activation", "checkpoint"]
Against = Literal["counterpart", "best"]
BEST = "best element-level"
"""The name of the rival that is the best in each column."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contender:
    """What a row of the table holds: the networks of an activation, or one network."""

    variant: Variant
    level: str
    indices: tuple[int, ...]
    """Of its networks in the group."""
    seeds: Mapping[int, int] = field(repr=False)
    """Training seed -> index in the group."""


def contenders_of(group: Group, by: By) -> list[Contender]:
    """The contenders of a group, in the order of its networks.

    Raises:
        UserError: if two networks of one activation share a training seed.
    """
    indices: dict[object, list[int]] = {}
    for index, results in enumerate(group.networks):
        indices.setdefault(results.variant if by == "activation" else index, []).append(index)
    contenders = []
    for own in indices.values():
        networks = [group.networks[index].network for index in own]
        seeds: dict[int, int] = {}
        for index, network in zip(own, networks, strict=True):
            if network.training_seed is None:
                continue
            if network.training_seed in seeds:
                twice = group.networks[seeds[network.training_seed]].network.checkpoint
                raise UserError(
                    f"{group.title}: {twice} and {network.checkpoint} are both {network.activation} of training seed "
                    f"{network.training_seed}; choose by --ckpt, or compare --by checkpoint"
                )
            seeds[network.training_seed] = index
        variant, level = group.networks[own[0]].variant, networks[0].activation_level
        contenders.append(Contender(variant=variant, level=level, indices=tuple(own), seeds=seeds))
    return contenders
