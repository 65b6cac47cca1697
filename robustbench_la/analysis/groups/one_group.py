"""Selects the one group that a figure shows: one architecture on one set of images. Several are refused, never mixed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from robustbench_la.analysis.groups.gaps import require_complete
from robustbench_la.analysis.groups.groups import (
    SHARED,
    Group,
    comparable_key,
    group,
    group_alike,
    require_complete_group,
)
from robustbench_la.analysis.groups.series import drawn_by, is_drawn_by, levels_of, noise_versions, stored_as
from robustbench_la.analysis.groups.titles import distinguished, named_apart, traits
from robustbench_la.errors import UserError
from robustbench_la.store.layer_rows import LayerRow, networks

if TYPE_CHECKING:
    from robustbench_la.records.cells import RunSetting
    from robustbench_la.records.layers import NetworkFluctuation
    from robustbench_la.records.networks import NetworkId
    from robustbench_la.store.store import Stored

_NAMED = 6
"""The largest number of groups that an error lists."""


def cells_of_one(
    stored: Iterable[Stored], *, number: int | None = None, allow_missing: bool = False, across: bool = False
) -> Group:
    """The one group of cells that a figure is to show.

    Args:
        stored: Cells of any groups.
        number: Number of the group to show, from 1; needed if there are several.
        allow_missing: Accept networks that lack cells which others of the group have.
        across: Whether the figure shows networks of any architecture, if they were measured alike.

    Returns:
        The group.

    Raises:
        UserError: If there are several groups and no number is given, or cells are missing and that is not allowed.
    """
    groups = (group_alike if across else group)(list(stored), allow_missing=True)
    chosen = groups[_chosen([one.title for one in groups], number)]
    if not allow_missing:  # only within this group: missing cells of other groups do not matter here
        require_complete_group(chosen)
    return chosen


def layers_of_one(
    stored: Iterable[tuple[RunSetting, LayerRow]], *, number: int | None = None, allow_missing: bool = False
) -> tuple[str, list[NetworkFluctuation]]:
    """The layer records that a figure is to show, by network and condition. A group has a single noise seed.

    Args:
        stored: Rows of any groups, each with the setting it was measured in.
        number: Number of the group to show, from 1; needed if there are several.
        allow_missing: Accept networks that lack conditions which others of the group have.

    Returns:
        The title of the group, and its records.

    Raises:
        UserError: If there are several groups and no number is given, or records are missing and that is not allowed.
    """
    shared: dict[tuple[object, ...], tuple[RunSetting, list[LayerRow]]] = {}
    for setting, row in stored:
        key = comparable_key(row.network, setting)
        condition = row.condition
        levels = (condition.profile, condition.jpeg, condition.source)
        shared.setdefault((*key, *levels, row.noise_seed), (setting, []))[1].append(row)
    groups = [
        (setting, [row for row in rows if is_drawn_by(row.condition, version)])
        for setting, rows in shared.values()
        for version in noise_versions(row.condition for row in rows)
    ]
    seeds = len({rows[0].noise_seed for _, rows in groups}) > 1
    titles = distinguished(
        [_title(setting, rows, seeds=seeds) for setting, rows in groups],
        [traits(rows[0].network, setting, SHARED) for setting, rows in groups],
    )
    index = _chosen(titles, number)
    measured = list(networks(groups[index][1], None).values())
    if not allow_missing:
        _require_complete(titles[index], measured)
    return titles[index], measured


def _title(setting: RunSetting, rows: Sequence[LayerRow], *, seeds: bool) -> str:
    row = rows[0]
    partial = f" of {setting.dataset_images:,} (partial)" if setting.partial else ""
    levels = levels_of(row.condition.profile, [each.condition for each in rows])
    parts = [f"{row.network.design} on {setting.data}", f"{setting.images:,}{partial} images", levels]
    parts += drawn_by(*noise_versions(each.condition for each in rows)) + stored_as(row.condition.jpeg)
    parts += [f"noise seed {row.noise_seed}"] * seeds + [setting.precision] * (setting.precision != "float32")
    return ", ".join(parts)


def _chosen(titles: Sequence[str], number: int | None) -> int:
    """The index of the requested group."""
    if number is not None:
        if not 1 <= number <= len(titles):
            raise UserError(f"--group {number}: no such group; the groups are {_listed(titles)}")
        return number - 1
    if len(titles) > 1:
        raise UserError(f"a figure shows one group; select one with --group, --arch, --data or --noise-seed: {_listed(titles)}")
    return 0


def _listed(titles: Sequence[str]) -> str:
    more = f"; and {len(titles) - _NAMED} more" if len(titles) > _NAMED else ""
    return "; ".join(f"{index}. {title}" for index, title in enumerate(titles[:_NAMED], start=1)) + more


def _require_complete(title: str, measured: Sequence[NetworkFluctuation]) -> None:
    conditions = dict.fromkeys(record.layers[0].condition for record in measured)
    records = [record.layers[0].network for record in measured]
    names = {network.id: name for network, name in zip(records, named_apart(records), strict=True)}
    measured_conditions: dict[NetworkId, set[object]] = {}
    for record in measured:
        measured_conditions.setdefault(record.layers[0].network.id, set()).add(record.layers[0].condition)
    require_complete(
        title,
        [
            (names[network], [condition for condition in conditions if condition not in under])
            for network, under in measured_conditions.items()
        ],
        remedy="measure them, narrow the selection with --ckpt, --noise or --severity, or leave out incomplete networks with "
        "--allow-missing",
    )
