"""What fuzz tests need before the first input: everything imported, so that no input pays for it in time and memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing import larobust


@pytest.fixture(scope="session", autouse=True)
def _everything_is_imported(digits_pair: list[Path]) -> None:
    larobust("eval", "--ckpt", str(digits_pair[0]), "--noise", "paper", "--limit", "20", "--format", "json")
    larobust("fluctuation", "--ckpt", str(digits_pair[0]), "--noise", "gaussian", "--limit", "20")
    larobust("compare", "--store", "absent.sqlite")
