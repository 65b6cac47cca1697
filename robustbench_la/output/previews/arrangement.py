"""How the tiles of a preview are arranged: which are rows, which are columns, and what stands at each. No sizes, no colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corruptions import CORRUPTIONS
from robustbench_la.records.cells import CLEAN, Condition
from robustbench_la.records.previews import Prediction, Preview, PreviewedImage, Tile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ACROSS = 5
"""Tiles side by side where neither rows nor columns mean anything; as many corruptions at a single level are columns."""
_IMAGES_ACROSS = 6
"""As columns, the images of one panel."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands at a row, at a column or above a tile."""

    text: str
    small: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A tile in its place."""

    pixels: NDArray[np.uint8]
    above: str
    """Which corruption it is, where neither row nor column says it."""
    severity: str
    level: str
    predictions: tuple[Prediction, ...]
    description: str
    """For those who do not see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A grid of tiles."""

    title: str
    columns: tuple[Heading, ...]
    """Empty where columns mean nothing."""
    rows: tuple[tuple[Heading | None, tuple[Spot, ...]], ...]
    says_severity: bool
    """Whether its title or its columns say the severity of each tile."""

    @property
    def across(self) -> int:
        """The tiles of its longest row."""
        return max(len(spots) for _, spots in self.rows)


def arranged(preview: Preview) -> tuple[Panel, ...]:
    """Arrange the tiles of a preview.

    Several levels of a corruption are columns, and each image has a panel of its own. If every corruption has a single level, up
    to five corruptions are columns and the images rows; more corruptions are rows and the images columns; those of a single image
    are laid out like text.
    """
    conditions = preview.conditions
    corrupted = [condition.corruption for condition in conditions if condition != CLEAN]
    names = list(dict.fromkeys(corrupted))
    if len(corrupted) > len(names):
        return tuple(_levels_across(image, names) for image in preview.images)
    if len(names) <= _ACROSS:
        return (_corruptions_across(preview),)
    if len(preview.images) == 1:
        return (_in_lines(preview.images[0]),)
    panels = -(-len(preview.images) // _IMAGES_ACROSS)
    across = -(-len(preview.images) // panels)
    return tuple(_images_across(preview.images[start : start + across]) for start in range(0, len(preview.images), across))


def _levels_across(image: PreviewedImage, names: Sequence[str]) -> Panel:
    clean = tuple(tile for tile in image.tiles if tile.condition == CLEAN)  # published sets have none
    rows = [clean + tuple(tile for tile in image.tiles if tile.condition.corruption == name) for name in names]
    severities = [
        _shared_severity([row[place] for row in rows if place < len(row)]) for place in range(len(clean), max(map(len, rows)))
    ]
    says_severity = all(severities)
    columns = [*("clean" for _ in clean), *(severities if says_severity else [""] * len(severities))]
    return Panel(
        title=image.title,
        columns=tuple(map(Heading, columns)),
        rows=tuple((_of_corruption(row[-1].condition), tuple(_spot(image, tile) for tile in row)) for row in rows),
        says_severity=says_severity,
    )


def _corruptions_across(preview: Preview) -> Panel:
    shared = _shared_severity(preview.images[0].tiles)
    single = len(preview.images) == 1
    rows = tuple(
        (None if single else _of_image(image), tuple(_spot(image, tile) for tile in image.tiles)) for image in preview.images
    )
    return Panel(
        title=", ".join(filter(None, (preview.images[0].title if single else "", shared))),
        columns=tuple(_of_corruption(condition) for condition in preview.conditions),
        rows=rows,
        says_severity=bool(shared),
    )


def _in_lines(image: PreviewedImage) -> Panel:
    shared = _shared_severity(image.tiles)
    spots = [_spot(image, tile, named=True) for tile in image.tiles]
    return Panel(
        title=", ".join(filter(None, (image.title, shared))),
        columns=(),
        rows=tuple((None, tuple(spots[start : start + _ACROSS])) for start in range(0, len(spots), _ACROSS)),
        says_severity=bool(shared),
    )


def _images_across(images: Sequence[PreviewedImage]) -> Panel:
    shared = _shared_severity(images[0].tiles)
    by_condition: Iterator[tuple[Tile, ...]] = zip(*(image.tiles for image in images), strict=True)
    return Panel(
        title=shared,
        columns=tuple(map(_of_image, images)),
        rows=tuple((_of_corruption(tiles[0].condition), tuple(map(_spot, images, tiles))) for tiles in by_condition),
        says_severity=bool(shared),
    )


def _shared_severity(tiles: Sequence[Tile]) -> str:
    """The severity of all corrupted ones in words; empty if they differ."""
    severities = {tile.condition.severity for tile in tiles if tile.condition != CLEAN}
    severity = severities.pop() if len(severities) == 1 else None
    return "" if severity is None else f"severity {severity}"


def _of_corruption(condition: Condition) -> Heading:
    """The name of a corruption in words, and those of the parameters whose values are shown."""
    entry = CORRUPTIONS.get(condition.corruption) if condition.parameters else None
    small = "/".join(parameter.name for parameter in entry.parameters) if entry else ""
    return Heading(in_words(condition.corruption), small)


def _of_image(image: PreviewedImage) -> Heading:
    return Heading(image.label or image.name, image.name if image.label else "")


def in_words(name: str) -> str:
    """A corruption as it is written in tables.

    >>> in_words("gaussian_noise")
    'gaussian noise'
    """
    return name.replace("_", " ")


def _spot(image: PreviewedImage, tile: Tile, *, named: bool = False) -> Spot:
    condition = tile.condition
    severity = f"severity {condition.severity}" if condition.severity else ""
    return Spot(
        pixels=tile.pixels,
        above=in_words(condition.corruption) if named else "",
        severity=severity,
        level=condition.level_text,
        predictions=tile.predictions,
        description=f"{image.name}, {_described(condition, severity)}" + "".join(map(_told, tile.predictions)),
    )


def _described(condition: Condition, severity: str) -> str:
    """A condition in words, such as ``snow, severity 3 (0.1/0.2)``."""
    level = f" ({condition.level_text})" if condition.level_text else ""
    return ", ".join(filter(None, (in_words(condition.corruption), severity))) + level


def _told(prediction: Prediction) -> str:
    judged = {True: " (right)", False: " (wrong)", None: ""}[prediction.right]
    return f"; taken for {prediction.name}{judged}"
