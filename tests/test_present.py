"""What cannot be a checkpoint or images is refused before torch is imported, whichever command it is given to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing import larobust

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs named pipes")

_WITHOUT_TORCH = """
import contextlib, io, json, sys
sys.modules["torch"] = sys.modules["torchvision"] = None
from robustbench_la.cli import _run

done = []
for words in json.load(sys.stdin):
    sys.argv = ["larobust", *words.split()]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = _run()
    done.append((code, out.getvalue(), err.getvalue()))
json.dump(done, sys.stdout)
"""
COMMANDS = {
    "eval --ckpt pipe": "pipe: a named pipe, not a checkpoint",
    "eval --ckpt /dev/zero": "/dev/zero: a device",
    "eval --ckpt folder": "folder: a folder, not a checkpoint",
    "eval --ckpt empty.pt": "empty.pt: the file is empty",
    "eval --ckpt absent.pt": "absent.pt",
    "fluctuation --noise gaussian --ckpt pipe": "a named pipe, not a checkpoint",
    "baseline --ckpt pipe": "a named pipe, not a checkpoint",
    "preview --ckpt pipe": "a named pipe, not a checkpoint",
    "check --baseline baseline.json --ckpt pipe": "a named pipe, not a checkpoint",
    "eval --ckpt model.pt --data folder:absent": "absent",
    "train --arch mlp --activation relu -o net.pt --data folder:absent": "absent",
    "preview --image absent.png": "--image absent.png: no such file",
}
"""Words of a command, and what it says about them."""


@pytest.fixture(name="done", scope="module")
def _done(tmp_path_factory: pytest.TempPathFactory, digits_pair: list[Path]) -> dict[str, tuple[int, str, str]]:
    """The exit code, stdout and stderr of each command, in a process without torch."""
    folder = tmp_path_factory.mktemp("present")
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "empty.pt").touch()
    (folder / "model.pt").write_bytes(b"not read")
    words = ("--noise", "gaussian", "--severity", "1", "--limit", "20", "-o", str(folder / "baseline.json"))
    assert larobust("baseline", "--ckpt", str(digits_pair[0]), *words).code == 0
    alone = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        input=json.dumps(list(COMMANDS)),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return dict(zip(COMMANDS, map(tuple, json.loads(alone.stdout)), strict=True))


@pytest.mark.parametrize("words", COMMANDS)
def test_what_is_none_is_refused_in_one_line_without_torch(done: dict[str, tuple[int, str, str]], words: str) -> None:
    code, stdout, stderr = done[words]

    assert (code, stdout) == (2, ""), stderr
    (line,) = stderr.splitlines()
    assert COMMANDS[words] in line
