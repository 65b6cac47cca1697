"""Griffe extension: doctests and Sphinx roles in docstrings become Markdown, so that the Python reference shows them as code."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Doctests(griffe.Extension):
    """Rewrites docstrings as they are read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Fence the doctests of a function or class."""
        _fence(obj)

    def on_module_members(self, *, mod: griffe.Module, **_: Any) -> None:
        """Fence those of a module, whose docstring is read after its members."""
        _fence(mod)


def _fence(documented: griffe.Object) -> None:
    """Doctests become code blocks; ``:func:`name` `` becomes ``name``."""
    if documented.docstring is None or "```" in documented.docstring.value:
        return
    text = re.sub(r":\w+:(`[^`]+`)", r"\1", documented.docstring.value)
    documented.docstring.value = re.sub(r"^>>> .*(?:\n.+)*", r"```pycon\n\g<0>\n```", text, flags=re.MULTILINE)
