"""A preview as a file: a picture, a document or a page, by its suffix."""

from __future__ import annotations

import io
from pathlib import Path

from robustbench_la.errors import UserError
from robustbench_la.files import check_writable, write_whole
from robustbench_la.output.figures import style
from robustbench_la.output.previews.arrangement import arranged
from robustbench_la.output.previews.figure import figures
from robustbench_la.output.previews.page import page
from robustbench_la.records.previews import Preview

_PAGES = (".html", ".htm")


def check_path(path: Path) -> None:
    """Raise UserError unless a preview can be written at ``path``; makes nothing."""
    suffix = path.suffix.lower()
    if suffix not in (*style.SUFFIXES, *_PAGES):
        ending = f"not {path.suffix}" if path.suffix else "it has none"
        raise UserError(
            f"cannot tell the format of {path}: its suffix has to be {', '.join(style.SUFFIXES)} or {_PAGES[0]}; {ending}"
        )
    check_writable(path)


def save(preview: Preview, path: Path) -> None:
    """Write a preview whole as PNG, SVG, PDF (a page for each panel) or HTML; the same preview gives the same bytes.

    Raises:
        UserError: For another suffix, or a place that cannot be written.
    """
    check_path(path)
    suffix = path.suffix.lower()
    if suffix in _PAGES:
        write_whole(path, page(preview))
        return
    drawn = figures(arranged(preview), preview.networks, preview.about, pages=suffix == ".pdf")
    if len(drawn) == 1:
        style.save(drawn[0], path)
        return
    from matplotlib.backends.backend_pdf import PdfPages

    content = io.BytesIO()
    # Dates and versions are left out: they would make each file another.
    with style.themed(), PdfPages(content, metadata={"CreationDate": None, "Creator": "larobust", "Producer": None}) as pages:
        for figure in drawn:
            pages.savefig(figure)
    write_whole(path, content.getvalue())


def png(preview: Preview) -> bytes:
    """The picture of a preview, in memory."""
    content = io.BytesIO()
    (figure,) = figures(arranged(preview), preview.networks, preview.about, pages=False)
    with style.themed():
        figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
