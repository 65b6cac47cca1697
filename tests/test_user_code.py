"""The user's code: found as Python finds it, executed again when any part of it was edited, and another network then."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import robustbench_la as la
from robustbench_la.models.in_memory import code_sha256
from robustbench_la.models.user_code import code_of, failure, user_function
from robustbench_la.models.user_sources import normalised

NET = """
from torch import nn

from {helpers} import width, Head


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.head = nn.Linear(64, width()), Head()

    def forward(self, x):
        return self.head(self.hidden(x.flatten(1)))
"""
HELPERS = """
from torch import nn

import settings


def width():
    return 8


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(width(), 10)

    def forward(self, x):
        return self.out(nn.functional.relu(x) * settings.FACTOR)
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder: models/net.py imports helpers of the root, which import settings."""
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    Path("models").mkdir()
    Path("models/net.py").write_text(NET.format(helpers="helpers"))
    Path("helpers.py").write_text(HELPERS)
    Path("settings.py").write_text("FACTOR = 1.0\n")
    torch.manual_seed(0)
    torch.save({"hidden.weight": torch.randn(8, 64), "hidden.bias": torch.zeros(8),
                "head.out.weight": torch.randn(10, 8), "head.out.bias": torch.zeros(10)}, "net.pt")  # fmt: skip
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if (file := getattr(sys.modules[name], "__file__", None)) and str(tmp_path) in file:
            del sys.modules[name]


def nll(arch: str, **more: object) -> float:
    (cell,) = la.evaluate("net.pt", "digits", arch=arch, noise="clean", limit=50, normalize="half", **more).cells
    return cell.nll_sum


@pytest.mark.parametrize("arch", ["models/net.py:Net", "models.net:Net"])
def test_code_imports_from_the_working_folder(repository: Path, arch: str) -> None:
    assert nll(arch) > 0


def test_a_file_of_a_package_imports_its_neighbours(repository: Path) -> None:
    Path("models/parts.py").write_text(HELPERS)
    Path("models/relative.py").write_text(NET.format(helpers=".parts"))

    assert nll("models/relative.py:Net") == nll("models/net.py:Net")
    Path("models/__init__.py").write_text("")
    assert nll("models.relative:Net") == nll("models/net.py:Net")


def test_a_file_elsewhere_imports_what_is_next_to_it(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = nll("models/net.py:Net")
    Path("other").mkdir()
    Path("other/net.py").write_text(NET.format(helpers="beside"))
    Path("other/beside.py").write_text(HELPERS)
    Path("other/settings.py").write_text("FACTOR = 1.0\n")
    Path("settings.py").unlink()

    assert nll("other/net.py:Net") == expected


@pytest.mark.parametrize("arch", ["models/net.py:Net", "models.net:Net"])
@pytest.mark.parametrize("edited", ["helpers.py", "settings.py"])
def test_an_edited_import_is_measured_again(repository: Path, arch: str, edited: str) -> None:
    before, code = nll(arch, store="results.sqlite"), code_of(arch)
    text = Path(edited).read_text()
    Path(edited).write_text(text.replace("FACTOR = 1.0", "FACTOR = 3.0").replace("* settings", "* 2 * settings"))

    assert code_of(arch) != code
    assert nll(arch, store="results.sqlite") != before
    Path(edited).write_text(text)
    assert code_of(arch) == code
    assert nll(arch, store="results.sqlite") == before
    assert len(la.open_store("results.sqlite").to_pandas()) == 2


@pytest.mark.parametrize(
    "line",
    ["from inner import FACTOR", "import inner", 'inner = importlib.import_module("inner")', 'inner = __import__("inner")'],
)
def test_an_import_within_a_function_is_part_of_the_code(repository: Path, line: str) -> None:
    used = "FACTOR" if "from" in line else "inner.FACTOR"
    forward = f"def forward(self, x):\n        {line}\n        x = x * {used}\n"
    text = Path("models/net.py").read_text().replace("def forward(self, x):\n", f"{forward}")
    Path("models/net.py").write_text(f"import importlib\n{text}")
    Path("inner.py").write_text("FACTOR = 1.0\n")
    before, code = nll("models/net.py:Net", store="results.sqlite"), code_of("models/net.py:Net")
    Path("inner.py").write_text("FACTOR = 3.0\n")

    assert code_of("models/net.py:Net") != code
    assert nll("models/net.py:Net", store="results.sqlite") != before


def test_what_changes_no_number_is_the_same_code(repository: Path) -> None:
    code = code_of("models/net.py:Net")
    Path("helpers.py").write_text('"""What helps."""\n# a comment\n' + HELPERS.replace("return 8", "return  8  # features"))
    Path("models/net.py").write_text(NET.format(helpers="helpers").replace("def forward", '"""A network."""\n\n    def forward'))
    Path("unrelated.py").write_text("x = 1\n")

    assert code_of("models/net.py:Net") == code


def test_the_same_code_in_another_folder_is_the_same(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    code = code_of("models/net.py:Net")
    shutil.copytree(repository, repository / "copy", ignore=shutil.ignore_patterns("copy"))
    monkeypatch.chdir(repository / "copy")

    assert code_of("models/net.py:Net") == code


def test_an_installed_package_counts_by_its_version(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("helpers.py").write_text(HELPERS + "import yaml\n")
    code = code_of("models/net.py:Net")
    from robustbench_la.models import user_sources

    monkeypatch.setattr(user_sources, "version_of", lambda package: "99")
    assert code_of("models/net.py:Net") != code
    Path("helpers.py").write_text(HELPERS + "import torch, numpy, json\n")
    code = code_of("models/net.py:Net")
    monkeypatch.setattr(user_sources, "version_of", lambda package: "98")
    assert code_of("models/net.py:Net") == code


@pytest.mark.parametrize(
    ("arch", "text", "message"),
    [
        (
            "models/net.py:Net",
            "import absent_module\n",
            r"models/net.py failed with ModuleNotFoundError: No module named 'absent",
        ),
        ("models.net:Net", "1 / 0\n", r"models.net failed with ZeroDivisionError: division by zero \(.*net.py, line 1\)"),
        ("models.absent:Net", "", r"cannot import a module 'models.absent'"),
        ("models/absent.py:Net", "", r"no file 'models/absent.py'"),
        ("models/net.py:Nett", NET.format(helpers="helpers"), r"has no function 'Nett'; did you mean Net"),
    ],
)
def test_code_that_cannot_be_used_is_said_in_a_line(repository: Path, arch: str, text: str, message: str) -> None:
    Path("models/net.py").write_text(text)

    with pytest.raises(la.UserError, match=message):
        user_function(*arch.split(":"))


def in_memory(text: str) -> str:
    """The identity of the code of a network whose class is defined by a module net_in_memory.py."""
    import importlib

    Path("net_in_memory.py").write_text(text)
    sys.modules.pop("net_in_memory", None)
    importlib.invalidate_caches()
    sys.path.insert(0, str(Path.cwd()))
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        return code_sha256(importlib.import_module("net_in_memory").Net())
    finally:
        sys.dont_write_bytecode = before


def test_the_code_of_a_network_in_memory_is_known_as_well(repository: Path) -> None:
    text = NET.format(helpers="helpers")
    code = in_memory(text)
    said = text.replace("def forward(self, x):", 'def forward(self, x):\n        """Images to logits."""  # or so')

    assert in_memory(said) == code
    assert in_memory(text.replace("x.flatten(1)", "x.flatten(1) * 1")) != code
    Path("helpers.py").write_text(HELPERS.replace("* settings", "* 2 * settings"))
    assert in_memory(text) != code


def test_code_that_is_no_python_counts_as_it_is() -> None:
    assert normalised(b"print 'old'") != normalised(b"print 'older'")


@pytest.mark.parametrize("arch", ["package/net.py:Net", "package.net:Net"])
def test_the_package_around_a_file_is_part_of_its_code(repository: Path, arch: str) -> None:
    package = repository / "package"
    package.mkdir()
    (package / "net.py").write_text("from . import GAIN\n\nNet = GAIN\n")
    (package / "__init__.py").write_text("from .gain import GAIN\n")
    (package / "gain.py").write_text("GAIN = 1.0\n")
    codes = [code_of(arch)]
    (package / "gain.py").write_text("GAIN = 5.0\n")
    codes.append(code_of(arch))
    (package / "__init__.py").write_text("GAIN = 5.0\n")
    codes.append(code_of(arch))
    assert len(set(codes)) == 3


@pytest.mark.parametrize("helpers", ["blocks", ".blocks", "parts.blocks"])
def test_files_of_one_name_in_two_folders_are_not_confused(repository: Path, helpers: str) -> None:
    for folder, value in (("A", 1), ("B", 2)):
        (repository / folder / "in" / "parts").mkdir(parents=True)
        place = repository / folder / "in"
        (place / "net.py").write_text(f"from {helpers} import act\n\ndef net():\n    return act()\n")
        for path in (place / "blocks.py", place / "parts" / "blocks.py"):
            path.write_text(f"def act():\n    return {value}\n")
    assert [user_function(f"{folder}/in/net.py", "net")() for folder in "ABA"] == [1, 2, 1]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("The widths do not fit:\n\texpected 64\n\tset width=65", "The widths do not fit: expected 64; set width=65"),
        ("Error(s) in loading state_dict for Net:\n\tsize mismatch for a\n" + "\tmore\n" * 99,
         "Error(s) in loading state_dict for Net: size mismatch for a"),
        ("", "ValueError"),
    ],
)  # fmt: skip
def test_a_message_of_several_lines_is_one_that_says_what_is_wrong(message: str, shown: str) -> None:
    assert failure(ValueError(message)) == f"ValueError: {shown}"
