"""What tests call that run the command line in this process: the fixture ``larobust`` of conftest.py."""

from __future__ import annotations

from collections.abc import Callable

Larobust = Callable[..., tuple[int, str, str]]
"""From the words of a command to its exit code, stdout and stderr."""
