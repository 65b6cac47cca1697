"""What a row of a comparison by activation stands for: which networks are pooled, and which may be paired."""

from __future__ import annotations

from typing import NamedTuple

from robustbench_la.records.networks import NetworkRecord


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
