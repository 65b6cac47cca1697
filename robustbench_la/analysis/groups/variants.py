"""What a row of a comparison by activation stands for: which networks are pooled, and which may be paired."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from robustbench_la.activations import in_order
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


_DIGITS = 8
"""Of a digest in a name."""
_SETUP: Mapping[str, Callable[[Variant], str]] = MappingProxyType(
    {
        "code": lambda variant: f"network code {(variant.code or 'of larobust')[: _DIGITS if variant.code else None]}",
        "normalization": lambda variant: f"normalization {variant.normalization}",
        "recipe": lambda variant: f"recipe {variant.recipe[:_DIGITS] or 'unknown'}",
    }
)
"""How the name of a pool says what tells it from others of its architecture."""


def pools_of(networks: Iterable[NetworkRecord]) -> dict[NetworkId, str]:
    """Where each network belongs when means are taken over networks: its architecture, with whatever differs in its setup."""
    variants = {network.id: variant_of(network) for network in networks}
    differing: dict[tuple[str, str], set[object]] = {}
    for variant in variants.values():
        for name in _SETUP:
            differing.setdefault((variant.architecture, name), set()).add(getattr(variant, name))
    return {
        identity: ", ".join(
            [
                variant.architecture,
                *(said(variant) for name, said in _SETUP.items() if len(differing[variant.architecture, name]) > 1),
            ]
        )
        for identity, variant in variants.items()
    }


class Sort(NamedTuple):
    """What is taken together within a pool: an activation, with alpha and exchange where its networks differ in them."""

    activation: str
    alpha: float | None = None
    exchange: str | None = None

    @property
    def label(self) -> str:
        """What tables call it."""
        alpha = "" if self.alpha is None else f", alpha {self.alpha:g}"
        exchange = "" if self.exchange is None else f", {self.exchange}" if self.exchange else ", not exchanged"
        return f"{self.activation}{alpha}{exchange}"


def sorts_of(networks: Iterable[NetworkRecord]) -> dict[NetworkId, Sort]:
    """What each network is taken together with, within its pool."""
    distinct = {network.id: network for network in networks}
    alphas: dict[str, set[float | None]] = {}
    exchanges: dict[str, set[str]] = {}
    for network in distinct.values():
        alphas.setdefault(network.activation, set()).add(network.alpha)
        exchanges.setdefault(network.activation, set()).add(network.exchange)
    return {
        identity: Sort(
            network.activation,
            network.alpha if len(alphas[network.activation]) > 1 else None,
            network.exchange if len(exchanges[network.activation]) > 1 else None,
        )
        for identity, network in distinct.items()
    }


def sorts_in_order(sorts: Iterable[Sort]) -> list[Sort]:
    """Sorted as ``in_order`` sorts activations, then by alpha and exchange."""
    given = list(sorts)
    ranks = in_order(sort.activation for sort in given)
    return sorted(given, key=lambda sort: (ranks.index(sort.activation), sort.alpha or 0.0, sort.exchange or ""))


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
