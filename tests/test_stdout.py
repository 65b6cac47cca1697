"""stdout that is full, closed or read in part, for each command: no traceback, and what a command writes is written."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fuzzing import larobust

from robustbench_la import cli

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full and fork")

_NOISE = "--noise gaussian --severity 1 --limit 40 --device cpu"
COMMANDS = {
    "plot": "plot groups --store store.sqlite -o OUT.svg",
    "check": "check --baseline baseline.json --results store.sqlite --ckpt la_silu.pt --junit OUT.xml",
    "merge": "merge store.sqlite -o OUT.sqlite",
    "forget": "forget --store OUT.sqlite --noise gaussian --yes",
    "baseline": f"baseline --ckpt la_silu.pt {_NOISE} -o OUT.json",
    "train": "train --arch mlp --activation relu --epochs 1 --limit 100 -o OUT.pt",
    "fluctuation": f"fluctuation --ckpt la_silu.pt {_NOISE} --store OUT.sqlite --csv OUT.csv",
    "eval": f"eval --ckpt la_silu.pt {_NOISE} --store OUT.sqlite -o OUT.json",
    "quickstart": "quickstart -o . --store OUT.sqlite",
    "compare": "compare --store store.sqlite --by checkpoint -o OUT.html",
    "results": "results --store store.sqlite --csv",
}


@pytest.fixture(scope="module", name="good")
def _good(digits_pair: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with checkpoints, a store and a baseline."""
    folder = tmp_path_factory.mktemp("stdout")
    for path in digits_pair:
        shutil.copy(path, folder)
    networks = [word for path in digits_pair for word in ("--ckpt", str(folder / path.name))]
    assert larobust("eval", *networks, *_NOISE.split(), "--store", str(folder / "store.sqlite")).code == 0
    assert larobust("baseline", *networks[:2], *_NOISE.split(), "-o", str(folder / "baseline.json")).code == 0
    return folder


@pytest.fixture(name="folder")
def _folder(good: Path, tmp_path: Path) -> Iterator[Path]:
    for path in good.iterdir():
        shutil.copy(path, tmp_path)
    shutil.copy(good / "store.sqlite", tmp_path / "OUT.sqlite")
    return tmp_path


def _run(words: str, folder: Path, prepare: Callable[[], None]) -> tuple[int, str]:
    """The exit code and stderr of a command in a child process, whose stdout is what ``prepare`` makes of descriptor 1."""
    child = os.fork()
    if not child:
        code = 99
        try:
            os.chdir(folder)
            os.dup2(os.open("stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            prepare()
            for name, descriptor in (("stdout", 1), ("stderr", 2)):
                stream = None
                if name == "stderr" or prepare is not _closed:
                    stream = os.fdopen(descriptor, "w", closefd=False)
                setattr(sys, name, stream)
                setattr(sys, f"__{name}__", stream)
            sys.argv = ["larobust", *words.split()]
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 98
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), (folder / "stderr").read_text()


def _full() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


def _closed() -> None:
    os.close(1)


def _one_line() -> None:
    """As ``| head -c 1``: the reader takes little and goes."""
    reading, writing = os.pipe()
    os.dup2(writing, 1)
    os.close(writing)
    if not os.fork():
        os.close(1)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)


@pytest.mark.parametrize("name", COMMANDS)
def test_whatever_stdout_is_a_command_ends_in_order(folder: Path, name: str) -> None:
    words = COMMANDS[name]
    outputs = [folder / word for word in words.split() if word.startswith("OUT")]
    for prepare, codes in ((_closed, (0,)), (_full, (0, 3)), (_one_line, (0, 141))):
        before = (folder / "store.sqlite").read_bytes()
        for path in outputs:
            path.unlink(missing_ok=True)
        if name == "forget":
            shutil.copy(folder / "store.sqlite", folder / "OUT.sqlite")

        code, stderr = _run(words, folder, prepare)

        assert code in codes, (prepare, stderr)
        assert "Traceback" not in stderr
        assert all(path.stat().st_size for path in outputs), stderr
        assert (folder / "store.sqlite").read_bytes() == before
        assert not list(folder.glob(".larobust-unfinished-*"))
        if code == 3:
            said = [line for line in stderr.splitlines() if line.startswith("larobust: ")]
            assert said == ["larobust: cannot print (No space left on device)"]
