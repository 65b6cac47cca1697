"""What every layout of a published corrupted set gives: which conditions it holds, their identity, and some images of one."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from corruptions import CORRUPTIONS
from robustbench_la.errors import UserError
from robustbench_la.images.source import Source
from robustbench_la.images.written_sets import unfinished_remark
from robustbench_la.progress import Meter, silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
"""Of a corruption; files and folders with other names are none."""
SAMPLE = 64
"""The number of images that stand for all of them where a network is tried."""


def in_paper_order(names: Iterable[str]) -> list[str]:
    """Corruptions of a set in the order in which they are shown: the nineteen as in the paper, then others by name.

    >>> in_paper_order(["caustic", "fog", "blue_noise", "shot_noise"])
    ['shot_noise', 'fog', 'blue_noise', 'caustic']
    """
    every = set(names)
    return [*(name for name in CORRUPTIONS if name in every), *sorted(every - set(CORRUPTIONS))]


class PublishedSet(ABC):
    """An opened set. Nothing of it is in memory but its labels and names."""

    name: str
    """The kind of the set, such as ``cifar10-c``."""
    labels: Sequence[int]
    """Of the images of every condition, which are all in one order."""
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    """Channels, height and width."""
    held: Mapping[str, tuple[int | None, ...]]
    """Corruption -> its severities; a single None where it has one level. In the paper's order."""
    clean: bool = False
    """Whether the set holds the clean images, too."""
    remarks: tuple[str, ...] = ()

    @abstractmethod
    def identify(self, corruption: str, severity: int | None, meter: Meter = silent) -> tuple[str, bool]:
        """The digest of the images of a condition, and whether they are not the published ones.

        Raises:
            UserError: If they cannot be read, or do not fit the set.
        """

    @abstractmethod
    def read(self, corruption: str, severity: int | None, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images of a condition with these ids, (N, C, H, W).

        Raises:
            UserError: If they cannot be read.
        """

    def sample(self, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Some of the images with these ids, under the first condition of the set."""
        corruption, severities = next(iter(self.held.items()))
        return self.read(corruption, severities[0], ids[:: max(1, len(ids) // SAMPLE)][:SAMPLE])


def no_set(root: Path) -> UserError | None:
    """What to raise for a folder without a set that larobust has begun to write; None if it has not."""
    remark = unfinished_remark(root)
    return UserError(f"{root} holds no finished corruption: {remark}") if remark else None


def unfinished(root: Path) -> tuple[str, ...]:
    """The remark on a set of which only a part is finished."""
    return tuple(filter(None, (unfinished_remark(root),)))


def source_of(published: PublishedSet) -> Source:
    """A published set as a dataset, whose images are read per condition only."""

    def image(index: int) -> Image:
        raise UserError(f"the images of {published.name} are corrupted already: only eval, baseline and check take them")

    return Source(
        labels=published.labels,
        classes=published.classes,
        mode="L" if published.shape[0] == 1 else "RGB",
        image=image,
        describe=lambda index: f"image {index}",
        published=published,
    )
