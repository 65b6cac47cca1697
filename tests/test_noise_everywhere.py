"""Aliases, groups and custom levels are understood by every command that takes a corruption."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from robustbench_la import cli

Larobust = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, digits_pair: list[Path]) -> Path:
    """A checkpoint measured under two custom levels and one severity, inside and out, and its baseline; levels named by alias."""
    folder = tmp_path_factory.mktemp("words")
    shutil.copy(digits_pair[1], folder / "model.pt")
    noise = ["--ckpt", "model.pt", "--noise", "gaussian=0.2,0.3", "--noise", "poisson", "--severity", "5"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("eval", "fluctuation", "baseline"):
            patch.setattr(sys, "argv", ["larobust", name, *noise, "--limit", "80", "--device", "cpu"])
            assert cli._run() == 0
    return folder


@pytest.fixture
def larobust(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Larobust:
    """Run a command in a copy of the project: exit code, stdout, stderr."""
    shutil.copytree(project, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["larobust", *arguments])
        code = cli._run()
        done = capsys.readouterr()
        return code, done.out, done.err

    return run


def conditions(text: str) -> list[tuple[str, str]]:
    """Corruption and level of each line of a CSV file."""
    return [(row["corruption"], row["parameter"]) for row in csv.DictReader(text.splitlines())]


@pytest.mark.parametrize(("words", "found"), [
    ("gaussian=0.2", [("gaussian_noise", "0.2")]),
    ("gaussian=0.2,0.3", [("gaussian_noise", "0.2"), ("gaussian_noise", "0.3")]),
    ("gaussian", [("gaussian_noise", "0.2"), ("gaussian_noise", "0.3")]),
    ("clean,gaussian=0.3", [("clean", ""), ("gaussian_noise", "0.3")]),
    ("poisson", [("shot_noise", "50")]),
])  # fmt: skip
def test_results_are_filtered_by_the_words_of_eval(larobust: Larobust, words: str, found: list[tuple[str, str]]) -> None:
    code, out, _ = larobust("results", "--noise", words, "--csv")

    assert (code, conditions(out)) == (0, found)


def test_a_level_that_was_not_measured_selects_nothing(larobust: Larobust) -> None:
    for command in (("results",), ("compare", "--by", "checkpoint"), ("plot", "layers", "-o", "x.png"), ("forget", "--yes")):
        code, out, err = larobust(*command, "--noise", "gaussian=0.25")

        assert (code, out) == (5, ""), err
        assert len(err.strip().splitlines()) == 1


def test_compare_plot_and_forget_take_a_level_by_its_alias(larobust: Larobust) -> None:
    code, out, _ = larobust("compare", "--by", "checkpoint", "--noise", "clean,gaussian=0.2", "--format", "csv")
    assert code == 0
    assert "gaussian_noise" in out
    assert "shot_noise" not in out

    assert larobust("plot", "layers", "--noise", "gaussian=0.2", "-o", "layers.svg")[0] == 0
    assert Path("layers.svg").is_file()

    assert larobust("forget", "--noise", "gaussian=0.2", "--yes")[0] == 0
    assert conditions(larobust("results", "--csv")[1]) == [("clean", ""), ("gaussian_noise", "0.3"), ("shot_noise", "50")]


def test_check_judges_the_levels_that_are_named_by_alias(larobust: Larobust) -> None:
    store = ("--results", "runs/results.sqlite")
    code, out, err = larobust("check", *store, "--noise", "gaussian=0.2", "--noise", "poisson", "--json")
    assert code == 0, err
    judged = [one["name"] for one in json.loads(out)["judgements"]]
    assert judged[:2] == ["gaussian_noise=0.2", "shot_noise 5"]

    rules = ("--max-drop", "poisson:2", "--max-drop", "gaussian=0.2:1", "--max-drop", "noise:3")
    assert larobust("check", *store, *rules)[0] == 0
    code, _, err = larobust("check", *store, "--max-drop", "gaussian=0.25:1")
    assert code == 2
    assert "nothing of that name is judged" in err


def test_a_plan_and_its_update_take_aliases(larobust: Larobust) -> None:
    Path("plan.yaml").write_text("noise: [gaussian=0.2, gaussian_blur]\nseverity: 1\nlimit: 40\n")
    assert larobust("eval", "--config", "plan.yaml", "--ckpt", "model.pt", "--no-store", "--device", "cpu")[0] == 0

    code, _, err = larobust("baseline", "--update", "--ckpt", "model.pt", "--noise", "gaussian=0.3", "--device", "cpu")
    assert code == 0, err
    kept = json.loads(Path("robustness-baseline.json").read_text())["conditions"]
    assert [(one["corruption"], one["parameters"]) for one in kept] == [("clean", []), ("gaussian_noise", [0.3])]
