"""The rows of a comparison: contenders with their values, and the differences between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robustbench_la.analysis.comparison.contenders import Contender, contenders_of
from robustbench_la.analysis.comparison.differences import Contrast, OverImages, contrast
from robustbench_la.analysis.comparison.labels import label_values
from robustbench_la.analysis.comparison.request import FIRST, Request, chosen_columns
from robustbench_la.analysis.comparison.row_order import arranged
from robustbench_la.analysis.groups.groups import Group
from robustbench_la.analysis.metrics.columns import MetricColumns
from robustbench_la.analysis.statistics.paired_tests import wilson
from robustbench_la.analysis.statistics.seed_tests import over_seeds
from robustbench_la.analysis.tables.table import Column, Estimate, Row
from robustbench_la.store.schema import is_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """What a table shows of a group."""

    columns: tuple[Column, ...]
    contenders: Sequence[Contender]
    contrasts: Sequence[Contrast]
    rows: Sequence[Row]
    """Of contenders and their differences, in order."""


def held(group: Group, request: Request, measured: MetricColumns, over_images: OverImages | None) -> Contest:
    """Compare the networks of a group.

    Args:
        group: The networks.
        request: What to compare and show.
        measured: One number per network and column.
        over_images: Compares single networks image by image; None compares over training seeds.

    Returns:
        The contenders and their differences.

    Raises:
        UserError: If a column is unknown, or two networks share activation and training seed.
        ValueError: If not exactly one checkpoint has the name that all others are to be compared with.
    """
    columns = chosen_columns(measured.columns, request, measured.repeated, measured.absent)
    contenders = contenders_of(group, request.by)
    opponent = _opponent(contenders, group, request)
    if opponent is not None:
        contenders = contenders_of(group, request.by, by_name=True)
        contenders.insert(0, contenders.pop(opponent))
        opponent = 0
    if request.metric == "relative":
        contenders = [contender for contender in contenders if contender.level == "layer"]
    against = () if request.metric == "relative" else request.against
    contrasts = contrast(contenders, measured, columns, against, over_images, opponent, request.by)
    blocks = [_block(contender, group, measured, columns, request) for contender in contenders]
    rows = arranged(contenders, blocks, contrasts, request, columns)
    return Contest(columns=columns, contenders=contenders, contrasts=contrasts, rows=rows)


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
    return named(group, request.opponent, "--against")


def named(group: Group, word: str, flag: str) -> int:
    """Index of the one network of a group that a word names.

    Args:
        group: The networks.
        word: As in Selection.checkpoints.
        flag: Where the word was given, for the message.

    Raises:
        ValueError: If there is none, or several.
    """
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
