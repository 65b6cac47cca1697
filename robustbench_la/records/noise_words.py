"""Parsing of corruptions, levels and severities, as given on the command line or in a plan."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from corruptions.registry import Level
from robustbench_la.errors import UserError, did_you_mean


def parse_severities(words: list[str]) -> tuple[int, ...]:
    """Parse severities.

    Args:
        words: Numbers and ranges such as ``3``, ``1-5`` or ``1,3``.

    Returns:
        The severities in ascending order, each once.

    Raises:
        UserError: If a word is not a severity from 1 to 5, or a range of them.

    >>> parse_severities(["1-3", "5"])
    (1, 2, 3, 5)
    """
    severities: set[int] = set()
    for word in (part.strip() for text in words for part in text.split(",")):
        match = re.fullmatch(r"(-?\d+)(?:-(\d+))?", word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= 5:
            raise UserError(f"severity must be a whole number from 1 to 5, or a range such as 1-5, not {word!r}")
        severities.update(range(first, last + 1))
    return tuple(sorted(severities))


def parse_noise(words: list[str]) -> list[tuple[str, tuple[Level, ...]]]:
    """Parse corruptions, each with or without custom levels.

    Commas separate both names and levels: a number belongs to the name before it. The numbers of a level with several parameters
    are joined by ``/``. ``clean`` is ignored: clean images are always measured.

    Args:
        words: Such as ``gaussian_noise=0.05,0.1`` or ``poisson,weather``.

    Returns:
        Names of corruptions, each with its custom levels; empty levels mean that the severities apply.

    Raises:
        UserError: If a corruption is unknown, or does not accept a level.

    >>> parse_noise(["gaussian_noise=0.05,0.1", "poisson,saturate"])
    [('gaussian_noise', ((0.05,), (0.1,))), ('shot_noise', ()), ('saturate', ())]
    """
    noise: list[tuple[str, tuple[Level, ...]]] = []
    for name, level in _read(words):
        if name == "clean":
            continue
        if level is None:
            noise.append((name, ()))
        elif noise and noise[-1][0] == name and noise[-1][1]:
            noise[-1] = (name, (*noise[-1][1], level))
        else:
            noise.append((name, (level,)))
    return noise


def parse_noise_filter(
    words: list[str], others: Callable[[], Collection[str]] = tuple
) -> tuple[tuple[str, ...], tuple[tuple[str, Level], ...]]:
    """Parse a filter of results, in the notation of ``parse_noise``.

    Args:
        words: Such as ``clean,poisson`` or ``gaussian=0.05``.
        others: Gives the corruptions that results have, which those of published sets may; asked for words that are not ours.

    Returns:
        Names of corruptions (or ``clean``) at every level; and pairs of a corruption and a custom level.

    Raises:
        UserError: If a corruption is unknown, or does not accept a level.

    >>> parse_noise_filter(["clean,poisson", "gaussian=0.05"])
    (('clean', 'shot_noise'), (('gaussian_noise', (0.05,)),))
    """
    noise = _read(words, others)
    return tuple(name for name, level in noise if level is None), tuple((name, level) for name, level in noise if level)


def _read(words: list[str], others: Callable[[], Collection[str]] = tuple) -> list[tuple[str, Level | None]]:
    """The named corruptions, each with one custom level or without a level; and ``clean``."""
    from corruptions import CORRUPTIONS, names_of
    from corruptions.registry import names_with_level

    noise: list[tuple[str, Level | None]] = []
    for part in (part.strip() for word in words for part in word.split(",")):
        name, equals, text = part.rpartition("=")
        if not equals and noise and noise[-1][1] and parse_level(part):
            name, text = noise[-1][0], part
        elif not equals:
            name, text = part, ""
        names = ("clean",) if part == "clean" else names_with_level(name) if equals or text else names_of(name)
        if not (names or equals or text) and name in others():
            names = (name,)
        if not names:
            raise UserError(_unknown(part))
        if not (equals or text):
            noise += [(name, None) for name in names]
            continue
        level = parse_level(text)
        if len(names) > 1 or level is None:
            raise UserError(f"expected one corruption and a number, such as gaussian_noise=0.05, not {part!r}")
        try:
            CORRUPTIONS[names[0]].check(level)
        except ValueError as error:
            raise UserError(str(error)) from None
        noise.append((names[0], level))
    return noise


def _unknown(word: str) -> str:
    """The message about a word that is not a corruption."""
    from corruptions import names_of
    from corruptions.registry import known_words

    if not word:
        return "an empty corruption name; give one such as gaussian, a group such as paper, or clean"
    severity = re.fullmatch(r"(.*?)[:@ _-]?([1-5])", word)
    if severity and names_of(severity[1]):
        return f"unknown corruption {word!r}; did you mean --noise {severity[1]} --severity {severity[2]}?"
    name = word.rpartition("=")[0] or word
    return f"unknown corruption {name!r}{did_you_mean(name, ('clean', *known_words()))}"


def parse_level(text: str) -> Level | None:
    """The numbers of ``0.05`` or ``1.5/2``; None if the text is not a level."""
    try:
        return tuple(map(float, text.split("/")))
    except ValueError:
        return None
