"""What every fuzz test demands of the program: one line for what it refuses, no traceback, no control character, little time."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, settings

from robustbench_la import cli

inputs = 200
"""How many inputs a kind are tried; 10,000 with ``--slow`` (set by conftest.py before the tests are imported)."""
_SECONDS = 2
_GROWTH_MB = 200
_REFUSED = (2, 3, 4, 5)
"""The exit codes of what could not be done."""


def fuzz() -> settings:
    """The settings of a fuzz test: the same ``inputs`` inputs in every run, and no deadline but ours."""
    return settings(max_examples=inputs, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command did with one input."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    """Of the processor: other programs on the machine do not count."""
    growth_mb: float
    """By how much the highest memory use of the process rose."""


def larobust(*words: str) -> Outcome:
    """Run the command line in this process."""
    stdout, stderr = io.StringIO(), io.StringIO()
    before, began = _peak_mb(), time.process_time()
    with (
        mock.patch.object(sys, "argv", ["larobust", *words]),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    seconds = time.process_time() - began
    return Outcome(code=code, stdout=stdout.getvalue(), stderr=stderr.getvalue(), seconds=seconds, growth_mb=_peak_mb() - before)


def assert_harmless(outcome: Outcome) -> None:
    """Whatever the input was: no traceback, nothing that could control a terminal or a workflow, and little time and memory.

    What was refused is refused in one line.
    """
    for text in (outcome.stdout, outcome.stderr):
        assert "Traceback" not in text, text
        unprintable = [character for line in text.splitlines() for character in line if not character.isprintable()]
        assert not unprintable, (unprintable, text)
        assert not any(line.lstrip().startswith("::") for line in text.splitlines()), text
    assert outcome.code in (0, 1, *_REFUSED), outcome
    if outcome.code in _REFUSED:
        lines = [line for line in outcome.stderr.splitlines() if line.startswith("larobust: ")]
        assert len(lines) == 1, outcome.stderr
    assert outcome.seconds < _SECONDS, outcome
    assert outcome.growth_mb < _GROWTH_MB, outcome


NO_FILES = ("folder", "pipe", "device", "gigabyte", "link to itself")
"""What may be in the place of a file: ``put_no_file`` makes it."""


def put_no_file(path: Path, kind: str) -> None:
    """Make one of ``NO_FILES``."""
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "link to itself":
        path.symlink_to(path)
    else:
        path.touch()
        os.truncate(path, 2**30)


def _peak_mb() -> float:
    """The highest memory use of this process so far (Linux: ru_maxrss in KiB; macOS: in bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
