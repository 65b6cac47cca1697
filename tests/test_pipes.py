"""Output into a pipe whose reader has gone, as in ``larobust results | head``: silent, and no result is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from killing import Server

LAROBUST = (sys.executable, "-m", "robustbench_la")
GONE = 128 + 13
"""What a shell reports of a program that SIGPIPE has ended."""


def unread(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command whose stdout has no reader from the beginning."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            [*LAROBUST, *words],
            cwd=folder,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=300,
        )
    finally:
        os.close(writing)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, digits_pair: list[Path], processes: Server) -> Path:
    """A folder with a checkpoint, a store of accuracies and fluctuations, and a baseline."""
    folder = tmp_path_factory.mktemp("piped")
    shutil.copy(digits_pair[1], folder / "model.pt")
    noise = ("--ckpt", "model.pt", "--noise", "gaussian", "--severity", "1,2", "--limit", "60", "--device", "cpu")
    for words in (("eval", *noise), ("fluctuation", *noise), ("baseline", *noise)):
        assert processes.run(folder / "log", *words) == 0, (folder / "log.err").read_text()
    return folder


@pytest.mark.parametrize("words", [
    "--help", "eval --help", "--version", "list corruptions", "list datasets --json", "results", "results --detail",
    "results --json", "results --csv", "compare --by checkpoint", "compare --by checkpoint --format csv",
    "compare --by checkpoint --format html", "check --results runs/results.sqlite",
])  # fmt: skip
def test_what_nobody_reads_ends_silently(project: Path, words: str) -> None:
    done = unread(*words.split(), folder=project)

    assert (done.returncode, [line for line in done.stderr.splitlines() if "larobust" in line or "Traceback" in line]) == (
        GONE,
        [],
    )


@pytest.mark.parametrize("both", [False, True])
def test_a_measurement_that_nobody_reads_is_finished_and_written(
    project: Path, processes: Server, tmp_path: Path, both: bool
) -> None:
    shutil.copy(project / "model.pt", tmp_path)
    words = ("--ckpt", "model.pt", "--noise", "gaussian", "--severity", "1", "--limit", "20", "--device", "cpu")
    for command in (("eval", *words, "-o", "report.json"), ("fluctuation", *words, "-o", "layers.json", "--plot", "layers.png")):
        code = processes.run(tmp_path / "log", *command, unread=(1, 2) if both else (1,))
        said = (tmp_path / "log.err").read_text()
        assert (code, "Traceback" in said) == (GONE, False), said

    written = {path.name for path in tmp_path.iterdir() if not path.name.startswith("log")}
    assert written == {"model.pt", "runs", "report.json", "layers.json", "layers.png"}


def test_a_shell_sees_the_usual_code_of_a_program_before_head(project: Path) -> None:
    command = f"set -o pipefail; {sys.executable} -m robustbench_la results --csv | true"
    done = subprocess.run(["bash", "-c", command], cwd=project, capture_output=True, text=True, check=False)

    assert done.returncode in (0, GONE)  # 0 where all was in the pipe before `true` left
    assert done.stderr == ""


def test_mistakes_keep_their_exit_code_where_nobody_reads(project: Path) -> None:
    assert unread("results", "--noise", "fog_of_war", folder=project).returncode == 2
    assert unread("results", "--noise", "blur", folder=project).returncode == 5
    assert unread("check", "--baseline", "none.json", "--ckpt", "model.pt", folder=project).returncode == 4


@pytest.mark.parametrize("words", ["list corruptions", "results"])
def test_a_stdout_that_is_closed_is_no_error(project: Path, words: str) -> None:
    command = f"{sys.executable} -m robustbench_la {words} >&-"
    done = subprocess.run(["bash", "-c", command], cwd=project, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
