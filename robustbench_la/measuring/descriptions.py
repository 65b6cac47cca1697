"""Evaluations in words: images, levels, noise seeds, precision, device. Measures nothing."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_la.images.decoding import IN_MEMORY, ImageSet
from robustbench_la.measuring.published_conditions import sets_in_words
from robustbench_la.measuring.session import Evaluation
from robustbench_la.records.cells import Condition
from robustbench_la.records.level_words import custom_levels
from robustbench_la.text import counted


def describe(evaluation: Evaluation) -> str:
    """Images, levels, noise seeds, precision and device of an evaluation, in one sentence."""
    seeds = evaluation.seeds
    noise = f"noise seed {seeds[0]}" if len(seeds) == 1 else f"noise seeds {seeds[0]} to {seeds[-1]}"
    if evaluation.images.published is None:
        levels = f"{describe_levels(evaluation.conditions, evaluation.profile)}; {noise}"
    else:
        levels = sets_in_words(evaluation.conditions)
    return f"{describe_images(evaluation.images)}; {levels}; {evaluation.precision} on {evaluation.device}." + "".join(
        f" Left out: {reason}." for reason in evaluation.unmeasurable
    )


def describe_levels(conditions: Sequence[Condition], profile: str) -> str:
    """Where the levels of conditions come from."""
    custom = custom_levels(conditions)
    by_profile = not custom or any(condition.profile for condition in conditions)
    return " and ".join([*([f"levels of profile {profile}"] if by_profile else []), *([custom] if custom else [])])


def describe_images(images: ImageSet) -> str:
    """How many images of which dataset, and their size."""
    channels, height, width = images.images.shape[1:]
    part = f" of {images.total:,} (partial)" if images.partial else ""
    where = "in" if images.name == IN_MEMORY else "of"
    return f"{len(images.ids):,}{part} images {where} {images.name}, {width}x{height} px, {counted(channels, 'channel')}"
