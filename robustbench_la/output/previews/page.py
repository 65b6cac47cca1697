"""A preview as HTML: a page that needs nothing but itself, or a part of a page. The templates are next to this file."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from robustbench_la.output.html import templates
from robustbench_la.output.previews.arrangement import Panel, arranged
from robustbench_la.output.previews.figure import about_predictions, marked
from robustbench_la.records.previews import Preview
from robustbench_la.text import clipped, printable

if TYPE_CHECKING:
    import numpy as np
    from jinja2 import Environment
    from markupsafe import Markup
    from numpy.typing import NDArray

_SMALL = 128
"""Pixels of a side, up to which images are enlarged."""
_ENLARGED = 160
"""Pixels of the screen to which they are."""
_LONGEST_NAME = 200


def page(preview: Preview) -> str:
    """A whole page; everything that comes from outside is escaped."""
    return _rendered("previews/page.html", preview)


def fragment(preview: Preview) -> str:
    """A preview as a part of a page, such as the output of a notebook's cell; everything that comes from outside is escaped."""
    return _rendered("previews/fragment.html", preview)


def _rendered(template: str, preview: Preview) -> str:
    panels: Sequence[Panel] = arranged(preview)
    note = " ".join(filter(None, (preview.about, about_predictions(preview.networks))))
    title = preview.images[0].title if len(preview.images) == 1 else f"{len(preview.images)} images"
    return _templates().get_template(template).render(panels=panels, note=note, title=_shown(title)) + "\n"


@functools.cache
def _templates() -> Environment:
    environment = templates().overlay()
    environment.filters = environment.filters | {
        "shown": _shown,
        "breakable": _breakable,
        "picture": _picture,
        "room": _room,
        "narrow": _narrow,
        "marked": marked,
    }
    return environment


def _shown(text: str) -> str:
    return clipped(printable(text), word=_LONGEST_NAME)


def _breakable(text: str) -> Markup:
    """A text whose lines may end after a slash."""
    from markupsafe import Markup, escape

    return Markup("/<wbr>").join(escape(part) for part in text.split("/"))


def _picture(pixels: NDArray[np.uint8]) -> Markup:
    """The attributes of an ``img`` that shows an image, (H, W) or (H, W, 3), pixel by pixel."""
    import PIL.Image
    from markupsafe import Markup

    content = io.BytesIO()
    PIL.Image.fromarray(pixels).save(content, format="png", optimize=True)
    height, width = pixels.shape[:2]
    enlarged = Markup(' class="enlarged"') if max(height, width) <= _SMALL else ""
    data = base64.b64encode(content.getvalue()).decode()
    return Markup('src="data:image/png;base64,{}" width="{}" height="{}"{}').format(data, width, height, enlarged)


def _room(panel: Panel) -> int:
    """Pixels of the screen that a panel takes at most, so that small images are enlarged, and large ones are not."""
    pixels = panel.rows[0][1][0].pixels
    height, width = len(pixels), len(pixels[0])
    tile = max(width, _ENLARGED) if max(height, width) <= _SMALL else width
    return panel.across * (tile + 8) + (128 if panel.rows[0][0] else 0)


def _narrow(panel: Panel) -> int:
    """Tiles side by side on a phone."""
    return 2 if panel.across in (2, 4) else min(panel.across, 3)
