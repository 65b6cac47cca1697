"""Speed, as ratios within one run, on two threads unless stated: pytest tests/benchmarks --benchmark-only

Nothing here fails for being slow: machines are noisy. What is aimed at stands beside each ratio.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage

from corruptions.apply import corrupt
from robustbench_la.images.decoding import ImageSet
from robustbench_la.images.normalization import NORMALIZATIONS
from robustbench_la.measuring import fluctuation, session
from robustbench_la.measuring.accuracy import measure_cells
from robustbench_la.measuring.layer_options import FluctuationOptions
from robustbench_la.models.allocator import keep_freed_memory
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.build import build
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.models.layeract import la_hardsilu, la_silu
from robustbench_la.records.cells import Condition

keep_freed_memory()


@pytest.fixture(autouse=True)
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def ratio(benchmark, told: list[str], what: str, ours, other, aim: str, *, rounds: int = 15, scale: float = 1.0) -> None:
    """Median over interleaved rounds of time(other) / time(ours) x scale."""
    ours(), other()
    pairs = [(seconds(ours), seconds(other)) for _ in range(rounds)]
    found = statistics.median(slow / fast for fast, slow in pairs) * scale
    benchmark.extra_info["ratio"] = found
    told.append(f"{what}: {found:.2f} (aim: {aim})")
    benchmark.pedantic(ours, rounds=3)


def by_hand(name: str, level: float) -> Callable[[np.ndarray], np.ndarray]:
    """The formula of a corruption for one image (H, W, C), as a numpy and scipy loop would have it."""
    last = {
        "gaussian_noise": lambda x: x + np.random.normal(size=x.shape, scale=level),
        "shot_noise": lambda x: np.random.poisson(x * level) / level,
        "gaussian_blur": lambda x: ndimage.gaussian_filter(x, (level, level, 0), mode="nearest", truncate=4),
    }[name]
    return lambda image: np.uint8(np.clip(last(image / 255.0), 0, 1) * 255)


@pytest.mark.parametrize("kind", ["random", "smooth"])
@pytest.mark.parametrize(
    ("name", "level", "aim", "threads"),
    [("gaussian_noise", 0.1, ">= 3", 2), ("shot_noise", 50, ">= 10", 2), ("gaussian_blur", 1.0, ">= 5", 1)],
)
def test_corruptions_against_a_loop_over_images(
    benchmark, told, name: str, level: float, aim: str, threads: int, kind: str
) -> None:
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (512, 32, 32, 3), dtype=np.uint8)
    if kind == "smooth":  # as photographs are, with flat and blown-out parts
        images = np.clip(ndimage.gaussian_filter(images * 1.0, (0, 3, 3, 0)) * 8 - 900, 0, 255).astype(np.uint8)
    ids, batch = torch.arange(512), torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    loop = by_hand(name, level)
    ratio(
        benchmark,
        told,
        f"{name}, images/s over a loop's, 32 px, {kind}, threads: {threads}",
        lambda: corrupt(batch, name, level, ids=ids),
        lambda: [loop(image) for image in images],
        aim,
        rounds=7,
    )


def naive(x: torch.Tensor) -> torch.Tensor:
    mean, var = x.mean((1, 2, 3), keepdim=True), x.var((1, 2, 3), keepdim=True)
    return x * torch.sigmoid((x - mean) / torch.sqrt(var + 1e-5))


def naive_hard(x: torch.Tensor) -> torch.Tensor:
    mean, var = x.mean((1, 2, 3), keepdim=True), x.var((1, 2, 3), keepdim=True)
    return x * torch.clamp((x - mean) / torch.sqrt(var + 1e-5) / 6 + 0.5, 0, 1)


@pytest.mark.parametrize(("ours", "other"), [(la_silu, naive), (la_hardsilu, naive_hard)])
def test_layeract_forward(benchmark, told, ours, other) -> None:
    x = torch.randn(128, 16, 32, 32)
    with torch.inference_mode():
        ratio(benchmark, told, f"{ours.__name__} forward over naive", lambda: ours(x), lambda: other(x), ">= 3")


@pytest.mark.parametrize(("ours", "other"), [(la_silu, naive), (la_hardsilu, naive_hard)])
def test_layeract_forward_and_backward(benchmark, told, ours, other) -> None:
    x = torch.randn(128, 16, 32, 32, requires_grad=True)
    gradient = torch.randn(128, 16, 32, 32)

    def both(function) -> None:
        x.grad = None
        function(x).backward(gradient)

    ratio(benchmark, told, f"{ours.__name__} forward + backward over naive", lambda: both(ours), lambda: both(other), ">= 2")


def evaluation(activation: str, count: int, severities: int) -> session.Evaluation:
    spec = NetworkSpec(architecture="resnet20", classes=10, channels=3, height=32, width=32)
    network = Network(
        name="x",
        sha256="",
        model=build(spec, activation).eval(),
        spec=spec,
        activation=activation,
        alpha=1e-5,
        normalization=NORMALIZATIONS["imagenet"],
        data=None,
        seed=0,
        remarks=(),
    )
    if session.has_convolutions(network):
        network.model.to(memory_format=torch.channels_last)
    rng = np.random.default_rng(0)
    images = ImageSet(
        name="random",
        images=rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8),
        labels=rng.integers(0, 10, count),
        ids=np.arange(count),
        classes=tuple("0123456789"),
        total=count,
    )
    conditions = [
        Condition(corruption="gaussian_noise", severity=s, parameters=(0.02 * s,), profile="cifar-c")
        for s in range(1, severities + 1)
    ]
    return session.Evaluation(
        networks=(network,),
        images=images,
        conditions=tuple(conditions),
        profile="cifar-c",
        seed=0,
        device=torch.device("cpu"),
        batch_size=64,
        amp=False,
    )


@pytest.mark.parametrize("activation", ["relu", "la_silu"])
def test_eval_costs_little_more_than_its_forward_passes(benchmark, told, activation: str) -> None:
    plan = evaluation(activation, 512, 5)
    network = plan.networks[0]
    inputs = network.normalization.apply(torch.from_numpy(plan.images.images))
    if session.has_convolutions(network):
        inputs = inputs.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def bare() -> None:
        for _ in plan.conditions:
            for batch in inputs.split(64):
                network.model(batch)

    ratio(
        benchmark,
        told,
        f"eval of resnet20 {activation}, five Gaussian severities, over bare forward passes",
        bare,
        lambda: list(measure_cells(plan)),
        "<= 1.15",
        rounds=5,
    )


@pytest.mark.parametrize(("only", "activation", "aim"), [
    (None, "relu", "<= 2.0"), (None, "la_silu", "<= 1.6"),
    ("fluctuation", "relu", "<= 1.3"), ("fluctuation", "la_silu", "<= 1.3"),
])  # fmt: skip
def test_fluctuation_costs_little_more_than_two_forward_passes(benchmark, told, only, activation: str, aim: str) -> None:
    plan = evaluation(activation, 1000, 1)
    network = plan.networks[0]
    clean = torch.from_numpy(plan.images.images)
    noisy = corrupt(clean, "gaussian_noise", 0.02, ids=torch.arange(len(clean)))
    inputs = [network.normalization.apply(images).contiguous(memory_format=torch.channels_last) for images in (clean, noisy)]

    @torch.inference_mode()
    def bare() -> None:
        for version in inputs:
            for batch in version.split(64):
                network.model(batch)

    ratio(
        benchmark,
        told,
        f"fluctuation ({only or 'all statistics'}) of resnet20 {activation}, 1,000 images, over two bare forward passes",
        bare,
        lambda: list(fluctuation.measure_layers(plan, FluctuationOptions(only=only))),
        aim,
        rounds=5,
    )


def peak(run: str) -> float:
    """MiB that a process of its own takes at most for ``run``. Not getrusage, which begins with the peak of this process."""
    code = (
        "import sys; sys.path.insert(0, 'tests/benchmarks'); from test_speed import evaluation; import torch; "
        f"from robustbench_la.measuring import fluctuation; from robustbench_la.measuring.accuracy import measure_cells; "
        f"list({run}); "
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout) / 2**10


@pytest.mark.parametrize("count", [1_000, 10_000])
def test_peak_memory_of_fluctuation(benchmark, told, count: int) -> None:
    plan = f"evaluation('relu', {count}, 1)"
    above = benchmark.pedantic(lambda: peak(f"fluctuation.measure_layers({plan})") - peak(f"measure_cells({plan})"), rounds=1)
    told.append(
        f"peak memory of fluctuation above eval's, {count:,} images, 19 layers: {above:.0f} MiB (aim: < 400, the same for both)"
    )


def test_peak_memory_of_eval_on_10_000_images(benchmark, told) -> None:
    found = benchmark.pedantic(lambda: peak("measure_cells(evaluation('la_silu', 10_000, 1))"), rounds=1)
    told.append(f"peak memory of eval, 10,000 images of 32x32 px: {found / 2**10:.2f} GiB (aim: < 1.5)")
