"""The shape of the house: arrows go one way, and the reading wing needs no torch."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST_FILE, LONGEST_FUNCTION = 300, 60
"""In lines. In the Python front door alone docstrings do not count: they are the reference of 25 arguments, with an example."""
# The reading wing, and what it stands on. Which folder may import which is in pyproject.toml, for import-linter.
TORCH_FREE = [
    "errors",
    "files",
    "progress",
    "text",
    "activations",
    "other_activations",
    "records",
    "store",
    "analysis",
    "output",
    "gate",
    "cli",
    "pytest_plugin",
]


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def test_arrows_between_folders_go_one_way() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(command), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("module", TORCH_FREE)
def test_reading_needs_no_torch(module: str) -> None:
    names = [f"robustbench_la.{module}"]
    if (folder := ROOT / "robustbench_la" / module).is_dir():
        names += [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(folder.rglob("*.py"))]
    block = "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None; "
    done = subprocess.run(
        [sys.executable, "-c", f"{block}import {', '.join(names)}"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"]]
    + [[command, "--help"] for command in ("eval", "fluctuation", "train", "results", "compare", "merge", "forget", "plot")]
    + [[command, "--help"] for command in ("baseline", "check")]
    + [["results", *more, "--store", str(ROOT / "tests" / "stores" / "v1.sqlite")] for more in ([], ["--json"], ["--csv"])]
    + [["compare", "--format", form, "--store", str(ROOT / "tests" / "stores" / "v1.sqlite")] for form in ("text", "html", "csv")]
    + [["list", what] for what in ("corruptions", "activations", "architectures", "datasets")],
)
def test_help_lists_and_results_need_no_torch(arguments: list[str]) -> None:
    block = "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None; "
    code = f"{block}sys.argv = ['larobust', *{arguments!r}]; from robustbench_la.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_what_needs_torch_can_be_had_beside_the_tables() -> None:
    import corruptions
    import robustbench_la as la
    from corruptions.apply import corrupt
    from robustbench_la.models import layeract

    assert corruptions.corrupt is corrupt
    assert la.LASiLU is layeract.LASiLU
    with pytest.raises(AttributeError):
        corruptions.corrupted  # noqa: B018
    with pytest.raises(AttributeError):
        la.nothing  # noqa: B018


EVERY_FILE = [path for package in ("corruptions", "robustbench_la") for path in files(package)]


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def function_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From ``def`` to the last line, docstring included."""
    return (function.end_lineno or 0) - function.lineno + 1


def test_files_are_short() -> None:
    lengths = {str(path.relative_to(ROOT)): lines_of(path) for path in EVERY_FILE}

    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}
    assert statistics.median(lengths.values()) < 130


def test_functions_fit_on_a_screen() -> None:
    functions = {
        f"{path.relative_to(ROOT)}: {node.name}": function_lines(node)
        for path in EVERY_FILE
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }

    assert {name: length for name, length in functions.items() if length > LONGEST_FUNCTION} == {}
