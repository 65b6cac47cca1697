"""Modules of others that are activations as a whole, recognised by what they compute on test inputs and not by their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustbench_la.activations import ACTIVATIONS
from robustbench_la.models.exchange import activation_types
from robustbench_la.other_activations import OTHERS

_MOST_NUMBERS = 8
"""A module with more parameters and buffers than this is no activation."""
_MOST_PER_AXIS = 6
"""Test inputs keep the number of axes and of channels; other axes are shortened to this."""
_SAMPLES = ((1e-3, 0.0), (0.03, 0.01), (0.7, -0.2), (3.0, 0.5))
"""Spread and mean of the test inputs: small ones reveal alpha."""
_CLOSE = 1e-3
"""Relative: how far from a normalised value a gate's input may be and still count as one."""
Function = Callable[[Tensor], Tensor]

_KNOWN: Mapping[str, tuple[Function, ...]] = MappingProxyType(
    {
        "relu": (F.relu,),
        "relu6": (F.relu6,),
        "silu": (F.silu,),
        "hardsilu": (F.hardswish,),
        "gelu": (F.gelu, lambda v: F.gelu(v, approximate="tanh")),
        "mish": (F.mish,),
        "elu": (F.elu,),
        "selu": (F.selu,),
        "tanh": (torch.tanh,),
        "hardtanh": (F.hardtanh,),
        "sigmoid": (torch.sigmoid,),
        "hardsigmoid": (F.hardsigmoid,),
        "softplus": (F.softplus,),
        "softsign": (F.softsign,),
        "logsigmoid": (F.logsigmoid,),
        "tanhshrink": (F.tanhshrink,),
    }
)


@dataclass(frozen=True, slots=True)
class Composed:
    """What a module computes, as a whole."""

    function: str
    """A name of the tables, or one made of the name of its class."""
    alpha: float | None = None
    """LayerAct's; None for other functions."""
    in_place: bool = False
    """Whether it overwrites its input."""


def candidates(model: nn.Module) -> dict[str, nn.Module]:
    """The modules, by path, that may be an activation as a whole: not of torch, nor ours, and without weights."""
    known = activation_types()
    found = {}
    for path, module in model.named_modules():
        numbers = sum(tensor.numel() for tensor in (*module.parameters(), *module.buffers()))
        of_torch = type(module).__module__.startswith("torch.") or isinstance(module, torch.jit.ScriptModule)
        if path and numbers <= _MOST_NUMBERS and not of_torch and type(module) not in known:
            found[path] = module
    return found


def recognise_function(function: Function, shape: tuple[int, ...], device: torch.device, name: str) -> Composed | None:
    """Recognise an activation by what it computes.

    Args:
        function: From a tensor to a tensor.
        shape: Of an input, (N, ...).
        device: Where to compute.
        name: Of its class, for a function that is in no table.

    Returns:
        What it is; None if it is no activation: neither applied element by element nor a LayerAct, or linear.
    """
    small = (len(_SAMPLES), *shape[1:2], *(min(size, _MOST_PER_AXIS) for size in shape[2:]))
    for dtype in (torch.float64, torch.float32):
        try:
            samples = _samples(small, dtype)
            given = samples.to(device)
            function(given)
            # Compared on the CPU: Apple's GPUs have no float64.
            found = _recognised(lambda values: function(values.clone().to(device)).cpu(), samples, name)
            return None if found is None else replace(found, in_place=not torch.equal(given.cpu(), samples))
        except Exception:  # code of others, given inputs that it was not written for: then it is none
            continue
    return None


def _samples(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).flatten(1)
    spread, mean = (torch.tensor(values, dtype=torch.float64)[:, None] for values in zip(*_SAMPLES, strict=True))
    return (numbers * spread + mean).view(shape).to(dtype)


def _recognised(function: Function, y: Tensor, name: str) -> Composed | None:
    out = function(y)
    if out.shape != y.shape or not out.isfinite().all() or y[0].numel() < 2:
        return None
    tolerance = 1e-9 if out.dtype == torch.float64 else 1e-5

    def same(one: Tensor, other: Tensor) -> bool:
        return torch.allclose(one.double(), other.double(), rtol=tolerance, atol=tolerance * 1e-3)

    order = torch.randperm(y[0].numel(), generator=torch.Generator().manual_seed(1))
    permuted = function(y.flatten(1)[:, order].view(y.shape))
    if not same(function(y), out) or not same(permuted.flatten(1), out.flatten(1)[:, order]):
        return None
    half = y[0].numel() // 2
    changed = y.flatten(1).clone()
    changed[:, half:] = changed[:, half:].flip(1) * 0.7 + 0.1
    if not same(function(changed.view(y.shape)).flatten(1)[:, :half], out.flatten(1)[:, :half]):
        found = layeract(y, out, tolerance)
        return None if found is None else Composed(*found)
    label = _of_elements(function, y, name, same)
    return None if label is None else Composed(label)


