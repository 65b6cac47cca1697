"""Image corruptions: 8-bit images in, 8-bit images out, the same bytes on every machine.

A standalone library: it needs torch, numpy, scipy and numba, and imports nothing from larobust.

>>> from corruptions import CORRUPTIONS, corrupt, level_of
>>> level_of("shot_noise", severity=3, profile="cifar-c")
(100.0,)
>>> CORRUPTIONS["gaussian_noise"].aliases
('gaussian',)
"""

from typing import TYPE_CHECKING, Any

from corruptions import families as _families  # noqa: F401  (fills the table)
from corruptions.registry import (
    CORRUPTIONS,
    GROUPS,
    NOISE_VERSION,
    PROFILES,
    Corruption,
    level_of,
    names_of,
    profile_for,
)

if TYPE_CHECKING:
    from corruptions.apply import corrupt

__all__ = [
    "CORRUPTIONS",
    "GROUPS",
    "NOISE_VERSION",
    "PROFILES",
    "Corruption",
    "corrupt",
    "level_of",
    "names_of",
    "profile_for",
]


def __getattr__(name: str) -> Any:
    """Import ``corrupt`` on first use: it needs torch, which the tables do not."""
    if name == "corrupt":
        from corruptions.apply import corrupt

        return corrupt
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
