"""What some networks of a group were measured under and others were not, as one error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from robustbench_la.errors import UserError

_LISTED = 6
"""Gaps that an error lists."""


def require_complete(title: str, gaps: Mapping[str, Sequence[object]], *, remedy: str) -> None:
    """Refuse a group with gaps.

    Args:
        title: of the group.
        gaps: checkpoint -> what it was not measured under; checkpoints without gaps may be left out.
        remedy: what to do about it.

    Raises:
        UserError: naming the gaps of the first checkpoint that has any.

    >>> require_complete("mlp on digits", {"a.pt": []}, remedy="measure that")
    """
    found = {checkpoint: missing for checkpoint, missing in gaps.items() if missing}
    if not found:
        return
    checkpoint, missing = next(iter(found.items()))
    names = ", ".join(map(str, missing[:_LISTED])) + (f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else "")
    others = f", and {len(found) - 1} other{'s have' if len(found) > 2 else ' has'} gaps too" if len(found) > 1 else ""
    raise UserError(f"{title}: not all measured; {checkpoint} lacks {names}{others}; {remedy}")
