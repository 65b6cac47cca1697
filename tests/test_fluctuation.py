"""Layer statistics against a loop over images in float64, for the networks of the table and for a zoo of awkward ones."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from torch import Tensor, nn

from robustbench_la.errors import RunError, UserError
from robustbench_la.images.decoding import ImageSet
from robustbench_la.images.normalization import NORMALIZATIONS
from robustbench_la.measuring import fluctuation, layer_sums
from robustbench_la.measuring.forward import corrupted
from robustbench_la.measuring.inject import Injection, normals, parse_injection
from robustbench_la.measuring.layer_options import FluctuationOptions
from robustbench_la.measuring.layer_totals import Moments, Sample
from robustbench_la.measuring.probe import Probe
from robustbench_la.measuring.session import Evaluation
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.build import build, exchange_for
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.models.exchange import make_activation
from robustbench_la.models.layeract import LAHardSiLU, LASiLU, la_silu
from robustbench_la.records.cells import CLEAN, Condition
from robustbench_la.records.layers import QUANTILES, STATISTICS

NOISE = Condition(corruption="gaussian_noise", severity=3, parameters=(0.08,), profile="cifar-c")
POISSON = Condition(corruption="shot_noise", severity=5, parameters=(25.0,), profile="cifar-c")
SCALES: dict[str, Callable[..., np.ndarray]] = {
    "relu": lambda u: (u > 0) * 1.0,
    "relu6": lambda u: np.where(u > 0, np.minimum(u, 6) / np.where(u > 0, u, 1), 0),
    "leaky_relu": lambda u, slope=0.01: np.where(u > 0, 1, slope),
    "prelu": lambda u, slope: np.where(u > 0, 1, slope),
    "elu": lambda u: np.where(u > 0, 1, np.expm1(np.minimum(u, 0)) / np.where(u < 0, u, 1)) + (u == 0),
    "celu": lambda u: SCALES["elu"](u),
    "selu": lambda u: 1.0507009873554805 * np.where(u > 0, 1, 1.6732632423543772 * SCALES["elu"](u)),
    "silu": special.expit,
    "hardsilu": lambda u: np.clip(u / 6 + 0.5, 0, 1),
    "gelu": special.ndtr,
    "gelu_tanh": lambda u: (1 + np.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3))) / 2,
    "mish": lambda u: np.tanh(np.logaddexp(0, u)),
    "tanh": lambda u: np.where(u == 0, 1, np.tanh(u) / np.where(u == 0, 1, u)),
    "softsign": lambda u: 1 / (1 + np.abs(u)),
}


def scale(kind: str, y: np.ndarray, **more: object) -> np.ndarray:
    """Of one image's pre-activations, float64 (D,)."""
    if kind.startswith("la_"):
        spread = math.sqrt((y.var(ddof=1) if y.size > 1 else 0) + 1e-5)
        return SCALES[kind.removeprefix("la_")]((y - y.mean()) / spread)
    return SCALES[kind](y, **more)


class Notes:
    """What a network of the zoo says of its own activation calls, as it makes them."""

    taken: list[tuple[str, str, Tensor, dict]] | None = None


def note(layer: str, kind: str, y: Tensor, **more: object) -> Tensor:
    if Notes.taken is not None:
        Notes.taken.append((layer, kind, y.detach().clone(), more))
    return y


class Reused(nn.Module):
    """One in-place ReLU for two places, as in torchvision's ResNets."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(note("block.relu", "relu", self.conv1(x)))
        return self.relu(note("block.relu[1]", "relu", self.conv2(x) + x))


class Functional(nn.Module):
    """Every way of calling ReLU without a module, and two calls at one place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(note("block/relu[0]", "relu", self.conv(x)))
        x = torch.relu(note("block/relu[1]", "relu", x - 0.1))
        x = (note("block/relu[2]", "relu", x - 0.1)).relu()
        y = note("block/relu[3]", "relu", 0.3 - x)
        x = F.relu(y, inplace=True) + y
        return F.leaky_relu_(note("block/leaky_relu[0]", "leaky_relu", x - 0.2, slope=0.2), 0.2)


