"""Text: what may be shown unchanged on a terminal, in a log or in an XML file; and numbers with their nouns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def is_printable(text: str, *, longest: int | None = None) -> bool:
    r"""Whether a text is free of characters that could control a terminal, break an XML file or inject into a workflow's log.

    Args:
        text: Untrusted text.
        longest: The most characters it may have; None for any number.

    >>> is_printable("resnet20 (ours)"), is_printable("\x1b[2J"), is_printable("abc", longest=2)
    (True, False, False)
    """
    return text.isprintable() and (longest is None or len(text) <= longest)


def printable(text: str, mark: str = "\N{REPLACEMENT CHARACTER}") -> str:
    r"""``text`` with every character that is not printable replaced by ``mark``.

    >>> printable("a\x1b[2Jb", "?")
    'a?[2Jb'
    """
    return text if is_printable(text) else "".join(character if character.isprintable() else mark for character in text)


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
    """Names for a message: all of up to three, otherwise the first and how many others.

    >>> some(["a", "b"]), some(["a", "b", "c", "d"])
    ('a, b', 'a and 3 others')
    """
    return ", ".join(names) if len(names) < 4 else f"{names[0]} and {len(names) - 1} others"
