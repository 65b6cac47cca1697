"""Some images of a dataset by index or file, and image files that belong to none: decoded as all others are."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_la.errors import UserError
from robustbench_la.files import at_home, exists, similar_files
from robustbench_la.images.decoding import ImageChoice, ImageSet, UndecodedImages, chosen_ids
from robustbench_la.images.folders import from_files
from robustbench_la.images.picture_files import decoded
from robustbench_la.images.sizing import channels_remark
from robustbench_la.images.source import Source
from robustbench_la.text import quoted

if TYPE_CHECKING:
    from PIL.Image import Image

UNLABELLED = -1
"""The label of an image of which nobody said what it shows."""
_INDICES = re.compile(r"[0-9]{1,18}(,[0-9]{1,18})*")


def chosen_images(dataset: UndecodedImages, words: Sequence[str], *, limit: int) -> ImageSet:
    """Decode some images of a dataset, and files that are not in it.

    Args:
        dataset: Opened.
        words: Indices of images, or image files; if empty, ``limit`` decides.
        limit: Number of images, the first of a fixed permutation.

    Returns:
        The images in the order given, each once. A file that is not in the dataset has the label UNLABELLED, and the ids of such
        files count from 0.

    Raises:
        UserError: If there is no such image, it cannot be decoded, or the images differ in size.
    """
    source = dataset.source
    total = len(source.labels)
    wanted = places_of(words, total, dataset.choice.name) if words else list(map(int, chosen_ids(total, limit)))
    if source.published is not None and any(isinstance(place, Path) for place in wanted):
        raise UserError(f"{dataset.choice.name} holds images that are corrupted already; give --image an index in it, not a file")
    known = _ids_by_file(source) if any(isinstance(place, Path) for place in wanted) else {}
    places = [known.get(os.path.realpath(place), place) if isinstance(place, Path) else place for place in wanted]
    return _decoded(dataset, list(dict.fromkeys(places)))


def files_alone(words: Sequence[str], choice: ImageChoice) -> ImageSet:
    """Decode image files that belong to no dataset; arguments and errors as in ``chosen_images``."""
    files = dict.fromkeys(place for place in places_of(words, 0, "") if isinstance(place, Path))
    source = from_files(Path(), [(path, UNLABELLED) for path in files], ())
    return _decoded(UndecodedImages(choice, source, channels_remark(source.mode, choice)), list(files))


def are_files(words: Sequence[str]) -> bool:
    """Whether images are given, all of them as files, so that no dataset is needed."""
    return bool(words) and not any(map(_INDICES.fullmatch, words))


def places_of(words: Sequence[str], total: int, name: str) -> list[int | Path]:
    """The indices and the files that words stand for.

    Args:
        words: As the user gave them.
        total: Number of images in the dataset.
        name: Of the dataset.

    Raises:
        UserError: If there is no such index or file.
    """
    places: list[int | Path] = []
    for word in words:
        if _INDICES.fullmatch(word):
            places += map(int, word.split(","))
        elif word and exists(path := at_home(word)):
            places.append(path)
        else:
            raise UserError(
                f"--image {quoted(word)}: no such file{similar_files(Path(word))}; give an image file, or an index in the dataset"
            )
    for place in places:
        if isinstance(place, int) and place >= total:
            raise UserError(f"--image {place}: {name} has {total:,} images, with indices from 0 to {total - 1}")
    return places


def _ids_by_file(source: Source) -> dict[str, int]:
    """The files of a dataset, links resolved, and the id of each; empty if its images are not files."""
    if source.file is None:
        return {}
    return {os.path.realpath(source.describe(index)): index for index in range(len(source.labels))}


def _decoded(dataset: UndecodedImages, places: Sequence[int | Path]) -> ImageSet:
    """The images at these places, by a dataset that consists of them. Images without a file have an empty one."""
    import numpy as np

    source = dataset.source
    outside = [place for place in places if isinstance(place, Path)]

    def image(position: int) -> Image:
        place = places[position]
        return decoded(place, source.mode) if isinstance(place, Path) else source.image(place)

    def file(position: int) -> str:
        place = places[position]
        if isinstance(place, Path):
            return str(place)
        return "" if source.file is None else source.file(place)

    def describe(position: int) -> str:
        place = places[position]
        return str(place) if isinstance(place, Path) else source.describe(place)

    labels = [UNLABELLED if isinstance(place, Path) else source.labels[place] for place in places]
    ids = [outside.index(place) if isinstance(place, Path) else place for place in places]
    part = replace(source, labels=labels, image=image, describe=describe, file=file, array=None)
    images = replace(dataset, source=part).decode()
    return replace(images, ids=np.array(ids, dtype=np.int64), total=len(source.labels))
