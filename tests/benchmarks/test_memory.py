"""Peak memory of `larobust eval` on 10,000 files at 224 px: pytest tests/benchmarks/test_memory.py --benchmark-only --slow"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

_PICTURES, _FILES = 20, 10_000
_NETWORK = """
from torch import nn
def net(classes=2, channels=3):
    return nn.Sequential(nn.AvgPool2d(32), nn.Flatten(), nn.ReLU(), nn.Linear(channels * 49, classes))
"""


def peaks(command: list[str], folder: Path) -> dict[str, int]:
    """MiB that a command takes at most: all (``VmHWM``), and without files that are mapped into memory (``RssAnon``)."""
    found: dict[str, int] = {}
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status")
            for name, size in re.findall(r"(VmHWM|RssAnon):\s+(\d+)", status.read_text() if status.exists() else ""):
                found[name] = max(found.get(name, 0), int(size) // 1024)
            time.sleep(0.1)
    assert process.returncode == 0
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux")
def test_evaluating_10_000_images_of_224_px_takes_less_than_1500_mb(benchmark, told: list[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(_PICTURES):
        folder = tmp_path / "data" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        rough = PIL.Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        rough.resize((256, 256)).save(folder / f"{number}.jpg")
        for copy in range(1, _FILES // _PICTURES):
            os.link(folder / f"{number}.jpg", folder / f"{number}-{copy}.jpg")
    (tmp_path / "net.py").write_text(_NETWORK)
    names: dict[str, object] = {}
    exec(_NETWORK, names)
    torch.save(names["net"]().state_dict(), tmp_path / "net.pt")  # type: ignore[operator]
    words = "--ckpt net.pt --arch net.py:net --normalize imagenet --data folder:data --crop 224 --noise gaussian,pixelate,frost"
    command = [sys.executable, "-m", "robustbench_la", "eval", *words.split(), "--severity", "3", "--no-store", "--device", "cpu"]

    found = benchmark.pedantic(lambda: peaks(command, tmp_path), rounds=1)
    told.append(f"eval of 10,000 images of 224 px: {found['VmHWM']} MiB at most (aim: < 1,500), {found['RssAnon']} without files")
    assert found["VmHWM"] < 1430  # 1.5 GB
