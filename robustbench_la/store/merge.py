"""Merging: copies what is missing in one store from another; existing records are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from robustbench_la.records.cells import Cell, RunSetting

if TYPE_CHECKING:
    from robustbench_la.store.store import Store

_BATCH = 500
"""Records merged in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The outcome of merging another store: numbers of its cells and layer records."""

    added: int
    present: int
    """Records with the same key; cells among them also with the same predictions."""
    conflicting: tuple[Cell, ...]
    """Cells with the same key but other predictions: the existing ones are kept."""


def merge(store: Store, other: Store) -> Merged:
    """Copy what is missing from another store.

    This takes many small transactions, so that processes writing to either file need not wait long; if interrupted, run it again.

    Args:
        store: The store to add to.
        other: The store to copy from; it is not changed.

    Returns:
        What was added, was already present, or conflicts.
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
    """The ids of the dataset and the setting of a run in another store, copied from there if missing."""
    dataset = store.writer.dataset(setting.fingerprint, other.reader.packed_labels(setting.fingerprint))
    return dataset, store.writer.setting(setting, dataset)
