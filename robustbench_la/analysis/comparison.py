"""`larobust compare`: groups of stored cells as tables of activations or checkpoints. No text is laid out here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from robustbench_la.analysis.columns import ALEXNET_REFERENCE, MetricColumns, metric_columns, reference_of
from robustbench_la.analysis.differences import BEST, Against, Answers, Contender, Contrast, contrast
from robustbench_la.analysis.groups import Group, group
from robustbench_la.analysis.metrics import METRICS, Detail, Reference
from robustbench_la.analysis.paired_tests import wilson
from robustbench_la.analysis.published import Published, published_row, published_table
from robustbench_la.analysis.seed_tests import MIN_SEEDS, over_seeds
from robustbench_la.analysis.table import Column, Estimate, Row, Table, Value, number
from robustbench_la.errors import UserError, did_you_mean
from robustbench_la.store.schema import is_named

if TYPE_CHECKING:
    from robustbench_la.store.store import Stored

By = Literal["activation", "checkpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a comparison is to show."""

    by: By = "activation"
    metric: str = "top1"
    """A name of METRICS."""
    detail: Detail = "corruption"
    against: tuple[Against, ...] = ("counterpart", "best")
    reference: str | None = None
    """What corruption errors are relative to: ``alexnet``, or a checkpoint as Selection.checkpoints names one."""
    columns: tuple[str, ...] = ()
    """Names of those to show, in this order; none for all."""
    sort: str | None = None
    intervals: bool = False
    tests: bool = False
    """Whether to add a table of every difference with its test."""
    allow_missing: bool = False


def compare(
    stored: Iterable[Stored],
    request: Request,
    answers_of: Callable[[Group], Answers],
    published: Sequence[Published] = (),
) -> list[Table]:
    """One table a group (and one of its tests); with published figures that fit none, a table of these.

    answers_of: gives what reads the answers of a group's cells; only called to compare checkpoints.
    Raises: UserError for cells that lack, figures that are not defined for what was measured, unknown columns.
    """
    cells = list(stored)
    groups = group(cells, allow_missing=request.allow_missing)
    tables: list[Table] = []
    used: set[int] = set()
    for found in groups:
        try:
            tables += _tables(found, request, answers_of, published, used)
        except ValueError as error:
            raise UserError(f"{found.title}: {error}") from None
    left = [entry for place, entry in enumerate(published) if place not in used]
    return [*tables, *([published_table(left)] if left else [])]


def _tables(
    found: Group, request: Request, answers_of: Callable[[Group], Answers], published: Sequence[Published], used: set[int]
) -> list[Table]:
    measurement = metric_columns(found, request.metric, request.detail, _reference(found, request))
    columns = _chosen(measurement.columns, request)
    contenders = [
        contender for contender in contenders_of(found, request.by) if request.metric != "relative" or contender.level == "layer"
    ]
    tested = request.by == "checkpoint" and request.metric == "top1"
    against = () if request.metric == "relative" else request.against
    answers = answers_of(found) if request.by == "checkpoint" else None
    if answers is not None and not tested:
        measurement = replace(measurement, members={})  # other figures of single networks have no test
    contrasts = contrast(contenders, found, measurement, columns, against, answers)
    blocks = [_block(contender, found, measurement, columns, request) for contender in contenders]
    rows = _arranged(contenders, blocks, contrasts, request, columns)
    if request.metric == "top1" and request.by == "activation":
        labels = len(_labels(found, request))
        for place, entry in enumerate(published):
            if entry.fits(found):
                used.add(place)
                rows += [
                    published_row(entry, name, labels, columns)
                    for name in entry.rows
                    if any(column.name in entry.rows[name] for column in columns)
                ]
    shown = tuple(replace(column, intervals=request.intervals) for column in columns)
    title = f"{METRICS[request.metric].title}: {found.title}"
    notes = _notes(found, request, measurement, contenders, contrasts, rows, published)
    table = Table(title=title, columns=(*_labels(found, request), *shown), rows=tuple(rows), notes=notes)
    return [table, *([evidence(table)] if request.tests and any(row.is_difference for row in rows) else [])]


