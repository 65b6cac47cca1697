"""What a file names is not run: plans, tables, names of checkpoints and baselines need the same words from the user."""

from __future__ import annotations

import os
import pickle
import subprocess
from pathlib import Path

import pytest
import torch
from fuzzing import Outcome, larobust

import robustbench_la as la
from robustbench_la.errors import UserError
from robustbench_la.measuring.provenance import _git

ON = ["--data", "digits", "--limit", "8", "--noise", "clean", "--no-store"]
CODE = """from pathlib import Path
import torch
Path("was-run").touch()
def net(classes):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, classes))
def images(image):
    return torch.zeros(1, 8, 8)
"""


class Runs:
    """What a pickle of it does when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("was-run", "w")


@pytest.fixture(autouse=True)
def _downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder from elsewhere, in which larobust is started."""
    monkeypatch.chdir(tmp_path)
    Path("theirs.py").write_text(CODE)
    torch.save({"1.weight": torch.zeros(10, 64), "1.bias": torch.zeros(10)}, "net.pt")
    torch.save({"1.weight": torch.zeros(10, 64), "1.bias": torch.zeros(10)}, "theirs:net.pt")
    Path("pickled.pt").write_bytes(pickle.dumps(Runs()))
    Path("nets.csv").write_text("path,arch\nnet.pt,theirs.py:net\n")
    Path("two.csv").write_text("path,arch\nnet.pt,theirs.py:net\npickled.pt,others.py:net\n")
    Path("nets.yaml").write_text("- {path: net.pt, arch: 'theirs:net'}\n")
    Path("quickstart").write_text("{data: digits, arch: 'theirs.py:net', activation: relu, train: {epochs: 1}}")


def was_run() -> bool:
    return Path("was-run").exists()


def with_plan(text: str, *words: str) -> Outcome:
    Path("plan.yaml").write_text(text)
    return larobust(words[0], "--config", "plan.yaml", *words[1:])


@pytest.mark.parametrize("command", ["eval", "fluctuation", "baseline"])
@pytest.mark.parametrize(
    ("text", "ckpt", "flag"),
    [
        ("arch: theirs.py:net", "net.pt", "--arch theirs.py:net"),
        ("arch: theirs:net", "net.pt", "--arch theirs:net"),
        ("arch: 'a b.py:net'", "net.pt", "--arch 'a b.py:net'"),
        ("preprocess: theirs.py:images", "net.pt", "--preprocess theirs.py:images"),
        ("trust_file: true", "pickled.pt", "--trust-file"),
        ("trust_file: 'on'", "pickled.pt", "--trust-file"),
    ],
)
def test_a_plan_alone_runs_no_code(command: str, text: str, ckpt: str, flag: str) -> None:
    outcome = with_plan(text, command, "--ckpt", ckpt, "--data", "digits", "--limit", "8")

    assert outcome.code == 2
    assert outcome.stderr.endswith(f"allow that with {flag}\n")
    assert not was_run()


def test_a_plan_runs_the_code_that_the_user_names_too() -> None:
    outcome = with_plan("arch: theirs.py:net", "eval", "--ckpt", "net.pt", *ON, "--arch", "theirs.py:net")

    assert outcome.code == 0, outcome.stderr
    assert was_run()


def test_a_plan_cannot_allow_its_own_code() -> None:
    outcome = with_plan("{checkpoints: nets.csv, allow_code: 'theirs.py:net'}", "eval", *ON)

    assert outcome.code == 2
    assert "give --allow-code" in outcome.stderr
    assert not was_run()


def test_a_training_plan_runs_no_code() -> None:
    outcome = with_plan("{arch: 'theirs.py:net', activation: relu, train: {epochs: 1}}", "train", "-o", "new.pt")

    assert outcome.code == 2
    assert outcome.stderr.endswith("allow that with --arch theirs.py:net\n")
    assert not was_run()


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (["--ckpt-table", "nets.csv"], "--arch theirs.py:net"),
        (["--ckpt-table", "nets.yaml"], "--arch theirs:net"),
        (["--ckpt", "two.csv"], "--allow-code theirs.py:net --allow-code others.py:net"),
        (["--ckpt", "{arch}:net.pt", "--arch", "cnn"], ""),
        (["--ckpt", "theirs{label}.pt", "--ckpt", "nets.csv"], "--allow-code theirs.py:net"),
    ],
)
def test_what_tables_and_names_say_runs_no_code(words: list[str], flags: str) -> None:
    outcome = larobust("eval", *words, *ON)

    assert outcome.code == 2
    assert outcome.stderr.endswith(f"allow that with {flags}\n" if flags else "\n")
    assert not was_run()