class Kinds(nn.Module):
    """Activations of all kinds in one network."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.prelu = nn.PReLU(4, init=0.3)
        self.acts = nn.ModuleList([nn.SiLU(), nn.GELU(approximate="tanh"), nn.GELU(), nn.ELU(), nn.Mish(inplace=True)])
        self.more = nn.ModuleDict({"hard": nn.Hardswish(), "six": nn.ReLU6(), "selu": nn.SELU(), "celu": nn.CELU()})
        self.la = nn.Sequential(nn.Conv2d(4, 4, 1), LASiLU(), LAHardSiLU())

    def forward(self, x: Tensor) -> Tensor:
        x = 8 * self.conv(x)
        slope = torch.full((1, 4, 1, 1), 0.3).expand_as(x).numpy()
        x = self.prelu(note("block.prelu", "prelu", x, slope=slope))
        for number, kind in enumerate(["silu", "gelu_tanh", "gelu", "elu", "mish"]):
            x = self.acts[number](note(f"block.acts.{number}", kind, 2 * x - 0.5))
        for name, kind in [("hard", "hardsilu"), ("six", "relu6"), ("selu", "selu"), ("celu", "celu")]:
            x = self.more[name](note(f"block.more.{name}", kind, 3 * x - 1))
        y = note("block.la.1", "la_silu", self.la[0](x))
        note("block.la.2", "la_hardsilu", la_silu(y.clone()) if Notes.taken is not None else y)
        x = self.la[1:](y)
        x = la_silu(note("block/la_silu[0]", "la_silu", x - 1))
        x = torch.tanh(note("block/tanh[0]", "tanh", x))
        return F.softsign(note("block/softsign[0]", "softsign", x))


class Pair(nn.Module):
    """Takes and gives a tuple; has an activation that is never reached, and one in a class of its own."""

    class Own(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.silu(note("block.own/silu[0]", "silu", x))

    def __init__(self) -> None:
        super().__init__()
        self.inner = Reused()
        self.own = self.Own()
        self.never = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        both = (x, x * 0.5)
        one, other = self._swap(both)
        return self.own(one[:, :2] + other[:, :2])

    def _swap(self, both: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return both[1] - 0.2, both[0]


class Zeros(nn.Module):
    """Pre-activations that are exactly 0, with a scale of 1/2 there, and a layer that is dead."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(note("block/relu[0]", "relu", self.conv(x)))
        x = F.silu(note("block/silu[0]", "silu", x))
        x = la_silu(note("block/la_silu[0]", "la_silu", F.relu(note("block/relu[1]", "relu", x - 0.1))))
        dead = F.relu(note("block/relu[2]", "relu", -1 - x.abs()))
        return F.gelu(note("block/gelu[0]", "gelu", dead + x))


class Single(nn.Module):
    """A layer of one element, a layer-level activation on it, and windows folded into the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.back = nn.Linear(192, 1), nn.Linear(1, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = la_silu(note("block/la_silu[0]", "la_silu", F.silu(note("block/silu[0]", "silu", 2 + 5 * self.one(x.flatten(1))))))
        windows = self.back(x).reshape(-1, 4)
        return F.gelu(note("block/gelu[0]", "gelu", windows)).reshape(len(x), 8)


class Sequence(nn.Module):
    """A transformer whose images stand on the second axis."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(24, 12), nn.Linear(12, 24)
        self.encoder = nn.TransformerEncoderLayer(24, 4, 16, batch_first=True, activation="gelu")

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).reshape(len(x), 8, 24)
        time_first = F.silu(note("block/silu[0]", "silu", self.linear1(tokens.transpose(0, 1)), axis=1))
        tokens = self.linear2(time_first.transpose(0, 1))
        if Notes.taken is not None:
            layer = self.encoder
            attended = layer.norm1(tokens + layer.self_attn(tokens, tokens, tokens, need_weights=False)[0])
            note("block.encoder/gelu[0]", "gelu", layer.linear1(attended))
        return self.encoder(tokens)


