"""Processes of `larobust` that a test starts and kills, and what they leave in a store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from robustbench_la.store.store import Store


class Server:
    """A process that runs `larobust` in children of its own."""

    def __init__(self, folder: Path) -> None:
        script = Path(__file__).parent / "eval_server.py"
        self.process = subprocess.Popen(
            [sys.executable, str(script)], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def _ask(self, *words: object) -> int:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return int(self._answer())

    def start(self, log: Path, *arguments: str) -> int:
        return self._ask("run", str(log), *arguments)

    def wait(self, child: int) -> int:
        return self._ask("wait", child)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=60)
        assert self.process.stdout
        self.process.stdout.close()

    def run(self, log: Path, *arguments: str) -> int:
        return self.wait(self.start(log, *arguments))


def content(path: Path) -> dict[tuple[str, str, int | None], tuple[object, ...]]:
    """What is stored of each cell, without times; fails where a cell is there twice."""
    with Store(path, reading=True) as store:
        cells = [stored.cell for stored in store.cells(predictions=True)]
    found = {
        (cell.network.sha256, str(cell.condition), cell.noise_seed): (
            cell.correct,
            cell.correct_top5,
            cell.total,
            cell.nll_sum,
            cell.predictions,
            cell.calibration,
        )
        for cell in cells
    }

    assert len(found) == len(cells)
    return found
