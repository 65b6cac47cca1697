"""The composite action: its script, as a runner would start it, with a command that says what it was given."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ACTION: dict[str, Any] = yaml.safe_load((Path(__file__).parent.parent / ".github/actions/larobust-check/action.yml").read_text())
CHECK = ACTION["runs"]["steps"][-1]


def run(folder: Path, code: int = 0, **inputs: str) -> tuple[int, list[str], str]:
    """Exit code, the words that the command got, and what the step set as its outputs."""
    command = folder / "larobust"
    command.write_text(f'#!/bin/sh\nfor word; do echo "$word"; done > {folder}/words\nexit {code}\n')
    command.chmod(0o755)
    given = {name: str(entry.get("default", "")) for name, entry in ACTION["inputs"].items()} | {
        name.replace("_", "-"): value for name, value in inputs.items()
    }
    variables = {name: given[value.removeprefix("${{ inputs.").removesuffix(" }}")] for name, value in CHECK["env"].items()}
    outputs = folder / "outputs"
    outputs.write_text("")
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", CHECK["run"]],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "GITHUB_OUTPUT": str(outputs), **variables},
        capture_output=True,
        check=False,
    )
    (folder / "printed").write_bytes(done.stdout)
    words = folder / "words"
    return done.returncode, words.read_text().splitlines() if words.exists() else [], outputs.read_text()


def test_every_input_reaches_the_script() -> None:
    named = {value.removeprefix("${{ inputs.").removesuffix(" }}") for value in CHECK["env"].values()}

    assert named | {"install"} == ACTION["inputs"].keys()


def options_of_check() -> dict[str, Any]:
    """The options of ``larobust check`` by the names that inputs have."""
    import typer.main

    from robustbench_la.cli import app

    command: Any = typer.main.get_command(app)
    options = {option.opts[0].removeprefix("--"): option for option in command.commands["check"].params}
    return {{"ckpt": "checkpoint"}.get(name, name): option for name, option in options.items() if name != "help"}


def test_there_is_an_input_for_every_option_of_check() -> None:
    assert ACTION["inputs"].keys() - {"install"} == options_of_check().keys()


def test_every_input_becomes_its_option(tmp_path: Path) -> None:
    for name, option in options_of_check().items():
        _, words, _ = run(tmp_path, **{name: "true" if option.is_flag else "7"})
        assert option.opts[0] in words, name
        if not option.is_flag:
            assert words[words.index(option.opts[0]) + 1] == "7"


def test_without_inputs_the_defaults_are_said(tmp_path: Path) -> None:
    code, words, outputs = run(tmp_path, checkpoint="model.pt")

    expected = "check --baseline robustness-baseline.json --alpha 0.05 --junit larobust-junit.xml --ckpt model.pt --max-drop 1.0"
    assert (code, words, outputs) == (0, expected.split(), "exit-code=0\n")


@pytest.mark.parametrize("drops", ["50 clean:0.5", "50\nclean:0.5", "  50\n\n  clean:0.5\n"])
def test_tolerances_are_parted_by_spaces_or_lines(tmp_path: Path, drops: str) -> None:
    _, words, _ = run(tmp_path, checkpoint="model.pt", max_drop=drops)

    assert words[-4:] == ["--max-drop", "50", "--max-drop", "clean:0.5"]


def test_filters_are_parted_like_tolerances(tmp_path: Path) -> None:
    _, words, _ = run(tmp_path, checkpoint="model.pt", noise="gaussian poisson", exchange="relu=la_silu")

    assert words[-6:] == ["--noise", "gaussian", "--noise", "poisson", "--exchange", "relu=la_silu"]


@pytest.mark.parametrize(("word", "strict"), [("true", True), ("True", True), ("TRUE", True), ("false", False), ("", False)])
def test_switches_take_any_case(tmp_path: Path, word: str, strict: bool) -> None:
    _, words, _ = run(tmp_path, checkpoint="model.pt", strict=word)

    assert ("--strict" in words) == strict


def test_a_switch_that_is_neither_is_a_mistake(tmp_path: Path) -> None:
    assert run(tmp_path, checkpoint="model.pt", strict="yes") == (2, [], "exit-code=2\n")


@pytest.mark.parametrize("code", [0, 1, 4])
def test_the_exit_code_is_the_commands_and_an_output(tmp_path: Path, code: int) -> None:
    found, _, outputs = run(tmp_path, code=code, checkpoint="model.pt")

    assert (found, outputs) == (code, f"exit-code={code}\n")


def test_what_stands_in_an_input_is_never_run(tmp_path: Path) -> None:
    _, words, _ = run(tmp_path, checkpoint="$(touch owned) `touch owned`; touch owned", max_drop="*")

    assert "$(touch owned) `touch owned`; touch owned" in words
    assert words[-1] == "*"
    assert not Path("owned").exists()


def test_no_input_is_part_of_a_script() -> None:
    steps = ACTION["runs"]["steps"]
    passed = {value for step in steps for value in step.get("env", {}).values()}

    assert not [step["run"] for step in steps if "${{" in step["run"]]
    assert {step["shell"] for step in steps} == {"bash"}  # {0} of other shells could be one more way in
    assert passed == {f"${{{{ inputs.{name} }}}}" for name in ACTION["inputs"]}


def test_a_wrong_switch_cannot_write_a_command_of_the_workflow(tmp_path: Path) -> None:
    code, words, _ = run(tmp_path, checkpoint="model.pt", strict="no\n::error::forged")

    assert (code, words) == (2, [])
    assert (tmp_path / "printed").read_text().splitlines() == ["::error title=larobust::strict is true or false"]
