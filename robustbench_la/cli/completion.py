"""The names that a shell offers after a flag. Each function imports its table only when it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

Completion: TypeAlias = Callable[[str], list[str]]


def corruptions(incomplete: str) -> list[str]:
    """Corruptions, aliases and groups, after the comma of several too."""
    from corruptions import CORRUPTIONS, GROUPS

    aliases = [alias for entry in CORRUPTIONS.values() for alias in entry.aliases]
    before, comma, word = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _matching([*CORRUPTIONS, *aliases, *GROUPS, "paper", "all", "clean"], word)]


def activations(incomplete: str) -> list[str]:
    """The activations of the table."""
    from robustbench_la.activations import ACTIVATIONS

    return _matching(ACTIVATIONS, incomplete)


def architectures(incomplete: str) -> list[str]:
    """The architectures of the table."""
    from robustbench_la.models.architectures import ARCHITECTURES

    return _matching(ARCHITECTURES, incomplete)


def datasets(incomplete: str) -> list[str]:
    """The datasets; those in a folder end with a colon."""
    from robustbench_la.images.datasets import DATASETS

    return _matching((f"{name}:" if entry.needs_root else name for name, entry in DATASETS.items()), incomplete)


def figures(incomplete: str) -> list[str]:
    """The figures that ``larobust plot`` draws."""
    from robustbench_la.output.figures.kinds import OF_STORES

    return _matching(OF_STORES, incomplete)


def profiles(incomplete: str) -> list[str]:
    """The tables of levels."""
    from corruptions import PROFILES

    return _matching(PROFILES, incomplete)


def formats_of_images(incomplete: str) -> list[str]:
    """How ``larobust corrupt`` stores images."""
    from robustbench_la.writing.layouts import FORMATS

    return _matching(FORMATS, incomplete)


def plans(incomplete: str) -> list[str]:
    """The plans that come with larobust; files are left to the shell."""
    from robustbench_la.records.plan_file import shipped_configs

    return _matching((file.stem for file in shipped_configs().glob("*.yaml") if file.stem != "published"), incomplete)


def lists(incomplete: str) -> list[str]:
    """What ``larobust list`` lists."""
    return _matching(("corruptions", "activations", "architectures", "datasets"), incomplete)


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})
