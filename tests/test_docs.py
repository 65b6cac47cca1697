"""What the README and the documentation show exists: commands, flags, files, links. The pages: `mkdocs build --strict`."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

import robustbench_la
from robustbench_la.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PLANS = sorted((ROOT / "configs").glob("*.yaml"))


def _commands(path: Path) -> list[str]:
    """The larobust commands in a page's code blocks, or in a plan's comments."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":
        return re.findall(r"^# (larobust .*)$", text, re.MULTILINE)
    blocks = "\n".join(re.findall(r"^```(?:console|text|)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
    return re.findall(r"^(?:\$ )?(larobust .*)$", blocks, re.MULTILINE)


@pytest.mark.parametrize("path", [*PAGES, *PLANS], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_shown_exists_and_takes_its_flags(path: Path) -> None:
    group: Any = typer.main.get_command(app)

    for line in _commands(path):
        name, *words = shlex.split(line, comments=True)[1:]
        command = group if name.startswith("-") else group.commands[name]
        known = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)} | {"--help", "-h"}
        flags = {word.split("=")[0] for word in (name, *words) if re.match(r"-[a-zA-Z-]", word)}
        assert flags <= known, line


def test_the_readme_is_short_and_its_two_commands_stand_alone() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 110
    assert "pip install . && larobust quickstart" in lines
    assert "pip install '.[test]' && pytest" in lines


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_to_files(name: str) -> None:
    links = re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (ROOT / link).exists()]

    assert links
    assert not broken


def test_the_contributors_page_names_files_that_exist() -> None:
    text = (ROOT / "docs" / "contributing" / "adding.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:robustbench_la|corruptions|configs|tests)/[^`]*)`", text)
    missing = [path for path in named if not (ROOT / path).exists()]

    assert named
    assert not missing


def test_the_python_reference_has_every_public_name() -> None:
    text = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^::: robustbench_la\.(\w+)$", text, re.MULTILINE))

    assert named == set(robustbench_la.__all__) - {"__version__"}


def test_pages_are_made_from_the_program() -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("nbclient")
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    wanted = {name for path in PAGES for name in re.findall(r"<!-- made: (\w+) -->", path.read_text(encoding="utf-8"))}

    assert wanted == set(hooks.MADE)
    for made in (*hooks.MADE.values(), hooks.command_line, hooks.names, hooks.every_file):
        assert made().strip()