class Tokens(nn.Module):
    """As many tokens as images may go through the network together, on the first axis; and a call on weights, of no image."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 5)
        self.bias = nn.Parameter(torch.linspace(-1, 1, 64).reshape(64, 1))

    def forward(self, x: Tensor) -> Tensor:
        scale = F.relu(self.bias)
        tokens = self.linear(x.flatten(2).permute(2, 0, 1)) * (1 + scale[:, None])
        tokens = F.silu(input=note("block/silu[0]", "silu", tokens, axis=1))
        return F.relu(note("block/relu[1]", "relu", tokens.transpose(0, 1) - 0.1))


class Classifier(nn.Module):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.head = nn.LazyLinear(10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(x).flatten(1))


ZOO = [Reused, Functional, Kinds, Pair, Zeros, Single, Sequence, Tokens]
TABLE = [("mlp", "relu"), ("cnn", "silu"), ("cnn", "la_silu"), ("resnet20", "relu"), ("torchvision:resnet18", "la_hardsilu")]


def evaluation(model: nn.Module, activation: str = "relu", *, count: int = 24, side: int = 8, **more: object) -> Evaluation:
    rng = np.random.default_rng(0)
    spec = NetworkSpec(architecture="zoo", classes=10, channels=3, height=side, width=side)
    network = Network(
        name="zoo.pt", sha256="", model=model.eval(), spec=spec, activation=activation, alpha=1e-5,
        normalization=NORMALIZATIONS["half"], data=None, seed=11, remarks=(),
        channels_last=any(isinstance(module, nn.Conv2d) for module in model.modules()),
    )  # fmt: skip
    if network.channels_last:
        model.to(memory_format=torch.channels_last)
    images = ImageSet(
        name="random",
        images=rng.integers(0, 256, (count, 3, side, side), dtype=np.uint8),
        labels=rng.integers(0, 10, count),
        ids=np.sort(rng.choice(1000, count, replace=False)),
        classes=tuple("0123456789"),
        total=1000,
    )
    whole = Evaluation(
        networks=(network,), images=images, conditions=(CLEAN, NOISE, POISSON), profile="cifar-c", seed=3,
        device=torch.device("cpu"), batch_size=64, amp=False,
    )  # fmt: skip
    return dataclasses.replace(whole, **more)


def zoo(kind: type[nn.Module], **more: object) -> Evaluation:
    torch.manual_seed(0)
    model = Classifier(kind())
    model(torch.zeros(2, 3, 8, 8))
    return evaluation(model, **more)


def table(architecture: str, activation: str, **more: object) -> Evaluation:
    torch.manual_seed(0)
    side = 32 if ":" in architecture else 16
    spec = NetworkSpec(architecture=architecture, classes=10, channels=3, height=side, width=side)
    spec = dataclasses.replace(spec, exchange=exchange_for(spec, activation))
    return evaluation(build(spec, activation), activation, side=side, **more)


def pre_activations(measured: Evaluation, condition: Condition) -> list[tuple[str, str, np.ndarray, dict]]:
    """Of every call, float64 (N, D), by notes of the network itself or by hooks on its activation modules."""
    model, Notes.taken = measured.networks[0].model, []
    hooks = []
    met: dict[str, int] = {}
    if not isinstance(model, Classifier):
        for path, module in model.named_modules():
            if isinstance(module, nn.ReLU | nn.SiLU | LASiLU | LAHardSiLU):

                def hook(module: nn.Module, inputs: tuple[Tensor], path: str = path) -> None:
                    met[path] = met.get(path, -1) + 1
                    note(path if not met[path] else f"{path}[{met[path]}]", measured.networks[0].activation, inputs[0])

                hooks.append(module.register_forward_pre_hook(hook))
    images = corrupted(measured, condition, slice(None))
    try:
        with torch.inference_mode(), Probe(model, lambda *call: None).watching():
            model(measured.networks[0].normalization.apply(images).contiguous(memory_format=torch.channels_last))
        found = []
        for layer, kind, y, more in Notes.taken:
            axis = more.pop("axis", 0)
            values = y.movedim(axis, 0).reshape(len(images), -1).double().numpy()
            found.append(
                (layer, kind, values, {key: np.reshape(v, values.shape) if np.ndim(v) else v for key, v in more.items()})
            )
        return found
    finally:
        Notes.taken = None
        for one in hooks:
            one.remove()


def reference(kind: str, clean: np.ndarray, noisy: np.ndarray, more: dict, windows: int = 1) -> dict[str, float | None]:
    """Every statistic of one layer, image by image, from pre-activations (N, D)."""
    rows: dict[str, list[float]] = {name: [] for name in ["f", "i", "b", "m", "p", "r", "t", "c", "s", "sc", "sn"]}
    activations = []
    for number, (y, z) in enumerate(zip(clean, noisy, strict=True)):
        own = {key: value[number] if np.ndim(value) else value for key, value in more.items()}
        s, t = scale(kind, y, **own), scale(kind, z, **own)
        a, b = y * s, z * t
        activations.append(a)
        rows["f"].append(np.abs(b - a).sum())
        rows["i"].append(np.abs(z - y).sum())
        rows["m"].append((np.abs(y) * np.abs(t - s)).sum())
        rows["p"].append((np.abs(z - y) * np.abs(t)).sum())
        rows["b"].append(rows["m"][-1] + rows["p"][-1])
        if rows["b"][-1]:
            rows["t"].append(rows["f"][-1] / rows["b"][-1])
        if np.abs(a).sum():
            rows["r"].append(rows["f"][-1] / np.abs(a).sum())
        if np.abs(a).sum() and np.abs(b).sum():
            rows["c"].append(a @ b / math.sqrt(a @ a) / math.sqrt(b @ b))
        rows["s"].append(y.std(ddof=1) if y.size > 1 else 0)
        rows["sc"].append((s < 0.01).mean())
        rows["sn"].append((t < 0.01).mean())
    found = {name: np.array(values) for name, values in rows.items()}
    elements = np.mean(activations, axis=0)
    normalizer = np.sqrt(found["s"] ** 2 + 1e-5)

    def over(name: str, values: np.ndarray) -> dict[str, float | None]:
        deviation = values.std(ddof=1) if len(values) > 1 else None
        return {f"{name}_mean": values.mean() if len(values) else None, f"{name}_std": deviation}

    def quantiles(name: str, values: np.ndarray) -> dict[str, float | None]:
        return {f"{name}_q{q:02d}": np.percentile(values, q) if len(values) else None for q in QUANTILES}

    return {
        **over("fluctuation", found["f"]), **quantiles("fluctuation", found["f"]),
        "fluctuation_per_element_mean": found["f"].mean() / clean.shape[1],
        "fluctuation_per_element_std": found["f"].std(ddof=1) / clean.shape[1],
        **over("relative", found["r"]), **quantiles("relative", found["r"]),
        **over("input_fluctuation", found["i"]),
        "gain": found["f"].mean() / found["i"].mean(),
        "bound_mean": found["b"].mean(),
        "bound_scale_moved_mean": found["m"].mean(),
        "bound_shift_passed_mean": found["p"].mean(),
        "tightness_mean": found["t"].mean() if len(found["t"]) else None,
        "tightness_max": found["t"].max() if len(found["t"]) else None,
        "saturation_clean": found["sc"].mean(), "saturation_noisy": found["sn"].mean(),
        "activation_mean_mean": elements.mean(),
        "activation_mean_abs": np.abs(elements).mean(),
        "activation_mean_std": elements.std(),
        **over("sigma", found["s"]), **quantiles("sigma", found["s"]), **quantiles("normalizer", normalizer),
        "normalizer_above_1": (normalizer > 1).mean(),
        "cosine_mean": found["c"].mean() if len(found["c"]) else None,
    }  # fmt: skip


def check(measured: Evaluation) -> None:
    """Every number of every layer equals the reference's to 1e-5."""
    for result, condition in zip(fluctuation.measure_layers(measured), measured.conditions[1:], strict=True):
        clean, noisy = pre_activations(measured, CLEAN), pre_activations(measured, condition)

        assert [layer.layer for layer in result.layers] == [name for name, *_ in clean]
        for layer, (name, kind, y, more), (_, _, z, _) in zip(result.layers, clean, noisy, strict=True):
            expected = reference(kind, y, z, more)
            assert layer.elements == y.shape[1]
            assert layer.condition == condition
            assert layer.statistics.keys() == STATISTICS.keys() == expected.keys()
            for statistic, value in expected.items():
                got = layer.statistics[statistic]
                # A mean over elements that cancel is compared with their size; so is a quantile, which may be that of an image
                # whose activations hardly move, up to the rounding of float32; other numbers with themselves.
                typical = expected["activation_mean_abs"]
                sizes = {"activation_mean": typical, "fluctuation_q": 0.1 * typical, "relative_q": 0.1}
                size = next((own for begin, own in sizes.items() if statistic.startswith(begin)), 0.0)
                assert got == (None if value is None else pytest.approx(value, rel=1e-5, abs=1e-5 * size + 1e-12)), (
                    name,
                    statistic,
                )


