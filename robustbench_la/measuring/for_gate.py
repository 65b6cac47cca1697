"""Measures the snapshot of a checkpoint, by a plan or in the same way as a baseline. The measuring half of the gate."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from robustbench_la.errors import NotComparableError, UnfitError, UserError
from robustbench_la.measuring import provenance
from robustbench_la.measuring.available import check_available
from robustbench_la.measuring.loading import read_checkpoints
from robustbench_la.measuring.other_data import unfit
from robustbench_la.measuring.quantities import Accuracy, Fluctuation
from robustbench_la.measuring.resume import measure_missing
from robustbench_la.measuring.session import Evaluation, prepare_evaluation
from robustbench_la.progress import Meter, silent
from robustbench_la.records.cells import CLEAN, Condition, RunSetting, encode_level
from robustbench_la.records.image_digests import ImageDigests, digests_of
from robustbench_la.records.layers import NetworkFluctuation
from robustbench_la.records.named_code import check_code_is_named
from robustbench_la.records.packing import unpack_classes
from robustbench_la.records.plan import EvaluationPlan, NetworkPlan
from robustbench_la.records.plan_file import read_plan
from robustbench_la.records.snapshot import Answers, Snapshot, check_comparable, snapshot_of, with_fluctuations

_NOISE = ("noise", "severity", "profile", "jpeg")
_REPLANNING = {*_NOISE, "noise_seed", "noise_seeds", "resize", "crop", "limit", "amp"}
"""Flags that change the plan of a baseline; the others say where things are, and what a checkpoint does not record."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An evaluation of one checkpoint, ready to be measured, and what its records share."""

    evaluation: Evaluation
    setting: RunSetting
    """Made once: it reads every image and asks git."""


def prepared(evaluation: Evaluation) -> Prepared:
    """An evaluation with its setting. Raises UserError unless it has exactly one checkpoint."""
    if len(evaluation.networks) != 1:
        names = ", ".join(network.name for network in evaluation.networks[:3]) + ", ..." * (len(evaluation.networks) > 3)
        raise UserError(f"a baseline needs exactly one checkpoint, not {len(evaluation.networks)} ({names}); give one --ckpt")
    return Prepared(evaluation, provenance.setting(evaluation, started=datetime.datetime.now(datetime.UTC)))


def given(plan: EvaluationPlan) -> dict[str, Any]:
    """What a plan specifies about its checkpoint."""
    settings = plan.model_dump(include={*NetworkPlan.model_fields}, exclude_defaults=True)
    return {name: ",".join(value) if isinstance(value, list) else value for name, value in settings.items()}


def prepare_by_baseline(
    baseline: Snapshot,
    flags: Mapping[str, Any],
    *,
    prepare: Callable[[EvaluationPlan], Evaluation] | None = None,
    download: bool = False,
    renew: bool = False,
    meter: Meter = silent,
) -> Prepared:
    """Prepare to measure another checkpoint in the same way as the baseline.

    Args:
        baseline: The baseline.
        flags: As for ``read_plan``, None and False for those not given. What they do not say is as in the baseline. If one of
            them changes its plan, nothing has to be comparable.
        prepare: Used instead of loading what the plan names, for networks or images in memory.
        download: Whether a missing dataset may be downloaded.
        renew: Whether conditions of an earlier larobust are replaced by those of this one instead of refused.
        meter: Shows the progress of decoding.

    Returns:
        The evaluation of the checkpoint.

    Raises:
        UserError: If the plan does not name exactly one checkpoint, or something does not fit.
        NotComparableError: If the plan is the baseline's, but images, preprocessing, or what the network takes differ.
    """
    flags = {name: value for name, value in flags.items() if value is not None and value is not False}
    settings = {
        **_of_the_network(baseline, flags),
        "data": baseline.data,
        "resize": baseline.resize,
        "crop": baseline.crop,
        "limit": baseline.images if baseline.images < baseline.dataset_images else None,
        "noise_seed": baseline.seed,
        "noise_seeds": baseline.noise_seeds,
        "amp": baseline.precision != "float32" or None,
    }
    conditions = tuple(dict.fromkeys(answers.condition for answers in baseline.answers))
    if other_noise := flags.keys() & _NOISE:
        settings |= _noise(conditions, baseline.profile, severities="noise" not in flags)
    plan = read_plan(None, {**settings, **flags})

    def ready_by(plan: EvaluationPlan) -> Prepared:
        return prepared(prepare(plan) if prepare is not None else prepare_evaluation(plan, download=download, meter=meter))

    ready = ready_by(plan) if flags.keys() & _REPLANNING else _comparable(baseline, plan, ready_by, in_files=prepare is None)
    if other_noise:
        return ready
    conditions = tuple(map(_renewed if renew else _checked, conditions))
    _check_published(conditions, ready.evaluation)
    profile = baseline.profile or ready.evaluation.profile
    return dataclasses.replace(ready, evaluation=dataclasses.replace(ready.evaluation, conditions=conditions, profile=profile))


def _of_the_network(baseline: Snapshot, flags: Mapping[str, Any]) -> dict[str, Any]:
    """What a baseline says of its network, without what flags say instead. Raises UserError for code that no flag names."""
    recorded = {name: baseline.given[name] for name in NetworkPlan.model_fields if name in baseline.given}
    if flags.get("activation") not in (None, recorded.get("activation")):
        recorded.pop("layeract_alpha", None)  # of an activation that this checkpoint does not have
    for given_now, then in (("normalize", "preprocess"), ("preprocess", "normalize")):  # one takes the place of the other
        if given_now in flags:
            recorded.pop(then, None)
    check_code_is_named(recorded, flags, source="the baseline")
    return recorded


