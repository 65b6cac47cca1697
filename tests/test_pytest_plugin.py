"""The pytest plugin, in a project of its own with a pytest run of its own."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Protocol

import pytest
from killing import Server

ROOT = Path(__file__).parent.parent
BASELINES = Path(__file__).parent / "baselines"


@pytest.fixture
def project(tmp_path: Path, digits_pair: list[Path]) -> Path:
    """A small project with a test of its own, two models, and a baseline of the first."""
    from robustbench_la.gate import baseline
    from robustbench_la.measuring import for_gate, session
    from robustbench_la.records.plan_file import read_plan

    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_own.py").write_text("def test_own():\n    pass\n")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\ntestpaths = ['tests']\nfilterwarnings = ['error']\n")
    shutil.copy(digits_pair[0], tmp_path / "model.pt")
    shutil.copy(digits_pair[1], tmp_path / "other.pt")
    plan = {"checkpoints": [str(tmp_path / "model.pt")], "noise": ["gaussian_noise=0.3", "blur=1"], "limit": 200}
    ready = for_gate.prepared(session.prepare_evaluation(read_plan(None, plan)))
    measured = for_gate.measure_snapshot(ready, fluctuation=False, said={})
    baseline.write_baseline(tmp_path / "robustness-baseline.json", measured)
    return tmp_path


class Run(Protocol):
    """Runs pytest in a project."""

    def __call__(self, project: Path, *words: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def run(processes: Server) -> Run:
    """pytest with the plugin, in a process in which torch is there already."""

    def done(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
        log = project / "log"
        code = processes.run(log, *plugin(), *words, program="pytest")
        out, err = (Path(f"{log}.{name}").read_text() for name in ("out", "err"))
        return subprocess.CompletedProcess(words, code, out, err)

    return done


def plugin() -> list[str]:
    """The plugin as its entry point brings it where it is installed."""
    installed = importlib.metadata.entry_points(group="pytest11", name="larobust")
    return [] if installed else ["-p", "robustbench_la.pytest_plugin"]


def run_alone(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """pytest as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugin(), *words],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_entry_point_names_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["entry-points"]["pytest11"] == {"larobust": "robustbench_la.pytest_plugin"}


def test_one_test_a_condition_passes_for_the_same_checkpoint(project: Path) -> None:
    done = run_alone(project, "-v", "--larobust-baseline", "robustness-baseline.json", "--larobust-ckpt", "model.pt")

    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout
    for name in ("clean", "gaussian_noise=0.3", "gaussian_blur=1", "mean corr."):
        assert f"robustness-baseline.json::{name} PASSED" in done.stdout


def test_a_regression_is_a_failure_of_a_line(run: Run, project: Path) -> None:
    words = ["--larobust-baseline", "robustness-baseline.json", "--larobust-ckpt", "other.pt"]
    done = run(project, *words, "--larobust-max-drop", "0", "--larobust-alpha", "1", "-k", "not own")

    assert done.returncode == 1
    assert "accuracy fell from" in done.stdout
    assert "Traceback" not in done.stdout
    assert "1 deselected" in done.stdout


def test_any_option_asks_for_the_gate_with_the_baseline_of_the_usual_name(run: Run, project: Path) -> None:
    done = run(project, "--larobust-ckpt", "model.pt", "-k", "gaussian")

    assert done.returncode == 0, done.stdout
    assert "collected 5 items / 3 deselected / 2 selected" in done.stdout
    assert "2 passed" in done.stdout


def test_what_is_inconclusive_is_skipped_and_with_strict_fails(run: Run, project: Path) -> None:
    words = ["--larobust-baseline", "robustness-baseline.json", "--larobust-ckpt", "other.pt", "--larobust-max-drop", "0"]
    loose = run(project, *words, "--larobust-alpha", "1e-30", "-rs")
    strict = run(project, *words, "--larobust-alpha", "1e-30", "--larobust-strict")

    assert (loose.returncode, strict.returncode) == (0, 1)
    assert "may be chance" in loose.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--larobust-baseline", "none.json", "--larobust-ckpt", "model.pt"], "there is no baseline"),
        (["--larobust-baseline", "robustness-baseline.json"], "--larobust-ckpt or --larobust-results"),
        (["--larobust-baseline", "robustness-baseline.json", "--larobust-ckpt", "x", "--larobust-alpha", "much"], "'much'"),
        (["--larobust-ckpt", "model.pt", "--larobust-max-rise", "fluctuation:1%"], "--max-rise fluctuation: nothing of that"),
    ],
)
def test_a_mistake_is_a_usage_error_of_pytest(run: Run, project: Path, words: list[str], said: str) -> None:
    done = run(project, *words)

    assert done.returncode == 4
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_every_option_of_check_that_says_what_is_judged_is_an_option_here_and_in_the_configuration_file(
    pytestconfig: pytest.Config,
) -> None:
    """The reports are pytest's own."""
    import typer.main

    from robustbench_la import pytest_plugin
    from robustbench_la.cli import app

    command: Any = typer.main.get_command(app)
    names = {option.opts[0].removeprefix("--") for option in command.commands["check"].params}
    assert pytest_plugin.OPTIONS.keys() == names - {"help", "junit", "summary", "json"}
    parser = pytest.Parser(_ispytest=True)
    pytest_plugin.pytest_addoption(parser)
    given = [
        word
        for name, option in pytest_plugin.OPTIONS.items()
        for word in (f"--larobust-{name}", *["7"] * (option.kind != "switch"))
    ]
    known = vars(parser.parse_known_args(given))
    for name, option in pytest_plugin.OPTIONS.items():
        expected: object = {"text": "7", "words": ["7"], "switch": True}[option.kind]
        assert known[f"larobust_{name.replace('-', '_')}"] == expected
        assert f"larobust_{name.replace('-', '_')}" in parser._inidict


