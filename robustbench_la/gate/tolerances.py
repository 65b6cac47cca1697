"""When a change counts as a regression: tolerances and significance level, as given on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType

from robustbench_la.errors import UserError, did_you_mean
from robustbench_la.gate.subjects import Subject

_PLAIN = re.compile(r"[0-9]{0,20}\.?[0-9]{0,40}")
_SHOWN = 6
"""The largest number of names that an error lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The tolerances and the significance level of a gate."""

    drop: Fraction = Fraction(1)
    """Tolerated drop in accuracy, in points."""
    drops: Mapping[str, Fraction] = field(default_factory=lambda: MappingProxyType({}))
    """Tolerated drops by name: a corruption, a name in the table (``gaussian_noise 5``, ``gaussian_noise mean``), ``clean`` or
    ``mean``."""
    rise: Fraction = Fraction(10)
    """Tolerated increase of the relative fluctuation, in percent."""
    alpha: float = 0.05
    """Significance level over all conditions, of the mean, and over all fluctuations; with 1, the tolerance alone decides."""
    named: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """The words for which tolerances were given -> the names in ``drops`` that each stands for."""

    def check_used(self, judged: Collection[str]) -> None:
        """Raise UserError if a tolerance names nothing that is ``judged``: clean, mean, fluctuation, corruptions, ..."""
        for word, names in self.named.items():
            if not set(names) & set(judged):
                option = "--max-rise" if word == "fluctuation" else "--max-drop"
                known = ", ".join(list(judged)[:_SHOWN]) + (", ..." if len(judged) > _SHOWN else "")
                raise UserError(f"{option} {word}: nothing of that name is judged, only {known}")

    def drop_of(self, subject: Subject) -> Fraction:
        """The tolerance of what is judged, in points, by its most specific name."""
        return next((self.drops[name] for name in subject.tolerances if name in self.drops), self.drop)


def parse_rules(
    drops: Sequence[str] = (),
    rises: Sequence[str] = (),
    alpha: float = 0.05,
    others: Callable[[], Collection[str]] = tuple,
) -> Rules:
    """Rules from words such as ``1.0``, ``gaussian_noise:2.0`` (points) and ``fluctuation:10%``.

    A group or an alias stands for its corruptions. Numbers stay exact: a drop of one point does not exceed a tolerance of one.

    Args:
        drops: Tolerated drops in accuracy, in points.
        rises: Tolerated increases of the fluctuation, in percent.
        alpha: Significance level, above 0 and at most 1.
        others: Gives the corruptions of the baseline, which may be of a published set; asked for words that are not ours.

    Returns:
        The rules.

    Raises:
        UserError: If a tolerance cannot be parsed, is given twice, or names an unknown corruption.

    >>> parse_rules(["0.5", "gaussian_blur:2"]).drops
    {'gaussian_blur': Fraction(2, 1)}
    """
    if not 0 < alpha <= 1:
        raise UserError(f"alpha must be above 0 and at most 1 (1: the tolerance alone decides), not {alpha:g}")
    rules = Rules(alpha=alpha)
    by_name: dict[str, Fraction] = {}
    named: dict[str, tuple[str, ...]] = {}
    general: list[str] = []
    for word in drops:
        name, _, number = word.rpartition(":")
        if number.endswith("%"):
            plain = word.removesuffix("%").rstrip()
            raise UserError(f"--max-drop {word}: a tolerance is in points of accuracy, without a sign; write --max-drop {plain}")
        points = _amount(number, f"--max-drop {word}: expected a number of points, such as 1.0 or gaussian_noise:2.0")
        if name in named or (general and not name):
            raise UserError(f"--max-drop {word}: given twice, and before as {(general or [name])[0]}")
        if not name:
            rules, general = replace(rules, drop=points), [word]
        else:
            named[name] = tuple(_names(name, others))
            by_name |= dict.fromkeys(named[name], points)
    for word in rises:
        name, _, number = word.rpartition(":")
        expected = f"--max-rise {word}: expected a percentage, such as fluctuation:10%"
        if name not in ("", "fluctuation") or not number.endswith("%"):
            raise UserError(expected)
        if "fluctuation" in named:
            raise UserError(f"--max-rise {word}: given twice")
        named["fluctuation"] = ("fluctuation",)
        rules = replace(rules, rise=_amount(number.removesuffix("%"), expected))
    return replace(rules, drops=by_name, named=named)


def _amount(text: str, expected: str) -> Fraction:
    try:  # exact; an exponent, as Python writes small numbers, is bounded by that of a float
        small = "e" in text.lower() and float(text) < 1
        number = Fraction(repr(float(text)) if small else text) if small or _PLAIN.fullmatch(text) else None
    except (ValueError, OverflowError):
        number = None
    if number is None or number < 0:
        raise UserError(expected)
    return number


def _names(word: str, others: Callable[[], Collection[str]]) -> list[str]:
    """The names a tolerance applies to: corruptions, or one condition as shown in tables."""
    from corruptions import names_of
    from corruptions.registry import known_words, names_with_level

    if word in ("clean", "mean"):
        return [word]
    corruption, mark = next(((word[: word.index(mark)], mark) for mark in (" ", "=") if mark in word), (word, ""))
    names = names_with_level(corruption) if mark == "=" else names_of(corruption)
    if not names:
        if corruption not in (held := others()):
            known = dict.fromkeys(("clean", "mean", *known_words(), *sorted(held)))
            raise UserError(f"unknown corruption {corruption!r}{did_you_mean(corruption, known)}")
        names = (corruption,)
    if not mark:
        return list(names)
    if word.endswith(" mean"):
        return [f"{name} mean" for name in names]
    try:
        level = "/".join(f"{float(number):g}" for number in word[len(corruption) + 1 :].split("/"))
    except ValueError:
        raise UserError(f"--max-drop {word}: a severity or level is a number: gaussian_noise 3, gaussian_noise=0.05") from None
    return [f"{name}{mark}{level}" for name in names]
