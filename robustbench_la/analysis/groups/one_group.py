"""What one figure shows of a store: one architecture on one set of images. Several are refused, never mixed; draws nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from robustbench_la.analysis.groups.gaps import require_complete
from robustbench_la.analysis.groups.groups import Group, comparable_key, group
from robustbench_la.errors import UserError
from robustbench_la.store.layer_rows import LayerRow, networks

if TYPE_CHECKING:
    from robustbench_la.records.cells import RunSetting
    from robustbench_la.records.layers import NetworkFluctuation
    from robustbench_la.store.store import Stored

_NAMED = 6
"""Groups that an error lists."""


def cells_of_one(stored: Iterable[Stored], *, number: int | None = None, allow_missing: bool = False) -> Group:
    """The one group of cells that a figure is to show.

    Args:
        stored: Cells of any groups.
        number: Which of several groups, from 1.
        allow_missing: Accept networks without some cells that others of the group have.

    Raises:
        UserError: Where there are several groups, or missing cells that are not allowed.
    """
    groups = group(stored, allow_missing=True)
    chosen = groups[_chosen([one.title for one in groups], number)]
    if not allow_missing:  # of this group alone: what others lack does not matter here
        group([entry for network in chosen.networks for entry in network.cells.values()])
    return chosen


def layers_of_one(
    stored: Iterable[tuple[RunSetting, LayerRow]], *, number: int | None = None, allow_missing: bool = False
) -> tuple[str, list[NetworkFluctuation]]:
    """The layer records that a figure is to show, by network and condition. One group has one noise seed.

    Args:
        stored: Rows of any groups, each with the setting it was measured in.
        number: Which of several groups, from 1.
        allow_missing: Accept networks without some conditions that others of the group have.

    Returns:
        The title of the group, and its records.

    Raises:
        UserError: Where there are several groups, or missing records that are not allowed.
    """
    shared: dict[tuple[object, ...], tuple[RunSetting, list[LayerRow]]] = {}
    for setting, row in stored:
        key = comparable_key(row.network, setting)
        shared.setdefault((*key, row.condition.profile, row.noise_seed), (setting, []))[1].append(row)
    groups = list(shared.values())
    seeds = len({rows[0].noise_seed for _, rows in groups}) > 1
    titles = [_title(setting, rows[0], seeds=seeds) for setting, rows in groups]
    index = _chosen(titles, number)
    measured = list(networks(groups[index][1], None).values())
    if not allow_missing:
        _require_complete(titles[index], measured)
    return titles[index], measured


def _title(setting: RunSetting, row: LayerRow, *, seeds: bool) -> str:
    partial = f" of {setting.dataset_images:,} (partial)" if setting.partial else ""
    profile = row.condition.profile
    levels = f"levels of {profile}" if profile else "custom levels"
    parts = [f"{row.network.architecture} on {setting.data}", f"{setting.images:,}{partial} images", levels]
    parts += [f"noise seed {row.noise_seed}"] * seeds + [setting.precision] * (setting.precision != "float32")
    return ", ".join(parts)


def _chosen(titles: Sequence[str], number: int | None) -> int:
    """The index of the group that is meant."""
    if number is not None:
        if not 1 <= number <= len(titles):
            raise UserError(f"--group {number}: the groups are {_listed(titles)}")
        return number - 1
    if len(titles) > 1:
        raise UserError(f"a figure shows one group; choose by --group, --arch, --data or --noise-seed: {_listed(titles)}")
    return 0


def _listed(titles: Sequence[str]) -> str:
    more = f"; and {len(titles) - _NAMED} more" if len(titles) > _NAMED else ""
    return "; ".join(f"{index}. {title}" for index, title in enumerate(titles[:_NAMED], start=1)) + more


def _require_complete(title: str, measured: Sequence[NetworkFluctuation]) -> None:
    conditions = dict.fromkeys(one.layers[0].condition for one in measured)
    by_checkpoint: dict[str, set[object]] = {}
    for one in measured:
        by_checkpoint.setdefault(one.layers[0].network.checkpoint, set()).add(one.layers[0].condition)
    require_complete(
        title,
        {
            checkpoint: [condition for condition in conditions if condition not in own]
            for checkpoint, own in by_checkpoint.items()
        },
        remedy="measure that, leave it out by --ckpt, --noise or --severity, or give --allow-missing to leave out networks with "
        "gaps",
    )
