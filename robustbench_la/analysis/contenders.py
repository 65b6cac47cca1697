"""Who is compared: the networks of each activation, or each network alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from robustbench_la.analysis.groups import Group, Variant
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
    for index, network in enumerate(group.networks):
        indices.setdefault(network.variant if by == "activation" else index, []).append(index)
    contenders = []
    for own in indices.values():
        networks = [group.networks[index] for index in own]
        seeds: dict[int, int] = {}
        for index, network in zip(own, networks, strict=True):
            if network.seed is None:
                continue
            if network.seed in seeds:
                twice = group.networks[seeds[network.seed]].checkpoint
                raise UserError(
                    f"{group.title}: {twice} and {network.checkpoint} are both {network.activation} of training seed "
                    f"{network.seed}; choose by --ckpt, or compare --by checkpoint"
                )
            seeds[network.seed] = index
        contenders.append(Contender(variant=networks[0].variant, level=networks[0].level, indices=tuple(own), seeds=seeds))
    return contenders
