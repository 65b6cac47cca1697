"""Text: what of the outside may be shown on a terminal, in a log or in an XML file as it is, and counted things."""

from __future__ import annotations


def is_printable(text: str, *, longest: int | None = None) -> bool:
    r"""Whether a text holds nothing that could take a terminal, an XML file or a workflow's log in hand.

    Args:
        text: what came from outside.
        longest: characters that it may have.

    >>> is_printable("resnet20 (ours)"), is_printable("\x1b[2J"), is_printable("abc", longest=2)
    (True, False, False)
    """
    return text.isprintable() and (longest is None or len(text) <= longest)


def printable(text: str, mark: str = "\N{REPLACEMENT CHARACTER}") -> str:
    r"""``text`` with ``mark`` in place of each letter that is not printable.

    >>> printable("a\x1b[2Jb", "?")
    'a?[2Jb'
    """
    return text if is_printable(text) else "".join(letter if letter.isprintable() else mark for letter in text)


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number and what it counts.

    >>> counted(1, "image"), counted(2, "image"), counted(0, "pass", "passes")
    ('1 image', '2 images', '0 passes')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"
