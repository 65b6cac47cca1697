"""Why a network does not take the images that a baseline is to be checked on: they may be others than the baseline's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robustbench_la.errors import NotComparableError, UnfitError, UserError
from robustbench_la.images.decoding import UndecodedImages, open_dataset
from robustbench_la.measuring.session import choice_for, with_labels
from robustbench_la.models.checkpoints.file import CheckpointFile
from robustbench_la.records.image_digests import digests_of
from robustbench_la.records.plan import EvaluationPlan
from robustbench_la.records.snapshot import Snapshot


def unfit(baseline: Snapshot, plan: EvaluationPlan, files: Sequence[CheckpointFile], error: UnfitError) -> NotComparableError:
    """What is wrong where a network did not take the images, found without decoding more than one of them.

    Args:
        baseline: The baseline.
        plan: Names the images; none if they are in memory.
        files: The checkpoints of the plan.
        error: What the network was found not to take.

    Returns:
        How the images differ from the baseline's or, if they do not, that the network is for others.
    """
    try:
        dataset = None if plan.data is None else with_labels(open_dataset(choice_for(plan, files)), plan)
        if dataset is not None and (how := _differs(baseline, dataset)):
            return NotComparableError(f"not comparable; data: {baseline.data} in the baseline, {dataset.choice.name} here; {how}")
    except UserError:
        pass  # the network's own error says more
    return NotComparableError(f"not comparable; {error.what}; the baseline judges by the images of {baseline.data}")


def _differs(baseline: Snapshot, dataset: UndecodedImages) -> str:
    """How a dataset differs from the baseline's, as far as labels and one image show; empty if they do not."""
    total, content = len(dataset.source.labels), baseline.content
    if dataset.source.file is not None and content is not None and (renamed := content.renamed(dataset.source.classes)):
        return renamed
    if total != baseline.dataset_images:
        return f"{baseline.dataset_images:,} images there, {total:,} here"
    if not np.array_equal(np.asarray(dataset.source.labels)[baseline.ids], baseline.labels):
        return "the images have other labels"
    if content is None or (dataset.choice.resize, dataset.choice.crop) != (baseline.resize, baseline.crop):
        return ""
    same = digests_of(dataset.image(int(baseline.ids[0]))[None])[0] == content.digests[0]
    return "" if same else "the images are others"
