"""Merging: what another store holds and this one does not is taken over; what is there first stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from robustbench_la.records.cells import Cell, RunSetting

if TYPE_CHECKING:
    from robustbench_la.store.store import Store

_BATCH = 500
"""Cells that are merged in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What became of the cells and layer records of another store."""

    added: int
    present: int
    """The same key, and the same answers where it is a cell."""
    conflicting: tuple[Cell, ...]
    """The same key with other answers: what was there first stays."""


def merge(store: Store, other: Store) -> Merged:
    """Take over what another store holds and this one does not.

    In many small transactions, so that processes that write to either file need not wait for long; if interrupted, do it again.
    """
    added, present, last = 0, 0, 0
    conflicting: list[Cell] = []
    while batch := list(other.reader.cells(predictions=True, after=last, most=_BATCH)):
        last = batch[-1].id
        with store.transaction():
            for stored in batch:
                run = _run(store, stored.setting, other)
                number, new = store.writer.add_cell(stored.cell, *run, stored.setting.precision)
                if new:
                    added += 1
                elif store.reader.same_answers(number, stored.cell):
                    present += 1
                else:
                    conflicting.append(stored.cell)
    last = 0
    while records := list(other.reader.layers(after=last, most=_BATCH)):
        last = records[-1][0]
        with store.transaction():
            for _, setting, row in records:
                new = store.writer.add_layer(row, *_run(store, setting, other), setting.precision)
                added, present = added + new, present + (not new)
    return Merged(added=added, present=present, conflicting=tuple(conflicting))


def _run(store: Store, setting: RunSetting, other: Store) -> tuple[int, int]:
    """The dataset and the setting of a run that another store holds, taken over from there."""
    dataset = store.writer.dataset(setting.fingerprint, other.reader.packed_labels(setting.fingerprint))
    return dataset, store.writer.setting(setting, dataset)
