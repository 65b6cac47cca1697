"""The means that the literature knows by name, and mCE, for each network of an evaluation: only those that are complete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from robustbench_la.analysis.groups.groups import Group, group
from robustbench_la.analysis.metrics.columns import ALEXNET_REFERENCE, metric_columns
from robustbench_la.analysis.metrics.definitions import reference_note
from robustbench_la.analysis.metrics.means import Values
from robustbench_la.analysis.metrics.metrics import METRICS
from robustbench_la.analysis.metrics.named_means import NAMED_MEANS
from robustbench_la.analysis.tables.table import Column, Row, Table
from robustbench_la.store.reading import Stored

if TYPE_CHECKING:
    from robustbench_la.records.cells import Cell, RunSetting

_SHOWN = {**{name: one.column for name, one in NAMED_MEANS.items()}, "mce": "mCE", "relative-mce": "relative mCE"}
"""Metrics, each with its column."""


def conventions(cells: Sequence[Cell], setting: RunSetting) -> list[Table]:
    """One row per network with its clean accuracy and those conventions of which everything was measured.

    Args:
        cells: Of any number of networks, measured on the same images.
        setting: Of their run.

    Returns:
        A table for each level table of which a convention is complete; often none.
    """
    stored = [Stored(id=index, setting=setting, cell=cell) for index, cell in enumerate(cells)]
    groups = group(stored, allow_missing=True, across=True) if stored else []
    return [table for table in map(_table, groups) if table is not None]


def _table(of: Group) -> Table | None:
    rows: list[Values] = [{} for _ in of.networks]
    columns: dict[str, Column] = {}
    notes: list[str] = []
    relative_to_alexnet = False
    for metric, name in _SHOWN.items():
        try:
            measured = metric_columns(of, metric, "corruption", ALEXNET_REFERENCE if METRICS[metric].needs_reference else None)
        except ValueError:  # the conditions are not those of its definition
            continue
        if name in [column.name for column in measured.columns]:
            shown = {column.name: column for column in measured.columns if column.name in ("clean", name)}
            columns |= shown
            rows = [row | {c: values[c] for c in shown} for row, values in zip(rows, measured.rows, strict=True)]
            notes.append(_definition(metric, shown=notes))
            relative_to_alexnet = relative_to_alexnet or METRICS[metric].needs_reference
    if not notes:
        return None
    return Table(
        title=f"Means by name: {of.title}",
        columns=(Column(name="checkpoint"), *columns.values()),
        rows=tuple(Row(values=(name, *(row[c] for c in columns))) for name, row in zip(of.names, rows, strict=True)),
        notes=(" ".join(notes), *([reference_note(of, "alexnet")] if relative_to_alexnet else [])),
        paths=of.paths,
    )


def _definition(metric: str, *, shown: Sequence[str]) -> str:
    """What a metric is, without what the definitions that are shown already say."""
    if metric == "relative-mce" and METRICS["mce"].definition in shown:
        return "Relative mCE: the same, with the clean error subtracted from every error on both sides."
    definition = METRICS[metric].definition
    return definition.removeprefix("Top-1 accuracy in %. ") if shown else definition
