"""What cannot be a checkpoint or images is refused before torch is imported, whichever command it is given to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing import larobust

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs named pipes")

_WITHOUT_TORCH = (
    "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None; from robustbench_la.cli import main; "
    "sys.argv = ['larobust', *sys.argv[1:]]; main()"
)
COMMANDS = ("eval --ckpt", "fluctuation --noise gaussian --ckpt", "baseline --ckpt", "preview --ckpt")
WRONG = {
    "pipe": "a named pipe",
    "/dev/zero": "a device",
    "folder": "a folder, not a checkpoint",
    "empty.pt": "the file is empty",
    "absent.pt": "",
}


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.pt").touch()
    return tmp_path


def _refusal(folder: Path, *words: str) -> str:
    """The one line in which a command without torch refuses what it is given."""
    command = [sys.executable, "-c", _WITHOUT_TORCH, *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_checkpoint_is_refused_without_torch(folder: Path, name: str) -> None:
    line = _refusal(folder, "eval", "--ckpt", name)

    assert name in line
    assert WRONG[name] in line


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_measures_refuses_a_pipe_without_torch(folder: Path, command: str) -> None:
    assert "a named pipe, not a checkpoint" in _refusal(folder, *command.split(), "pipe")


@pytest.mark.parametrize("command", ["eval --ckpt model.pt", "train --arch mlp --activation relu -o net.pt"])
def test_a_missing_folder_of_images_is_refused_without_torch(folder: Path, command: str) -> None:
    (folder / "model.pt").write_bytes(b"not read")

    assert "absent" in _refusal(folder, *command.split(), "--data", "folder:absent")


def test_a_missing_image_is_refused_without_torch(folder: Path) -> None:
    assert "--image absent.png: no such file" in _refusal(folder, "preview", "--image", "absent.png")


def test_a_check_refuses_a_pipe_without_torch(folder: Path, digits_pair: list[Path]) -> None:
    words = ("--noise", "gaussian", "--severity", "1", "--limit", "20", "-o", str(folder / "baseline.json"))
    assert larobust("baseline", "--ckpt", str(digits_pair[0]), *words).code == 0

    assert "a named pipe, not a checkpoint" in _refusal(folder, "check", "--baseline", "baseline.json", "--ckpt", "pipe")
