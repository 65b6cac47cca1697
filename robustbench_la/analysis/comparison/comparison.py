"""`larobust compare`: groups of stored cells as tables of activations or checkpoints. Produces data, not text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from robustbench_la.analysis.comparison.contenders import Contender, contenders_of
from robustbench_la.analysis.comparison.differences import contrast
from robustbench_la.analysis.comparison.image_differences import Answers, ImageDifferences
from robustbench_la.analysis.comparison.labels import label_columns, label_values
from robustbench_la.analysis.comparison.notes import comparison_notes
from robustbench_la.analysis.comparison.published import Published, published_row, published_table
from robustbench_la.analysis.comparison.request import FIRST, Request, chosen_columns
from robustbench_la.analysis.comparison.row_order import arranged
from robustbench_la.analysis.comparison.tests_table import evidence
from robustbench_la.analysis.groups.groups import Group, group, group_alike
from robustbench_la.analysis.metrics.columns import ALEXNET_REFERENCE, MetricColumns, metric_columns, reference_of
from robustbench_la.analysis.metrics.condition_values import Reference
from robustbench_la.analysis.metrics.metrics import METRICS
from robustbench_la.analysis.statistics.paired_tests import wilson
from robustbench_la.analysis.statistics.seed_tests import over_seeds
from robustbench_la.analysis.tables.table import Column, Estimate, Row, Table
from robustbench_la.errors import UserError
from robustbench_la.store.schema import is_named

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
        One table per group (followed by the table of its tests, if requested), then one table of the published results that match
        no group.

    Raises:
        UserError: If cells are missing, the metric is not defined for the measured conditions, or a column is unknown.
    """
    groups = _grouped(list(stored), request)
    tables: list[Table] = []
    used: set[int] = set()
    for each in groups:
        try:
            tables += _tables(each, request, answers_of, published, used)
        except ValueError as error:
            raise UserError(f"{each.title}: {error}") from None
    unmatched = [entry for index, entry in enumerate(published) if index not in used]
    return [*tables, *([published_table(unmatched)] if unmatched else [])]


def _grouped(stored: Sequence[Stored], request: Request) -> list[Group]:
    """The groups of a comparison; single checkpoints share a table whatever they are, if they were measured alike."""
    metric, allow_missing = METRICS[request.metric], request.allow_missing
    if request.opponent is not None:
        return group(stored, allow_missing=allow_missing, across=True)
    alike = metric.across or (request.by == "checkpoint" and not metric.derived)
    return (group_alike if alike else group)(stored, allow_missing=allow_missing)


def _opponent(contenders: Sequence[Contender], group: Group, request: Request) -> int | None:
    """The contender that all others are compared with; None if layer-level ones are compared with element-level ones."""
    if request.by != "checkpoint" or len(contenders) < 2:
        return None
    if request.opponent is None:
        pairs = any(
            one.level == "layer" and other.level == "element" and one.variant.setup == other.variant.setup
            for one in contenders
            for other in contenders
        )
        return 0 if request.against and not pairs else None
    if request.opponent == FIRST:
        return 0
    return _named(group, request.opponent, "--against")


def _tables(
    group: Group, request: Request, answers_of: Callable[[Group], Answers], published: Sequence[Published], used: set[int]
) -> list[Table]:
    measured = metric_columns(group, request.metric, request.detail, _reference(group, request))
    columns = chosen_columns(measured.columns, request)
    contenders = contenders_of(group, request.by)
    opponent = _opponent(contenders, group, request)
    if opponent is not None:
        contenders = contenders_of(group, request.by, by_name=True)
        contenders.insert(0, contenders.pop(opponent))
        opponent = 0
    if request.metric == "relative":
        contenders = [contender for contender in contenders if contender.level == "layer"]
    tested = request.by == "checkpoint" and request.metric == "top1"
    against = () if request.metric == "relative" else request.against
    answers = answers_of(group) if request.by == "checkpoint" else None
    if answers is not None and not tested:
        measured = replace(measured, members={})  # other metrics of single networks have no test
    over_images = None if answers is None else ImageDifferences(answers, group)
    contrasts = contrast(contenders, measured, columns, against, over_images, opponent)
    blocks = [_block(contender, group, measured, columns, request) for contender in contenders]
    rows = arranged(contenders, blocks, contrasts, request, columns)
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
    title = f"{METRICS[request.metric].title}: {group.title}"
    notes = comparison_notes(group, request, measured, contenders, contrasts, rows, published)
    table = Table(title=title, columns=(*label_columns(group, request), *shown), rows=tuple(rows), notes=notes)
    return [table, *([evidence(table)] if request.tests and any(row.is_difference for row in rows) else [])]


def _reference(group: Group, request: Request) -> Reference | None:
    if not METRICS[request.metric].needs_reference:
        return None
    wanted = request.reference
    if wanted is None:
        raise UserError(f"--metric {request.metric} needs a reference; specify a checkpoint or alexnet with --reference")
    if wanted == "alexnet":
        return ALEXNET_REFERENCE
    return reference_of(group, _named(group, wanted, "--reference"))


def _named(group: Group, word: str, flag: str) -> int:
    """Index of the one network that a word names. Raises ValueError for none or several."""
    networks = [results.network for results in group.networks]
    matches = [index for index, network in enumerate(networks) if is_named(network.checkpoint, network.sha256, word)]
    if len(matches) != 1:
        raise ValueError(f"{len(matches)} checkpoints match {flag} {word}; exactly one, measured on the same images, is needed")
    return matches[0]


def _block(contender: Contender, group: Group, measured: MetricColumns, columns: Sequence[Column], request: Request) -> Row:
    values = [_estimate(contender, group, measured, column, request) for column in columns]
    return Row(values=(*label_values(contender, group, request), *values))


def _estimate(contender: Contender, group: Group, measured: MetricColumns, column: Column, request: Request) -> Estimate | None:
    values = [value for index in contender.indices if (value := measured.rows[index].get(column.name)) is not None]
    if len(values) < len(contender.indices):
        return None
    noise = None
    if measured.noise:
        variances = [value**2 for index in contender.indices if (value := measured.noise[index].get(column.name)) is not None]
        noise = (sum(variances) / len(variances)) ** 0.5 if len(variances) == len(contender.indices) else None
    if request.by == "checkpoint":
        weights = measured.members.get(column.name, {})
        passes = [each for each in group.passes if each.condition in weights]
        low = high = None
        if request.metric == "top1" and len(passes) == 1:
            cell = group.networks[contender.indices[0]].cells[passes[0]].cell
            low, high = wilson(cell.correct, cell.total)
        return Estimate(values[0], low, high, noise_deviation=noise)
    spread = over_seeds(values)
    return Estimate(spread.mean, spread.low, spread.high, deviation=spread.deviation, count=spread.count, noise_deviation=noise)
