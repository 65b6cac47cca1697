"""Which activations a network has, as a trial forward pass shows: they are recorded, and compared with what was said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from robustbench_la.activations import ACTIVATIONS, NO_ACTIVATION, in_order
from robustbench_la.errors import UserError, first_line
from robustbench_la.images.decoding import Shape
from robustbench_la.images.normalization import Normalization
from robustbench_la.measuring.probe import Probe
from robustbench_la.models.checkpoints.assemble import assemble_network
from robustbench_la.models.checkpoints.file import CheckpointFile
from robustbench_la.models.checkpoints.network import LoadOverrides, Network
from robustbench_la.models.exchange import make_activation, native_activations, parse_exchange
from robustbench_la.text import counted

TRIED = 4
"""Number of images in the trial: below 3 torch uses other matrix kernels."""
_COUNTS_AS = {"relu6": "relu"}
"""Names that an activation is also known by: files say relu of a network with ReLU6."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The activation calls of one forward pass."""

    counts: Mapping[str, int]
    """How often each activation was called; empty if calls cannot be seen (TorchScript)."""
    modules: tuple[str, ...]
    """The activations that the network contains as modules of the table."""
    calls: tuple[tuple[str, str], ...] = ()
    """Name of each call, and of its activation, in order."""

    @property
    def label(self) -> str:
        """The activation that is called most often; several joined by ``+`` if they are called equally often."""
        if not self.counts:
            return "+".join(in_order(self.modules)) or NO_ACTIVATION
        totals: Counter[str] = Counter()
        for name, count in self.counts.items():
            totals[_COUNTS_AS.get(name, name)] += count
        most = max(totals.values())
        return "+".join(in_order(name for name, count in totals.items() if count == most))

    def __str__(self) -> str:
        """``silu x 12 + relu x 1``, the most frequent first."""
        return " + ".join(f"{name} x {count}" for name, count in sorted(self.counts.items(), key=lambda entry: -entry[1]))

    def check(self, label: str, name: str) -> None:
        """Raise UserError if the network calls others than an activation that it is said to have; a label says what is not seen."""
        called = {*self.counts, *(_COUNTS_AS.get(one, one) for one in self.counts)}
        missing = [part for part in label.split("+") if part not in called and part != NO_ACTIVATION]
        if not missing or not self.counts:
            return
        calls = " and ".join(f"{one} {counted(count, 'time')}" for one, count in self.counts.items())
        hint = (
            f", or put it there with --exchange {self.label}={missing[0]}" if {self.label, missing[0]} <= {*ACTIVATIONS} else ""
        )
        raise UserError(f"{name}: the network calls {calls} and never {missing[0]}; omit --activation{hint}")


def load(file: CheckpointFile, overrides: LoadOverrides, shape: Shape) -> Network:
    """The network of a checkpoint, with the activations that it is seen to have.

    Args:
        file: The checkpoint.
        overrides: What the user specifies.
        shape: Of the data to evaluate on.

    Returns:
        The network, in eval mode on the CPU.

    Raises:
        UserError: As ``assemble_network`` and ``look``.
    """
    return look(assemble_network(file, overrides, shape), shape)


def look(network: Network, shape: Shape) -> Network:
    """Run a network on a few images, and record which activations it calls.

    Args:
        network: In eval mode.
        shape: Of the images.

    Returns:
        The network with its activation, if that was not known, and what was seen.

    Raises:
        UserError: If the network fails on such images, or if what was seen contradicts what was said.
    """
    seen, _ = try_out(network.model, network.name, shape, network.normalization)
    if network.activation is not None:
        seen.check(network.activation, network.name)
    network = replace(network, activations_seen=str(seen) or None, activation=network.activation or seen.label)
    if not network.spec.is_as_it_is:
        return network
    alpha = alpha_of(network.model, network.activation or NO_ACTIVATION, network.alpha)
    calls = (f"its activations: {seen}",) if seen.counts else ()
    return replace(network, alpha=alpha, remarks=(*network.remarks, *_not_exchanged(network, seen), *calls))


def _not_exchanged(network: Network, seen: Seen) -> list[str]:
    """What --exchange could not reach: calls of a function by no activation module."""
    remarks = []
    for words in network.spec.exchange:
        from_, _ = parse_exchange(words)
        left = [call for call, function in seen.calls if _COUNTS_AS.get(function, function) == from_]
        if left:
            remarks.append(f"{words}: {counted(len(left), 'call')} of the function {from_} not exchanged: {', '.join(left)}")
    return remarks


def try_out(model: nn.Module, name: str, shape: Shape, normalization: Normalization) -> tuple[Seen, object]:
    """Run a network on a few images of noise.

    Args:
        model: In eval mode, on its device.
        name: Of the network, for errors.
        shape: Of the images.
        normalization: Of its inputs.

    Returns:
        The activations that it called, and what it returned.

    Raises:
        UserError: If it fails.
    """
    weights = [*model.parameters(), *model.buffers()]
    size = (TRIED, shape.channels, shape.height, shape.width)
    images = torch.randint(0, 256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = images.to(weights[0].device if weights else "cpu")
    calls: list[tuple[str, str]] = []
    try:
        probe = Probe(model, lambda layer, function, *_: calls.append((layer, function)))
    except UserError:  # TorchScript: its calls cannot be intercepted, but its modules can be listed
        probe = None
    try:
        with torch.inference_mode(), probe.watching() if probe else torch.no_grad():
            output: object = model(normalization.apply(images))
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        pixels = f"{shape.width}x{shape.height} px with {counted(shape.channels, 'channel')}"
        raise UserError(f"{name} fails on images of {pixels}: {first_line(error)}") from error
    counts = Counter(function for _, function in calls)
    return Seen(counts, tuple(native_activations(model)), tuple(calls)), output


def alpha_of(model: nn.Module, label: str, given: float | None) -> float | None:
    """LayerAct's alpha, as given or from its modules; None at the element level, or if the modules differ."""
    names = [name for name in label.split("+") if name in ACTIVATIONS and ACTIVATIONS[name].level == "layer"]
    if not names:
        return None
    kinds = {type(make_activation(name)) for name in names}
    alphas = {float(module.alpha) for module in model.modules() if type(module) in kinds and isinstance(module.alpha, float)}
    return given if given is not None else alphas.pop() if len(alphas) == 1 else None
