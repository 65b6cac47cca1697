"""A checkpoint becomes a snapshot: by a plan, or by the plan of a baseline. The measuring half of the gate."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np

from robustbench_la import evaluate, fluctuate, provenance
from robustbench_la.errors import NotComparableError, UserError
from robustbench_la.evaluate import Evaluation
from robustbench_la.packing import unpack_classes
from robustbench_la.plan import Plan, read_plan
from robustbench_la.progress import Meter, silent
from robustbench_la.records import CLEAN, Condition
from robustbench_la.snapshot import Answers, Snapshot, check_comparable, with_fluctuations

GIVEN = ("arch", "activation", "alpha", "normalize")
"""What a plan may have to say of a checkpoint."""


def given(plan: Plan) -> dict[str, str | float]:
    """What a plan does say of its checkpoint."""
    said = {"arch": plan.arch, "activation": next(iter(plan.activation), None), "alpha": plan.alpha, "normalize": plan.normalize}
    return {name: value for name, value in said.items() if value is not None}


def prepare(baseline: Snapshot, flags: Mapping[str, Any], *, download: bool = False, meter: Meter = silent) -> Evaluation:
    """What it takes to measure another checkpoint as the baseline's was measured.

    flags: as of ``read_plan``; checkpoints, device, batch_size, data, and what a foreign checkpoint does not tell (where it is
    not said, the baseline's is taken). Raises: NotComparableError, before anything is measured, where images or preprocessing
    differ.
    """
    said = {name: baseline.given[name] for name in GIVEN if name in baseline.given}
    architecture = str(said.get("arch", ""))
    if not flags.get("arch") and ":" in architecture and not architecture.startswith("torchvision:"):
        raise UserError(f"the baseline's network is made by the code {architecture}; allow that with --arch {architecture}")
    own = {
        **said,
        "data": baseline.data,
        "resize": baseline.resize,
        "crop": baseline.crop,
        "limit": baseline.images if baseline.images < baseline.dataset_images else None,
        "seed": baseline.seed,
        "noise_seeds": baseline.noise_seeds,
        "amp": baseline.precision != "float32" or None,
    }
    plan = read_plan(None, {**own, **{name: value for name, value in flags.items() if value is not None}})
    evaluation = evaluate.prepare(plan, download=download, meter=meter)
    _check_one(evaluation)
    conditions = tuple(dict.fromkeys(answers.condition for answers in baseline.answers))
    for condition in conditions:
        _check_level(condition)
    check_comparable(baseline, _frame(evaluation))
    profile = baseline.profile or evaluation.profile
    return dataclasses.replace(evaluation, conditions=conditions, profile=profile)


def measure(evaluation: Evaluation, *, fluctuation: bool, said: Mapping[str, str | float], meter: Meter = silent) -> Snapshot:
    """Measure the one checkpoint of an evaluation. said: of the checkpoint, as ``given`` has it."""
    _check_one(evaluation)
    frame = _frame(evaluation)
    answers = tuple(
        Answers(condition=cell.condition, noise_seed=cell.noise_seed, predictions=unpack_classes(cell.predictions))
        for cell in evaluate.run(evaluation, meter=meter)
    )
    noisy = any(condition != CLEAN for condition in evaluation.conditions)
    seeds = range(evaluation.seed, evaluation.seed + evaluation.noise_seeds) if fluctuation and noisy else ()
    moved = [
        found for seed in seeds for found in fluctuate.run(dataclasses.replace(evaluation, seed=seed, noise_seeds=1), meter=meter)
    ]
    return with_fluctuations(dataclasses.replace(frame, answers=answers, given=dict(said)), moved)


def _check_one(evaluation: Evaluation) -> None:
    if len(evaluation.networks) != 1:
        names = ", ".join(network.name for network in evaluation.networks[:3])
        raise UserError(f"a baseline is of one checkpoint, not of {len(evaluation.networks)} ({names} ...); name one with --ckpt")


def _check_level(condition: Condition) -> None:
    """Raise NotComparableError where this larobust would make other noise of the name that a baseline holds."""
    from corruptions import CORRUPTIONS, PROFILES, level_of

    if condition == CLEAN:
        return
    if condition.corruption not in CORRUPTIONS:
        raise NotComparableError(f"not comparable; the baseline holds {condition}, a corruption that this larobust does not know")
    if condition.severity is None or condition.profile is None:
        return
    if condition.profile not in PROFILES or not 1 <= condition.severity <= 5:
        raise NotComparableError(f"not comparable; the baseline holds {condition} of an unknown profile {condition.profile}")
    level = level_of(condition.corruption, severity=condition.severity, profile=condition.profile)
    if level != condition.parameter:
        raise NotComparableError(f"not comparable; level of {condition}: {condition.parameter:g} in the baseline, {level:g} here")


def _frame(evaluation: Evaluation) -> Snapshot:
    """All of a snapshot that is known before anything is measured."""
    network, images = evaluation.networks[0], evaluation.images
    shared = provenance.setting(evaluation, started=datetime.datetime.now(datetime.UTC))
    return Snapshot(
        checkpoint=network.name,
        sha256=network.sha256,
        architecture=network.spec.architecture,
        activation=network.activation,
        alpha=network.alpha,
        normalization=str(network.normalization),
        data=shared.data,
        fingerprint=shared.fingerprint,
        dataset_images=shared.dataset_images,
        resize=shared.resize,
        crop=shared.crop,
        profile=evaluation.profile,
        precision=shared.precision,
        seed=evaluation.seed,
        noise_seeds=evaluation.noise_seeds,
        ids=images.ids,
        labels=images.labels.astype(np.uint16),
        provenance={
            "started": shared.started,
            "host": shared.host,
            "device": shared.device,
            "commit": shared.commit,
            "dirty": shared.dirty,
            **shared.versions,
        },
    )