def _of_elements(function: Function, y: Tensor, name: str, same: Callable[[Tensor, Tensor], bool]) -> str | None:
    """The name of a function of single elements; None for a linear one."""
    grid = torch.linspace(-9, 9, y.numel(), dtype=y.dtype).view(y.shape)
    values = function(grid)
    for known, references in _KNOWN.items():
        if any(same(values, reference(grid)) for reference in references):
            return known
    flat, points = values.flatten(), grid.flatten()
    slope = (flat[-1] - flat[0]) / (points[-1] - points[0])
    if same(flat, flat[0] + slope * (points - points[0])):
        return None
    below = float(flat[0] / points[0])
    if 0 < below < 1 and same(values, F.leaky_relu(grid, below)):
        return "leaky_relu"
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().removesuffix("_activation")
    return f"custom_{words}" if words in {*ACTIVATIONS, *OTHERS} else words


def layeract(y: Tensor, out: Tensor, tolerance: float) -> tuple[str, float] | None:
    """Recognise a LayerAct: value x scale of the value normalised over its sample.

    Args:
        y: Pre-activations, (N, ...).
        out: Activations.
        tolerance: Relative.

    Returns:
        Its name and alpha; None if it is none.
    """
    rows, scale = y.double().flatten(1), (out.double() / y.double()).flatten(1)
    for name, inverse, forward in (
        ("la_silu", torch.logit, torch.sigmoid),
        ("la_hardsilu", lambda s: 6 * s - 3, F.hardsigmoid),
    ):
        inside = (scale > 1e-6) & (scale < 1 - 1e-6) & (rows != 0)
        if not inside.any(1).all():
            continue
        normalised = torch.where(inside, inverse(torch.where(inside, scale, 0.5)), 0)
        alphas = alphas_of(torch.where(inside, rows - rows.mean(1, keepdim=True), 0), normalised, rows)
        for variance, alpha in alphas:
            if alpha <= 0:
                continue
            n = (rows - rows.mean(1, keepdim=True)) / (variance[:, None] + alpha).sqrt()
            if torch.allclose(rows * forward(n), out.double().flatten(1), rtol=100 * tolerance, atol=tolerance):
                return name, float(f"{alpha:.4g}")
    return None


def alphas_of(deviation: Tensor, normalised: Tensor, rows: Tensor) -> list[tuple[Tensor, float]]:
    """The alpha with which values were normalised, for either definition of the variance (divided by D - 1, and by D).

    Args:
        deviation: Of each value from the mean of its sample, (N, D); 0 where ``normalised`` is not known.
        normalised: The same, divided by sqrt(variance + alpha).
        rows: The values, (N, D).

    Returns:
        Variances, (N,), and alpha, of the sample whose variance is smallest; rounding may leave it negative.
    """
    squares = (deviation.square().sum(1) / (deviation * normalised).sum(1)).square()
    variances = [rows.var(1, correction=correction) for correction in (1, 0)]
    return [(variance, float((squares - variance)[variance.argmin()])) for variance in variances]


def alpha_of_gate(value: Tensor, normalised: Tensor) -> float | None:
    """The alpha with which a gate's input is the value normalised over its sample; None if it is something else.

    Args:
        value: What the gate multiplies, (N, ...).
        normalised: The input of the gate.

    Returns:
        Alpha. It has two digits, or more where rounding in float32 hides it.
    """
    if value.dim() < 2 or not value.is_floating_point() or value[0].numel() < 2:
        return None
    # On the CPU where the device has no float64.
    rows, inputs = ((one.cpu() if one.device.type == "mps" else one).flatten(1).double() for one in (value, normalised))
    deviation = rows - rows.mean(1, keepdim=True)
    slope = (deviation * inputs).sum(1, keepdim=True) / deviation.square().sum(1, keepdim=True)
    if not bool(((inputs - slope * deviation).norm(dim=1) <= _CLOSE * inputs.norm(dim=1)).all() & (slope > 0).all()):
        return None
    # Of different samples the slopes differ with their variances: a plain affine function has the same for all.
    for variance, alpha in alphas_of(deviation, inputs, rows):
        least = float(variance.min())
        if alpha > -_CLOSE * least and torch.allclose(slope[:, 0], (variance + alpha).rsqrt(), rtol=_CLOSE):
            rounded = float(f"{alpha:.2g}")
            return rounded if alpha > 20 * torch.finfo(torch.float32).eps * least else max(alpha, 1e-12)
    return None
