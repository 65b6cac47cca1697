"""Noise-robustness benchmarking of image classifiers; the command line is ``larobust``.

What is public is imported on first use, so that ``import robustbench_la`` takes no time and needs no torch.

>>> import robustbench_la as la
>>> la.LASiLU(alpha=0.1)
LASiLU(alpha=0.1)
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robustbench_la.api.corrupting import corrupt
    from robustbench_la.errors import UserError
    from robustbench_la.models.layeract import LAHardSiLU, LASiLU, la_hardsilu, la_silu

__version__ = "0.1.0"

__all__ = [
    "LAHardSiLU",
    "LASiLU",
    "UserError",
    "__version__",
    "corrupt",
    "la_hardsilu",
    "la_silu",
]

_PUBLIC: Mapping[str, str] = MappingProxyType(
    {
        "corrupt": "robustbench_la.api.corrupting",
        "UserError": "robustbench_la.errors",
        **dict.fromkeys(("LAHardSiLU", "LASiLU", "la_hardsilu", "la_silu"), "robustbench_la.models.layeract"),
    }
)
"""Name -> the module that holds it."""


def __getattr__(name: str) -> Any:
    """A public name, on first use."""
    if name in _PUBLIC:
        value = globals()[name] = getattr(importlib.import_module(_PUBLIC[name]), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """For completion in notebooks."""
    return sorted(__all__)
