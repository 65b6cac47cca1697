"""Processes of `larobust` and pytest that a test starts, and may kill, and what they leave in a store."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from robustbench_la.store.store import Store


class Server:
    """A process that runs programs in children of its own, which spares each the import of torch."""

    def __init__(self) -> None:
        script = Path(__file__).parent / "eval_server.py"
        self.process = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def _ask(self, *words: object) -> int:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return int(self._answer())

    def start(self, log: Path, *words: str, program: str = "larobust", unread: Sequence[int] = ()) -> int:
        """The child's process id. It runs in the folder of ``log``, and writes ``log``.out and ``log``.err.

        Args:
            log: Gets a line for every cell that the child begins to measure.
            words: Of the command.
            program: ``larobust`` or ``pytest``.
            unread: Which streams go into a pipe without a reader, 1 or 2.
        """
        return self._ask("run", str(log), program, list(unread), *words)

    def wait(self, child: int) -> int:
        return self._ask("wait", child)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=60)
        assert self.process.stdout
        self.process.stdout.close()

    def run(self, log: Path, *words: str, program: str = "larobust", unread: Sequence[int] = ()) -> int:
        """The exit code of the child that ``start`` starts."""
        return self.wait(self.start(log, *words, program=program, unread=unread))


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
