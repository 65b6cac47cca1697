"""Where numbers come from: machine, versions, commit, and what was loaded."""

from __future__ import annotations

import datetime
import platform
import subprocess

import numpy as np
import torch

import robustbench_la
from robustbench_la.evaluate import Evaluation
from robustbench_la.records import Provenance


def collect(evaluation: Evaluation, *, started: datetime.datetime, wall_time_s: float) -> Provenance:
    """Where the numbers of ``run`` come from."""
    images = evaluation.images
    return Provenance(
        started=started.isoformat(timespec="seconds"),
        wall_time_s=round(wall_time_s, 3),
        checkpoints={
            network.name: {
                "sha256": network.sha256,
                **network.spec.as_dict(),
                "activation": network.activation,
                "alpha": network.alpha,
                "normalization": str(network.normalization),
                "training_seed": network.seed,
                "remarks": list(network.remarks),
            }
            for network in evaluation.networks
        },
        dataset={
            "name": images.name,
            "fingerprint": images.fingerprint(),
            "images": len(images.ids),
            "total": images.total,
            "partial": images.partial,
            "shape": list(images.images.shape[1:]),
            "classes": len(images.classes),
        },
        seed=evaluation.seed,
        profile=evaluation.profile,
        device=_device_name(evaluation.device),
        precision="bfloat16 autocast" if evaluation.amp else "float32",
        batch_size=evaluation.batch_size,
        threads=torch.get_num_threads(),
        versions={
            "larobust": robustbench_la.__version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
        },
        host=f"{platform.system()} {platform.machine()}",
        git=_git(),
    )


def _device_name(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def _git() -> dict[str, str | bool] | None:
    """Commit of the working directory, and whether it was dirty."""
    try:
        commit, status = (
            subprocess.run(["git", *words], capture_output=True, text=True, check=True, timeout=10).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["-c", "core.fsmonitor=false", "status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(status)}
