"""The table of tests: every difference of a comparison with its interval, test and p-value, one per row."""

from __future__ import annotations

from robustbench_la.analysis.tables.table import Column, Estimate, Row, Table


def evidence(table: Table) -> Table:
    """Lists every difference of a table with its interval and test, one per row.

    Args:
        table: A comparison, with rows of differences.

    Returns:
        The table of tests.
    """
    labels = [index for index, column in enumerate(table.columns) if column.is_label]
    checkpoints = any(column.name == "seed" for column in table.columns)
    rows = []
    seen: set[tuple[object, ...]] = set()
    for row in table.rows:
        for column, value in zip(table.columns, row.values, strict=True):
            if not row.is_difference or not isinstance(value, Estimate) or value.evidence is None:
                continue
            test = value.evidence
            labelled = (f"{test.one} − {test.other}", column.name, row.values[labels[-1]])
            if (*labelled, value.value) in seen:
                continue
            seen.add((*labelled, value.value))
            plain = Estimate(value.value, value.low, value.high)
            statistics = (test.gained, test.lost) if checkpoints else (test.statistic, test.effect)
            rows.append(Row(values=(*labelled, plain, test.test, *statistics, test.p, test.corrected)))
    kind = next(column.kind for column in table.columns if not column.is_label)
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
    return Table(title=f"Tests: {table.title}", columns=columns, rows=tuple(rows), notes=(note,))