@pytest.mark.parametrize("kind", ZOO, ids=lambda kind: kind.__name__)
def test_an_awkward_network_has_the_numbers_computed_by_hand(kind: type[nn.Module]) -> None:
    check(zoo(kind))


@pytest.mark.parametrize(("architecture", "activation"), TABLE)
def test_networks_of_the_table_have_the_numbers_of_a_loop_over_images(architecture: str, activation: str) -> None:
    check(table(architecture, activation))


def numbers(measured: Evaluation, **more: object) -> list[dict]:
    results = fluctuation.measure_layers(dataclasses.replace(measured, **more))
    return [layer.statistics for result in results for layer in result.layers]


@pytest.mark.parametrize("make", [lambda: zoo(Kinds), lambda: zoo(Single), lambda: zoo(Sequence), lambda: zoo(Zeros),
                                  lambda: zoo(Tokens, count=100), lambda: table("mlp", "silu"),
                                  lambda: table("cnn", "la_silu"), lambda: table("resnet20", "relu")])  # fmt: skip
def test_neither_batch_size_nor_threads_change_a_number(make: Callable[[], Evaluation]) -> None:
    measured = make()
    expected = numbers(measured)
    threads = torch.get_num_threads()
    try:
        for count, size in ((1, 1), (2, 7), (1, 64), (2, 64)):
            torch.set_num_threads(count)
            for one, other in zip(numbers(measured, batch_size=size), expected, strict=True):
                assert one == {name: value and pytest.approx(value, rel=1e-9, abs=1e-13) for name, value in other.items()}
    finally:
        torch.set_num_threads(threads)


