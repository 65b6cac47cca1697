"""Provenance of measurements: machine, versions, commit, and what was loaded."""

from __future__ import annotations

import dataclasses
import datetime
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import torch

import robustbench_la
from corruptions.compression import libjpeg_version
from robustbench_la.measuring.descriptions import describe
from robustbench_la.measuring.session import Evaluation
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.models.user_code import PACKAGES
from robustbench_la.records.cells import ImageSetting, Provenance, RunSetting
from robustbench_la.text import assumptions, some


def setting(evaluation: Evaluation, *, started: datetime.datetime) -> RunSetting:
    """The properties that all records of a run share. Reads every image once, for the fingerprint.

    Args:
        evaluation: What is measured.
        started: When the run started.

    Returns:
        Images, machine and versions.
    """
    images, git = evaluation.images, _git()
    return RunSetting(
        data=images.name,
        fingerprint=images.fingerprint(),
        images=len(images.ids),
        dataset_images=images.total,
        resize=images.resize,
        crop=images.crop,
        device=_device_name(evaluation.device),
        precision=evaluation.precision,
        batch_size=evaluation.batch_size,
        threads=torch.get_num_threads(),
        started=started.isoformat(timespec="seconds"),
        versions={
            "larobust": robustbench_la.__version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            **_versions(evaluation.networks),
            **_libjpeg(evaluation),
        },
        host=f"{platform.system()} {platform.machine()}",
        commit=git[0] if git else None,
        dirty=git[1] if git else None,
        assumed=_assumed(evaluation.networks),
        label_set=images.label_set,
    )


def _libjpeg(evaluation: Evaluation) -> dict[str, str]:
    """The library that makes JPEGs, if a condition depends on its bytes."""
    if not any(one.corruption == "jpeg_compression" or one.jpeg is not None for one in evaluation.conditions):
        return {}
    return dict([libjpeg_version().split()])


def collect(evaluation: Evaluation, shared: RunSetting, *, wall_time_s: float) -> Provenance:
    """The provenance of a run, for its JSON document.

    Args:
        evaluation: What was measured.
        shared: Of ``setting``.
        wall_time_s: Duration of the run, in seconds.

    Returns:
        Enough to reproduce the numbers.
    """
    images = evaluation.images
    names = {entry.name for entry in dataclasses.fields(RunSetting)}
    kept = {entry.name: getattr(shared, entry.name) for entry in dataclasses.fields(Provenance) if entry.name in names}
    prepared = {entry.name: getattr(shared, entry.name) for entry in dataclasses.fields(ImageSetting)}
    return Provenance(
        **{**kept, "assumed": list(shared.assumed)},
        wall_time_s=round(wall_time_s, 3),
        checkpoints={
            network.name: {
                **{name: value for name, value in network.record.as_dict().items() if name != "checkpoint"},
                **network.spec.as_dict(),
                "remarks": list(network.remarks),
            }
            for network in evaluation.networks
        },
        dataset={
            "name": prepared.pop("data"),
            "fingerprint": prepared.pop("fingerprint"),
            "images": shared.images,
            "total": prepared.pop("dataset_images"),
            "partial": shared.partial,
            **{name: value for name, value in prepared.items() if name not in kept},
            "shape": list(images.images.shape[1:]),
            "classes": len(images.classes),
            "label_set": shared.label_set,
        },
        seed=evaluation.seed,
        noise_seeds=list(range(evaluation.seed, evaluation.seed + evaluation.noise_seeds)),
        profile=evaluation.profile,
        git=None if shared.commit is None else {"commit": shared.commit, "dirty": shared.dirty},
    )


def about(evaluation: Evaluation) -> str:
    """What stands under the tables of an evaluation: images, levels, precision, and what was assumed of the networks."""
    return " ".join(filter(None, [describe(evaluation), assumptions(_assumed(evaluation.networks))]))


def _assumed(networks: Sequence[Network]) -> tuple[str, ...]:
    """What was assumed of the networks, once each; with names if it was not assumed of all."""
    names: dict[str, list[str]] = {}
    for network in networks:
        for statement in network.assumed:
            names.setdefault(statement, []).append(network.name)
    return tuple(f"{what} ({some(of)})" if len(of) < len(networks) else what for what, of in names.items())


def _versions(networks: Sequence[Network]) -> dict[str, str]:
    """The versions of the libraries that build or run these networks, besides torch."""
    names = {PACKAGES.get(network.spec.architecture.partition(":")[0]) for network in networks} - {None}
    return {name: version(name) for name in sorted(filter(None, names))}


def _device_name(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def _git() -> tuple[str, bool] | None:
    """Commit of the working directory, and whether it has uncommitted changes; None outside a repository.

    Nothing that the repository's own configuration names is run: neither a monitor, nor hooks, nor filters of its files, and
    submodules count by their commits.
    """
    try:
        configured = _asked(
            "config", "--show-scope", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process)$", check=False
        )
        theirs = [
            name for scope, _, name in (line.partition("\t") for line in configured.splitlines()) if scope in _OF_THE_FOLDER
        ]
        without = [word for name in theirs for word in ("-c", f"{name}=")]
        commit = _asked("rev-parse", "HEAD")
        status = _asked(*_NOTHING_RUN, *without, "status", "--porcelain", "--ignore-submodules=dirty")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit, bool(status)


_OF_THE_FOLDER = ("local", "worktree")
"""The scopes of git's configuration that come with a folder."""
_NOTHING_RUN = ("--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
"""Without writing the index, which would run a hook."""


def _asked(*words: str, check: bool = True) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=check, timeout=10).stdout.strip()
