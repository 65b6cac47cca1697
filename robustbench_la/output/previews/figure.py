"""A preview as a figure in which each pixel of an image is a square of whole dots: nothing is smoothed or scaled down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from robustbench_la.output.figures.style import GREY, WIDTHS, themed
from robustbench_la.output.previews.arrangement import Heading, Panel, Spot
from robustbench_la.output.previews.words import DPI, cut, fitted, width_of
from robustbench_la.records.previews import Prediction
from robustbench_la.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_PAGE = int(WIDTHS[2] * DPI)
"""Dots across: figures are as wide as a page of two columns, unless the images are wider."""
_LARGEST, _LARGE = 480, 300
"""Dots that an image is enlarged to; where there are more than _FEW tiles, to fewer."""
_FEW = 40
_GAP, _MARGIN = 12, 24
_TITLE, _NAME, _SMALL, _NOTE = 8.0, 7.0, 5.5, 5.5
"""Sizes of the text, in points."""
_LINE = 1.25
_LONGEST_WORD = 60
"""Characters beside a row; those that are cut need not be measured."""
RIGHT, WRONG = "#1a7f37", "#c62828"
MARKS = {True: "✓", False: "✗", None: "→"}


def line_height(size: float) -> int:
    """Dots from one line of text to the next. size: in points."""
    return round(size * _LINE * DPI / 72)


@dataclass(frozen=True, slots=True)
class _Text:
    """A line of text in its place."""

    x: float
    y: float
    """Of its top."""
    text: str
    size: float
    colour: str = "black"
    across: str = "center"


class Sheet:
    """Texts and images with the places they have; y counts downwards."""

    def __init__(self) -> None:
        self.texts: list[_Text] = []
        self.images: list[tuple[int, int, NDArray[np.uint8]]] = []
        self.width, self.height = 0, _MARGIN

    def lines(self, x: float, y: int, lines: Sequence[str], size: float, colour: str = "black", across: str = "center") -> int:
        """Add lines of text below each other. Returns y below them."""
        for line in lines:
            self.texts.append(_Text(x, y, line, size, colour, across))
            y += line_height(size)
        return y

    def figure(self) -> Figure:
        """The figure; to be drawn within themed()."""
        from matplotlib.figure import Figure
        from matplotlib.image import AxesImage

        width, height = self.width, self.height + _MARGIN
        # A little more than whole, since what is cut off when these become dots again must not be a dot.
        figure = Figure(figsize=((width + 0.01) / DPI, (height + 0.01) / DPI), dpi=DPI)
        figure.suppressComposite = True  # a PDF or an SVG keeps each image, rather than one picture of all
        axes: Axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), autoscale_on=False)
        axes.set_axis_off()
        for x, y, pixels in self.images:
            rows, columns = pixels.shape[:2]
            drawn = AxesImage(axes, interpolation="none", cmap="gray", extent=(x, x + columns, y + rows, y), resample=False)
            drawn.set_data(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2))
            axes.add_image(drawn)
        for text in self.texts:
            axes.text(text.x, text.y, text.text, size=text.size, color=text.colour, ha=text.across, va="top")
        return figure


def figures(panels: Sequence[Panel], networks: Sequence[str], note: str, *, pages: bool) -> list[Figure]:
    """Draw panels.

    Args:
        panels: Below each other.
        networks: Whose predictions the tiles have.
        note: A sentence below.
        pages: Whether each panel has a figure of its own.

    Returns:
        One figure, or one per panel.
    """
    groups = [[panel] for panel in panels] if pages else [panels]
    few = sum(len(spots) for panel in panels for _, spots in panel.rows) <= _FEW
    with themed():
        return [sheet_of(group, networks, note, few=few).figure() for group in groups]


def sheet_of(panels: Sequence[Panel], networks: Sequence[str], note: str, *, few: bool) -> Sheet:
    """Where everything is drawn; to be called within themed()."""
    sheet = Sheet()
    for panel in panels:
        _add_panel(sheet, panel, largest=_LARGEST if few else _LARGE)
    _add_note(sheet, " ".join(filter(None, (note, about_predictions(networks)))))
    return sheet


def about_predictions(networks: Sequence[str]) -> str:
    """Whose predictions stand below a tile, in a sentence; empty for none."""
    if not networks:
        return ""
    if len(networks) == 1:
        return f"Predictions of {networks[0]}: ✓ right, ✗ wrong."
    return f"Predictions, one line each: {', '.join(networks)}; ✓ right, ✗ wrong."


def _add_panel(sheet: Sheet, panel: Panel, *, largest: int) -> None:
    pixels = [spot.pixels for _, spots in panel.rows for spot in spots]
    height, width = pixels[0].shape[:2]
    left = max((_heading_width(heading) for heading, _ in panel.rows if heading is not None), default=0)
    room = (_PAGE - 2 * _MARGIN - left - panel.across * _GAP) // panel.across
    scale = max(1, min(room, largest) // max(width, height))
    tile = width * scale
    step = max(tile, line_height(_SMALL) * 4) + _GAP
    start = _MARGIN + left
    sheet.width = max(sheet.width, start + panel.across * step + _MARGIN - _GAP)
    y = sheet.height
    if panel.title:
        lines = fitted(panel.title, _TITLE, sheet.width - 2 * _MARGIN, between=" ")[:3]
        y = sheet.lines(_MARGIN, y, lines, _TITLE, across="left") + _GAP // 2
    if panel.columns:
        y = max(
            _add_heading(sheet, start + place * step + tile / 2, y, heading, tile) for place, heading in enumerate(panel.columns)
        )
    for heading, spots in panel.rows:
        if heading is not None:
            _add_row_heading(sheet, heading, y, left - _GAP, below=y + height * scale)
        names = [fitted(spot.above, _NAME, tile, between=" ") for spot in spots]
        top = y + max(map(len, names)) * line_height(_NAME)
        for place, lines in enumerate(names):
            sheet.lines(start + place * step + tile / 2, top - len(lines) * line_height(_NAME), lines, _NAME)
        below = [
            _add_spot(sheet, start + place * step, top, spot, scale, says_severity=panel.says_severity)
            for place, spot in enumerate(spots)
        ]
        y = max(below) + _GAP
    sheet.height = y + 2 * _GAP


def _heading_width(heading: Heading) -> int:
    """Dots beside which no word of it has to be cut, unless it is as wide as a tile."""
    words = [*((word, _NAME) for word in heading.text.split()), *((f"{part}/", _SMALL) for part in heading.small.split("/"))]
    return min(max(width_of(printable(word)[:_LONGEST_WORD], size) for word, size in words), _LARGE) + _GAP


def _add_heading(sheet: Sheet, x: float, y: int, heading: Heading, width: int) -> int:
    """What stands above a column. Returns y below it."""
    y = sheet.lines(x, y, fitted(heading.text, _NAME, width, between=" ")[:3], _NAME)
    return sheet.lines(x, y, fitted(heading.small, _SMALL, width)[:2], _SMALL, GREY) if heading.small else y


def _add_row_heading(sheet: Sheet, heading: Heading, y: int, width: int, *, below: int) -> None:
    """What stands beside a row; its small print ends at ``below``."""
    y = sheet.lines(_MARGIN, y, fitted(heading.text, _NAME, width, between=" ")[:3], _NAME, across="left")
    small = fitted(heading.small, _SMALL, width)[: max(1, (below - y) // line_height(_SMALL))]
    sheet.lines(_MARGIN, y, small, _SMALL, GREY, across="left")


def _add_spot(sheet: Sheet, x: int, y: int, spot: Spot, scale: int, *, says_severity: bool) -> int:
    """A tile with what stands below it. Returns y below all that."""
    tile = spot.pixels.shape[1] * scale
    sheet.images.append((x, y, spot.pixels.repeat(scale, 0).repeat(scale, 1)))
    y += spot.pixels.shape[0] * scale + _GAP // 3
    if spot.severity and not says_severity:
        y = sheet.lines(x + tile / 2, y, [spot.severity], _SMALL, GREY)
    y = sheet.lines(x + tile / 2, y, fitted(spot.level, _SMALL, tile), _SMALL, GREY)
    for prediction in spot.predictions:
        y = sheet.lines(x + tile / 2, y, [cut(marked(prediction), _SMALL, tile)], _SMALL, _colour(prediction))
    return y


def marked(prediction: Prediction) -> str:
    """A prediction, and whether it is right without its colour.

    >>> marked(Prediction("cat", True)), marked(Prediction("dog", None))
    ('✓ cat', '→ dog')
    """
    return f"{MARKS[prediction.right]} {prediction.name}"


def _colour(prediction: Prediction) -> str:
    return GREY if prediction.right is None else RIGHT if prediction.right else WRONG


def _add_note(sheet: Sheet, note: str) -> None:
    sheet.width = max(sheet.width, 2 * _LARGEST)
    sheet.height = sheet.lines(
        _MARGIN, sheet.height, fitted(note, _NOTE, sheet.width - 2 * _MARGIN, between=" "), _NOTE, GREY, across="left"
    )