def test_a_condition_measured_alone_has_the_numbers_it_has_among_others() -> None:
    measured = table("cnn", "la_silu")
    together, alone = numbers(measured), numbers(measured, conditions=(CLEAN, POISSON))

    for one, other in zip(together[-2:], alone, strict=True):
        assert one == pytest.approx(other, rel=1e-9)


def test_only_the_fluctuation_is_the_same_fluctuation() -> None:
    measured = table("resnet20", "la_silu")
    everything = [layer for result in fluctuation.measure_layers(measured) for layer in result.layers]
    only = [
        layer
        for result in fluctuation.measure_layers(measured, FluctuationOptions(only="fluctuation"))
        for layer in result.layers
    ]

    for one, other in zip(only, everything, strict=True):
        assert one.statistics == {name: other.statistics[name] for name in one.statistics}
        assert {"fluctuation_mean", "fluctuation_std", "fluctuation_q50"} <= one.statistics.keys()


def test_the_mean_over_layers_of_each_image_is_kept() -> None:
    result = next(fluctuation.measure_layers(table("cnn", "silu")))
    layers = [layer.statistics for layer in result.layers]

    for name in ("fluctuation", "relative", "input_fluctuation"):
        assert result.per_image[name].mean() == pytest.approx(np.mean([layer[f"{name}_mean"] for layer in layers]))
    for layer, mean in zip(layers, result.activation_means, strict=True):
        assert np.abs(mean).mean() == pytest.approx(layer["activation_mean_abs"])


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(["relu", "leaky_relu", "elu", "silu", "hardsilu", "gelu", "mish", "la_silu", "la_hardsilu"]),
    elements=st.integers(1, 3000),
    spread=st.floats(1e-3, 1e3),
    shift=st.floats(-10, 10),
    noise=st.floats(1e-4, 10),
    seed=st.integers(0, 2**31),
)
def test_no_image_exceeds_its_bound(kind: str, elements: int, spread: float, shift: float, noise: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(5, elements, generator=generator) * spread + shift
    z = y + torch.randn(5, elements, generator=generator) * noise * spread
    function = make_activation(kind)
    # Rounded once: float32 itself cannot normalise a spread that is far below the mean.
    clean, moved = (function(values.double()).float() for values in (y, z))
    _, noisy = layer_sums.sums((y, clean), [(z, moved)], 0.01)
    measured = layer_sums.NoisySums(noisy[0].numpy())
    for row, (one, other) in enumerate(zip(y.double().numpy(), z.double().numpy(), strict=True)):
        s, t = scale(kind, one), scale(kind, other)
        bound = (np.abs(one) * np.abs(t - s) + np.abs(other - one) * np.abs(t)).sum()

        parts = measured.scale_moved[row] + measured.shift_passed[row]
        assert measured.fluctuation[row] <= parts * (1 + 1e-6) + 1e-6 * np.abs(one).sum()
        assert measured.fluctuation[row] <= measured.bound[row]
        assert parts == pytest.approx(bound, rel=1e-4, abs=1e-6 * np.abs(one).sum())


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_the_model_comes_out_as_it_went_in(fault: type[BaseException]) -> None:
    measured = zoo(Reused)
    model = measured.networks[0].model
    model.block.conv1.train()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    list(fluctuation.measure_layers(measured))

    def fail(*call: object) -> None:
        raise fault

    with pytest.raises(fault), Probe(model, fail).watching():
        model(torch.zeros(2, 3, 8, 8))

    assert [module.training for module in model.modules()] == modes
    assert not nn.modules.module._global_forward_pre_hooks
    assert not nn.modules.module._global_forward_hooks
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    assert [layer.layer for layer in next(fluctuation.measure_layers(measured)).layers] == ["block.relu", "block.relu[1]"]


def test_an_activation_that_no_image_reaches_is_reported() -> None:
    assert next(fluctuation.measure_layers(zoo(Pair))).unreached == ("block.inner.relu", "block.never")


def test_a_compiled_model_is_measured_as_it_was_written() -> None:
    plain, measured = zoo(Kinds), zoo(Kinds)
    model = measured.networks[0].model
    model.block.acts[0] = torch.compile(model.block.acts[0])
    network = dataclasses.replace(measured.networks[0], model=torch.compile(model))

    assert numbers(dataclasses.replace(measured, networks=(network,))) == numbers(plain)


def test_bfloat16_keeps_the_bound_and_comes_near() -> None:
    measured = table("cnn", "la_silu")
    for one, other in zip(numbers(measured, amp=True), numbers(measured), strict=True):
        assert one["fluctuation_mean"] == pytest.approx(other["fluctuation_mean"], rel=0.05)
        assert one["tightness_max"] <= 1
        assert one["bound_mean"] == pytest.approx(one["bound_scale_moved_mean"] + one["bound_shift_passed_mean"], rel=1e-4)


def test_a_leaky_slope_at_the_threshold_is_not_saturated_in_bfloat16_either() -> None:
    assert all(one["saturation_clean"] == 0 for one in numbers(table("cnn", "leaky_relu"), amp=True))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace")
def test_a_network_whose_activations_cannot_be_seen_is_refused() -> None:
    class Plain(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.where(x > 0, x, 0.1 * x * x)

    class Script(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = torch.jit.trace(nn.ReLU(), torch.zeros(1, 3, 8, 8))

    for block, message in [
        (Plain(), "no activation detected.*; write it as a function or module of torch, or put your own into a torch.nn.Module"),
        (Script(), "block.part is TorchScript"),
    ]:
        model = Classifier(block)
        model.head = nn.Linear(192, 10)
        with pytest.raises(UserError, match=message):
            list(fluctuation.measure_layers(evaluation(model)))


def test_a_call_that_belongs_to_no_image_is_left_out_and_reported() -> None:
    assert next(fluctuation.measure_layers(zoo(Tokens, count=100, batch_size=8))).skipped == ("block/relu[0]",)


def test_a_network_that_is_random_is_told_apart_from_one_that_mixes_images() -> None:
    class Random(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(F.relu(x), training=True)

    model = Classifier(Random())
    model.head = nn.Linear(192, 10)

    with pytest.raises(UserError, match="different outputs for the same images"):
        list(fluctuation.measure_layers(evaluation(model)))


def test_images_that_change_each_other_are_refused() -> None:
    model = Classifier(nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), nn.ReLU()))
    model.head = nn.Linear(192, 10)

    for measure in (None, FluctuationOptions(injections=(Injection("gaussian", 0.1),))):
        with pytest.raises(UserError, match="change each other"):
            list(fluctuation.measure_layers(evaluation(model), measure))


def test_a_network_that_takes_another_way_for_other_images_is_a_clear_error() -> None:
    class Moody(nn.Module):
        passes = 0

        def forward(self, x: Tensor) -> Tensor:
            self.passes += 1
            return F.silu(F.relu(x)) if self.passes < 3 else F.relu(x)

    model = Classifier(Moody())
    model.head = nn.Linear(192, 10)

    with pytest.raises(RunError, match="2 calls for the first batch, 1 for another"):
        list(fluctuation.measure_layers(evaluation(model, batch_size=8)))


def test_infinite_activations_are_a_clear_error() -> None:
    class Huge(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x * 1e38 * 100)

    model = Classifier(Huge())
    model.head = nn.Linear(192, 10)

    with pytest.raises(RunError, match=r"NaN or infinite activations at block/relu\[0\]"):
        list(fluctuation.measure_layers(evaluation(model)))


def injected(measured: Evaluation, *injections: Injection, rounding: float = 0) -> None:
    """Every number equals the reference's for noise that was put on by hand; rounding: what it may lack, as a share of ||y||."""
    ids = torch.from_numpy(measured.images.ids)
    clean = pre_activations(measured, CLEAN)
    results = fluctuation.measure_layers(measured, FluctuationOptions(injections=injections))
    for result, injection in zip(results, injections, strict=True):
        assert [layer.layer for layer in result.layers] == [name for name, *_ in clean]
        for layer, (_, kind, y, more) in zip(result.layers, clean, strict=True):
            drawn = normals(injection.keys(measured.seed, layer.index, ids), layer.elements).numpy()
            width = y.std(axis=1, ddof=1, keepdims=True) if injection.kind == "gaussian" else 1
            noise = (injection.level * width * drawn).astype(np.float32)
            noisy = (y.astype(np.float32) + noise).astype(np.float64)
            expected = reference(kind, y, noisy, more)
            lost = rounding * np.abs(y).sum(axis=1).mean()
            for statistic, value in expected.items():
                near = None if value is None else pytest.approx(value, rel=2e-5, abs=max(1e-7, lost))
                assert layer.statistics[statistic] == near, (layer.layer, statistic)


@pytest.mark.parametrize("kind", [Zeros, Sequence, Tokens, Kinds])
def test_noise_is_injected_into_awkward_networks(kind: type[nn.Module]) -> None:
    injected(zoo(kind), Injection("gaussian-absolute", 0.5), rounding=1e-7)


def test_injected_noise_is_the_same_whatever_the_activation_is() -> None:
    injections = (Injection("gaussian", 0.1), Injection("gaussian-absolute", 0.5))
    shifts = {}
    for activation in ("relu", "la_silu"):
        measured = table("cnn", activation)
        results = list(fluctuation.measure_layers(measured, FluctuationOptions(injections=injections)))
        shifts[activation] = [result.layers[0].statistics["input_fluctuation_mean"] for result in results]
        assert [str(result.layers[0].condition) for result in results] == ["inject:gaussian=0.1", "inject:gaussian-absolute=0.5"]

    assert shifts["relu"] == shifts["la_silu"]
    injected(measured, *injections)


def test_drawn_normals_are_normal() -> None:
    from scipy import stats

    drawn = normals(Injection("gaussian", 0.1).keys(0, 3, torch.arange(200)), 1001).numpy()

    assert stats.kstest(drawn.ravel(), "norm").pvalue > 0.01
    assert abs(np.corrcoef(drawn[0], drawn[1])[0, 1]) < 0.1


def test_levels_of_injected_noise_are_independent_draws() -> None:
    drawn = [normals(Injection("gaussian", level).keys(0, 3, torch.arange(50)), 400).numpy().ravel() for level in (0.1, 0.2)]

    assert abs(np.corrcoef(*drawn)[0, 1]) < 0.03


@pytest.mark.parametrize("text", ["gaussian", "gaussian=", "gaussian=-1", "gaussian=nan", "gaussian=0.1,x", "poisson=1"])
def test_an_injection_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"--inject|unknown injected noise"):
        parse_injection(text)


def test_moments_in_parts_are_numpys() -> None:
    values = np.random.default_rng(0).normal(1e6, 1, 1000)
    moments = Moments()
    for part in np.array_split(np.insert(values, 7, math.nan), [1, 1, 500]):
        moments.update(part)

    assert moments.spread("x") == pytest.approx({"x_mean": values.mean(), "x_std": values.std(ddof=1)}, rel=1e-9)
    assert moments.largest == values.max()


def test_large_data_keep_a_sample_whose_quantiles_come_near(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.arange(0, 400_000, 2)
    sample = Sample(ids)
    values = np.random.default_rng(0).gamma(2.0, size=len(ids))
    kept = np.full(len(sample.ids), np.nan)
    for start in range(0, len(ids), 999):
        sample.put(kept, slice(start, start + 999), values[start : start + 999])

    assert len(kept) == 10_000
    np.testing.assert_array_equal(kept, values[sample.ids // 2])
    for percent in QUANTILES:
        assert (values < np.percentile(kept, percent)).mean() == pytest.approx(percent / 100, abs=4 * 0.005)
