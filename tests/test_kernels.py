"""Compiled loops: made once, whatever threads, forks and the disk do."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from corruptions import kernels
from corruptions.kernels import kernel

Loop = Callable[[NDArray[np.float64]], None]
SOURCE = """
def double(values):
    for index in range(len(values)):
        values[index] *= 2
"""


def double(values: NDArray[np.float64]) -> None:
    for index in range(len(values)):
        values[index] *= 2


def doubled(loop: Loop) -> list[float]:
    values = np.arange(4.0)
    loop(values)
    return values.tolist()


def from_file(path: Path) -> Loop:
    spec = importlib.util.spec_from_file_location("some_loop", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return kernel("void(float64[::1])")(module.double)


@pytest.fixture
def slow_compiler(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Half a second more for each compilation; the list gets the time at which each began."""
    began: list[float] = []
    original = kernels._compile

    def compile_slowly(loop: Loop, signature: str) -> Loop:
        began.append(time.perf_counter())
        time.sleep(0.5)
        return original(loop, signature)

    monkeypatch.setattr(kernels, "_compile", compile_slowly)
    return began


def test_threads_that_call_at_the_same_time_compile_once(slow_compiler: list[float]) -> None:
    loop = kernel("void(float64[::1])")(double)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(doubled, [loop] * 4))

    assert found == [[0, 2, 4, 6]] * 4
    assert len(slow_compiler) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_forked_while_a_thread_compiles_can_call(slow_compiler: list[float]) -> None:
    loop = kernel("void(float64[::1])")(double)
    thread = threading.Thread(target=doubled, args=(loop,))
    thread.start()
    while not slow_compiler:
        time.sleep(0.01)
    child = multiprocessing.get_context("fork").Process(target=doubled, args=(loop,))
    child.start()
    child.join(timeout=30)
    child.kill()
    child.join()
    thread.join()

    assert child.exitcode == 0
    assert len(slow_compiler) == 1


def test_a_loop_that_no_cache_can_hold_is_compiled_all_the_same() -> None:
    space: dict[str, Loop] = {}
    exec(compile(SOURCE, "<nowhere>", "exec"), space)

    assert doubled(kernel("void(float64[::1])")(space["double"])) == [0, 2, 4, 6]


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_a_damaged_cache_does_no_harm(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "some_loop.py"
    path.write_text(SOURCE)
    first = doubled(from_file(path))
    (cached,) = tmp_path.rglob(f"*.{suffix}")
    cached.write_bytes(b"")

    assert first == doubled(from_file(path)) == [0, 2, 4, 6]


def test_what_is_wrong_with_a_loop_is_raised() -> None:
    def wrong(values: NDArray[np.float64]) -> None:
        values.no_such_thing()  # type: ignore[attr-defined]

    with pytest.raises(Exception, match="no_such_thing"):
        kernel("void(float64[::1])")(wrong)(np.zeros(2))
