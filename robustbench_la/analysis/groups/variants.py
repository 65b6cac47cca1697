"""What a row of a comparison by activation stands for: which networks are pooled, and which may be paired."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from robustbench_la.records.networks import NetworkId, NetworkRecord


class Variant(NamedTuple):
    """What a row of a comparison by activation stands for: an activation, and how its networks were built and trained."""

    activation: str
    alpha: float | None
    exchange: str = ""
    """Which activations were exchanged after the network was built."""
    architecture: str = ""
    """As the user calls it, if the user gave it a label."""
    code: str | None = None
    normalization: str = ""
    recipe: str = ""

    @property
    def setup(self) -> tuple[object, ...]:
        """How its networks were built and trained: what two of them must share to be paired."""
        return self[3:]


def variant_of(network: NetworkRecord) -> Variant:
    """The row that a network belongs to when networks are compared by activation."""
    return Variant(
        activation=network.activation,
        alpha=network.alpha,
        exchange=network.exchange,
        architecture=network.design,
        code=None if network.architecture_label else network.code,
        normalization=network.normalization,
        recipe=network.recipe,
    )


def pools_of(networks: Iterable[NetworkRecord]) -> dict[NetworkId, str]:
    """Where each network belongs when means are taken over networks: its architecture, with the recipe where several differ."""
    distinct = {network.id: network for network in networks}
    recipes: dict[str, set[str]] = {}
    for network in distinct.values():
        recipes.setdefault(network.design, set()).add(network.recipe)
    return {
        identity: network.design
        if len(recipes[network.design]) < 2
        else f"{network.design}, recipe {network.recipe[:8] or 'unknown'}"
        for identity, network in distinct.items()
    }


def copies_of(networks: Iterable[NetworkRecord]) -> dict[NetworkId, NetworkRecord]:
    """The networks that repeat the weights of an earlier one of their kind, each with that one: both are one training seed."""
    first: dict[tuple[object, ...], NetworkRecord] = {}
    copies = {}
    for network in {network.id: network for network in networks}.values():
        if network.weights:
            original = first.setdefault((*variant_of(network), network.weights), network)
            if original is not network:
                copies[network.id] = original
    return copies


def copies_note(networks: Iterable[NetworkRecord]) -> tuple[str, ...]:
    """A sentence that names networks with identical weights; none if there are none."""
    records = {network.id: network for network in networks}
    copies = copies_of(records.values())
    if not copies:
        return ()
    listed = "; ".join(f"{records[copy].checkpoint} and {original.checkpoint}" for copy, original in copies.items())
    return (f"Identical weights, counted once as a training seed: {listed}.",)
