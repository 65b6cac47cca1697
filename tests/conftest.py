"""What the tests share: options, golden files, a small trained checkpoint."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import fuzzing
import pytest
from commands import Larobust
from killing import Server

from robustbench_la import cli

# Small networks gain nothing from threads, and threads that wait for each other on a busy machine cost minutes. Tests about
# threads set their number themselves.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")
    parser.addoption("--update-golden", action="store_true", help="write what the golden tests see, for review in git diff")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--slow"):
        fuzzing.inputs = 10_000


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs --slow"))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with tests/golden/NAME."""

    def check(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")

        assert text == path.read_text(encoding="utf-8")

    return check


@pytest.fixture
def larobust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Larobust:
    """Run a command in a folder of its own: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["larobust", *map(str, arguments)])
        code = cli._run()
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture(scope="session")
def digits_pair(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Checkpoints of cnn on digits, two epochs, with la_silu and silu."""
    from robustbench_la.records.plan_file import read_plan
    from robustbench_la.training import train
    from robustbench_la.training.jobs import prepare_jobs

    folder = tmp_path_factory.mktemp("digits")
    flags = {"arch": "cnn", "activation": ["la_silu", "silu"], "train": {"epochs": 2, "lr": 0.05}}
    jobs = prepare_jobs(read_plan(None, flags), str(folder / "{activation}.pt"))
    return [train.train(job).path for job in jobs]


@pytest.fixture(scope="session")
def processes() -> Iterator[Server]:
    """Runs programs in processes of their own, without importing torch again in each."""
    server = Server()
    yield server
    server.close()
