"""``compare``: the contents of a store as tables. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from robustbench_la.analysis.comparison.of_store import compare_store
from robustbench_la.api.display import ShownAsTables, frame
from robustbench_la.api.errors_in_python import errors_in_python
from robustbench_la.api.selecting import one_of, selection_of, words_of
from robustbench_la.api.settings import Filters, check_keywords
from robustbench_la.errors import ArgumentError
from robustbench_la.wording import in_python

if TYPE_CHECKING:
    import pandas as pd

    from robustbench_la.analysis.comparison.request import Request
    from robustbench_la.analysis.tables.table import Table


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison(ShownAsTables):
    """A comparison of stored networks, displayed as the tables that ``larobust compare`` prints."""

    compared: tuple[Table, ...]

    def tables(self) -> list[Table]:
        """The tables, as data."""
        notes = [[in_python(note, filters=True) for note in table.notes] for table in self.compared]
        return [replace(table, notes=tuple(own)) for table, own in zip(self.compared, notes, strict=True)]

    def to_pandas(self) -> pd.DataFrame:
        """One row per number: its labels, value, interval, spread and test. Percentages are fractions."""
        from robustbench_la.output.tidy_csv import number_types, tidy_rows

        table = frame(tidy_rows(self.compared))
        types = {int: "Int64", float: "float64"}  # Int64 of pandas has gaps, as int64 does not
        return table.astype({name: types[kind] for name, kind in number_types(self.compared).items() if name in table})

    def to_json(self) -> str:
        """The JSON document that ``larobust compare --format json`` prints."""
        return self._as("json")


@errors_in_python
def compare(
    store: str | Path,
    *,
    by: Literal["activation", "checkpoint"] = "activation",
    metric: str = "top1",
    detail: Literal["group", "corruption", "severity"] | None = None,
    against: str = "both",
    layers: bool = False,
    reference: str | None = None,
    published: str | None = None,
    source: str | None = None,
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
        metric: A name that ``larobust compare --help`` lists, such as ``"top1"``, ``"nll"`` or ``"mce"``.
        detail: What a column is; if not given, corruption, or group next to published numbers.
        against: ``"counterpart"``, ``"best"``, ``"both"``, ``"none"``; by checkpoint also ``"first"``, or a checkpoint.
        layers: Whether to compare the fluctuation inside networks, as ``fluctuation`` measured it, in place of accuracies.
        reference: What corruption errors are relative to: a checkpoint, or ``"alexnet"`` (if not given).
        published: Published numbers to show next to the measured ones: a file, or ``"published"`` (the paper's).
        source: ``"prebuilt"`` (published images) or ``"generated"`` ones only; ``"prebuilt,generated"`` puts them side by side.
        columns: Only these columns, in this order.
        sort: Best of this column first.
        intervals: Whether to show 95 % intervals.
        tests: Whether to add a table of every difference with its test; if not given, only by checkpoint.
        allow_missing: Whether to show gaps where something was not measured, which is an error otherwise.
        filters: Any of ``Filters``, by keyword: ``activation``, ``noise``, ``severity`` ...

    Returns:
        The comparison, displayed as tables.

    Raises:
        UserError: If nothing matches, or the results cannot be compared.

    >>> import tempfile, torch, robustbench_la as la
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10), torch.nn.SiLU())
    >>> store = tempfile.mkdtemp() + "/results.sqlite"
    >>> result = la.evaluate(model, "digits", noise="gaussian", limit=100, store=store)
    >>> [table.title for table in la.compare(store).tables()]
    ['Top-1 accuracy: Sequential on digits, 100 of 500 (partial) images, levels of cifar-c']
    """
    check_keywords(compare, filters, Filters)
    request = replace(
        _request(by, metric, detail, against, reference, published, source, layers=layers),
        columns=words_of(columns),
        sort=sort,
        intervals=intervals,
        tests=(by == "checkpoint" and not layers) if tests is None else tests,
        allow_missing=allow_missing,
    )
    return Comparison(compared=tuple(compare_store(Path(store), selection_of(filters, Path(store)), request, published)))


def _request(
    by: str,
    metric: str,
    detail: str | None,
    against: str,
    reference: str | None,
    published: str | None,
    source: str | None,
    *,
    layers: bool,
) -> Request:
    """What these words ask for. Raises: ArgumentError for one that is unknown, or would have no effect."""
    from robustbench_la.analysis.comparison.request import AGAINST, BYS, DETAILS, Request, against_of, without_effect
    from robustbench_la.analysis.comparison.source_comparison import sources_of

    row = one_of("by", by, BYS)
    if row == "activation":
        one_of("against", against, tuple(AGAINST))
    rivals, opponent = against_of(against, row)
    unused = without_effect(metric=metric, detail=detail, reference=reference, published=published)
    if layers and unused:
        raise ArgumentError(f"layers=True compares means over layers and conditions, so {unused}= would do nothing")
    return Request(
        by=row,
        metric=_metric(metric, reference),
        detail=one_of("detail", detail or ("corruption" if published is None else "group"), DETAILS),
        against=rivals,
        opponent=opponent,
        reference=reference,
        sources=() if source is None else sources_of(source),
        layers=layers,
    )


def _metric(metric: str, reference: str | None) -> str:
    """The metric, if there is one of that name, and it takes a reference or none is given."""
    from robustbench_la.analysis.metrics.metrics import METRICS

    if reference is not None and not METRICS[one_of("metric", metric, tuple(METRICS))].needs_reference:
        raise ArgumentError(f"metric={metric!r} is relative to nothing, so reference= would have no effect")
    return one_of("metric", metric, tuple(METRICS))
