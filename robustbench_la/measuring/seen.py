"""Which activations a network has, as a trial forward pass shows: they are recorded, and compared with what was said."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from robustbench_la.activations import ACTIVATIONS, DEFAULT_ALPHA, NO_ACTIVATION, in_order
from robustbench_la.errors import UnfitError, UserError
from robustbench_la.images.decoding import Shape
from robustbench_la.images.normalization import Normalization
from robustbench_la.measuring.outputs import unfit_channels, which_is_taken
from robustbench_la.measuring.probe import Probe
from robustbench_la.measuring.watch import Apply
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.models.composed import Composed, candidates, recognise_function
from robustbench_la.models.exchange import native_activations, parse_exchange
from robustbench_la.models.user_code import failure
from robustbench_la.models.user_prints import prints_on_stderr
from robustbench_la.other_activations import GATES, STEPS
from robustbench_la.text import counted

TRIED = 4
"""Number of images in the trial: below 3 torch uses other matrix kernels."""
_NAME_IT = "name the activation with --activation"
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
    composed: Mapping[str, Composed] = field(default_factory=dict)
    """The modules, by path, that were seen as one call each."""
    alphas: frozenset[float | None] = frozenset()
    """Those of its LayerActs; None for one that is not known."""
    unknown: Mapping[str, int] = field(default_factory=dict)
    """Functions, with counts, that hint at activations which are written as arithmetic and not recognised."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What to say about activations that cannot be seen."""
        if self.unknown:
            named = " + ".join(f"{name} x {count}" for name, count in self.unknown.items())
            return (f"it computes with {named}, which may be activations that are not recognised; {_NAME_IT}",)
        return () if self.counts or self.modules else (f"no activation was seen in it; {_NAME_IT}",)

    @property
    def label(self) -> str:
        """The activation that is called most often; several joined by ``+`` if they are called equally often.

        A sigmoid that only gates other values, next to activations, is none.
        """
        if not self.counts:
            return "+".join(in_order(self.modules)) or NO_ACTIVATION
        totals: Counter[str] = Counter()
        only_gates = all(name in GATES for name in self.counts)
        for name, count in self.counts.items():
            if name in GATES and not only_gates:
                continue
            totals[_COUNTS_AS.get(name, name)] += count
        most = max(totals.values())
        return "+".join(in_order(name for name, count in totals.items() if count == most))

    def __str__(self) -> str:
        """``silu x 12 + relu x 1``, the most frequent first."""
        return " + ".join(f"{name} x {count}" for name, count in sorted(self.counts.items(), key=lambda entry: -entry[1]))

    def alpha(self, label: str, given: float | None, name: str) -> float | None:
        """LayerAct's alpha; None at the element level, and if it is not known or not the same everywhere.

        Args:
            label: The activation.
            given: What the user or the file says.
            name: Of the network, for errors.

        Raises:
            UserError: If what was seen contradicts what was said.
        """
        if not any(_is_layeract(part) for part in label.split("+")):
            return None
        known = {alpha for alpha in self.alphas if alpha is not None}
        if given is not None and known and not any(math.isclose(given, alpha, rel_tol=1e-3) for alpha in known):
            computed = ", ".join(f"{alpha:g}" for alpha in sorted(known))
            raise UserError(f"{name}: --layeract-alpha is {given:g}, but the network computes with {computed}; omit it")
        return given if given is not None else known.pop() if len(known) == 1 and len(self.alphas) == 1 else None

    def may_be(self, activation: str) -> bool:
        """Whether nothing that was seen contradicts that the network calls an activation.

        One that a forward computes by hand shows as its steps only, so they do not contradict it.
        """
        called = {*self.counts, *(_COUNTS_AS.get(one, one) for one in self.counts)}
        return not called or activation in {*called, NO_ACTIVATION} or bool(STEPS.get(activation, frozenset()) & called)

    def check(self, label: str, name: str) -> None:
        """Raise UserError if the network calls others than what it is said to have; a label says what cannot be seen."""
        missing = [part for part in label.split("+") if not self.may_be(part)]
        if not missing:
            return
        calls = " and ".join(f"{one} {counted(count, 'time')}" for one, count in self.counts.items())
        hint = (
            f", or put it there with --exchange {self.label}={missing[0]}" if {self.label, missing[0]} <= {*ACTIVATIONS} else ""
        )
        raise UserError(f"{name}: the network calls {calls} and never {missing[0]}; omit --activation{hint}")


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
    seen, output = try_out(network.model, network.name, shape, network.normalization)
    is_open = network.activation in (None, NO_ACTIVATION)
    if network.activation is not None:
        seen.check(network.activation, network.name)
    network = replace(
        network,
        remarks=(*network.remarks, *which_is_taken(output, images=TRIED, of_data=network.spec.classes)),
        activations_seen=str(seen) or None,
        activation=network.activation or seen.label,
        composed=seen.composed,
    )
    if not network.spec.is_as_it_is:
        return network
    alpha = seen.alpha(network.activation or NO_ACTIVATION, network.alpha, network.name)
    assumed = network.assumed
    if alpha is None and network.level == "layer":
        alpha = DEFAULT_ALPHA
        assumed = (*assumed, f"layeract_alpha {alpha:g}")
    calls = (f"its activations: {seen}",) if seen.counts else ()
    remarks = (*network.remarks, *_not_exchanged(network, seen), *calls, *(seen.remarks if is_open else ()))
    return replace(network, alpha=alpha, assumed=assumed, remarks=remarks)


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
    inputs = normalization.apply(images)
    try:
        with torch.inference_mode(), prints_on_stderr():
            composed = _composed(model, inputs)
            calls, unknown, output = _called(model, inputs, composed)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # code of the user's: anything may go wrong in it
        pixels = f"{shape.width}x{shape.height} px with {counted(shape.channels, 'channel')}"
        raise UnfitError(
            f"{name} fails on images of {pixels}: {failure(error)}", unfit_channels(model, shape.channels)
        ) from error
    counts = Counter(function for _, function, _ in calls)
    alphas = frozenset(alpha for _, function, alpha in calls if _is_layeract(function))
    named = tuple((call, function) for call, function, _ in calls)
    return Seen(counts, tuple(native_activations(model)), named, composed, alphas, unknown), output


