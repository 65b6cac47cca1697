"""Checkpoints of long trainings: what they hold beside the weights, however much it is, does not keep them from being read."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robustbench_la.errors import UserError
from robustbench_la.models.checkpoints.formats import unpack
from robustbench_la.models.checkpoints.torch_files import read_torch

LOGS: dict[str, Any] = {
    "losses": [step / 7 for step in range(450_000)],
    "metrics": [{"epoch": step, "loss": step / 7, "top1": 0.5, "lr": 0.1} for step in range(60_000)],
    "seen": tuple(range(20_000)),
    "text": bytes(range(256)) * 8_000,
    "bytes": bytearray(2_000_000),
    "keys": {2**62: 1, torch.float32: 2, (1, (2, 3)): 3},
    "sets": (frozenset({1, 2}), {3}, bytearray(b"ab")),
    "numpy": (np.str_("ä1"), np.float64(0.5), np.bytes_(b"ab")),
}


def _saved(content: object, protocol: int) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, pickle_protocol=protocol)
    return file.getvalue()


@pytest.mark.parametrize(
    ("log", "protocol"),
    [(log, protocol) for log in LOGS for protocol in (2, 4, 5) if protocol == 2 or log not in ("losses", "metrics")],
)
def test_a_log_beside_the_weights_is_read(log: str, protocol: int) -> None:
    raw = _saved({"model": {"weight": torch.ones(2)}, "log": LOGS[log]}, protocol)
    start = time.process_time()

    read = read_torch(raw)
    seconds = time.process_time() - start

    assert isinstance(read, dict)
    assert read["log"] == LOGS[log]
    assert seconds < 6  # of a machine that does something else, too; what grows with the square takes minutes


def test_more_than_can_be_read_in_a_moment_is_refused_with_what_to_do() -> None:
    raw = _saved([None] * 1_100_000, 2)

    with pytest.raises(UserError, match=r"holds more than 1,000,000 values beside its weights; .* or give --trust-file"):
        unpack(raw, Path("a.pt"))