def _reference(found: Group, request: Request) -> Reference | None:
    if not METRICS[request.metric].needs_reference:
        return None
    wanted = request.reference
    if wanted is None:
        raise UserError(f"--metric {request.metric} is relative to a reference: give --reference, a checkpoint or alexnet")
    if wanted == "alexnet":
        return ALEXNET_REFERENCE
    places = [place for place, network in enumerate(found.networks) if is_named(network.checkpoint, network.sha256, wanted)]
    if len(places) != 1:
        raise ValueError(f"{len(places)} of its checkpoints are called {wanted}; the reference is one, on the same images")
    return reference_of(found, places[0])


def contenders_of(found: Group, by: By) -> list[Contender]:
    places: dict[object, list[int]] = {}
    for place, network in enumerate(found.networks):
        places.setdefault(network.variant if by == "activation" else place, []).append(place)
    contenders = []
    for own in places.values():
        networks = [found.networks[place] for place in own]
        seeds: dict[int, int] = {}
        for place, network in zip(own, networks, strict=True):
            if network.seed is None:
                continue
            if network.seed in seeds:
                twice = found.networks[seeds[network.seed]].checkpoint
                raise UserError(
                    f"{found.title}: {twice} and {network.checkpoint} are both {network.activation} of training seed "
                    f"{network.seed}; choose by --ckpt, or compare --by checkpoint"
                )
            seeds[network.seed] = place
        contenders.append(Contender(variant=networks[0].variant, level=networks[0].level, places=tuple(own), seeds=seeds))
    return contenders


def _chosen(columns: Sequence[Column], request: Request) -> tuple[Column, ...]:
    if not request.columns:
        return tuple(columns)
    named = {plain_name(column.name): column for column in columns}
    return tuple(_column(named, wanted) for wanted in dict.fromkeys(request.columns))


def _column(named: dict[str, Column], wanted: str) -> Column:
    if plain_name(wanted) not in named:
        raise UserError(f"no column {wanted!r}{did_you_mean(plain_name(wanted), named)}")
    return named[plain_name(wanted)]


def plain_name(name: str) -> str:
    """A column's name as one may type it.

    >>> plain_name("mean corr."), plain_name("Gaussian-noise 3")
    ('mean_corr', 'gaussian_noise_3')
    """
    return re.sub(r"[\s_-]+", "_", name.strip().strip(".").lower())


def _labels(found: Group, request: Request) -> tuple[Column, ...]:
    alphas = len({network.variant for network in found.networks}) > len({network.activation for network in found.networks})
    alpha = (Column(name="alpha", kind="number", label=True),) if alphas else ()
    if request.by == "checkpoint":
        return (Column(name="checkpoint"), Column(name="activation"), *alpha, Column(name="seed", kind="count", label=True))
    return (Column(name="activation"), *alpha, Column(name="n", kind="count", label=True))


def _label_values(contender: Contender, found: Group, request: Request) -> tuple[Value, ...]:
    network = found.networks[contender.places[0]]
    alpha: tuple[Value, ...] = (contender.variant.alpha,) if any(c.name == "alpha" for c in _labels(found, request)) else ()
    if request.by == "checkpoint":
        return (network.checkpoint, network.activation, *alpha, network.seed)
    return (contender.variant.activation, *alpha, len(contender.places))


def _block(contender: Contender, found: Group, measurement: MetricColumns, columns: Sequence[Column], request: Request) -> Row:
    values = [_estimate(contender, found, measurement, column, request) for column in columns]
    return Row(values=(*_label_values(contender, found, request), *values))


def _estimate(
    contender: Contender, found: Group, measurement: MetricColumns, column: Column, request: Request
) -> Estimate | None:
    known = [value for place in contender.places if (value := measurement.rows[place].get(column.name)) is not None]
    if len(known) < len(contender.places):
        return None
    noise = None
    if measurement.noise:
        variances = [value**2 for place in contender.places if (value := measurement.noise[place].get(column.name)) is not None]
        noise = (sum(variances) / len(variances)) ** 0.5 if len(variances) == len(contender.places) else None
    if request.by == "checkpoint":
        weights = measurement.members.get(column.name, {})
        draws = [draw for draw in found.draws if draw[0] in weights]
        low = high = None
        if request.metric == "top1" and len(draws) == 1:
            cell = found.networks[contender.places[0]].cells[draws[0]].cell
            low, high = wilson(cell.correct, cell.total)
        return Estimate(known[0], low, high, noise_deviation=noise)
    spread = over_seeds(known)
    return Estimate(spread.mean, spread.low, spread.high, deviation=spread.deviation, count=spread.count, noise_deviation=noise)


