"""Some images under each condition, with the pixels and the predictions of an evaluation, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from robustbench_la.errors import UserError
from robustbench_la.images.chosen import UNLABELLED, are_files, chosen_images, files_alone
from robustbench_la.images.decoding import ImageSet, UndecodedImages, open_dataset
from robustbench_la.measuring.descriptions import describe_levels
from robustbench_la.measuring.forward import corrupted, finite_logits
from robustbench_la.measuring.loading import GoOn
from robustbench_la.measuring.session import (
    Evaluation,
    choice_for,
    evaluation_of,
    prepare_evaluation,
    with_labels,
)
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.models.names import check_names
from robustbench_la.records.plan import EvaluationPlan
from robustbench_la.records.previews import Prediction, Preview, PreviewedImage, Tile
from robustbench_la.text import counted

MOST_IMAGES = 100
"""Of a preview; they are decoded before the size of the whole is known."""
_MOST_TILES, _MOST_PIXELS = 600, 25_000_000
"""Of a preview: five images of 224 px under all corruptions at all severities have 480 tiles and 24,084,480 pixels."""


def prepare_preview(
    plan: EvaluationPlan, words: Sequence[str], *, download: bool = False, go_on: GoOn | None = None
) -> Evaluation:
    """What ``prepare_evaluation`` prepares, of a few images, which need neither a checkpoint nor a label.

    Args:
        plan: Its limit is the number of images where ``words`` is empty, by default one.
        words: The images: indices in the dataset or files, which may be outside.
        download: Whether a missing dataset may be downloaded.
        go_on: Whether to go on without a checkpoint that cannot be used; as the plan says if not given.

    Returns:
        The evaluation; without networks if the plan names no checkpoint.

    Raises:
        UserError: For the first thing that is missing or does not fit.
    """
    check_count(plan, words)
    if plan.checkpoints:
        return prepare_evaluation(plan, download=download, go_on=go_on, decode=lambda dataset: decode(dataset, plan, words))
    check_names(plan)
    choice = choice_for(plan, [])
    if plan.data is None and are_files(words):
        return evaluation_of([], files_alone(words, choice), plan)
    dataset = with_labels(open_dataset(choice, download=download), plan)
    return evaluation_of([], decode(dataset, plan, words), plan)


def check_count(plan: EvaluationPlan, words: Sequence[str]) -> None:
    """Raise UserError for more images than can be looked at, or when two settings say which."""
    if words and plan.limit is not None:
        raise UserError("give either --image or --limit: both say which images are shown")
    count = sum(word.count(",") + 1 for word in words) or plan.limit or 1
    if count > MOST_IMAGES:
        raise UserError(f"a preview shows at most {MOST_IMAGES} images, not {count:,}")


def decode(dataset: UndecodedImages, plan: EvaluationPlan, words: Sequence[str]) -> ImageSet:
    """The images that are previewed."""
    return chosen_images(dataset, words, limit=plan.limit or 1)


def without_labels(evaluation: Evaluation) -> Evaluation:
    """An evaluation of images of which nobody said what they show."""
    images = evaluation.images
    return replace(evaluation, images=replace(images, labels=np.full_like(images.labels, UNLABELLED)))


def check_size(evaluation: Evaluation) -> None:
    """Raise UserError for a preview that would take much memory, and that nobody could take in."""
    count, _, height, width = evaluation.images.images.shape
    tiles = count * len(evaluation.conditions)
    pixels = tiles * height * width
    if tiles > _MOST_TILES or pixels > _MOST_PIXELS:
        raise UserError(
            f"{counted(count, 'image')} under {counted(len(evaluation.conditions), 'condition')} are {tiles:,} tiles of "
            f"{width}x{height} px, {pixels / 1e6:,.1f} million pixels, and a preview has at most {_MOST_TILES} tiles and "
            f"{_MOST_PIXELS // 10**6} million pixels; choose fewer with --image, --noise or --severity, or give "
            "--resize"
        )


@torch.inference_mode()
def preview_of(evaluation: Evaluation) -> Preview:
    """Corrupt the images of an evaluation, and show them to its networks.

    Args:
        evaluation: From ``prepare_preview``.

    Returns:
        The preview; its pixels are those that would be measured on.

    Raises:
        UserError: If it would be too large.
        RunError: If a network fails.
    """
    check_size(evaluation)
    images = evaluation.images
    by_condition = []
    for condition in evaluation.conditions:
        batch = corrupted(evaluation, condition, slice(0, len(images.ids)))
        seen = [_predictions(network, batch, evaluation) for network in evaluation.networks]
        pixels = batch.permute(0, 2, 3, 1).cpu().numpy()
        pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
        by_condition.append(
            [
                Tile(condition=condition, pixels=own, predictions=tuple(of_network[place] for of_network in seen))
                for place, own in enumerate(pixels)
            ]
        )
    return Preview(
        images=tuple(_previewed(images, place, tuple(tiles)) for place, tiles in enumerate(zip(*by_condition, strict=True))),
        networks=tuple(network.name for network in evaluation.networks),
        about=about(evaluation),
    )


def about(evaluation: Evaluation) -> str:
    """Images, levels and noise seed of a preview, in a sentence."""
    images = evaluation.images
    channels, height, width = images.images.shape[1:]
    qualities = {condition.jpeg for condition in evaluation.conditions if condition.jpeg is not None}
    stored = f", stored as JPEG of quality {qualities.pop()}" if qualities else ""
    origin = f" of {images.name}" if images.total > len(images.ids) or images.classes else ""
    levels = f"{describe_levels(evaluation.conditions, evaluation.profile)}; noise seed {evaluation.seed}"
    if images.published is not None:
        levels = "as in " + " and ".join(dict.fromkeys(str(one.profile) for one in evaluation.conditions if one.profile))
    left_out = f" Left out: {'; '.join(evaluation.unmeasurable)}." if evaluation.unmeasurable else ""
    shown = f"{counted(len(images.ids), 'image')}{origin}, {width}x{height} px, {counted(channels, 'channel')}{stored}"
    return f"{shown}; {levels}.{left_out}"


def _predictions(network: Network, batch: Tensor, evaluation: Evaluation) -> list[Prediction]:
    """What a network takes each image of a batch for."""
    images = evaluation.images
    answers: list[int] = []
    for start in range(0, len(batch), evaluation.batch_size):
        inputs = network.normalization.apply(batch[start : start + evaluation.batch_size])
        answers += finite_logits(network, inputs, evaluation).argmax(1).tolist()
    return [
        Prediction(images.classes[answer], None if label == UNLABELLED else answer == label)
        for answer, label in zip(answers, images.labels.tolist(), strict=True)
    ]


def _previewed(images: ImageSet, place: int, tiles: tuple[Tile, ...]) -> PreviewedImage:
    label, file = int(images.labels[place]), images.files[place] if images.files else ""
    if label == UNLABELLED:
        last = file.rpartition("/")[2]
        alone = sum(other.rpartition("/")[2] == last for other in images.files) == 1
        named = f"image {images.ids[place]}"
        return PreviewedImage(name=(last if alone else file) or named, label=None, file=None, tiles=tiles)
    return PreviewedImage(name=f"image {images.ids[place]}", label=images.classes[label], file=file or None, tiles=tiles)
