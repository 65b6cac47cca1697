"""The table of tests: every difference of a comparison with its interval, test and p-value, one per row."""

from __future__ import annotations

from robustbench_la.analysis.tables.table import Column, Estimate, Kind, Row, Table


def evidence(table: Table) -> list[Table]:
    """Lists every difference of a table with its interval and test, one per row.

    Args:
        table: A comparison.

    Returns:
        One table of tests for all columns of a kind, so that its numbers have one unit; none if no difference has a test or
        an interval.
    """
    differences = [value for row in table.rows if row.is_difference for value in row.values if isinstance(value, Estimate)]
    if not any(one.evidence and (one.evidence.test or one.low is not None) for one in differences):
        return []
    kinds = dict.fromkeys(column.kind for column in table.columns if not column.is_label)
    return [_of_kind(table, kind, several=len(kinds) > 1) for kind in kinds]


def _of_kind(table: Table, kind: Kind, *, several: bool) -> Table:
    labels = [index for index, column in enumerate(table.columns) if column.is_label]
    checkpoints = any(column.name == "seed" for column in table.columns)
    rows = []
    seen: set[tuple[object, ...]] = set()
    for row in table.rows:
        for column, value in zip(table.columns, row.values, strict=True):
            if not row.is_difference or column.kind != kind or not isinstance(value, Estimate) or value.evidence is None:
                continue
            test = value.evidence
            labelled = (f"{test.one} − {test.other}", column.name, row.values[labels[-1]])
            if (*labelled, value.value) in seen:
                continue
            seen.add((*labelled, value.value))
            plain = Estimate(value.value, value.low, value.high)
            statistics = (test.gained, test.lost) if checkpoints else (test.statistic, test.effect)
            rows.append(Row(values=(*labelled, plain, test.test, *statistics, test.p, test.corrected)))
    details = [
        Column(name=name, kind="count" if checkpoints else "number")
        for name in (("gained", "lost") if checkpoints else ("statistic", "effect"))
    ]
    columns = (
        Column(name="difference"),
        Column(name="of"),
        Column(name="seed" if checkpoints else "n", kind="count", label=True),
        Column(name="value", kind=kind, signed=True),
        Column(name="test"),
        *details,
        Column(name="p", kind="number"),
        Column(name="p (Holm)", kind="number"),
    )
    effect = "Gained: answers that only the first network has right; lost: only the second." if checkpoints else (
        "Statistic: t, or the smaller rank sum. Effect: Cohen's d_z for t, rank-biserial correlation for Wilcoxon."
    )  # fmt: skip
    note = f"{'Difference in points' if kind == 'percent' else 'Difference'}, with its 95 % interval. {effect}"
    of = f" ({'columns in %' if kind == 'percent' else 'other columns'})" if several else ""
    return Table(title=f"Tests{of}: {table.title}", columns=columns, rows=tuple(rows), notes=(note,), paths=table.paths)
