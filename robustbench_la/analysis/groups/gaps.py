"""One error for missing cells: what some networks of a group were measured under and others were not."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_la.errors import UserError

_LISTED = 6
"""The largest number of missing cells that an error lists."""


def require_complete(title: str, gaps: Sequence[tuple[str, Sequence[object]]], *, remedy: str) -> None:
    """Refuse a group with missing cells.

    Args:
        title: Title of the group.
        gaps: Each checkpoint, and what it was not measured under; names need not be unique (networks in memory share theirs).
        remedy: What to do about it, for the message.

    Raises:
        UserError: If cells are missing; lists those of the first incomplete checkpoint.

    >>> require_complete("mlp on digits", [("a.pt", [])], remedy="measure them")
    """
    incomplete = [(checkpoint, missing) for checkpoint, missing in gaps if missing]
    if not incomplete:
        return
    checkpoint, missing = incomplete[0]
    names = ", ".join(map(str, missing[:_LISTED])) + (f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else "")
    others = (
        f", and {len(incomplete) - 1} more checkpoint{'s' * (len(incomplete) > 2)} with missing cells"
        if len(incomplete) > 1
        else ""
    )
    raise UserError(f"{title}: missing cells: {names} of {checkpoint}{others}; {remedy}")
