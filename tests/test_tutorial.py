"""The tutorial from forty checkpoints to Table 1 runs as written, with fewer and smaller networks."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from robustbench_la import cli

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tutorial" / "forty-checkpoints.md"


def test_six_commands_lead_from_checkpoints_to_a_table_and_a_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PAGE.read_text(encoding="utf-8")
    files = dict(re.findall(r'^```python title="(\w+\.py)"\n(.*?)^```', text, re.MULTILINE | re.DOTALL))
    blocks = "\n".join(re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
    commands = [shlex.split(line) for line in re.findall(r"^\$ larobust (.*)$", blocks, re.MULTILINE)]
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name, content in files.items():
        Path(name).write_text(content, encoding="utf-8")
    for before, after in (("range(1, 11), 15", "range(1, 6), 1"), ("test_size=500", "test_size=1597")):  # fewer, and smaller
        assert before in files["train.py"]
        Path("train.py").write_text(Path("train.py").read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    runpy.run_path("train.py")
    shown = []
    for words in commands:
        monkeypatch.setattr(
            sys, "argv", ["larobust", *words, *(["--limit", "20"] if words[0] in ("eval", "fluctuation") else [])]
        )
        assert cli._run() == 0, words
        shown.append(capsys.readouterr().out)

    assert len(commands) == 6
    assert re.search(r"^la_silu − silu +5 ", shown[1], re.MULTILINE)
    assert re.search(r"^la_silu − silu +5 ", shown[4], re.MULTILINE)
    table = Path("table1.tex").read_text(encoding="utf-8")
    assert all(part in table for part in (r"\label{tab:", "LA-SiLU $-$ SiLU", r"$\pm$", "convnet"))
    assert str(tmp_path) not in table
    assert ".pth" not in table
    assert Path("figure1.pdf").read_bytes().startswith(b"%PDF")
