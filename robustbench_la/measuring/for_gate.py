"""Measures the snapshot of a checkpoint, by a plan or in the same way as a baseline. The measuring half of the gate."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from robustbench_la.errors import NotComparableError, UserError
from robustbench_la.measuring import provenance
from robustbench_la.measuring.quantities import Accuracy, Fluctuation
from robustbench_la.measuring.resume import measure_missing
from robustbench_la.measuring.session import Evaluation, prepare_evaluation
from robustbench_la.progress import Meter, silent
from robustbench_la.records.cells import CLEAN, Condition, RunSetting, encode_level
from robustbench_la.records.layers import NetworkFluctuation
from robustbench_la.records.packing import unpack_classes
from robustbench_la.records.plan import EvaluationPlan
from robustbench_la.records.plan_file import read_plan
from robustbench_la.records.snapshot import Answers, Snapshot, check_comparable, with_fluctuations

GIVEN = ("arch", "activation", "layeract_alpha", "normalize")
"""What a plan may specify about a checkpoint."""


def given(plan: EvaluationPlan) -> dict[str, str | float]:
    """What a plan specifies about its checkpoint, by the names of GIVEN."""
    settings = {
        "arch": plan.arch,
        "activation": next(iter(plan.activation), None),
        "layeract_alpha": plan.layeract_alpha,
        "normalize": plan.normalize,
    }
    return {name: value for name, value in settings.items() if value is not None}


def prepare_by_baseline(
    baseline: Snapshot,
    flags: Mapping[str, Any],
    *,
    changed: Mapping[str, Any] = MappingProxyType({}),
    prepare: Callable[[EvaluationPlan], Evaluation] | None = None,
    download: bool = False,
    meter: Meter = silent,
) -> Evaluation:
    """Prepare to measure another checkpoint in the same way as the baseline.

    Args:
        baseline: The baseline.
        flags: As for ``read_plan``: checkpoints, device, batch_size, data, and what a foreign checkpoint does not record (by
            default that of the baseline).
        changed: Flags of what to measure differently; everything else is as in the baseline.
        prepare: Used instead of loading what the plan names, for networks or images in memory.
        download: Whether a missing dataset may be downloaded.
        meter: Shows the progress of decoding.

    Returns:
        The evaluation of the checkpoint.

    Raises:
        UserError: If the plan does not name exactly one checkpoint, or something does not fit.
        NotComparableError: If ``changed`` is empty, but images or preprocessing differ; nothing has been measured then.
    """
    recorded = {name: baseline.given[name] for name in GIVEN if name in baseline.given}
    if flags.get("activation") not in (None, recorded.get("activation")):
        recorded.pop("layeract_alpha", None)  # of an activation that this checkpoint does not have
    architecture = str(recorded.get("arch", ""))
    if not flags.get("arch") and ":" in architecture and not architecture.startswith("torchvision:"):
        raise UserError(f"the baseline's network is built by the code {architecture}; allow that with --arch {architecture}")
    settings = {
        **recorded,
        "data": baseline.data,
        "resize": baseline.resize,
        "crop": baseline.crop,
        "limit": baseline.images if baseline.images < baseline.dataset_images else None,
        "noise_seed": baseline.seed,
        "noise_seeds": baseline.noise_seeds,
        "amp": baseline.precision != "float32" or None,
    }
    conditions = tuple(dict.fromkeys(answers.condition for answers in baseline.answers))
    other_noise = changed.keys() & {"noise", "severity", "profile"}
    if other_noise:
        settings |= _noise(conditions, baseline.profile, severities="noise" not in changed)
    plan = read_plan(None, {**settings, **{name: value for name, value in flags.items() if value is not None}, **changed})
    evaluation = prepare(plan) if prepare is not None else prepare_evaluation(plan, download=download, meter=meter)
    check_one(evaluation)
    if not changed:
        setting = provenance.setting(evaluation, started=datetime.datetime.now(datetime.UTC))
        check_comparable(baseline, _frame(evaluation, setting))
    if other_noise:
        return evaluation
    for condition in conditions:
        _check_level(condition)
    return dataclasses.replace(evaluation, conditions=conditions, profile=baseline.profile or evaluation.profile)


def _noise(conditions: Sequence[Condition], profile: str | None, *, severities: bool) -> dict[str, Any]:
    """The flags of ``read_plan`` that select these conditions."""
    noisy = [condition for condition in conditions if condition != CLEAN]
    words = dict.fromkeys(one.corruption if one.severity else f"{one.corruption}={encode_level(one.parameters)}" for one in noisy)
    levels = sorted({str(one.severity) for one in noisy if one.severity is not None})
    return {"noise": list(words), "profile": profile, "severity": (levels or None) if severities else None}


def measure_snapshot(
    evaluation: Evaluation,
    *,
    fluctuation: bool,
    said: Mapping[str, str | float],
    store: Path | None = None,
    meter: Meter = silent,
) -> Snapshot:
    """Measure the single checkpoint of an evaluation.

    Args:
        evaluation: Of exactly one checkpoint.
        fluctuation: Whether to measure the fluctuation of activations, too.
        said: What was specified about the checkpoint, see ``given``.
        store: Where results are read from and kept; None for no store.
        meter: Shows the progress.

    Returns:
        The predictions for each image, and the fluctuation if it was requested.

    Raises:
        UserError: If there is not exactly one checkpoint, or it cannot be measured.
    """
    check_one(evaluation)
    setting = provenance.setting(evaluation, started=datetime.datetime.now(datetime.UTC))
    cells = measure_missing(evaluation, Accuracy(predictions=True), store=store, setting=setting, meter=meter).records
    answers = tuple(Answers(pass_=cell.pass_, predictions=unpack_classes(cell.predictions)) for cell in cells)
    moved: tuple[NetworkFluctuation, ...] = ()
    if fluctuation and any(condition != CLEAN for condition in evaluation.conditions):
        moved = measure_missing(evaluation, Fluctuation(), store=store, setting=setting, meter=meter).records
    return with_fluctuations(dataclasses.replace(_frame(evaluation, setting), answers=answers, given=dict(said)), moved)


def check_one(evaluation: Evaluation) -> None:
    """Raise UserError unless the evaluation has exactly one checkpoint."""
    if len(evaluation.networks) != 1:
        names = ", ".join(network.name for network in evaluation.networks[:3]) + ", ..." * (len(evaluation.networks) > 3)
        raise UserError(f"a baseline needs exactly one checkpoint, not {len(evaluation.networks)} ({names}); give one --ckpt")


def _check_level(condition: Condition) -> None:
    """Raise NotComparableError if a condition of a baseline has another level in this version of larobust."""
    from corruptions import PROFILES, level_of

    if condition.severity is None or condition.profile is None:  # clean, or a custom level
        return
    if condition.profile not in PROFILES:
        raise NotComparableError(f"not comparable; {condition} of the baseline has an unknown profile, {condition.profile}")
    level = level_of(condition.corruption, severity=condition.severity, profile=condition.profile)
    if level != condition.parameters:
        here = dataclasses.replace(condition, parameters=level)
        raise NotComparableError(
            f"not comparable; level of {condition}: {condition.level_text} in the baseline, {here.level_text} here"
        )


def _frame(evaluation: Evaluation, shared: RunSetting) -> Snapshot:
    """Everything in a snapshot that is known before measuring."""
    network, images = evaluation.networks[0], evaluation.images
    return Snapshot(
        network=network.record,
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
