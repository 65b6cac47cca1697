"""Names that others gave (files, keys, modules, classes, what a store holds) reach every output as names, and as nothing else."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from fuzzing import Outcome, larobust
from readers import READERS, assert_junit, assert_markdown, assert_quiet, strings_of

NAME = "x\x1b[31m\n::error::forged\u202e[red]PASS[!] =1 <b>"
"""What no terminal, workflow, spreadsheet or page is to obey; a file may have this name."""
SHOWN = r"x\x1b[31m\n::error::forged\u202e"
CODE = f"""
import torch
from torch import nn

NAME = {NAME!r}
Odd = type(NAME, (nn.Module,), {{"forward": lambda self, x: torch.relu(x) * 1.5}})


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.flat, self.first = nn.Flatten(), nn.Linear(64, 16)
        self.add_module(NAME, nn.ReLU())
        self.odd, self.last = Odd(), nn.Linear(16, 10)

    def forward(self, x):
        print(NAME, end="\\n::error::y")
        for module in self.children():
            x = module(x)
        return x


def raises():
    raise ValueError(NAME)


def leaves():
    raise SystemExit(NAME)
"""
FEW = ("--noise", "gaussian", "--severity", "3", "--limit", "20")


def ran(*words: str | Path, code: int = 0) -> Outcome:
    """A command, whose output nothing obeys."""
    outcome = larobust(*map(str, words))
    assert_quiet(outcome.stdout)
    assert_quiet(outcome.stderr)
    assert outcome.code == code, outcome
    return outcome


@pytest.fixture
def named(digits_pair: list[Path], tmp_path: Path) -> Path:
    """A checkpoint file of this name."""
    path = tmp_path / f"{NAME}.pt"
    shutil.copy(digits_pair[1], path)
    return path


def test_a_file_of_any_name_is_measured_compared_and_judged(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(named.parent)
    store, baseline = ("--store", "s.sqlite"), "b.json"
    document = ran("eval", "--ckpt", named.name, *FEW, *store, "--json").stdout
    assert NAME + ".pt" in strings_of(document)
    assert SHOWN in ran("results", *store, "--csv").stdout
    assert r"x\x1b[31m" in ran("results", *store).stdout
    for form, read in READERS.items():
        read(ran("compare", *store, "--by", "checkpoint", "--format", form).stdout)
    ran("plot", "severity", *store, "-o", "a.svg")
    ElementTree.parse("a.svg")
    ran("baseline", "--ckpt", named.name, *FEW, "-o", baseline)
    files = ("--junit", "j.xml", "--summary", "s.md")
    assert SHOWN in ran("check", "--ckpt", named.name, "--baseline", baseline, *files).stdout
    assert_junit(Path("j.xml").read_bytes())
    assert_markdown(Path("s.md").read_text())
    assert r"x\x1b[31m" in ran("forget", *store, "--ckpt", "x*", code=2).stdout
    assert SHOWN in ran("merge", "s.sqlite", f"{NAME}.sqlite", "-o", "m.sqlite", code=2).stderr


def test_under_actions_nothing_but_larobust_writes_commands(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(named.parent / "summary.md"))
    outcome = larobust("check", "--ckpt", str(named), "--baseline", str(named.parent / f"{NAME}.json"))

    commands = [line for line in outcome.stderr.splitlines() if line.startswith("::")]
    assert len(commands) == 1
    assert commands[0].startswith("::error title=larobust%3A could not judge::")
    assert outcome.stderr.replace("\n", "").isprintable()
    assert_markdown((named.parent / "summary.md").read_text())


def test_modules_classes_and_prints_of_user_code_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(CODE)
    state = {"first.weight": (16, 64), "first.bias": (16,), "last.weight": (10, 16), "last.bias": (10,)}
    generator = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(shape, generator=generator) for name, shape in state.items()}
    torch.save(weights, "net.pt")
    of = ("--ckpt", "net.pt", "--arch", "net.py:Net", "--normalize", "none", *FEW, "--no-store")
    done = ran("fluctuation", *of, "--csv", "f.csv", "-o", "f.json", "--plot", "f.svg")
    assert SHOWN in done.stderr
    assert r"\x3a:error::y" in done.stderr
    READERS["csv"](Path("f.csv").read_text())
    assert NAME in strings_of(Path("f.json").read_text())
    ElementTree.parse("f.svg")

    torch.save({**weights, NAME: torch.zeros(2)}, "more.pt")
    more = ran("eval", "--ckpt", "more.pt", *of[2:], code=2)
    assert f'1 unexpected ("{SHOWN}' in more.stderr
    for name in ("raises", "leaves"):
        assert r"x\x1b[31m" in ran("eval", "--ckpt", "net.pt", "--arch", f"net.py:{name}", *FEW, "--no-store", code=2).stderr
    ran("eval", "--ckpt", "net.pt", "--arch", "net.py:raises", *FEW, "--no-store", "--traceback", code=2)


def test_what_was_written_into_a_store_by_others_is_only_shown(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(named.parent)
    store = ("--store", "s.sqlite")
    ran("eval", "--ckpt", named.name, *FEW, *store)
    with sqlite3.connect("s.sqlite") as connection:
        for column in ("architecture", "activation", "normalization", "exchange", "architecture_label", "activations_seen"):
            connection.execute(f"UPDATE networks SET {column} = ?", (NAME,))
        for column in ("host", "started", "data", "device"):
            connection.execute(f"UPDATE settings SET {column} = ?", (NAME,))
        connection.execute("UPDATE settings SET versions = ?, assumed = ?", (json.dumps({NAME: NAME}), json.dumps([NAME])))
    connection.close()

    for words in (("results",), ("results", "--detail"), ("results", "--csv"), ("compare",), ("plot", "groups", "-o", "g.svg")):
        ran(*words, *store)
    assert NAME in strings_of(ran("results", *store, "--json").stdout)
    for form, read in READERS.items():
        read(ran("compare", *store, "--by", "checkpoint", "--format", form).stdout)


def test_names_of_images_and_labels_are_shown(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(named.parent)
    folder = Path("images") / NAME
    folder.mkdir(parents=True)
    (folder / f"{NAME}.png").write_bytes(b"no image")
    Path("labels.txt").write_text("\n".join([NAME.replace("\n", " ")] * 10))
    of = ("eval", "--ckpt", named.name, "--data", "folder:images", "--noise", "gaussian", "--no-store")

    assert SHOWN in ran(*of, code=2).stderr
    ran(*of, "--labels", "labels.txt", code=2)
