"""A comparison of what a store holds: the one function behind `larobust compare` and `robustbench_la.compare`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_la.analysis.comparison.comparison import compare
from robustbench_la.analysis.comparison.layer_comparison import compare_layers
from robustbench_la.analysis.comparison.published import Published, read_published
from robustbench_la.analysis.comparison.source_comparison import compare_sources
from robustbench_la.errors import NothingSelectedError, UserError
from robustbench_la.files import exists
from robustbench_la.records.cells import CLEAN
from robustbench_la.records.plan_file import shipped_configs
from robustbench_la.store.store import Store

if TYPE_CHECKING:
    from robustbench_la.analysis.comparison.image_differences import Answers
    from robustbench_la.analysis.comparison.request import Request
    from robustbench_la.analysis.groups.groups import Group
    from robustbench_la.analysis.tables.table import Table
    from robustbench_la.store.schema import Selection


def compare_store(path: Path, selection: Selection, request: Request, published: str | None = None) -> list[Table]:
    """The tables of a comparison.

    Args:
        path: The store's file.
        selection: Which of its cells.
        request: What to compare and show.
        published: A file of published results to show next to them, or ``published`` for the paper's.

    Returns:
        The tables.

    Raises:
        NothingSelectedError: If the store holds nothing of the selection.
        UserError: As ``compare``.
    """
    if request.sources and (request.layers or (len(request.sources) > 1 and request.metric != "top1")):
        what = "--layers" if request.layers else f"--metric {request.metric}"
        raise UserError(f"--source compares top-1 accuracy on images of several sources, so {what} cannot go with it")
    if len(request.sources) > 1:
        given = {"columns": request.columns, "sort": request.sort, "published": published}
        if unused := [name for name, value in given.items() if value]:
            raise UserError(
                f"--source {','.join(request.sources)} has a table of its own form, so --{unused[0]} would do nothing; choose "
                "corruptions with --noise"
            )
    entries = _published(published, selection)
    with Store(path, reading=True) as opened:
        if request.layers:
            layers = opened.layers(selection)
            if not layers:
                raise NothingSelectedError(
                    f"{path} holds no layer record that matches (`larobust fluctuation` adds them); `larobust results` shows "
                    "what it holds"
                )
            return compare_layers(layers, request)
        cells = opened.cells(selection)
        if not cells:
            raise NothingSelectedError(
                f"{path} holds no cell that matches (`larobust eval` adds cells); `larobust results` shows what it holds"
            )

        if request.sources:
            cells = [one for one in cells if one.cell.condition == CLEAN or one.cell.condition.source in request.sources]
            if not cells:
                raise NothingSelectedError(f"{path} holds no cell of --source {','.join(request.sources)} that matches")
        if len(request.sources) > 1:
            labels = functools.cache(opened.labels)
            return compare_sources(
                cells, request, labels, lambda stored: opened.predictions(stored) == labels(stored.setting.fingerprint)
            )

        def answers_of(group: Group) -> Answers:
            labels = opened.labels(group.fingerprint)
            return lambda stored: opened.predictions(stored) == labels

        return compare(cells, request, answers_of, entries)


def _published(name: str | None, selection: Selection) -> list[Published]:
    if name is None:
        return []
    path = Path(name)
    shipped = shipped_configs() / "published.yaml"
    tables = read_published(shipped if not exists(path) and path.stem == "published" else path)
    return [entry for entry in (one.only(selection.activations, selection.architectures) for one in tables) if entry.rows]
