"""Noise-robustness benchmarking of image classifiers; the command is ``larobust``.

Public names are imported on first use, so that ``import robustbench_la`` is fast and needs no torch.

>>> import robustbench_la as la
>>> la.LASiLU(alpha=0.1)
LASiLU(alpha=0.1)
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType

TYPE_CHECKING = False  # type checkers take it for True; importing it from typing would double the import time
if TYPE_CHECKING:
    from typing import Any

    from robustbench_la.api.checking import CheckResult, check
    from robustbench_la.api.comparing import Comparison, compare
    from robustbench_la.api.corrupting import corrupt
    from robustbench_la.api.evaluating import EvaluationResult, evaluate
    from robustbench_la.api.fluctuating import FluctuationResult, fluctuation
    from robustbench_la.api.previewing import PreviewResult, preview
    from robustbench_la.api.settings import Filters, MeasuringSettings, NetworkSettings, WritingSettings
    from robustbench_la.api.storing import StoreView, open_store
    from robustbench_la.api.writing import WrittenSet, write_corrupted
    from robustbench_la.errors import NotComparableError, RunError, UserError
    from robustbench_la.models.layeract import LAHardSiLU, LASiLU, la_hardsilu, la_silu

__version__ = "0.1.0"

__all__ = [
    "CheckResult",
    "Comparison",
    "EvaluationResult",
    "Filters",
    "FluctuationResult",
    "LAHardSiLU",
    "LASiLU",
    "MeasuringSettings",
    "NetworkSettings",
    "NotComparableError",
    "PreviewResult",
    "RunError",
    "StoreView",
    "UserError",
    "WritingSettings",
    "WrittenSet",
    "__version__",
    "check",
    "compare",
    "corrupt",
    "evaluate",
    "fluctuation",
    "la_hardsilu",
    "la_silu",
    "open_store",
    "preview",
    "write_corrupted",
]

_HOLDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "robustbench_la.api.checking": ("CheckResult", "check"),
        "robustbench_la.api.comparing": ("Comparison", "compare"),
        "robustbench_la.api.corrupting": ("corrupt",),
        "robustbench_la.api.evaluating": ("EvaluationResult", "evaluate"),
        "robustbench_la.api.fluctuating": ("FluctuationResult", "fluctuation"),
        "robustbench_la.api.previewing": ("PreviewResult", "preview"),
        "robustbench_la.api.settings": ("Filters", "MeasuringSettings", "NetworkSettings", "WritingSettings"),
        "robustbench_la.api.storing": ("StoreView", "open_store"),
        "robustbench_la.api.writing": ("WrittenSet", "write_corrupted"),
        "robustbench_la.errors": ("NotComparableError", "RunError", "UserError"),
        "robustbench_la.models.layeract": ("LAHardSiLU", "LASiLU", "la_hardsilu", "la_silu"),
    }
)
_PUBLIC: Mapping[str, str] = MappingProxyType({name: module for module, names in _HOLDS.items() for name in names})
"""Name -> the module that defines it."""


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in _PUBLIC:
        value = globals()[name] = getattr(importlib.import_module(_PUBLIC[name]), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, for completion in notebooks."""
    return sorted(__all__)
