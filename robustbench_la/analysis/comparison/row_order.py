"""The order of rows in a comparison: each network or activation, followed by its differences."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_la.activations import ACTIVATIONS
from robustbench_la.analysis.comparison.contenders import Contender
from robustbench_la.analysis.comparison.differences import Contrast
from robustbench_la.analysis.comparison.request import NoColumnError, Request, plain_name
from robustbench_la.analysis.tables.table import Column, Row, Value, number
from robustbench_la.errors import did_you_mean


def arranged(
    contenders: Sequence[Contender],
    blocks: Sequence[Row],
    contrasts: Sequence[Contrast],
    request: Request,
    columns: Sequence[Column],
) -> list[Row]:
    """Rows with their differences: below the counterpart, or directly below the layer-level row if the table is sorted."""
    order = list(range(len(contenders)))
    if request.sort is not None:
        order = _sorted(blocks, request, columns, len(blocks[0].values) - len(columns))
    elif request.by == "checkpoint" and not any(
        one.checkpoints for one in contrasts
    ):  # each network, then its counterpart with the same seed
        order = []
        for index, contender in enumerate(contenders):
            partner = (
                ACTIVATIONS[contender.variant.activation].counterpart if contender.variant.activation in ACTIVATIONS else None
            )
            if index not in order:
                order.append(index)
            if contender.level == "layer":
                order += [
                    other
                    for other, rival in enumerate(contenders)
                    if rival.variant.activation == partner
                    and rival.variant.setup == contender.variant.setup
                    and set(rival.seeds) & set(contender.seeds)
                    and other not in order
                ]
    rows: list[Row] = []
    waiting: list[Row] = []
    for step, index in enumerate(order):
        rows.append(blocks[index])
        own_contrasts = [difference for difference in contrasts if difference.contender is contenders[index]]
        waiting += [
            _difference_row(difference, len(blocks[index].values) - len(columns), request) for difference in own_contrasts
        ]
        following = contenders[order[step + 1]] if step + 1 < len(order) else None
        paired = following is not None and any(difference.against == following.name for difference in own_contrasts)
        if not paired or request.sort is not None:
            rows += waiting
            waiting = []
    return rows


def _sorted(blocks: Sequence[Row], request: Request, columns: Sequence[Column], labels: int) -> list[int]:
    wanted = request.sort or ""
    named = {plain_name(column.name): index for index, column in enumerate(columns)}
    if plain_name(wanted) == "activation":
        index = 0 if request.by == "activation" else 1
        return sorted(range(len(blocks)), key=lambda row: str(blocks[row].values[index]))
    if plain_name(wanted) not in named:
        raise NoColumnError(
            f"cannot sort by {wanted!r}, there is no such column", did_you_mean(plain_name(wanted), ["activation", *named])
        )
    column = columns[named[plain_name(wanted)]]
    direction = -1 if column.better == "higher" else 1

    def rank(row: int) -> tuple[bool, float]:
        value = number(blocks[row].values[labels + named[plain_name(wanted)]])
        return value is None, direction * (value or 0.0)

    return sorted(range(len(blocks)), key=rank)


def _difference_row(one: Contrast, labels: int, request: Request) -> Row:
    counts = {estimate.count for estimate in one.estimates if estimate}
    count = counts.pop() if len(counts) == 1 else None  # against the best contender, it may differ between columns
    name = f"{one.contender.name} − {one.against}"
    texts: tuple[Value, ...] = (name, "") if request.by == "checkpoint" else (name,)
    last: Value = count if request.by == "activation" else None if one.checkpoints else next(iter(one.contender.seeds), None)
    padding: tuple[Value, ...] = (None,) * (labels - len(texts) - 1)
    return Row(values=(*texts, *padding, last, *one.estimates), is_difference=True)