def _is_layeract(function: str) -> bool:
    return function in ACTIVATIONS and ACTIVATIONS[function].level == "layer"


def _composed(model: nn.Module, inputs: Tensor) -> dict[str, Composed]:
    """The modules of others that are activations as a whole, by path; of nested ones the outermost."""
    shapes: dict[str, tuple[int, ...]] = {}

    def remember(path: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def hook(module: nn.Module, given: tuple[object, ...], output: object) -> None:
            if len(given) == 1 and isinstance(given[0], Tensor) and isinstance(output, Tensor) and given[0].dim() > 1:
                shapes.setdefault(path, tuple(given[0].shape))

        return hook

    possible = candidates(model)
    hooks = [module.register_forward_hook(remember(path)) for path, module in possible.items()]
    try:
        if possible:
            model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    found: dict[str, Composed] = {}
    for path, shape in shapes.items():
        module = possible[path]
        if not any(path.startswith(f"{outer}.") for outer in found):
            entry = recognise_function(module, shape, inputs.device, type(module).__name__)
            if entry is not None:
                found = {inner: other for inner, other in found.items() if not inner.startswith(f"{path}.")} | {path: entry}
    return found


def _called(
    model: nn.Module, inputs: Tensor, composed: Mapping[str, Composed]
) -> tuple[list[tuple[str, str, float | None]], Mapping[str, int], object]:
    """Name, function and alpha (of a LayerAct) of each call, what may be activations, too, and what the network returns."""
    calls: list[tuple[str, str, float | None]] = []

    def observe(layer: str, function: str, y: Tensor, a: Tensor, apply: Apply) -> None:
        alpha = None
        if _is_layeract(function) and not getattr(apply, "is_rough", False):
            found = recognise_function(apply, tuple(y.shape), y.device, function)
            alpha = None if found is None else found.alpha
        calls.append((layer, function, alpha))

    try:
        probe = Probe(model, observe, composed)
    except UserError:  # TorchScript: its calls cannot be intercepted, but its modules can be listed
        probe = None
    with probe.watching() if probe else contextlib.nullcontext():
        output: object = model(inputs)
    return calls, probe.unknown if probe else {}, output
