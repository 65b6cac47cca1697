"""Activation fluctuation of checkpoints: clean and noisy images side by side in one forward pass, layer by layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterator

from robustbench_la.errors import UserError
from robustbench_la.measuring.forward import corrupted
from robustbench_la.measuring.layer_options import FluctuationOptions
from robustbench_la.measuring.layer_pass import ROWS, LayerPass, padded
from robustbench_la.measuring.layer_totals import Sample
from robustbench_la.measuring.session import Evaluation, key_of
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.progress import Meter, silent
from robustbench_la.records.cells import CLEAN, Condition, Key
from robustbench_la.records.layers import NetworkFluctuation

_TOGETHER = 5
"""Number of conditions that share one clean pass."""
_NETWORKS = 16
"""Number of networks that process the same corrupted batches, to bound memory."""


def conditions_of(evaluation: Evaluation, options: FluctuationOptions) -> list[Condition]:
    """The conditions that ``measure_layers`` uses: the injections, or else every condition except clean."""
    if CLEAN not in evaluation.conditions and evaluation.images.published is not None:
        raise UserError(f"fluctuation compares with clean images, and {evaluation.images.name} holds no clean images")
    injected = [injection.condition for injection in options.injections]
    return injected or [condition for condition in evaluation.conditions if condition != CLEAN]


def measure_layers(
    evaluation: Evaluation, options: FluctuationOptions | None = None, *, known: Container[Key] = (), meter: Meter = silent
) -> Iterator[NetworkFluctuation]:
    """Measure every network under every condition except clean, with the first noise seed.

    Args:
        evaluation: Networks, images and conditions.
        options: What to measure at every layer.
        known: Keys of records to skip, see ``session.key_of``.
        meter: Shows the progress.

    Yields:
        The records of one network under one condition; they arrive in groups of a few conditions.

    Raises:
        UserError: If the activations of a network cannot be detected.
        RunError: If the activations of a network are not finite.
    """
    options = options or FluctuationOptions()
    by_missing: dict[tuple[Condition, ...], list[Network]] = {}
    for network in evaluation.networks:
        wanted = conditions_of(evaluation, options)
        missing = tuple(condition for condition in wanted if key_of(network, condition, evaluation.seed) not in known)
        by_missing.setdefault(missing, []).append(network)
    together = _TOGETHER if evaluation.batch_size >= 2 * ROWS else 1
    todo = [
        (missing[start : start + together], networks[first : first + _NETWORKS])
        for missing, networks in by_missing.items()
        for first in range(0, len(networks), _NETWORKS)
        for start in range(0, len(missing), together)
    ]
    sample = Sample(evaluation.images.ids)
    with meter("probing", sum(len(networks) for _, networks in todo) * len(evaluation.images.ids)) as advance:
        for group, networks in todo:
            injections = tuple(injection for injection in options.injections if injection.condition in group)
            group_options = dataclasses.replace(options, injections=injections)
            passes = [LayerPass(evaluation, network, group, group_options, sample) for network in networks]
            shown = [CLEAN] if injections else [CLEAN, *group]
            least = padded(1, len(shown))
            step = max(least, 2 * evaluation.batch_size // len(shown) // least * least)
            for start in range(0, len(evaluation.images.ids), step):
                where = slice(start, min(start + step, len(evaluation.images.ids)))
                versions = [corrupted(evaluation, condition, where) for condition in shown]
                for layer_pass in passes:
                    layer_pass.show(where, versions)
                    advance(where.stop - where.start)
            for layer_pass in passes:
                yield from layer_pass.results()
