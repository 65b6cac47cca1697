"""A dataset before decoding: its labels are known, its images are opened one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from robustbench_la.images.picture_files import Mode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from robustbench_la.images.published.base import PublishedSet

Split = Literal["train", "test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A dataset before decoding."""

    labels: Sequence[int]
    classes: tuple[str, ...]
    mode: Mode
    """Whether the images are grey (L) or colour (RGB)."""
    image: Callable[[int], Image]
    """Opens the image with a given id."""
    describe: Callable[[int], str]
    """How errors name the image with a given id."""
    resize: int | None = None
    """Default for the shorter side, in pixels."""
    crop: int | None = None
    """Default for the side of the centre crop, in pixels."""
    file: Callable[[int], str] | None = None
    """The path of the image with a given id within the dataset; None if the images are not files."""
    label_set: str | None = None
    """As in ``RunSetting``, where the names of classes do not tell."""
    array: NDArray[np.uint8] | None = field(default=None, repr=False)
    """All images (N, C, H, W), if the dataset already is an array."""
    published: PublishedSet | None = field(default=None, repr=False)
    """What reads the images of each condition, if this is a published corrupted set."""


def from_array(images: NDArray[np.uint8], labels: Sequence[int], classes: tuple[str, ...]) -> Source:
    """A dataset that already is an array.

    Args:
        images: uint8 (N, C, H, W).
        labels: One per image.
        classes: The name of each class.

    Returns:
        The dataset, to be decoded.
    """
    import PIL.Image

    def image(index: int) -> Image:
        pixels = images[index]
        return PIL.Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))

    return Source(
        labels=list(labels),
        classes=classes,
        mode="L" if images.shape[1] == 1 else "RGB",
        image=image,
        describe=lambda index: f"image {index}",
        array=images,
    )