def test_the_name_of_a_file_runs_no_code() -> None:
    Path("folder").mkdir()
    Path("theirs:net.pt").rename("folder/theirs:net.pt")
    outcome = larobust("eval", "--ckpt", "folder/{arch}.pt", *ON)

    assert outcome.code == 2
    assert outcome.stderr.startswith("larobust: its name: an architecture is the code theirs:net, ")
    assert outcome.stderr.endswith("allow that with --arch theirs:net\n")
    assert not was_run()


def test_a_table_runs_the_code_that_the_user_allows() -> None:
    outcome = larobust("eval", "--ckpt-table", "nets.csv", "--allow-code", "theirs.py:net", *ON)

    assert outcome.code == 0, outcome.stderr
    assert was_run()


def test_quickstart_takes_no_plan_from_the_working_folder() -> None:
    larobust("quickstart", "--output", "net.pt/not-a-folder")

    assert not was_run()


def test_in_python_the_argument_allows_what_the_file_names() -> None:
    with pytest.raises(UserError, match=r"allow that with arch=\"theirs\.py:net\""):
        la.evaluate("nets.csv", "digits", noise="clean", limit=8)
    assert not was_run()

    la.evaluate("nets.csv", "digits", noise="clean", limit=8, allow_code="theirs.py:net")
    assert was_run()


def test_a_baseline_in_python_runs_no_code() -> None:
    recorded = (Path(__file__).parent / "baselines" / "quickstart.json").read_text()
    assert '"given": {}' in recorded
    Path("code.json").write_text(recorded.replace('"given": {}', '"given": {"arch": "theirs.py:net"}'))

    with pytest.raises(UserError, match=r"the baseline: .* allow that with arch=\"theirs\.py:net\""):
        la.check("net.pt", baseline="code.json")
    assert not was_run()


def test_results_of_code_are_read_without_it() -> None:
    assert larobust("eval", "--ckpt", "net.pt", *ON[:-1], "--arch", "theirs.py:net", "--store", "results.sqlite").code == 0
    Path("was-run").unlink()
    Path("theirs.py").write_text(f"{CODE}# edited\n")
    for command in (["compare", "--by", "checkpoint"], ["results"], ["compare", "--published", "published"]):
        larobust(*command, "--store", "results.sqlite")

    assert not was_run()


def test_asking_git_for_the_commit_runs_nothing_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository, theirs = tmp_path / "repository", tmp_path / "repository" / "hooks" / "post-index-change"
    theirs.parent.mkdir(parents=True)
    monkeypatch.chdir(repository)
    (repository / "file").write_text("text")
    settings = {
        "core.fsmonitor": theirs,
        "filter.theirs.clean": theirs,
        "filter.theirs.process": theirs,
        "core.hooksPath": "hooks",
    }
    as_somebody = ["-c", "user.name=a", "-c", "user.email=a@b"]
    commands = [
        ["init", "-q"],
        ["add", "file"],
        [*as_somebody, "commit", "-qm", "a"],
        *(["config", *map(str, one)] for one in settings.items()),
    ]
    for words in commands:
        subprocess.run(["git", *words], check=True)
    theirs.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\ncat\n")
    theirs.chmod(0o755)
    (repository / ".gitattributes").write_text("* filter=theirs\n")
    os.utime("file", (1, 1))

    asked = _git()

    assert asked is not None
    assert asked[1]  # the hook and the attributes are new
    assert not (tmp_path / "was-run").exists()
    subprocess.run(["git", "status"], capture_output=True, check=False)
    assert (tmp_path / "was-run").exists()
