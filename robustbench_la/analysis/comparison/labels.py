"""What names a row of a comparison: activation or checkpoint, and whatever else differs between the networks of the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from robustbench_la.analysis.comparison.contenders import Contender
from robustbench_la.analysis.comparison.request import Request
from robustbench_la.analysis.groups.groups import Group
from robustbench_la.analysis.groups.variants import Variant
from robustbench_la.analysis.tables.table import Column, Value

_DIGITS = 8
"""Of a digest in a table."""

_SETUP: Mapping[str, Callable[[Variant], Value]] = MappingProxyType(
    {
        "exchange": lambda variant: variant.exchange or "none",
        "architecture": lambda variant: variant.architecture,
        "code": lambda variant: (variant.code or "larobust")[:_DIGITS],
        "normalization": lambda variant: variant.normalization,
        "recipe": lambda variant: variant.recipe[:_DIGITS] or "unknown",
    }
)
"""How networks were built and trained, as far as a table may hold several."""


def label_columns(group: Group, request: Request) -> tuple[Column, ...]:
    """The columns that name rows."""
    columns = [Column(name="alpha", kind="number", label=True)] if _has_alphas(group) else []
    columns += [Column(name=name) for name in _differing(group)]
    if request.by == "checkpoint":
        return (Column(name="checkpoint"), Column(name="activation"), *columns, Column(name="seed", kind="count", label=True))
    return (Column(name="activation"), *columns, Column(name="n", kind="count", label=True))


def label_values(contender: Contender, group: Group, request: Request) -> tuple[Value, ...]:
    """Their values for a contender."""
    first = contender.indices[0]
    values: list[Value] = [contender.variant.alpha] if _has_alphas(group) else []
    values += [_SETUP[name](contender.variant) for name in _differing(group)]
    if request.by == "checkpoint":
        network = group.networks[first].network
        return (group.names[first], network.activation, *values, network.training_seed)
    return (contender.variant.activation, *values, len(contender.indices))


def _has_alphas(group: Group) -> bool:
    """Whether networks of one activation differ in alpha."""
    pairs = {(results.variant.activation, results.variant.alpha) for results in group.networks}
    return len(pairs) > len({activation for activation, _ in pairs})


def _differing(group: Group) -> list[str]:
    variants = [results.variant for results in group.networks]
    return [
        name for name, shown in _SETUP.items() if len({shown(variant) for variant in variants}) > 1 and _tells(name, variants)
    ]


def _tells(name: str, variants: list[Variant]) -> bool:
    """Whether a property tells networks apart that would look alike without it; code differs wherever architectures do."""
    architectures = {variant.architecture for variant in variants}
    return name != "code" or len({(variant.architecture, variant.code) for variant in variants}) > len(architectures)
