"""The share of corrupting in an evaluation: its processor time over that of the whole pass, on two threads.

Aim: at most 10 % for each corruption, with ResNet-20 at 32 px and ResNet-18 at 224 px.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
import torch

from corruptions import CORRUPTIONS, corrupt, level_of
from robustbench_la.images.normalization import NORMALIZATIONS
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.build import build

_ROUNDS = 5


def seconds(function: Callable[[], object]) -> float:
    began = time.process_time()
    function()
    return time.process_time() - began


@pytest.mark.parametrize(
    ("architecture", "side", "count", "profile"),
    [("resnet20", 32, 64, "cifar-c"), ("torchvision:resnet18", 224, 16, "imagenet-c")],
)
def test_share_of_corrupting(benchmark, told: list[str], architecture: str, side: int, count: int, profile: str) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    if architecture == "resnet20":
        model = build(NetworkSpec(architecture=architecture, classes=10, channels=3, height=side, width=side), "relu").eval()
    else:
        torchvision = pytest.importorskip("torchvision")
        model = torchvision.models.resnet18(weights=None).eval()
    model.to(memory_format=torch.channels_last)
    rough = torch.randint(0, 256, (count, 3, side // 8, side // 8), dtype=torch.uint8)
    images, ids = rough.repeat_interleave(8, 2).repeat_interleave(8, 3), torch.arange(count)

    @torch.inference_mode()
    def rest() -> None:
        """What else a pass does with a batch: normalization, forward pass, answers."""
        logits = model(NORMALIZATIONS["imagenet"].apply(images).contiguous(memory_format=torch.channels_last))
        logits.argmax(1), logits.softmax(1).amax(1), logits.isfinite().all()

    rest()
    shares = {}
    for name, entry in CORRUPTIONS.items():
        if entry.missing() is not None:
            continue
        levels = [level_of(name, severity=severity, profile=profile) for severity in range(1, 6)]

        def corrupting(name: str = name, levels: list[tuple[float, ...]] = levels) -> None:
            for level in levels:
                corrupt(images, name, level, ids=ids)

        corrupting()
        rounds = [(seconds(corrupting) / 5, seconds(rest)) for _ in range(_ROUNDS)]
        shares[name] = statistics.median(own / (own + other) for own, other in rounds)
        milliseconds = 1e3 * statistics.median(own for own, _ in rounds) / count
        told.append(f"{name:18} {side:3} px: {shares[name]:6.1%} of the pass with {architecture}; {milliseconds:.3f} ms an image")
    torch.set_num_threads(before)
    worst = max(shares, key=lambda name: shares[name])
    told.append(f"largest share at {side} px: {worst}, {shares[worst]:.1%} (aim: <= 10 %)")
    benchmark.extra_info["shares"] = shares
    benchmark.pedantic(lambda: None, rounds=1)
