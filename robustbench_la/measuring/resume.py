"""Measures what is missing from a store and keeps each result at once, so that an interrupted run can be resumed."""

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
    """The records of an evaluation that are available: read from the store, or measured."""

    records: tuple[Record, ...]
    """From the store or just measured, in the order of the evaluation, as if all had been measured now."""
    measured: int
    """Number of records measured in this run."""
    wanted: int
    """Number of records of the complete evaluation."""
    setting: RunSetting
    """Of this run; records from the store may come from another one."""
    seconds: float
    """Wall time, including reading the store."""

    @property
    def from_store(self) -> int:
        """Number of records read from the store."""
        return len(self.records) - self.measured


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while measuring; everything finished by then is in ``results``, and in the store."""

    def __init__(self, results: Results[Any]) -> None:
        super().__init__()
        self.results = results


def _ignore(found: int, wanted: int) -> None:
    """The default of ``on_found``: do nothing."""


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
        store: The store; None keeps nothing.
        fresh: Measure everything again, and replace what the store holds.
        setting: Of ``provenance.setting``, if the caller already has it: computing it reads every image.
        meter: Shows the progress.
        on_found: Called once, before measuring, with the number of records found in the store and the number wanted.

    Returns:
        All records of the evaluation.

    Raises:
        Interrupted: After Ctrl-C, with everything finished by then.
        UserError: If the store cannot be used, or a network cannot be measured; what was finished is in the store.
    """
    started = time.perf_counter()
    if setting is None:
        setting = provenance.setting(evaluation, started=datetime.datetime.now(datetime.UTC))
    wanted = quantity.wanted(evaluation)
    finished: list[Record] = []
    interrupted = False
    with contextlib.ExitStack() as stack:
        opened = None if store is None else stack.enter_context(Store(store))
        known = {} if opened is None or fresh else quantity.read(opened, evaluation, setting)
        if opened is not None:
            opened.describe(network.record for network in reversed(evaluation.networks))  # of one file's names the first counts
        keep = None if opened is None else quantity.keeper(opened, evaluation, setting, replace=fresh)
        on_found(sum(key in known for _, key in wanted), len(wanted))
        try:
            for record in quantity.measure(evaluation, known, meter):
                if keep is not None:
                    keep(record)
                finished.append(record)
        except KeyboardInterrupt:
            interrupted = True
    seconds = time.perf_counter() - started
    available = {**known, **{quantity.key(record): record for record in finished}}
    results = Results(
        records=tuple(quantity.described(available[key], network.record) for network, key in wanted if key in available),
        measured=len(finished),
        wanted=len(wanted),
        setting=setting,
        seconds=seconds,
    )
    if interrupted:
        raise Interrupted(results)
    return results
