"""What the commands say of themselves: nothing is cut, everything is in a panel, and nothing heavy is imported for it."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import typer.main

from robustbench_la import cli
from robustbench_la.cli.commands import COMMANDS

GROUP: Any = typer.main.get_command(cli.app)


def shown(*words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command prints on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")  # typer's own
    monkeypatch.setattr(sys, "argv", ["larobust", *words])
    assert cli._run() == 0
    return capsys.readouterr().out


def test_the_overview_cuts_no_command_short(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown("--help", monkeypatch=monkeypatch, capsys=capsys).splitlines()

    for name, entry in COMMANDS.items():
        assert [line for line in lines if re.search(rf"│ {name} +{re.escape(entry.summary)} +│", line)], name
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_ends_its_help_with_an_example(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(name, "--help", monkeypatch=monkeypatch, capsys=capsys).strip().splitlines()

    assert lines[-1].strip().startswith(f"Example: larobust {name}")
    assert all(len(line) <= 80 for line in lines)
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_is_in_a_panel_and_has_a_help_text(name: str) -> None:
    for option in GROUP.commands[name].params:
        assert option.help, option.name
        if option.param_type_name == "option" and option.name != "help":
            assert option.rich_help_panel, option.name
            assert not re.search(r"\[/?\w+\]", option.help), f"{option.name}: rich would take this for markup"


def test_one_flag_has_one_panel_and_one_short_form() -> None:
    short: dict[str, set[str]] = {}
    for command in GROUP.commands.values():
        for option in command.params:
            for flag in option.opts:
                if re.fullmatch("-[a-zA-Z]", flag):
                    short.setdefault(flag, set()).add(max(option.opts, key=len))

    assert short == {"-o": {"--output"}, "-y": {"--yes"}} | ({"-h": {"--help"}} if "-h" in short else {})


def test_alpha_is_the_level_of_significance_and_seeds_say_of_what() -> None:
    flags = {name: {flag for option in command.params for flag in option.opts} for name, command in GROUP.commands.items()}

    assert {name for name in flags if "--alpha" in flags[name]} == {"check"}
    assert not any("--seed" in own for own in flags.values())
    assert {name for name in flags if "--training-seed" in flags[name]} == {"train"}


def test_the_overview_imports_neither_torch_nor_the_commands() -> None:
    code = (
        "import sys; sys.argv = ['larobust', '--help']; from robustbench_la.cli import _run; assert _run() == 0; "
        "assert not {'torch', 'numpy', 'pydantic', 'rich.markdown', 'robustbench_la.cli.evaluate'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_imports_no_torch(name: str) -> None:
    code = (
        f"import sys; sys.argv = ['larobust', {name!r}, '--help']; from robustbench_la.cli import _run; assert _run() == 0; "
        "assert not {'torch', 'numpy', 'scipy', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_the_package_is_the_command_and_a_capital_v_is_the_version() -> None:
    for words in (["-V"], ["--version"]):
        done = subprocess.run([sys.executable, "-m", "robustbench_la", *words], capture_output=True, text=True, check=False)

        assert (done.returncode, done.stdout) == (0, "larobust 0.1.0\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "robustbench_la", "--show-completion", shell], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "_LAROBUST_COMPLETE" in done.stdout


def test_commands_and_flags_are_completed() -> None:
    def completed(words: str, number: int) -> list[str]:
        environment = {"_LAROBUST_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(number), "PATH": ""}
        done = subprocess.run(
            [sys.executable, "-m", "robustbench_la"], env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.split()

    assert completed("larobust ba", 1) == ["baseline"]
    assert "--noise-seed" in completed("larobust eval --noise", 2)
    assert completed("larobust eval --noise gaussian,p", 3) == ["gaussian,paper", "gaussian,pixelate", "gaussian,poisson"]
    assert completed("larobust compare --activation la", 3) == ["la_hardsilu", "la_silu"]
    assert "resnet20" in completed("larobust train --arch r", 3)
    assert completed("larobust plot s", 2) == ["scatter", "severity"]


@pytest.mark.parametrize("name", COMMANDS)
def test_no_help_shows_a_type_of_python(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(name, "--help", monkeypatch=monkeypatch, capsys=capsys)

    assert "<bool>" not in text
    assert "<str>" not in text


def test_the_help_of_train_names_its_defaults(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(shown("train", "--help", monkeypatch=monkeypatch, capsys=capsys).replace("│", " ").split())

    assert all(f"(default {value})" in text for value in ("30", "0.05", "128", "11"))
    assert "digits (default)" in text
    assert "partial" not in text


def test_the_overview_takes_well_under_half_a_second() -> None:
    """Processor time, which a busy machine changes less than time on the clock; the best of three."""
    code = "import resource, sys; sys.argv = ['larobust', '--help']; from robustbench_la.cli import _run; assert _run() == 0; "
    code += "used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_utime + used.ru_stime, file=sys.stderr)"
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr) for _ in range(3)
    ]

    assert min(seconds) <= 0.4
