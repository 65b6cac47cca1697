"""``compare``: the contents of a store as tables. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from robustbench_la.api.display import ShownAsTables, frame
from robustbench_la.api.errors_in_python import errors_in_python
from robustbench_la.api.selecting import one_of, selection_of, words_of
from robustbench_la.api.settings import Filters, check_keywords
from robustbench_la.errors import ArgumentError, NothingSelectedError

if TYPE_CHECKING:
    import pandas as pd

    from robustbench_la.analysis.comparison.contenders import Against, By
    from robustbench_la.analysis.comparison.image_differences import Answers
    from robustbench_la.analysis.comparison.request import Request
    from robustbench_la.analysis.groups.groups import Group
    from robustbench_la.analysis.metrics.means import Detail
    from robustbench_la.analysis.tables.table import Table
    from robustbench_la.store.schema import Selection

_BYS: tuple[By, ...] = ("activation", "checkpoint")
_DETAILS: tuple[Detail, ...] = ("group", "corruption", "severity")
_AGAINST: Mapping[str, tuple[Against, ...]] = {
    "counterpart": ("counterpart",),
    "best": ("best",),
    "both": ("counterpart", "best"),
    "none": (),
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison(ShownAsTables):
    """A comparison of stored networks, displayed as the tables that ``larobust compare`` prints."""

    compared: tuple[Table, ...]

    def tables(self) -> list[Table]:
        """The tables, as data."""
        return list(self.compared)

    def to_pandas(self) -> pd.DataFrame:
        """One row per number: its labels, value, interval, spread and test. Percentages are fractions."""
        import csv
        import io

        rows = list(csv.DictReader(io.StringIO(self._as("csv"))))
        table = frame(rows)
        for name in ("value", "low", "high", "deviation", "count", "noise_deviation", "p", "corrected", "effect", "statistic"):
            if name in table:
                table[name] = [float(text) if text else None for text in table[name]]
        return table

    def to_json(self) -> str:
        """The JSON document that ``larobust compare --format json`` prints."""
        return self._as("json")


@errors_in_python
def compare(
    store: str | Path,
    *,
    by: Literal["activation", "checkpoint"] = "activation",
    metric: str = "top1",
    detail: Literal["group", "corruption", "severity"] = "corruption",
    against: Literal["counterpart", "best", "both", "none"] = "both",
    reference: str | None = None,
    columns: Iterable[str] = (),
    sort: str | None = None,
    intervals: bool = False,
    tests: bool | None = None,
    allow_missing: bool = False,
    **filters: Unpack[Filters],
) -> Comparison:
    """Compare what is in a store: activations over training seeds, or checkpoints; what ``larobust compare`` does.

    Args:
        store: Its file, such as ``"runs/results.sqlite"``.
        by: What a row is.
        metric: One of ``larobust compare --help``: ``"top1"``, ``"top5"``, ``"nll"``, ``"ece"``, ``"mce"``, ``"area"`` ...
        detail: What a column is.
        against: What layer-level activations are compared with.
        reference: What corruption errors are relative to: a checkpoint, or ``"alexnet"``.
        columns: Only these columns, in this order.
        sort: Best of this column first.
        intervals: Whether to show 95 % intervals.
        tests: Whether to add a table of every difference with its test; if not given, only by checkpoint.
        allow_missing: Whether to show gaps where something was not measured, which is an error otherwise.
        filters: Any of ``Filters``, by keyword: ``activation``, ``noise``, ``severity`` ...

    Returns:
        The comparison, which shows itself as tables.

    Raises:
        UserError: Where nothing matches, or what is there cannot be compared.

    >>> import tempfile, torch, robustbench_la as la
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.SiLU(), torch.nn.Linear(32, 10))
    >>> store = tempfile.mkdtemp() + "/results.sqlite"
    >>> result = la.evaluate(model, "digits", noise="gaussian", limit=100, store=store)
    >>> [table.title for table in la.compare(store).tables()]
    ['Top-1 accuracy: Sequential on digits, 100 of 500 (partial) images, levels of cifar-c']
    """
    check_keywords(compare, filters, Filters)
    from robustbench_la.analysis.comparison.request import Request

    request = Request(
        by=one_of("by", by, _BYS),
        metric=_metric(metric, reference),
        detail=one_of("detail", detail, _DETAILS),
        against=_AGAINST[one_of("against", against, tuple(_AGAINST))],
        reference=reference,
        columns=words_of(columns),
        sort=sort,
        intervals=intervals,
        tests=by == "checkpoint" if tests is None else tests,
        allow_missing=allow_missing,
    )
    return _compared(Path(store), selection_of(filters), request)


def _metric(metric: str, reference: str | None) -> str:
    """The metric, if there is one of that name, and it takes a reference or none is given."""
    from robustbench_la.analysis.metrics.metrics import METRICS

    if reference is not None and not METRICS[one_of("metric", metric, tuple(METRICS))].needs_reference:
        raise ArgumentError(f"metric={metric!r} is relative to nothing, so reference= would do nothing")
    return one_of("metric", metric, tuple(METRICS))


def _compared(path: Path, selection: Selection, request: Request) -> Comparison:
    from robustbench_la.analysis.comparison.comparison import compare as compare_cells
    from robustbench_la.store.store import Store

    with Store(path, reading=True) as opened:
        cells = opened.cells(selection)
        if not cells:
            raise NothingSelectedError(f"{path} holds no cell that matches")

        def answers_of(group: Group) -> Answers:
            labels = opened.labels(group.fingerprint)
            return lambda stored: opened.predictions(stored) == labels

        return Comparison(compared=tuple(compare_cells(cells, request, answers_of)))
