"""Text that has to fit below or beside a tile: its width as it will be drawn, broken into lines or cut."""

from __future__ import annotations

import functools
import itertools

from robustbench_la.text import printable

DPI = 300
"""Dots per inch of a picture."""


@functools.lru_cache(maxsize=65_536)
def width_of(text: str, size: float) -> int:
    """Dots that a line of text takes. size: in points; to be called within style.themed()."""
    import warnings

    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that the font lacks is drawn as a box
        width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)
    return round(width * DPI / 72)


def fitted(text: str, size: float, width: int, *, between: str = "/") -> list[str]:
    """Break a text into lines.

    Args:
        text: What to show.
        size: Of the letters, in points.
        width: Of a line, in dots.
        between: Lines end after this.

    Returns:
        The lines; a part that is too long for one is cut.
    """
    lines = [""]
    parts = printable(text).split(between)
    for part, end in itertools.zip_longest(parts, [between] * (len(parts) - 1), fillvalue=""):
        if lines[-1] and width_of((lines[-1] + part + end).rstrip(), size) > width:
            lines.append("")
        lines[-1] += part + end
    return [cut(line.strip(), size, width) for line in lines if line.strip()]


def cut(text: str, size: float, width: int) -> str:
    """A text whose end is left out if it is too long for a line. Arguments as of ``fitted``."""
    shown = printable(text)[:1000]
    if width_of(shown, size) <= width:
        return shown
    low, high = 0, len(shown)
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if width_of(shown[:middle].rstrip() + "…", size) <= width else (low, middle)
    return shown[:low].rstrip() + "…"
