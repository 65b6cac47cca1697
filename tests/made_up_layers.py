"""Made-up fluctuations of networks, for tests of what is shown of them."""

from __future__ import annotations

import numpy as np

from robustbench_la.records.cells import Condition, Pass
from robustbench_la.records.layers import STATISTICS, LayerStats, NetworkFluctuation
from robustbench_la.records.networks import NetworkRecord


def fluctuation(activation: str, seed: int, level: float, *, layers: int = 3) -> NetworkFluctuation:
    """A made-up result whose numbers follow from its arguments."""
    rng = np.random.default_rng(seed)
    per_image = {name: level * rng.gamma(5.0, size=40) for name in ("fluctuation", "relative", "input_fluctuation")}
    condition = Condition(corruption="gaussian_noise", severity=3, parameters=(0.08,), profile="cifar-c")
    return NetworkFluctuation(
        layers=tuple(
            LayerStats(
                network=NetworkRecord(
                    checkpoint=f"runs/{activation}-{seed}.pt", sha256=f"{seed:064x}", architecture="cnn", activation=activation,
                    activation_level="layer" if activation.startswith("la_") else "element", alpha=None, normalization="half",
                    training_seed=seed,
                ),
                pass_=Pass(condition, 0), layer=f"layer{index}.act", index=index, function=activation,
                elements=100 * (index + 1), images=40,
                statistics={name: level * (place + 1) * (index + 1) / 100 for place, name in enumerate(STATISTICS)},
            )
            for index in range(layers)
        ),
        threshold=0.01, unreached=("never",) if activation == "relu" else (), skipped=(), sample=np.arange(40),
        per_image=per_image, activation_means=(),
    )  # fmt: skip
