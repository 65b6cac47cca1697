"""What all results of the Python functions have in common: they are displayed as tables, and become files and data frames."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from robustbench_la.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from robustbench_la.analysis.tables.table import Table

_WIDTH = 100
"""Characters of a table where there is no terminal."""


class ShownAsTables(ABC):
    """A result, displayed as the tables that the corresponding command prints."""

    @abstractmethod
    def tables(self) -> list[Table]:
        """The tables, as data."""

    def headline(self) -> str:
        """A line above the tables; empty for none."""
        return ""

    def remarks(self) -> tuple[str, ...]:
        """What readers must know besides the tables, one sentence each."""
        return ()

    def __repr__(self) -> str:
        from robustbench_la.output.terminal import plain

        shown = plain(self.tables(), width=shutil.get_terminal_size((_WIDTH, 24)).columns).rstrip("\n")
        return "\n".join(part for part in (self.headline(), shown, *self.remarks()) if part)

    def _repr_html_(self) -> str:
        from robustbench_la.output.html import fragment

        return fragment(self.tables(), headline=self.headline(), remarks=self.remarks())

    def to_markdown(self) -> str:
        """The tables as GitHub renders them."""
        return self._as("markdown")

    def to_latex(self, *, show_paths: bool = False) -> str:
        """The tables for a paper; without paths of files and folders, unless ``show_paths``."""
        from robustbench_la.output.latex import latex

        return latex(self.tables(), show_paths=show_paths)

    def _as(self, name: str) -> str:
        from robustbench_la.output.formats import FORMATS

        return FORMATS[name](self.tables())


def frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Records as a data frame.

    Raises:
        UserError: Without pandas.
    """
    try:
        import pandas as pd
    except ImportError:
        raise UserError("to_pandas() needs pandas: pip install 'larobust[pandas]'") from None
    return pd.DataFrame([dict(row) for row in rows])


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A record for one line of a data frame: its level as one value, a number where a corruption has one parameter."""
    level = tuple(row["parameters"].values())
    text = "/".join(f"{value:g}" for value in level)
    flattened = {name: value for name, value in row.items() if not isinstance(value, Mapping)}
    return flattened | {"parameter": level[0] if len(level) == 1 else text or None}
