"""What cannot be a checkpoint or images is refused before torch is imported, whichever command it is given to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fuzzing import larobust
from make_published_sets import write_blocks

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
    "eval --ckpt model.pt --data cifar10-c:set --noise-seed 3": "--noise-seed has no effect on cifar10-c",
    "eval --ckpt model.pt --data cifar10-c:set --profile tiny-c": "--profile has no effect on cifar10-c",
    "eval --ckpt model.pt --data cifar10-c:set --resize 8": "--resize has no effect on cifar10-c",
    "eval --ckpt model.pt --data cifar10-c:set --channels 1": "measured with the channels with which they were published",
    "eval --ckpt model.pt --data cifar10-c:set --noise fog=1.5/2": "cifar10-c has no custom levels such as fog=1.5/2",
    "eval --ckpt model.pt --data cifar10-c:set --noise foo": "cifar10-c has no 'foo'; did you mean fog?",
    "eval --ckpt model.pt --data cifar10-c:set --download": "--download has no effect on cifar10-c",
    "preview --data cifar10-c:set --jpeg 85": "--jpeg has no effect on cifar10-c",
    "corrupt --data cifar10-c:set -o new": "the images of cifar10-c are corrupted already",
    "corrupt --data digits -o new --format npy --severity 3": "an array holds the five severities of a corruption, one after",
    "corrupt --data digits -o new --format npy --noise gaussian=0.1": "for custom levels give --format png",
    "corrupt --data digits -o new --format gif": "unknown format 'gif'",
    "corrupt --data digits -o full": "full holds other files, such as other.txt",
    "corrupt --data digits -o empty.pt": "cannot write empty.pt",
}
"""Words of a command, and what it says about them."""


@pytest.fixture(name="done", scope="module")
def _done(tmp_path_factory: pytest.TempPathFactory, digits_pair: list[Path]) -> dict[str, tuple[int, str, str]]:
    """The exit code, stdout and stderr of each command, in a process without torch."""
    folder = tmp_path_factory.mktemp("present")
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "empty.pt").touch()
    write_blocks(folder / "set", {"fog": [np.zeros((2, 3, 32, 32), dtype=np.uint8)] * 5}, [0, 1])
    (folder / "full").mkdir()
    (folder / "full/other.txt").touch()
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
