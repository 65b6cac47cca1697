"""Text: what may be shown unchanged on a terminal, in a log or in an XML file; and numbers with their nouns."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

_UNSEEN = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef"
"""Characters that Python calls printable, although nobody sees them."""
_MOST_ACCENTS = 4
"""Combining characters on one letter; more would cover the lines around it."""
_LONGEST_QUOTED = 400
"""Characters of a name in a sentence; longer ones leave out their middle."""
_NOT_SEEN = re.compile(f"[{_UNSEEN}]")
_NAME = re.compile(r"[\w./\\+@%~:=-]*\w")
_COMMAND = re.compile(r"\A\s*:(?=:)|#(?=#\w*\[)")
"""What a workflow's log takes for a command: ``::`` at the beginning of a line, ``##[`` anywhere."""
_SURROGATES = re.compile("[\ud800-\udfff]")


def is_printable(text: str, *, longest: int | None = None) -> bool:
    r"""Whether a text is free of characters that could control a terminal, break an XML file or inject into a workflow's log.

    Args:
        text: Untrusted text.
        longest: The most characters it may have; None for any number.

    >>> is_printable("resnet20 (ours)"), is_printable("\x1b[2J"), is_printable("abc", longest=2)
    (True, False, False)
    """
    return text.isprintable() and not _NOT_SEEN.search(text) and (longest is None or len(text) <= longest)


def printable(text: str) -> str:
    r"""A text on one line, that can control neither a terminal nor a workflow and hides nothing from its reader.

    Control characters, marks that turn the direction of reading, spaces that are none, halves of characters, characters that
    nobody sees and piled accents become escapes, as does the beginning of a workflow's command. What was made printable stays
    as it is.

    >>> print(printable("a\x1b[2Jb\n::error::c"), printable("::error::x"), printable("la_\N{RIGHT-TO-LEFT OVERRIDE}ulis"))
    a\x1b[2Jb\n::error::c \x3a:error::x la_\u202eulis
    """
    if not (text.isascii() and text.isprintable()):
        text = "".join(_shown(text))
    return _COMMAND.sub(lambda found: found[0][:-1] + f"\\x{ord(found[0][-1]):02x}", text)


def _shown(text: str) -> Iterator[str]:
    """Each character, or the escape by which Python writes it."""
    accents = _MOST_ACCENTS  # none without a letter
    for character in text:
        if character.isascii():  # nearly all
            accents = _MOST_ACCENTS if character == " " else 0
            yield character if character.isprintable() else _escape(character)
            continue
        is_accent = unicodedata.category(character)[0] == "M"
        accents = accents + 1 if is_accent else _MOST_ACCENTS if character == " " else 0
        yield character if is_printable(character) and accents <= _MOST_ACCENTS else _escape(character)


def _escape(character: str) -> str:
    code = ord(character)
    short = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
    digits = f"x{code:02x}" if code < 0x100 else f"u{code:04x}" if code < 0x10000 else f"U{code:08x}"
    return short.get(character, f"\\{digits}")


def valid(text: str) -> str:
    r"""``text`` as valid Unicode: bytes of a file name that are no UTF-8, which Python gives as surrogates, are replaced.

    >>> valid("a\udcff.pt") == "a\N{REPLACEMENT CHARACTER}.pt"
    True
    """
    return text if text.isascii() else _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def quoted(name: str) -> str:
    """A name in a sentence: printable, shortened if it is very long, in quotes unless it can be taken for nothing but a name.

    >>> len(quoted("a key " * 1000))
    402
    >>> print(quoted("runs/silu-11.pt"), quoted("PASS"), quoted("a.pt; PASS: none of 3 regressed"))
    runs/silu-11.pt "PASS" "a.pt; PASS: none of 3 regressed"
    """
    shown = _without_middle(printable(name), _LONGEST_QUOTED)
    return shown if _NAME.fullmatch(shown) and not shown.isupper() else '"' + shown.replace('"', r"\"") + '"'


def clipped(text: str, *, word: int = 120, longest: int = 4000) -> str:
    """A text for readers: words of more than ``word`` characters leave out their middle, and so does all of it.

    >>> clipped("the key " + "layer." * 1000 + "weight", word=24)
    'the key layer.layer…layer.weight'
    """
    if len(text) <= word:
        return text
    return _without_middle(re.sub(rf"\S{{{word + 1},}}", lambda found: _without_middle(found[0], word), text), longest)


def _without_middle(text: str, longest: int) -> str:
    ahead = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:ahead]}…{text[len(text) - (longest - 1 - ahead) :]}"


def percent(share: float) -> str:
    """A share in percent, with the two decimals of the tables.

    >>> percent(0.98)
    '98.00 %'
    """
    return f"{100 * share:.2f} %"


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """A number with its noun, in the singular or the plural (by default with an s).

    >>> counted(1, "image"), counted(2, "image"), counted(0, "pass", "passes")
    ('1 image', '2 images', '0 passes')
    """
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def assumptions(statements: Iterable[str]) -> str:
    """A sentence for what neither files nor flags said; empty if there was nothing to assume.

    >>> assumptions(["normalization none"]), assumptions([])
    ('Assumed, as neither files nor flags say it: normalization none.', '')
    """
    listed = "; ".join(dict.fromkeys(statements))
    return f"Assumed, as neither files nor flags say it: {listed}." if listed else ""


def some(names: Sequence[str]) -> str:
    """Names for a message, quoted where needed: all of up to three, otherwise the first and how many others.

    >>> some(["a", "b"]), some(["a", "b", "c", "d"])
    ('a, b', 'a and 3 others')
    """
    return ", ".join(map(quoted, names)) if len(names) < 4 else f"{quoted(names[0])} and {len(names) - 1} others"
