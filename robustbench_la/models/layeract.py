"""LayerAct: activations whose scale depends on the layer-normalised pre-activation (Yoon & Lim, AAAI 2025, arXiv 2306.04940).

For one sample with D pre-activations y, mean mu and unbiased variance sigma^2 (divided by D - 1) over all axes except the batch:

    n_i = (y_i - mu) / sqrt(sigma^2 + alpha)        a_i = y_i s(n_i)

Only the input of the scale s is normalised, so the mean and spread of each sample are preserved. There are no affine parameters.

The gradient is exact: with g = dL/da and t_i = g_i y_i s'(n_i) / sqrt(sigma^2 + alpha),

    dL/dy_i = g_i s(n_i) + t_i - mean(t) - n_i sum(t n) / (D - 1).

(The authors' code divides by D where the unbiased variance needs D - 1.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from robustbench_la.activations import DEFAULT_ALPHA

Kernel = Literal["sigmoid", "hardsigmoid"]

_BLOCK = 1 << 18
"""Elements processed at a time on a CPU: one megabyte stays in the cache from one step to the next."""
_SHORT = 1 << 15
"""Below this many elements torch sums a row in a single thread, so the statistics depend on neither batch size nor threads."""


def _blocks(y: Tensor) -> Iterator[slice]:
    """Slices of samples of ``y``, (N, D), each of about _BLOCK elements; all samples at once off the CPU."""
    step = max(1, _BLOCK // y.shape[1]) if y.device.type == "cpu" else len(y)
    for start in range(0, len(y), step):
        yield slice(start, start + step)


def _layer_norm(y: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """n for ``y`` of shape (N, D) with D > 1; its mean and 1 / sqrt(biased variance + eps), both (N, 1).

    layer_norm divides by sqrt(biased variance + eps); with this eps, the factor sqrt(share) turns its result into exactly n.
    """
    share = (y.shape[1] - 1) / y.shape[1]
    n, mean, inverse = torch.native_layer_norm(y, y.shape[1:], None, None, alpha * share)
    return n.mul_(math.sqrt(share)), mean, inverse


def _scale_(n: Tensor, kernel: Kernel) -> Tensor:
    """s(n), in place."""
    return n.sigmoid_() if kernel == "sigmoid" else nn.functional.hardsigmoid(n, inplace=True)


class _LayerAct(torch.autograd.Function):
    """y s(n) for ``y`` of shape (N, D), and its gradient with few passes over memory."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, alpha: float, kernel: Kernel) -> Tensor:
        n, mean, inverse = _layer_norm(y, alpha)
        # The sigmoid's slope follows from its value; the hard sigmoid's needs n.
        kept = n.sigmoid_() if kernel == "sigmoid" else n
        ctx.save_for_backward(y, kept, mean, inverse)
        ctx.kernel = kernel
        return kept * y if kernel == "sigmoid" else nn.functional.hardsigmoid(n).mul_(y)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        if torch.is_grad_enabled():  # create_graph=True: the steps below would be treated as constants
            raise NotImplementedError("LayerAct is differentiable once; its second derivative is not implemented")
        y, kept, mean, inverse = ctx.saved_tensors
        through = grad * y
        if ctx.kernel == "sigmoid":
            scale = kept
            torch.ops.aten.sigmoid_backward.grad_input(through, kept, grad_input=through)
        else:
            scale = nn.functional.hardsigmoid(kept)
            torch.ops.aten.hardsigmoid_backward.grad_input(through, kept, grad_input=through)
        through.mul_(math.sqrt((y.shape[1] - 1) / y.shape[1]))
        gradient: Tensor = torch.ops.aten.native_layer_norm_backward(
            through, y, y.shape[1:], mean, inverse, None, None, [True, False, False]
        )[0]
        return gradient.addcmul_(grad, scale), None, None


def _infer(y: Tensor, alpha: float, kernel: Kernel) -> Tensor:
    """y s(n) for ``y`` of shape (N, D), without a gradient."""
    out = torch.empty_like(y)
    for block in _blocks(y):
        if y.shape[1] < _SHORT:  # half the time of layer_norm
            n = torch.sub(y[block], y[block].mean(1, keepdim=True), out=out[block])
            variance = torch.linalg.vector_norm(n, dim=1, keepdim=True).square_().div_(y.shape[1] - 1)
            _scale_(n.mul_(variance.add_(alpha).rsqrt_()), kernel).mul_(y[block])
        else:
            torch.mul(_scale_(_layer_norm(y[block], alpha)[0], kernel), y[block], out=out[block])
    return out


