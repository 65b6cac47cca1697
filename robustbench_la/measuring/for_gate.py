"""A checkpoint becomes a snapshot: by a plan, or by the plan of a baseline. The measuring half of the gate."""

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
"""What a plan may have to say of a checkpoint."""


def given(plan: EvaluationPlan) -> dict[str, str | float]:
    """What a plan does say of its checkpoint."""
    said = {
        "arch": plan.arch,
        "activation": next(iter(plan.activation), None),
        "layeract_alpha": plan.layeract_alpha,
        "normalize": plan.normalize,
    }
    return {name: value for name, value in said.items() if value is not None}


def prepare_by_baseline(
    baseline: Snapshot,
    flags: Mapping[str, Any],
    *,
    changed: Mapping[str, Any] = MappingProxyType({}),
    prepare: Callable[[EvaluationPlan], Evaluation] | None = None,
    download: bool = False,
    meter: Meter = silent,
) -> Evaluation:
    """What it takes to measure another checkpoint as the baseline's was measured.

    flags: as of ``read_plan``; checkpoints, device, batch_size, data, and what a foreign checkpoint does not tell (where it is
    not said, the baseline's is taken).  changed: flags of what is to be measured otherwise; all else stays the baseline's.
    prepare: in place of loading what the plan names, for networks or images that are in memory.
    Raises: NotComparableError, before anything is measured, where images or preprocessing differ and nothing was to change.
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
        "noise_seed": baseline.seed,
        "noise_seeds": baseline.noise_seeds,
        "amp": baseline.precision != "float32" or None,
    }
    conditions = tuple(dict.fromkeys(answers.condition for answers in baseline.answers))
    other_noise = changed.keys() & {"noise", "severity", "profile"}
    if other_noise:
        own |= _noise(conditions, baseline.profile, severities="noise" not in changed)
    plan = read_plan(None, {**own, **{name: value for name, value in flags.items() if value is not None}, **changed})
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
    """Flags of ``read_plan`` that give these conditions."""
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
    """Measure the one checkpoint of an evaluation.

    Args:
        evaluation: Of one checkpoint.
        fluctuation: Whether activations are measured too.
        said: What was said of the checkpoint, as ``given`` has it.
        store: Where results are taken from and kept; None for nowhere.
        meter: Shows the progress.

    Returns:
        What it answered to each image.

    Raises:
        UserError: Unless there is one checkpoint, and where it cannot be measured.
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
    """Raise UserError unless it is of one checkpoint."""
    if len(evaluation.networks) != 1:
        names = ", ".join(network.name for network in evaluation.networks[:3]) + ", ..." * (len(evaluation.networks) > 3)
        raise UserError(f"a baseline is of one checkpoint, not of {len(evaluation.networks)} ({names}); name one with --ckpt")


def _check_level(condition: Condition) -> None:
    """Raise NotComparableError where this larobust would make other noise of the name that a baseline holds."""
    from corruptions import PROFILES, level_of

    if condition.severity is None or condition.profile is None:  # clean, or a level of the user's own
        return
    if condition.profile not in PROFILES:
        raise NotComparableError(f"not comparable; the baseline holds {condition} of an unknown profile {condition.profile}")
    level = level_of(condition.corruption, severity=condition.severity, profile=condition.profile)
    if level != condition.parameters:
        here = dataclasses.replace(condition, parameters=level)
        raise NotComparableError(
            f"not comparable; level of {condition}: {condition.level_text} in the baseline, {here.level_text} here"
        )


def _frame(evaluation: Evaluation, shared: RunSetting) -> Snapshot:
    """All of a snapshot that is known before anything is measured."""
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
