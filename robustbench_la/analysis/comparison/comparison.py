"""`larobust compare`: groups of stored cells as tables of activations or checkpoints. Produces data, not text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from robustbench_la.analysis.comparison.contest import held, named
from robustbench_la.analysis.comparison.image_differences import Answers, ImageDifferences
from robustbench_la.analysis.comparison.labels import label_columns
from robustbench_la.analysis.comparison.notes import comparison_notes, left_out_note
from robustbench_la.analysis.comparison.published import Published, nothing_matches, published_row, published_table
from robustbench_la.analysis.comparison.request import NoColumnError, Request
from robustbench_la.analysis.comparison.tests_table import evidence
from robustbench_la.analysis.groups.groups import Group, group, group_alike
from robustbench_la.analysis.metrics.columns import ALEXNET_REFERENCE, metric_columns, reference_of
from robustbench_la.analysis.metrics.condition_values import Reference
from robustbench_la.analysis.metrics.metrics import METRICS, top1
from robustbench_la.analysis.tables.table import Table
from robustbench_la.errors import UserError

if TYPE_CHECKING:
    from robustbench_la.store.store import Stored


def compare(
    stored: Iterable[Stored],
    request: Request,
    answers_of: Callable[[Group], Answers],
    published: Sequence[Published] = (),
) -> list[Table]:
    """Compare stored cells, group by group.

    Args:
        stored: Cells of a store.
        request: What to compare and show.
        answers_of: Returns a function that reads the answers of a group's cells; only called when comparing checkpoints.
        published: Published results to show next to the measured ones.

    Returns:
        One table per group that can be shown (followed by the table of its tests, if requested), then one table of the published
        results that match no group, if any match. The last note of the last group names those that cannot be shown.

    Raises:
        UserError: If cells are missing, or no group has the columns, and the conditions that the metric is defined for.
    """
    groups = _grouped(list(stored), request)
    shown: list[list[Table]] = []
    left_out: list[tuple[str, Exception]] = []
    used: set[int] = set()
    for each in groups:
        try:
            shown.append(_tables(each, request, answers_of, published, used))
        except (ValueError, NoColumnError) as error:
            left_out.append((each.title, error))
    if left_out and not shown:
        (title, reason), others = left_out[0], len(left_out) - 1
        tables = f"{others} other tables" if others > 1 else "the other table"
        more = f"; nor can {tables} be shown (choose with --data or --source)" if others else ""
        raise UserError(f"{title}: {reason}{more}")
    unmatched = [entry for index, entry in enumerate(published) if index not in used]
    notes = [*([left_out_note(left_out)] if left_out else []), *([nothing_matches(unmatched)] if unmatched and not used else [])]
    if shown and notes:
        shown[-1][0] = replace(shown[-1][0], notes=(*shown[-1][0].notes, *notes))
    return [
        *(table for tables in shown for table in tables),
        *([published_table(unmatched)] if unmatched and (used or not shown) else []),
    ]


def _grouped(stored: Sequence[Stored], request: Request) -> list[Group]:
    """The groups of a comparison; single checkpoints share a table whatever they are, if they were measured alike."""
    metric, allow_missing = METRICS[request.metric], request.allow_missing
    if request.opponent is not None:
        return group(stored, allow_missing=allow_missing, across=True)
    alike = metric.across or (request.by == "checkpoint" and not metric.derived)
    return (group_alike if alike else group)(stored, allow_missing=allow_missing)


def _tables(
    group: Group, request: Request, answers_of: Callable[[Group], Answers], published: Sequence[Published], used: set[int]
) -> list[Table]:
    measured = metric_columns(group, request.metric, request.detail, _reference(group, request))
    chosen = METRICS[request.metric]
    tested = request.by == "checkpoint" and chosen.of_cell is top1 and not chosen.derived
    if request.by == "checkpoint" and not tested:
        measured = replace(measured, members={})  # other metrics of single networks have no test
    over_images = ImageDifferences(answers_of(group), group) if request.by == "checkpoint" else None
    contest = held(group, request, measured, over_images)
    columns, rows = contest.columns, list(contest.rows)
    asked = [measured.definitions[column.name] for column in columns if column.name in measured.definitions]
    measured = replace(measured, notes=(*measured.notes, *([" ".join(asked)] if asked and not chosen.named_mean else [])))
    if request.metric == "top1" and request.by == "activation":
        labels = len(label_columns(group, request))
        for index, entry in enumerate(published):
            if entry.fits(group):
                used.add(index)
                rows += [
                    published_row(entry, name, labels, columns, group)
                    for name in entry.rows
                    if any(column.name in entry.rows[name] and entry.fitting(group, column.name) for column in columns)
                ]
    shown = tuple(replace(column, intervals=request.intervals) for column in columns)
    title = f"{chosen.title}: {group.title}"
    notes = comparison_notes(group, request, measured, contest.contenders, contest.contrasts, rows, published)
    table = Table(title=title, columns=(*label_columns(group, request), *shown), rows=tuple(rows), notes=notes, paths=group.paths)
    return [table, *(evidence(table) if request.tests else ())]


def _reference(group: Group, request: Request) -> Reference | None:
    if not METRICS[request.metric].needs_reference:
        return None
    if request.reference in (None, "alexnet"):
        return ALEXNET_REFERENCE
    return reference_of(group, named(group, request.reference, "--reference"))
