"""The command line: one file per command, which reads arguments, calls the library, prints, exits; ``app`` lists them."""

from __future__ import annotations

from robustbench_la.cli.app import app
from robustbench_la.cli.exits import _run, main

__all__ = ["_run", "app", "main"]
