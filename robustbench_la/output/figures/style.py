"""How figures look, and how they are saved: fonts, sizes, one look for each activation, the same bytes each time.

Layer-level activations are solid and filled, element-level ones dashed, hollow and hatched, in a darker shade; colours and
markers are in the table of activations. Nothing touches the state of pyplot or a user's matplotlibrc.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from robustbench_la.activations import ACTIVATIONS
from robustbench_la.errors import UserError
from robustbench_la.files import check_writable, write_whole
from robustbench_la.text import clipped, printable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Columns = Literal[1, 2]
"""The columns of a two-column page that a figure spans."""
WIDTHS: Mapping[Columns, float] = MappingProxyType({1: 3.5, 2: 7.16})
"""In inches."""
SUFFIXES = (".png", ".svg", ".pdf")
GREY = "#6e6e6e"
"""For what is next to the measured: zero lines, notes."""

_LONGEST_NAME = 60
"""Characters of a word in a figure; longer ones leave out their middle."""
_NO_BREAK = "\u00a0"
"""A space at which no line of the small print ends."""
MARKERS = ("o", "s", "D", "v", "^", "P", "X", "p")
"""In turn, for the variants of an activation, or for architectures."""
_SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so that it is there on every machine
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "hatch.linewidth": 0.4,
    "savefig.dpi": 300,
    "text.parse_math": False,  # $ in a name is no formula
    "svg.fonttype": "path",  # looks the same where the font is not installed
    "svg.hashsalt": "larobust",  # names of parts, else drawn at random
    "pdf.fonttype": 42,  # fonts as TrueType: text can be searched and copied, and publishers take it
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How one activation looks in every figure."""

    label: str
    colour: str
    marker: str
    solid: bool
    """Layer level: solid lines, filled areas and markers. Element level: dashed and hollow."""

    def named(self, label: str) -> Look:
        """The same with another label."""
        return replace(self, label=label)

    @property
    def ink(self) -> str:
        """The colour of lines: darker at the element level, so that they are seen on those of a counterpart, in grey too."""
        return self.colour if self.solid else mixed(self.colour, -0.4)

    def line(self) -> dict[str, Any]:
        """For Axes.plot and contour lines."""
        style = "-" if self.solid else (0, (3.5, 1.6))
        return {"color": self.ink, "linestyle": style, "linewidth": 1.6 if self.solid else 1.0}

    def points(self) -> dict[str, Any]:
        """For the markers of Axes.plot."""
        return {
            "marker": self.marker,
            "markersize": 4.4 if self.solid else 3.4,
            "markerfacecolor": self.colour if self.solid else "white",
            "markeredgecolor": self.ink,
            "markeredgewidth": 0.9,
        }

    def area(self) -> dict[str, Any]:
        """For bars and the outlines of distributions."""
        return {"facecolor": mixed(self.colour, 0.45) if self.solid else "white", "edgecolor": self.colour, "linewidth": 0.9}


def look(activation: str, *, variant: int = 0, variants: int = 1) -> Look:
    """The look of an activation; its ``variant`` (another alpha, another run) is one of ``variants`` shades of its hue."""
    entry = ACTIVATIONS.get(activation)
    # One that is not in the table (of a network in memory) is grey; its marker follows from its name.
    colour, own = (entry.colour, entry.marker) if entry else (GREY, MARKERS[sum(activation.encode()) % len(MARKERS)])
    first = MARKERS.index(own) if own in MARKERS else 0
    return Look(
        label=name_of(activation),
        colour=mixed(colour, 0.65 * variant / max(1, variants - 1)),
        marker=MARKERS[(first + variant) % len(MARKERS)] if variant else own,
        solid=entry is not None and entry.level == "layer",
    )


def name_of(activation: str) -> str:
    """As it is written in figures; one that is not in the table goes by its own name.

    >>> name_of("la_silu")
    'LA-SiLU'
    """
    return ACTIVATIONS[activation].label if activation in ACTIVATIONS else activation


def mixed(colour: str, white: float) -> str:
    """A colour, ``#rrggbb``, with a share of white or, below 0, of black.

    >>> mixed("#000000", 0.5), mixed("#808080", -0.5)
    ('#808080', '#404040')
    """
    parts = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return "#" + "".join(f"{round(part + (255 * (white > 0) - part) * abs(white)):02x}" for part in parts)


@contextmanager
def themed() -> Iterator[None]:
    """Within it matplotlib has the fonts and lines of this file, whatever a user's matplotlibrc says; afterwards its own."""
    from matplotlib import style

    with style.context(["default", _SETTINGS]):
        yield