def _comparable(
    baseline: Snapshot, plan: EvaluationPlan, ready_by: Callable[[EvaluationPlan], Prepared], *, in_files: bool
) -> Prepared:
    """Prepare what a plan names. Raises NotComparableError unless that is on the baseline's images. in_files: the networks."""
    try:
        ready = ready_by(plan)
    except UnfitError as error:
        files = [one.file for one in read_checkpoints(plan, lambda _: False)] if in_files else []
        raise unfit(baseline, plan, files, error) from None
    frame = _frame(ready)
    check_comparable(baseline, frame if frame.fingerprint == baseline.fingerprint else with_content(frame, ready))
    return ready


def _noise(conditions: Sequence[Condition], profile: str | None, *, severities: bool) -> dict[str, Any]:
    """The flags of ``read_plan`` that select these conditions."""
    noisy = [condition for condition in conditions if condition != CLEAN]
    words = dict.fromkeys(one.corruption if one.severity else f"{one.corruption}={encode_level(one.parameters)}" for one in noisy)
    levels = sorted({str(one.severity) for one in noisy if one.severity is not None})
    jpeg = next((one.jpeg for one in noisy), None)
    if any(one.prebuilt is not None for one in noisy):
        profile, words = None, dict.fromkeys(one.corruption for one in noisy)
    return {"noise": list(words), "jpeg": jpeg, "profile": profile, "severity": (levels or None) if severities else None}


def measure_snapshot(
    ready: Prepared,
    *,
    fluctuation: bool,
    said: Mapping[str, Any],
    store: Path | None = None,
    meter: Meter = silent,
) -> Snapshot:
    """Measure the checkpoint of an evaluation.

    Args:
        ready: What is measured.
        fluctuation: Whether to measure the fluctuation of activations, too.
        said: What was specified about the checkpoint, see ``given``.
        store: Where results are read from and kept; None for no store.
        meter: Shows the progress.

    Returns:
        The predictions for each image, and the fluctuation if it was requested.

    Raises:
        UserError: If it cannot be measured.
    """
    evaluation, setting = ready.evaluation, ready.setting
    cells = measure_missing(evaluation, Accuracy(predictions=True), store=store, setting=setting, meter=meter).records
    answers = tuple(Answers(pass_=cell.pass_, predictions=unpack_classes(cell.predictions)) for cell in cells)
    moved: tuple[NetworkFluctuation, ...] = ()
    if fluctuation and any(condition != CLEAN for condition in evaluation.conditions):
        moved = measure_missing(evaluation, Fluctuation(), store=store, setting=setting, meter=meter).records
    return with_fluctuations(dataclasses.replace(_frame(ready), answers=answers, given=dict(said)), moved)


def with_content(snapshot: Snapshot, ready: Prepared) -> Snapshot:
    """A snapshot with the content of each of its images, so that another set of images can be told from it image by image.

    That of published images is in their conditions.
    """
    images = ready.evaluation.images
    if images.published is not None:
        return snapshot
    classes = images.classes if images.files else ()
    content = ImageDigests(digests=digests_of(images.images), names=images.files, classes=classes)
    return dataclasses.replace(snapshot, content=content)


def _check_published(conditions: Sequence[Condition], evaluation: Evaluation) -> None:
    """Raise NotComparableError if the images of a published set are not those of the baseline."""
    published = evaluation.images.published
    for one in conditions:
        if one.prebuilt is None:
            continue
        if published is None or one.severity not in published.held.get(one.corruption, ()):
            raise NotComparableError(f"not comparable; {evaluation.images.name} does not hold {one} of the baseline")
        if published.identify(one.corruption, one.severity)[0] != one.prebuilt:
            raise NotComparableError(f"not comparable; the images of {one} are others than those of the baseline")


def _renewed(condition: Condition) -> Condition:
    """The same severity or custom level, with the levels and draws of this version of larobust; checked."""
    from corruptions import NOISE_VERSION, PROFILES, level_of

    renewed = dataclasses.replace(condition, noise_version=NOISE_VERSION)
    ours = condition.prebuilt is None and condition.profile in PROFILES
    if condition.severity is None or condition.profile is None or not ours:
        return _checked(renewed)
    level = level_of(condition.corruption, severity=condition.severity, profile=condition.profile)
    return dataclasses.replace(renewed, parameters=level)


def _checked(condition: Condition) -> Condition:
    """The condition. Raises NotComparableError if it has another level or other draws in this version of larobust."""
    from corruptions import NOISE_VERSION, PROFILES, level_of

    if condition.noise_version != NOISE_VERSION:
        raise NotComparableError(
            f"not comparable; the noise of {condition} in the baseline was drawn in another way than by this larobust (noise "
            f"version {condition.noise_version}, here {NOISE_VERSION}); make the baseline again with: larobust baseline --update"
        )
    check_available(condition)
    if condition.severity is None or condition.profile is None or condition.prebuilt is not None:
        return condition  # clean, a custom level, or images of a published set
    if condition.profile not in PROFILES:
        raise NotComparableError(f"not comparable; {condition} of the baseline has an unknown profile, {condition.profile}")
    level = level_of(condition.corruption, severity=condition.severity, profile=condition.profile)
    if level != condition.parameters:
        here = dataclasses.replace(condition, parameters=level)
        raise NotComparableError(
            f"not comparable; level of {condition}: {condition.level_text} in the baseline, {here.level_text} here"
        )
    return condition


def _frame(ready: Prepared) -> Snapshot:
    """Everything in a snapshot that is known before measuring."""
    evaluation = ready.evaluation
    return snapshot_of(
        ready.setting,
        evaluation.networks[0].record,
        ids=evaluation.images.ids,
        labels=evaluation.images.labels.astype(np.uint16),
        profile=evaluation.profile,
        seed=evaluation.seed,
        noise_seeds=evaluation.noise_seeds,
    )
