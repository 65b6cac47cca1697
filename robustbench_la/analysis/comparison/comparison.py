"""`larobust compare`: groups of stored cells as tables of activations or checkpoints. Produces data, not text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from robustbench_la.analysis.comparison.contenders import Contender, contenders_of
from robustbench_la.analysis.comparison.differences import contrast
from robustbench_la.analysis.comparison.image_differences import Answers
from robustbench_la.analysis.comparison.notes import comparison_notes
from robustbench_la.analysis.comparison.published import Published, published_row, published_table
from robustbench_la.analysis.comparison.request import Request, chosen_columns
from robustbench_la.analysis.comparison.row_order import arranged
from robustbench_la.analysis.comparison.tests_table import evidence
from robustbench_la.analysis.groups.groups import Group, group
from robustbench_la.analysis.metrics.columns import ALEXNET_REFERENCE, MetricColumns, metric_columns, reference_of
from robustbench_la.analysis.metrics.condition_values import Reference
from robustbench_la.analysis.metrics.metrics import METRICS
from robustbench_la.analysis.statistics.paired_tests import wilson
from robustbench_la.analysis.statistics.seed_tests import over_seeds
from robustbench_la.analysis.tables.table import Column, Estimate, Row, Table, Value
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
    groups = group(list(stored), allow_missing=request.allow_missing)
    tables: list[Table] = []
    used: set[int] = set()
    for each in groups:
        try:
            tables += _tables(each, request, answers_of, published, used)
        except ValueError as error:
            raise UserError(f"{each.title}: {error}") from None
    unmatched = [entry for index, entry in enumerate(published) if index not in used]
    return [*tables, *([published_table(unmatched)] if unmatched else [])]


def _tables(
    group: Group, request: Request, answers_of: Callable[[Group], Answers], published: Sequence[Published], used: set[int]
) -> list[Table]:
    measured = metric_columns(group, request.metric, request.detail, _reference(group, request))
    columns = chosen_columns(measured.columns, request)
    contenders = contenders_of(group, request.by)
    if request.metric == "relative":
        contenders = [contender for contender in contenders if contender.level == "layer"]
    tested = request.by == "checkpoint" and request.metric == "top1"
    against = () if request.metric == "relative" else request.against
    answers = answers_of(group) if request.by == "checkpoint" else None
    if answers is not None and not tested:
        measured = replace(measured, members={})  # other metrics of single networks have no test
    contrasts = contrast(contenders, group, measured, columns, against, answers)
    blocks = [_block(contender, group, measured, columns, request) for contender in contenders]
    rows = arranged(contenders, blocks, contrasts, request, columns)
    if request.metric == "top1" and request.by == "activation":
        labels = len(_labels(group, request))
        for index, entry in enumerate(published):
            if entry.fits(group):
                used.add(index)
                rows += [
                    published_row(entry, name, labels, columns)
                    for name in entry.rows
                    if any(column.name in entry.rows[name] for column in columns)
                ]
    shown = tuple(replace(column, intervals=request.intervals) for column in columns)
    title = f"{METRICS[request.metric].title}: {group.title}"
    notes = comparison_notes(group, request, measured, contenders, contrasts, rows, published)
    table = Table(title=title, columns=(*_labels(group, request), *shown), rows=tuple(rows), notes=notes)
    return [table, *([evidence(table)] if request.tests and any(row.is_difference for row in rows) else [])]


def _reference(group: Group, request: Request) -> Reference | None:
    if not METRICS[request.metric].needs_reference:
        return None
    wanted = request.reference
    if wanted is None:
        raise UserError(f"--metric {request.metric} needs a reference; specify a checkpoint or alexnet with --reference")
    if wanted == "alexnet":
        return ALEXNET_REFERENCE
    networks = [results.network for results in group.networks]
    matches = [index for index, network in enumerate(networks) if is_named(network.checkpoint, network.sha256, wanted)]
    if len(matches) != 1:
        raise ValueError(
            f"{len(matches)} checkpoints match --reference {wanted}; exactly one, measured on the same images, is needed"
        )
    return reference_of(group, matches[0])


def _labels(group: Group, request: Request) -> tuple[Column, ...]:
    alphas = len({results.variant for results in group.networks}) > len(
        {results.variant.activation for results in group.networks}
    )
    alpha = (Column(name="alpha", kind="number", label=True),) if alphas else ()
    if request.by == "checkpoint":
        return (Column(name="checkpoint"), Column(name="activation"), *alpha, Column(name="seed", kind="count", label=True))
    return (Column(name="activation"), *alpha, Column(name="n", kind="count", label=True))


def _label_values(contender: Contender, group: Group, request: Request) -> tuple[Value, ...]:
    network = group.networks[contender.indices[0]].network
    alpha: tuple[Value, ...] = (contender.variant.alpha,) if any(c.name == "alpha" for c in _labels(group, request)) else ()
    if request.by == "checkpoint":
        return (group.names[contender.indices[0]], network.activation, *alpha, network.training_seed)
    return (contender.variant.activation, *alpha, len(contender.indices))


def _block(contender: Contender, group: Group, measured: MetricColumns, columns: Sequence[Column], request: Request) -> Row:
    values = [_estimate(contender, group, measured, column, request) for column in columns]
    return Row(values=(*_label_values(contender, group, request), *values))


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