def canvas(columns: Columns, height: float) -> Figure:
    """An empty figure of ``height`` inches, without pyplot; to be drawn on within themed()."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTHS[columns], height), layout="constrained")


def grid(figure: Figure, panels: int, *, across: int, sharey: bool = False) -> list[Axes]:
    """Axes for this many panels, ``across`` of them side by side; what is left of the last row stays empty."""
    found = list(figure.subplots(math.ceil(panels / across), across, squeeze=False, sharey=sharey).flat)
    for unused in found[panels:]:
        unused.remove()
    return found[:panels]


def shade(look: Look) -> dict[str, Any]:
    """For the band around a line: filled at the layer level, hatched at the element level, so that neither hides the other."""
    hatched = {"facecolor": "none", "edgecolor": look.ink, "alpha": 0.5, "hatch": "//////", "linewidth": 0}
    return {"color": look.colour, "alpha": 0.2, "linewidth": 0} if look.solid else hatched


def name_rows(axes: Axes, looks: Sequence[Look]) -> None:
    """Activations down the vertical axis, the first on top."""
    axes.set_yticks(range(len(looks)), [one.label for one in looks])
    axes.set_ylim(len(looks) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def name_values(figure: Figure, label: str) -> None:
    """Name the vertical axis, once for all rows of panels: next to each row there may be no room for it."""
    figure.supylabel(label, fontsize=8)


Marks = Literal["lines", "points", "areas"]
"""What stands for an activation in a figure, and so in its legend."""


def key(figure: Figure, looks: Sequence[Look], *, marks: Marks = "lines") -> None:
    """One legend for all panels, above them; the figure grows for it."""
    rows = -(-len(looks) // (5 if figure.get_figwidth() > WIDTHS[1] else 3))
    _grow(figure, 0.14 + 0.15 * rows)
    figure.legend(handles=handles(looks, marks), loc="outside upper center", ncols=-(-len(looks) // rows))


def handles(looks: Sequence[Look], marks: Marks) -> list[Artist]:
    """What stands for each activation in a legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if marks == "areas":
        return [Patch(label=one.label, **one.area()) for one in looks]
    lines = [one.line() if marks == "lines" else {"linestyle": ""} for one in looks]
    return [Line2D([], [], label=one.label, **line, **one.points()) for one, line in zip(looks, lines, strict=True)]


def level_key(figure: Figure, looks: Sequence[Look]) -> None:
    """A legend of the two levels, for panels that name each activation at its row; the figure grows for it."""
    from matplotlib.lines import Line2D

    words = {True: "layer level", False: "element level"}
    grey = Look(label="", colour=GREY, marker="s", solid=True)
    shown = [replace(grey, label=words[level], solid=level) for level in words if any(one.solid == level for one in looks)]
    marks = [Line2D([], [], label=one.label, linestyle="", **(one.points() | {"markersize": 6})) for one in shown]
    _grow(figure, 0.29)
    figure.legend(handles=marks, loc="outside upper center", ncols=2)


def note(figure: Figure, text: str) -> None:
    """What a reader must know, in small print below the panels, in lines as wide as the figure, which grows for them."""
    import textwrap

    text = text.replace(" %", "\u00a0%").replace(" = ", "\u00a0=\u00a0")  # not torn apart
    lines = textwrap.wrap(text, int(figure.get_figwidth() * 19.5))  # characters of the small print, an inch
    _grow(figure, 0.1 + 0.11 * len(lines))
    # A legend without entries: the layout makes room for it, as it does not for plain text.
    figure.legend(
        handles=[],
        title="\n".join(lines),
        title_fontproperties={"size": 6.5},
        loc="outside lower left",
        alignment="left",
        borderpad=0,
    ).get_title().set_color(GREY)


def _grow(figure: Figure, inches: float) -> None:
    """What stands above and below the panels does not make them smaller."""
    figure.set_figheight(figure.get_figheight() + inches)


def logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make one axis logarithmic, with plain numbers at its ticks; where nothing is above 0 it stays as it is. After drawing."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    if not math.isfinite(axis.get_minpos()):
        return
    (axes.set_xscale if which == "x" else axes.set_yscale)("log", nonpositive="clip")
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    if high < 10 * low:  # too short for 1, 2, 5
        axis.set_major_locator(MaxNLocator(4))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def check_path(path: Path) -> None:
    """Raise UserError unless a figure can be saved at ``path``; makes nothing."""
    if path.suffix.lower() not in SUFFIXES:
        ending = f"not {path.suffix}" if path.suffix else "it has none"
        raise UserError(f"cannot tell the format of {path}: its suffix has to be {', '.join(SUFFIXES)}; {ending}")
    check_writable(path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure whole as PNG, SVG or PDF, by the suffix of ``path``; the same figure gives the same bytes.

    Raises: UserError for another suffix or a place that cannot be written.
    """
    check_path(path)
    kind = path.suffix.lower().removeprefix(".")
    # Dates and versions are left out: they would make each file another.
    metadata = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": "larobust"},
        "pdf": {"CreationDate": None, "Creator": "larobust", "Producer": None},
    }
    content = io.BytesIO()
    with themed(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that the font lacks is drawn as a box
        _show_names(figure)
        figure.savefig(content, format=kind, metadata=metadata[kind])
    write_whole(path, content.getvalue())


def _show_names(figure: Figure) -> None:
    """Let names that others gave show what they hold: an SVG would not even be XML with a control character."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        lines = text.get_text().split("\n")
        text.set_text("\n".join(_NO_BREAK.join(map(_named, line.split(_NO_BREAK))) for line in lines))


def _named(text: str) -> str:
    return clipped(printable(text), word=_LONGEST_NAME)
