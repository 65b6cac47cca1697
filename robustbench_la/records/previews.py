"""What a preview shows: images under each condition, with what networks take them for. Plain data, without layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from robustbench_la.records.cells import Condition

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network takes an image for."""

    name: str
    """Of the class."""
    right: bool | None
    """None if nobody said what the image shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One image under one condition."""

    condition: Condition
    pixels: NDArray[np.uint8] = field(repr=False)
    """(H, W), or (H, W, 3): those that are measured on."""
    predictions: tuple[Prediction, ...] = ()
    """One per network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewedImage:
    """One image under all conditions."""

    name: str
    """``image 17``, or the name of a file that is not in the dataset, with its path where two have the same."""
    label: str | None
    """Its class; None if nobody said it."""
    file: str | None
    """Its path within the dataset; None if the dataset has no files."""
    tiles: tuple[Tile, ...]
    """In the order of the conditions, clean first."""

    @property
    def title(self) -> str:
        """Its name with all that is known of it.

        >>> PreviewedImage(name="image 17", label="cat", file="cat/a.png", tiles=()).title
        'image 17, cat/a.png'
        """
        known_by_file = self.label is not None and self.file is not None and self.file.startswith(f"{self.label}/")
        return ", ".join(filter(None, (self.name, None if known_by_file else self.label, self.file)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Several images under the same conditions."""

    images: tuple[PreviewedImage, ...]
    networks: tuple[str, ...]
    """The names of those whose predictions the tiles have, in that order."""
    about: str
    """The images, levels and seed in a sentence."""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The same for each image."""
        return tuple(tile.condition for tile in self.images[0].tiles)
