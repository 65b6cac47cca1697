"""Measures what a store lacks and keeps each result at once, so that an interrupted run goes on. Prints nothing."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from robustbench_la.measuring import provenance
from robustbench_la.measuring.quantities import Quantity, Record
from robustbench_la.measuring.session import Evaluation
from robustbench_la.progress import Meter, silent
from robustbench_la.records.cells import RunSetting
from robustbench_la.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Results(Generic[Record]):
    """What was wanted of an evaluation, as far as it was there or was measured."""

    records: tuple[Record, ...]
    """From the store or measured now, in the order of the evaluation, as if all had been measured now."""
    measured: int
    """How many were measured now."""
    wanted: int
    """How many there are once nothing is missing."""
    setting: RunSetting
    """Of this run; records from the store may have been measured in another one."""
    seconds: float
    """Wall time, of looking into the store too."""

    @property
    def from_store(self) -> int:
        """How many were in the store."""
        return len(self.records) - self.measured


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while measuring; what was finished by then is in ``results``, and in the store."""

    def __init__(self, results: Results[Any]) -> None:
        super().__init__()
        self.results = results


def _ignore(found: int, wanted: int) -> None:
    """Where nobody wants to know what was found."""


def measure_missing(
    evaluation: Evaluation,
    quantity: Quantity[Record],
    *,
    store: Path | None = None,
    fresh: bool = False,
    setting: RunSetting | None = None,
    meter: Meter = silent,
    on_found: Callable[[int, int], object] = _ignore,
) -> Results[Record]:
    """Measure what is not in a store yet, and keep each record there as soon as it is finished.

    Args:
        evaluation: Networks, images and conditions: of ``prepare_evaluation`` (paths) or ``evaluation_of`` (objects in memory).
        quantity: ``Accuracy()``, whose records are cells, or ``Fluctuation()``.
        store: The file of results; None keeps nothing.
        fresh: Measure also what the store holds, and replace it.
        setting: Of ``provenance.setting``, where the caller has made it already: it reads every image.
        meter: Shows the progress.
        on_found: Called once, before anything is measured, with the numbers of records found in the store and wanted.

    Returns:
        All records that are wanted.

    Raises:
        Interrupted: After Ctrl-C, with what was finished.
        UserError: Where the store cannot be used or a network cannot be measured; what was finished is in the store.
    """
    began = time.perf_counter()
    if setting is None:
        setting = provenance.setting(evaluation, started=datetime.datetime.now(datetime.UTC))
    wanted = quantity.wanted(evaluation)
    finished: list[Record] = []
    interrupted = False
    with contextlib.ExitStack() as stack:
        opened = None if store is None else stack.enter_context(Store(store))
        known = {} if opened is None or fresh else quantity.read(opened, evaluation, setting)
        keep = None if opened is None else quantity.keeper(opened, evaluation, setting, replace=fresh)
        on_found(sum(key in known for _, key in wanted), len(wanted))
        try:
            for record in quantity.measure(evaluation, known, meter):
                if keep is not None:
                    keep(record)
                finished.append(record)
        except KeyboardInterrupt:
            interrupted = True
    seconds = time.perf_counter() - began
    there = {**known, **{quantity.key(record): record for record in finished}}
    results = Results(
        records=tuple(quantity.named(there[key], network.name) for network, key in wanted if key in there),
        measured=len(finished),
        wanted=len(wanted),
        setting=setting,
        seconds=seconds,
    )
    if interrupted:
        raise Interrupted(results)
    return results
