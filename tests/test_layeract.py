"""LA-SiLU and LA-HardSiLU against the written formula, and their gradients against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robustbench_la.activations import ACTIVATIONS, counterparts
from robustbench_la.models.exchange import make_activation
from robustbench_la.models.layeract import LAHardSiLU, LASiLU, la_hardsilu, la_silu

SCALES = {
    la_silu: lambda n: 1 / (1 + np.exp(-n)),
    la_hardsilu: lambda n: np.clip(n / 6 + 0.5, 0, 1),
}
both = pytest.mark.parametrize("function", [la_silu, la_hardsilu])


def written(function, y: np.ndarray, alpha: float) -> np.ndarray:
    """The paper's formula, sample by sample, in float64."""
    out = np.empty_like(y)
    for i, sample in enumerate(y):
        n = (sample - sample.mean()) / np.sqrt(sample.var(ddof=1) + alpha)
        out[i] = sample * SCALES[function](n)
    return out


@both
@pytest.mark.parametrize("alpha", [1e-5, 0.1, 3.0])
@pytest.mark.parametrize("shape", [(3, 2), (4, 12), (2, 3, 5, 7), (2, 16, 32, 32), (2, 40_000), (1, 200_000)])
def test_the_output_is_the_written_formula(function, alpha: float, shape: tuple[int, ...]) -> None:
    y = np.random.default_rng(0).normal(0.3, 2.0, shape)

    np.testing.assert_allclose(function(torch.from_numpy(y), alpha).numpy(), written(function, y, alpha), atol=1e-13)


@both
@pytest.mark.parametrize("elements", [2, 12, 1024])
def test_the_gradient_is_exact(function, elements: int) -> None:
    y = torch.randn(3, elements, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2
    y.requires_grad_()

    assert torch.autograd.gradcheck(function, (y,))


@both
def test_the_gradient_is_exact_for_channels_last(function) -> None:
    y = torch.randn(2, 3, 4, 5, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()

    assert torch.autograd.gradcheck(function, (y,))


@both
def test_with_and_without_gradient_the_output_is_the_same_to_rounding(function) -> None:
    y = torch.randn(4, 3, 8, 8, dtype=torch.float64)

    torch.testing.assert_close(function(y.clone().requires_grad_()).detach(), function(y), rtol=1e-13, atol=1e-13)


@both
def test_a_second_derivative_raises_a_clear_error(function) -> None:
    y = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)

    with pytest.raises(NotImplementedError, match="differentiable once"):
        torch.autograd.grad(function(y).sum(), y, create_graph=True)


@both
def test_channels_last_keeps_its_format_and_values(function) -> None:
    y = torch.randn(4, 16, 9, 7)
    last = function(y.contiguous(memory_format=torch.channels_last))

    assert last.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last, function(y))


@both
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_takes_its_statistics_in_float32(function, dtype: torch.dtype) -> None:
    y = (torch.randn(2, 4, 32, 32) * 3 + 200).to(dtype)  # a mean that bfloat16 statistics would lose
    out = function(y)

    assert out.dtype == dtype
    torch.testing.assert_close(out, function(y.float()).to(dtype), rtol=0, atol=0)


@both
def test_it_runs_under_autocast(function) -> None:
    layer = nn.Linear(8, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = function(layer(torch.randn(3, 8)))

    assert out.dtype == torch.bfloat16
    assert out.isfinite().all()


@both
@pytest.mark.parametrize("shape", [(3, 1), (3, 1, 1, 1), (0, 5), (2, 5)])
def test_one_element_no_image_and_constant_input_give_finite_numbers_and_gradients(function, shape) -> None:
    y = torch.full(shape, 2.5, requires_grad=True)
    out = function(y)
    out.sum().backward()

    assert out.shape == y.shape
    torch.testing.assert_close(out, y / 2)  # n = 0, and both scales are 1/2 there
    assert y.grad is not None
    assert y.grad.isfinite().all()


@both
@pytest.mark.parametrize("batch", [1, 2, 7, 64])
@pytest.mark.parametrize("shape", [(320,), (16, 32, 32), (3, 128, 128)])  # multiples of 32: torch's sigmoid rounds odd ends apart
def test_the_batch_size_and_the_threads_do_not_change_a_bit(function, batch: int, shape: tuple[int, ...]) -> None:
    y = torch.randn(64, *shape)
    whole = function(y)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        parts = torch.cat([function(part) for part in y.split(batch)])
    finally:
        torch.set_num_threads(before)

    assert torch.equal(parts, whole)


@both
@settings(deadline=None, max_examples=50)
@given(shift=st.floats(-5, 5), stretch=st.floats(0.1, 10))
def test_the_scale_does_not_see_a_samples_mean_and_spread(function, shift: float, stretch: float) -> None:
    y = torch.randn(2, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) + 10
    moved = (y - 10) * stretch + 10 + shift

    torch.testing.assert_close(function(moved, 1e-12) / moved, function(y, 1e-12) / y, rtol=1e-6, atol=1e-6)


@both
@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan")])
def test_alpha_must_be_above_zero(function, alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha must be above 0"):
        function(torch.zeros(2, 3), alpha)


@both
def test_an_input_without_a_batch_axis_is_refused(function) -> None:
    with pytest.raises(ValueError, match="needs shape"):
        function(torch.zeros(3))


def test_the_modules_are_the_functions_and_show_their_alpha() -> None:
    y = torch.randn(2, 5)

    assert torch.equal(LASiLU(0.1)(y), la_silu(y, 0.1))
    assert torch.equal(LAHardSiLU(0.1)(y), la_hardsilu(y, 0.1))
    assert repr(LASiLU(0.1)) == "LASiLU(alpha=0.1)"


@pytest.mark.parametrize("name", [name for name, entry in ACTIVATIONS.items() if entry.scale])
def test_every_activation_is_its_value_times_its_scale(name: str) -> None:
    entry = ACTIVATIONS[name]
    y = torch.linspace(-30, 30, 2401, dtype=torch.float64)[None]
    seen: Tensor = y
    if entry.level == "layer":
        seen = (y - y.mean()) / (y.var() + 1e-5).sqrt()
    assert entry.scale is not None
    assert entry.has_scale

    torch.testing.assert_close(make_activation(name)(y), y * torch.from_numpy(entry.scale(seen.numpy())), rtol=1e-6, atol=1e-12)


def test_counterparts_have_the_same_scale_and_colour_at_the_other_level() -> None:
    u = np.linspace(-10, 10, 101)
    for name, entry in ACTIVATIONS.items():
        if entry.counterpart is None:
            continue
        other = ACTIVATIONS[entry.counterpart]

        assert name in counterparts(entry.counterpart)
        assert (entry.level, other.level) == ("layer", "element")
        assert entry.colour == other.colour
        assert entry.scale is not None
        assert other.scale is not None
        assert np.array_equal(entry.scale(u), other.scale(u))
