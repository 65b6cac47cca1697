"""Every command that writes, killed at any moment: nothing is lost, nothing is there twice, and nothing is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from fuzzing import larobust
from killing import Server, content

from robustbench_la.store.store import Store

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

_SLOW = {signal.SIGKILL: 40, signal.SIGTERM: 8, signal.SIGINT: 8}
"""How many of each signal must hit a command with --slow: more than 500 SIGKILLs in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """A command that writes one file or folder, OUT, from the files of a folder."""

    words: str
    before: str | None = None
    """The file that OUT is a copy of at first."""
    once: bool = False
    """Whether the command refuses to write OUT when it is there."""
    nothing_left: bool = False
    """Whether the command has nothing to do once OUT is finished."""
    in_one: bool = False
    """Whether OUT changes in one step."""


_FEW = "--noise gaussian --severity 1,3 --limit 40 --device cpu"
_BOTH = "--ckpt la_silu.pt --ckpt silu.pt"
_JUDGED = "--baseline baseline.json --results store.sqlite --ckpt la_silu.pt"
WRITERS = {
    "eval": Writer(words=f"eval {_BOTH} {_FEW} --store OUT.sqlite"),
    "eval, measured again": Writer(words=f"eval {_BOTH} {_FEW} --fresh --store OUT.sqlite", before="store.sqlite"),
    "fluctuation": Writer(words=f"fluctuation {_BOTH} {_FEW} --store OUT.sqlite"),
    "merge": Writer(words="merge one.sqlite two.sqlite -o OUT.sqlite"),
    "forget": Writer(
        words="forget --store OUT.sqlite --noise gaussian --yes", before="store.sqlite", nothing_left=True, in_one=True
    ),
    "train": Writer(words="train --arch cnn --activation silu --epochs 4 --limit 300 -o OUT.pt", once=True, in_one=True),
    "baseline": Writer(words=f"baseline --ckpt la_silu.pt {_FEW} -o OUT.json", once=True, in_one=True),
    "compare": Writer(words="compare --store store.sqlite -o OUT.html", before="old", in_one=True),
    "plot": Writer(words="plot groups --store store.sqlite -o OUT.svg", before="old", in_one=True),
    "check --junit": Writer(words=f"check {_JUDGED} --junit OUT.xml", before="old", in_one=True),
    "check --summary": Writer(words=f"check {_JUDGED} --summary OUT.md", before="old", in_one=True),
    "results of eval": Writer(words=f"eval {_BOTH} {_FEW} --no-store -o OUT.json"),
    "layers of fluctuation": Writer(words=f"fluctuation {_BOTH} {_FEW} --no-store --csv OUT.csv", before="old", in_one=True),
    "corrupt, folders": Writer(words="corrupt --limit 40 --noise gaussian,poisson --batch-size 8 -o OUT"),
    "corrupt, arrays": Writer(words="corrupt --limit 40 --noise gaussian,poisson --batch-size 8 --format npy -o OUT"),
    "quickstart": Writer(words="quickstart -o checkpoints --store OUT.sqlite"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, digits_pair: list[Path]) -> Path:
    """Where the commands run, with everything that they read."""
    folder = tmp_path_factory.mktemp("killed")
    for path in digits_pair:
        shutil.copy(path, folder)
    store, baseline, old = (folder / name for name in ("store.sqlite", "baseline.json", "old"))
    old.write_text("old")
    for name, networks in (("one", digits_pair[:1]), ("two", digits_pair[1:])):
        for command in ("eval", "fluctuation"):
            words = [word for path in networks for word in ("--ckpt", str(folder / path.name))]
            assert larobust(command, *words, *_FEW.split(), "--store", str(folder / f"{name}.sqlite")).code == 0
    assert larobust("merge", str(folder / "one.sqlite"), str(folder / "two.sqlite"), "-o", str(store)).code == 0
    assert larobust("baseline", "--ckpt", str(folder / "la_silu.pt"), *_FEW.split(), "-o", str(baseline)).code == 0
    return folder


def _content(path: Path) -> object:
    """What a file holds, without times; fails where it is damaged, or a record is there twice."""
    if not path.exists():
        return None
    if path.is_dir():  # of images; what is not finished has a hidden folder
        paths = {str(file.relative_to(path)): file for file in path.rglob("*") if file.is_file()}
        return {name: file.read_bytes() for name, file in paths.items() if not name.startswith(".")}
    if path.suffix == ".sqlite":
        with Store(path, reading=True) as store:
            layers = [(str(row.key), row.layer, row.index) for _, row in store.layers()]
        assert len(set(layers)) == len(layers)
        return dict([*content(path).items(), *((layer, True) for layer in layers)])
    if path.suffix == ".json":
        document = json.loads(path.read_text())
        if "conditions" in document:
            return document["conditions"]
        return {(cell["sha256"], cell["corruption"], cell["severity"]): cell["correct"] for cell in document["cells"]}
    return path.read_bytes()


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.glob("**/*") if not path.name.startswith("log")}