INI = """[tool.pytest.ini_options]
testpaths = ["tests"]
larobust_ckpt = "model.pt"
larobust_noise = ["gaussian"]
larobust_max_drop = ["0.5", "gaussian_noise=0.3:2"]
larobust_strict = true
"""
FIXTURE = """
def test_gate(robustness_gate):
    result = robustness_gate()
    assert result.passed
    assert result.verdict.rules.drop * 2 == 1


def test_worse(robustness_gate):
    robustness_gate("other.pt", max_drop=0, alpha=1)


def test_unclear(robustness_gate):
    robustness_gate("other.pt", max_drop=0, alpha=1e-30, strict=False)
"""


def test_the_fixture_judges_a_network_in_a_test_of_ones_own_by_the_configuration_file(run: Run, project: Path) -> None:
    (project / "pyproject.toml").write_text(INI)
    (project / "tests" / "test_own.py").write_text(FIXTURE)
    done = run(project, "-rs", "-v")

    outcomes = [line.split()[1] for line in done.stdout.splitlines() if "test_own.py::" in line and "%]" in line]
    assert outcomes == ["PASSED", "FAILED", "SKIPPED"], done.stdout
    assert "RegressionError: gaussian_noise=0.3: accuracy fell from" in done.stdout
    assert "inconclusive: gaussian_noise=0.3: accuracy fell from" in done.stdout


def test_other_options_alone_are_for_the_fixture(run: Run, project: Path) -> None:
    """Nothing is collected beside the test, which gets them; without a model or a checkpoint, results are refused."""
    (project / "tests" / "test_own.py").write_text(
        "def test_gate(robustness_gate):\n    assert robustness_gate('model.pt').strict\n\n\n"
        "def test_first(robustness_gate):\n    robustness_gate('model.pt', baseline='none.json')\n\n\n"
        "def test_results(robustness_gate):\n    robustness_gate()\n"
    )
    options = "larobust_results = 'x.sqlite'\nlarobust_allow_missing_baseline = true\n"
    (project / "pyproject.toml").write_text("[tool.pytest.ini_options]\ntestpaths = ['tests']\n" + options)
    done = run(project, "--larobust-strict", "-v", "-rs")

    outcomes = [line.split()[1] for line in done.stdout.splitlines() if "test_own.py::" in line and "%]" in line]
    assert outcomes == ["PASSED", "SKIPPED", "FAILED"], done.stdout
    assert "collected 3 items" in done.stdout
    assert "there is no baseline yet: none.json" in done.stdout
    assert "robustness_gate measures, so larobust_results would have no effect" in done.stdout


def test_an_option_of_zero_is_an_option(run: Run, project: Path) -> None:
    done = run(project, "--larobust-ckpt", "model.pt", "--larobust-layeract-alpha", "0", "-k", "clean")

    assert done.returncode == 1
    assert "alpha" in done.stdout


def test_the_configuration_file_may_ask_for_the_tests_of_the_baseline(run: Run, project: Path) -> None:
    (project / "pyproject.toml").write_text(INI + "larobust_collect = true\n")
    done = run(project, "-v")

    assert done.returncode == 0, done.stdout
    assert "robustness-baseline.json::gaussian_noise=0.3 PASSED" in done.stdout
    assert "2 passed" in done.stdout


def test_without_a_baseline_nothing_is_judged_where_that_is_allowed(run: Run, project: Path) -> None:
    done = run(project, "--larobust-baseline", "none.json", "--larobust-ckpt", "model.pt", "--larobust-allow-missing-baseline")

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_not_asked_for_it_imports_nothing_and_changes_nothing(project: Path) -> None:
    (project / "tests" / "test_own.py").write_text(
        "import sys\n\ndef test_own():\n    assert not {'torch', 'numpy', 'robustbench_la.gate.judge'} & set(sys.modules)\n"
    )
    done = run_alone(project)

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_a_baseline_runs_no_code_and_says_which_option_allows_it(run: Run, project: Path) -> None:
    recorded = project / "robustness-baseline.json"
    recorded.write_text(recorded.read_text().replace('"given": {}', '"given": {"arch": "theirs.py:net"}'))
    (project / "theirs.py").write_text("open('was-run', 'w')\n")
    done = run(project, "--larobust-ckpt", "other.pt")

    assert done.returncode == 1
    assert "allow that with --larobust-arch theirs.py:net" in " ".join(done.stdout.split())
    assert not (project / "was-run").exists()