def _arranged(
    contenders: Sequence[Contender],
    blocks: Sequence[Row],
    contrasts: Sequence[Contrast],
    request: Request,
    columns: Sequence[Column],
) -> list[Row]:
    """Rows with their differences: behind the counterpart, or where the table is sorted, behind the layer-level one."""
    from robustbench_la.activations import ACTIVATIONS

    order = list(range(len(contenders)))
    if request.sort is not None:
        order = _sorted(blocks, request, columns, len(blocks[0].values) - len(columns))
    elif request.by == "checkpoint":  # each network, then its counterpart of the same seed
        order = []
        for place, contender in enumerate(contenders):
            partner = (
                ACTIVATIONS[contender.variant.activation].counterpart if contender.variant.activation in ACTIVATIONS else None
            )
            if place not in order:
                order.append(place)
            if contender.level == "layer":
                order += [
                    other
                    for other, rival in enumerate(contenders)
                    if rival.variant.activation == partner and set(rival.seeds) & set(contender.seeds) and other not in order
                ]
    rows: list[Row] = []
    waiting: list[Row] = []
    for step, place in enumerate(order):
        rows.append(blocks[place])
        own = [one for one in contrasts if one.contender is contenders[place]]
        waiting += [_difference_row(one, len(blocks[place].values) - len(columns), request) for one in own]
        following = contenders[order[step + 1]] if step + 1 < len(order) else None
        paired = following is not None and any(one.against == following.variant.activation for one in own)
        if not paired or request.sort is not None:
            rows += waiting
            waiting = []
    return rows


def _sorted(blocks: Sequence[Row], request: Request, columns: Sequence[Column], labels: int) -> list[int]:
    wanted = request.sort or ""
    named = {plain_name(column.name): place for place, column in enumerate(columns)}
    if plain_name(wanted) == "activation":
        place = 0 if request.by == "activation" else 1
        return sorted(range(len(blocks)), key=lambda row: str(blocks[row].values[place]))
    if plain_name(wanted) not in named:
        raise UserError(f"no column {wanted!r} to sort by{did_you_mean(plain_name(wanted), ['activation', *named])}")
    column = columns[named[plain_name(wanted)]]
    direction = -1 if column.better == "higher" else 1

    def rank(row: int) -> tuple[bool, float]:
        value = number(blocks[row].values[labels + named[plain_name(wanted)]])
        return value is None, direction * (value or 0.0)

    return sorted(range(len(blocks)), key=rank)


def _difference_row(one: Contrast, labels: int, request: Request) -> Row:
    counts = {estimate.count for estimate in one.estimates if estimate}
    count = counts.pop() if len(counts) == 1 else None  # against the best ones, it may differ from column to column
    name = f"{one.contender.variant.activation} − {one.against}"
    texts: tuple[Value, ...] = (name, "") if request.by == "checkpoint" else (name,)
    last: Value = count if request.by == "activation" else next(iter(one.contender.seeds), None)
    padding: tuple[Value, ...] = (None,) * (labels - len(texts) - 1)
    return Row(values=(*texts, *padding, last, *one.estimates), is_difference=True)


def evidence(table: Table) -> Table:
    """Every difference of a table with its interval, its test and what it found, one a row."""
    labels = [place for place, column in enumerate(table.columns) if column.is_label]
    checkpoints = any(column.name == "seed" for column in table.columns)
    rows = []
    seen: set[tuple[object, ...]] = set()
    for row in table.rows:
        for column, value in zip(table.columns, row.values, strict=True):
            if not row.is_difference or not isinstance(value, Estimate) or value.evidence is None:
                continue
            told = value.evidence
            who = (f"{told.one} − {told.other}", column.name, row.values[labels[-1]])
            if (*who, value.value) in seen:
                continue
            seen.add((*who, value.value))
            plain = Estimate(value.value, value.low, value.high)
            more = (told.gained, told.lost) if checkpoints else (told.statistic, told.effect)
            rows.append(Row(values=(*who, plain, told.test, *more, told.p, told.corrected)))
    kind = next(column.kind for column in table.columns if not column.is_label)
    found = [
        Column(name=name, kind="count" if checkpoints else "number")
        for name in (("gained", "lost") if checkpoints else ("statistic", "effect"))
    ]
    columns = (
        Column(name="difference"),
        Column(name="of"),
        Column(name="seed" if checkpoints else "n", kind="count", label=True),
        Column(name="value", kind=kind, signed=True),
        Column(name="test"),
        *found,
        Column(name="p", kind="number"),
        Column(name="p (Holm)", kind="number"),
    )
    effect = "Gained and lost: answers that only the first, only the second has right." if checkpoints else (
        "Statistic: t, or the smaller rank sum. Effect: Cohen's d_z for t, rank-biserial correlation for Wilcoxon."
    )  # fmt: skip
    note = f"{'Difference in points' if kind == 'percent' else 'Difference'}, with its 95 % interval. {effect}"
    return Table(title=f"Tests: {table.title}", columns=columns, rows=tuple(rows), notes=(note,))