@pytest.mark.parametrize("name", WRITERS)
def test_a_command_killed_at_any_moment_loses_nothing(
    processes: Server, folder: Path, name: str, request: pytest.FixtureRequest
) -> None:
    """One kill of each command, or 56 with --slow; after at most five the command is let through."""
    if name == "quickstart" and not request.config.getoption("--slow"):
        pytest.skip("takes half a minute; needs --slow")
    moments = random.Random(name)
    left = [signal.SIGKILL]
    if request.config.getoption("--slow"):
        left = [one for one, number in _SLOW.items() for _ in range(number // 4 if name == "quickstart" else number)]
    moments.shuffle(left)
    writer = WRITERS[name]
    words = writer.words.split()
    out = folder / next(word for word in words if word.startswith("OUT"))
    log = folder / "log"

    def begin() -> None:
        shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        if writer.before:
            shutil.copy(folder / writer.before, out)

    clean = _files(folder)
    begin()
    began = time.perf_counter()
    assert processes.run(log, *words) == 0, Path(f"{log}.err").read_text()
    whole = time.perf_counter() - began
    end = _content(out)
    whole_files = _files(folder) - clean

    done: dict[object, int] = dict.fromkeys((*_SLOW, "let through", "finished first"), 0)
    since = 0
    begin()
    while left or since:
        before = _content(out)
        let = since == 5 or not left
        child = processes.start(log, *words)
        if not let:
            time.sleep(moments.uniform(0, whole))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, left[-1])
        status = processes.wait(child)
        now = _content(out)
        if let or status in (0, 2, 5):
            finished = 2 if writer.once else 5 if writer.nothing_left else 0
            assert status == (finished if before == end else 0), Path(f"{log}.err").read_text()
            assert now == end
            assert _files(folder) == clean | whole_files
            done["let through" if let else "finished first"] += 1
            since = 0
            begin()
            continue
        sent = left.pop()
        assert status in (-sent, 128 + sent), Path(f"{log}.err").read_text()
        _check(writer, before, now, end)
        for unfinished in folder.glob("**/.larobust-unfinished-*"):
            os.utime(unfinished, (0, 0))  # as if it had been left long ago
        done[sent] += 1
        since += 1
    begin()
    shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
    print(f"{name}:", ", ".join(f"{number} {getattr(one, 'name', one)}" for one, number in done.items()), flush=True)


def _check(writer: Writer, before: object, now: object, end: object) -> None:
    """Whether a killed process left what was there, or more of what it was to write."""
    if writer.in_one or now == before:
        assert now in (before, end)
        return
    assert isinstance(now, dict), "what was there is gone"
    assert isinstance(end, dict)
    assert (before if isinstance(before, dict) else {}).items() <= now.items() <= end.items()