def _apply(y: Tensor, alpha: float, kernel: Kernel) -> Tensor:
    """What both functions have in common: checks, dtypes, memory format."""
    if not alpha > 0:
        raise ValueError(f"alpha must be above 0, not {alpha}")
    if y.dim() < 2:
        raise ValueError(f"a layer-level activation needs shape (N, ...), not {tuple(y.shape)}")
    if y.dtype in (torch.bfloat16, torch.float16):  # the statistics need float32
        return _apply(y.float(), alpha, kernel).to(y.dtype)
    if y.dim() == 4 and y.is_contiguous(memory_format=torch.channels_last):
        # The statistics do not depend on the order of the elements; this saves two copies.
        channels_last = y.permute(0, 2, 3, 1)
        return _apply(channels_last.flatten(1), alpha, kernel).view(channels_last.shape).permute(0, 3, 1, 2)
    flat = y.flatten(1).contiguous()
    if flat.shape[1] <= 1 or len(flat) == 0:  # a single element has no variance: n = 0, where both scales are 1/2
        return y / 2
    if torch.is_grad_enabled() and y.requires_grad:
        result: Tensor = _LayerAct.apply(flat, alpha, kernel)
    else:
        result = _infer(flat, alpha, kernel)
    return result.view(y.shape)


def la_silu(y: Tensor, alpha: float = DEFAULT_ALPHA) -> Tensor:
    """LA-SiLU: y sigmoid(n), with n normalised over all axes except the batch. Differentiable once.

    Args:
        y: Pre-activations, (N, ...).
        alpha: Added to the variance; above 0.

    Returns:
        A tensor of the shape and dtype of ``y``.

    Raises:
        ValueError: If ``alpha`` is not positive, or ``y`` has no batch axis.

    >>> la_silu(torch.tensor([[-1.0, 0.0, 1.0]])).round(decimals=4)
    tensor([[-0.2689,  0.0000,  0.7311]])
    """
    if has_torch_function_unary(y):
        result: Tensor = handle_torch_function(la_silu, (y,), y, alpha)
        return result
    return _apply(y, alpha, "sigmoid")


def la_hardsilu(y: Tensor, alpha: float = DEFAULT_ALPHA) -> Tensor:
    """LA-HardSiLU: y clip(n / 6 + 1/2, 0, 1), with n normalised over all axes except the batch. Differentiable once.

    Args:
        y: Pre-activations, (N, ...).
        alpha: Added to the variance; above 0.

    Returns:
        A tensor of the shape and dtype of ``y``.

    Raises:
        ValueError: If ``alpha`` is not positive, or ``y`` has no batch axis.

    >>> la_hardsilu(torch.tensor([[-6.0, 0.0, 6.0]])).round(decimals=4)
    tensor([[-2.,  0.,  4.]])
    """
    if has_torch_function_unary(y):
        result: Tensor = handle_torch_function(la_hardsilu, (y,), y, alpha)
        return result
    return _apply(y, alpha, "hardsigmoid")


class LASiLU(nn.Module):
    """The module form of :func:`la_silu`.

    Args:
        alpha: Added to the variance; above 0.
    """

    def __init__(self, alpha: float = DEFAULT_ALPHA) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, y: Tensor) -> Tensor:
        """``y`` of shape (N, ...); same shape and type."""
        return la_silu(y, self.alpha)

    def extra_repr(self) -> str:
        """alpha, as shown by print(model)."""
        return f"alpha={self.alpha:g}"


class LAHardSiLU(nn.Module):
    """The module form of :func:`la_hardsilu`.

    Args:
        alpha: Added to the variance; above 0.
    """

    def __init__(self, alpha: float = DEFAULT_ALPHA) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, y: Tensor) -> Tensor:
        """``y`` of shape (N, ...); same shape and type."""
        return la_hardsilu(y, self.alpha)

    def extra_repr(self) -> str:
        """alpha, as shown by print(model)."""
        return f"alpha={self.alpha:g}"
