"""Shows the ratios that the benchmarks found."""

from __future__ import annotations

import pytest

FOUND: list[str] = []


@pytest.fixture
def told() -> list[str]:
    """Lines for the end of the run."""
    return FOUND


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FOUND:
        terminalreporter.section("ratios within this run")
        for line in FOUND:
            terminalreporter.write_line(line)