def _notes(
    found: Group,
    request: Request,
    measurement: MetricColumns,
    contenders: Sequence[Contender],
    contrasts: Sequence[Contrast],
    rows: Sequence[Row],
    published: Sequence[Published],
) -> tuple[str, ...]:
    notes = list(measurement.notes)
    if METRICS[request.metric].needs_reference:
        notes.append(f"Reference: {'AlexNet, ImageNet-C at 224 px' if request.reference == 'alexnet' else request.reference}.")
    seeds = found.noise_seeds
    if request.by == "activation" and any(len(contender.places) > 1 for contender in contenders):
        interval = "; below it the 95 % t-interval of the mean" if request.intervals else ""
        notes.append(f"Mean ± standard deviation over n training seeds{interval}.")
    if len(seeds) > 1:
        notes.append(_noise_note(rows, seeds, percent=METRICS[request.metric].kind == "percent"))
    if contrasts:
        notes.append(_difference_note(contrasts, request, measurement, rows))
    if found.images < found.dataset_images:
        notes.append(f"Partial: {found.images:,} of {found.dataset_images:,} images.")
    if any(None in row.values for row in rows) and request.allow_missing:
        notes.append("–: not all measured; a mean is never over a part, and the best is of those without a gap.")
    if any(row.is_published for row in rows):
        notes += [entry.note for entry in published if entry.fits(found)]
    return tuple(notes)


def _noise_note(rows: Sequence[Row], seeds: Sequence[int], *, percent: bool) -> str:
    known = [
        value.noise_deviation
        for row in rows
        for value in row.values
        if isinstance(value, Estimate) and value.noise_deviation is not None and value.evidence is None
    ]
    numbers = f"{seeds[0]} to {seeds[-1]}" if list(seeds) == list(range(seeds[0], seeds[-1] + 1)) else ", ".join(map(str, seeds))
    said = f"Noise seeds {numbers}: averaged within each network first"
    if not known:
        return f"{said}."
    said += "; the standard deviation over them, no part of ±, is at most "
    return f"{said}{_small(max(known), percent)}; CSV and JSON hold each."


def _small(value: float, percent: bool) -> str:
    return f"{100 * value:.2g} points" if percent else f"{value:.2g}"


def _difference_note(contrasts: Sequence[Contrast], request: Request, measurement: MetricColumns, rows: Sequence[Row]) -> str:
    told = [estimate.evidence for one in contrasts for estimate in one.estimates if estimate is not None and estimate.evidence]
    tests = {(entry.one, entry.other, entry.p) for entry in told if entry.p is not None}
    unit = "points" if METRICS[request.metric].kind == "percent" else "the unit of the column"
    said = [f"Rows with −: layer-level minus element-level, in {unit}."]
    if any(one.against == BEST for one in contrasts):
        said.append(f"{BEST.capitalize()}: the one that is best in that column.")
    if request.by == "checkpoint":
        if tests:
            said.append(
                "On the same images and noise; one condition: Newcombe's interval, McNemar's exact test; several: each image's "
                "mean is one value, t-interval and paired t-test over images."
            )
    elif any(one.contender.seeds for one in contrasts):
        said.append("Over the training seeds that both have.")
    if tests:
        protocol = "" if request.by == "checkpoint" else (
            " Paired t-test where both samples look normal (Shapiro-Wilk), else Wilcoxon signed-rank."
        )  # fmt: skip
        said.append(f"* p < 0.05, ** p < 0.01, *** p < 0.001, after Holm's correction over the tests of this table.{protocol}")
    few = any(entry and (entry.count or 1) < MIN_SEEDS for one in contrasts for entry in one.estimates)
    if few and request.by == "activation":
        said.append(f"With fewer than {MIN_SEEDS} seeds in common no p-value is given.")
    return " ".join(said)
