"""``open_store``: what a store holds, as data frames. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from robustbench_la.api.display import flat, frame
from robustbench_la.api.errors_in_python import errors_in_python
from robustbench_la.api.selecting import one_of, selection_of
from robustbench_la.api.settings import Filters, check_keywords

if TYPE_CHECKING:
    import pandas as pd

    from robustbench_la.records.cells import Cell
    from robustbench_la.store.schema import Selection


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StoreView:
    """The results in a store that match a selection."""

    path: Path
    selection: Selection

    @property
    def cells(self) -> list[Cell]:
        """Each network under each condition; without predictions."""
        from robustbench_la.store.store import Store

        with Store(self.path, reading=True) as store:
            return [stored.cell for stored in store.cells(self.selection)]

    def to_pandas(self, what: Literal["cells", "layers"] = "cells") -> pd.DataFrame:
        """One row per cell, with ``accuracy`` and ``nll``, or one row per layer; what is known of the run is in each row.

        Args:
            what: ``"cells"`` or ``"layers"``.
        """
        from robustbench_la.store.store import Store

        one_of("what", what, ("cells", "layers"))
        with Store(self.path, reading=True) as store:
            if what == "cells":
                rows = [
                    flat(stored.cell.as_dict())
                    | {"accuracy": stored.cell.correct / stored.cell.total, "nll": stored.cell.nll_sum / stored.cell.total}
                    | _of_the_run(stored.setting.as_dict())
                    for stored in store.cells(self.selection)
                ]
            else:
                rows = [flat(row.as_dict()) | _of_the_run(setting.as_dict()) for setting, row in store.layers(self.selection)]
        return frame(rows)

    def __len__(self) -> int:
        """The number of cells."""
        return len(self.cells)

    def __repr__(self) -> str:
        cells = self.cells
        networks = {(cell.network.checkpoint, cell.network.sha256) for cell in cells}
        return f"{self.path}: {len(cells):,} cells of {len(networks):,} networks"


@errors_in_python
def open_store(path: str | Path, **filters: Unpack[Filters]) -> StoreView:
    """Look into a store, all of it or what matches every filter.

    Args:
        path: Its file, such as ``"runs/results.sqlite"``.
        filters: Any of ``Filters``, by keyword: ``activation``, ``noise``, ``severity`` ...

    Returns:
        A view, which reads the file when it is used, such as by ``to_pandas()``.

    Raises:
        UserError: If there is no store, or a filter has an unknown name.

    >>> import tempfile, torch, robustbench_la as la
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.SiLU(), torch.nn.Linear(32, 10))
    >>> store = tempfile.mkdtemp() + "/results.sqlite"
    >>> la.evaluate(model, "digits", noise="gaussian", limit=100).save(store)
    6
    >>> [(cell.network.activation, str(cell.condition)) for cell in la.open_store(store, severity="4-5").cells]
    [('silu', 'gaussian_noise 4'), ('silu', 'gaussian_noise 5')]
    """
    from robustbench_la.store.store import Store

    check_keywords(open_store, filters, Filters)
    selection = selection_of(filters, Path(path))
    Store(Path(path), reading=True).close()
    return StoreView(path=Path(path), selection=selection)


def _of_the_run(row: Mapping[str, object]) -> dict[str, object]:
    """What is known of a run, without the table of versions."""
    return {name: value for name, value in row.items() if name != "versions"}
