"""Corruptions, levels and severities as words name them, on a command line or in a plan."""

from __future__ import annotations

import re

from corruptions.registry import Level
from robustbench_la.errors import UserError, did_you_mean


def parse_severities(words: list[str]) -> tuple[int, ...]:
    """Severities from words such as ``3``, ``1-5`` or ``1,3``; sorted, each once.

    >>> parse_severities(["1-3", "5"])
    (1, 2, 3, 5)
    """
    found: set[int] = set()
    for word in (part.strip() for text in words for part in text.split(",")):
        match = re.fullmatch(r"(-?\d+)(?:-(\d+))?", word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= 5:
            raise UserError(f"severity is a whole number from 1 to 5, or a range such as 1-5, not {word!r}")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def parse_noise(words: list[str]) -> list[tuple[str, tuple[Level, ...]]]:
    """Names of corruptions, each with custom levels or none.

    A comma separates both names and levels: what is a number belongs to the name before it. The numbers of a level with several
    parameters are joined by ``/``. ``clean`` adds nothing: clean images are always measured.

    >>> parse_noise(["gaussian_noise=0.05,0.1", "poisson,blur"])
    [('gaussian_noise', ((0.05,), (0.1,))), ('shot_noise', ()), ('gaussian_blur', ())]
    """
    found: list[tuple[str, tuple[Level, ...]]] = []
    for name, level in _read(words):
        if name == "clean":
            continue
        if level is None:
            found.append((name, ()))
        elif found and found[-1][0] == name and found[-1][1]:
            found[-1] = (name, (*found[-1][1], level))
        else:
            found.append((name, (level,)))
    return found


def parse_noise_filter(words: list[str]) -> tuple[tuple[str, ...], tuple[tuple[str, Level], ...]]:
    """What a filter names, in the same words: corruptions at every level (or ``clean``), and custom levels.

    >>> parse_noise_filter(["clean,blur", "gaussian=0.05"])
    (('clean', 'gaussian_blur'), (('gaussian_noise', (0.05,)),))
    """
    found = _read(words)
    return tuple(name for name, level in found if level is None), tuple((name, level) for name, level in found if level)


def _read(words: list[str]) -> list[tuple[str, Level | None]]:
    """Each corruption that is named, at one custom level or without a level; and ``clean``."""
    from corruptions import CORRUPTIONS, names_of
    from corruptions.registry import known_words

    found: list[tuple[str, Level | None]] = []
    for part in (part.strip() for word in words for part in word.split(",")):
        name, equals, text = part.rpartition("=")
        if not equals and found and found[-1][1] and parse_level(part):
            name, text = found[-1][0], part
        elif not equals:
            name, text = part, ""
        names = ("clean",) if part == "clean" else names_of(name)
        if not names:
            raise UserError(f"unknown corruption {name!r}{did_you_mean(name, ('clean', *known_words()))}")
        if not (equals or text):
            found += [(name, None) for name in names]
            continue
        level = parse_level(text)
        if len(names) > 1 or level is None:
            raise UserError(f"a level is one corruption's and a number, such as gaussian_noise=0.05, not {part!r}")
        try:
            CORRUPTIONS[names[0]].check(level)
        except ValueError as error:
            raise UserError(str(error)) from None
        found.append((names[0], level))
    return found


def parse_level(text: str) -> Level | None:
    """The numbers of ``0.05`` or ``1.5/2``; None for text that is no level."""
    try:
        return tuple(map(float, text.split("/")))
    except ValueError:
        return None
