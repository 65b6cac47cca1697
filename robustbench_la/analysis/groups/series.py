"""Which conditions belong together, and how titles name what they share: levels, draws, format, or the published set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from corruptions import NOISE_VERSION
from robustbench_la.records.cells import CLEAN, Condition, Source
from robustbench_la.records.level_words import custom_levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What the corrupted conditions of a group share."""

    profile: str | None = None
    jpeg: int | None = None
    source: Source = "generated"
    edition: int = 0
    """Of published images that were seen with several contents under one name: which of them, in order of appearance."""


def series_among(conditions: Iterable[Condition]) -> Mapping[Condition, Series]:
    """The series of each corrupted condition."""
    editions: dict[tuple[object, ...], list[str | None]] = {}
    series = {}
    for one in dict.fromkeys(conditions):
        contents = editions.setdefault((one.profile, one.corruption, one.severity), [])
        if one.prebuilt not in contents:
            contents.append(one.prebuilt)
        edition = contents.index(one.prebuilt) if one.prebuilt is not None else 0
        series[one] = Series(profile=one.profile, jpeg=one.jpeg, source=one.source, edition=edition)
    return series


def levels_of(profile: str | None, conditions: Iterable[Condition]) -> str:
    """What a title says about the levels of conditions: those of a profile, custom ones, or those of a published set."""
    noisy = [one for one in conditions if one != CLEAN]
    if noisy and noisy[0].source == "prebuilt":
        return f"images of {profile}"
    return f"levels of {profile}" if profile else custom_levels(noisy)


def files_of(conditions: Iterable[Condition]) -> dict[str, str]:
    """What tells published images from others of the same names, for ``titles.distinguished``."""
    digest = min((one.prebuilt for one in conditions if one.prebuilt is not None), default=None)
    return {} if digest is None else {"files": f"files {digest[:8]}"}


def noise_versions(conditions: Iterable[Condition]) -> list[int]:
    """How the noise of these conditions was drawn: draws of different versions are never mixed."""
    return list(dict.fromkeys(condition.noise_version for condition in conditions if condition.is_random)) or [NOISE_VERSION]


def drawn_by(version: int) -> list[str]:
    """What the title of a group says about noise that this version of larobust would draw in another way."""
    return [] if version == NOISE_VERSION else [f"noise drawn by an earlier larobust (noise version {version})"]


def stored_as(jpeg: int | None) -> list[str]:
    """What the title of a group says about the format of corrupted images."""
    return [] if jpeg is None else [f"corrupted images stored as JPEG {jpeg}"]


def is_drawn_by(condition: Condition, version: int) -> bool:
    """Whether a condition belongs to the noise of a version; what is not random belongs to all."""
    return condition.noise_version == version or not condition.is_random
