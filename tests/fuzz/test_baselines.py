"""Baselines: a valid one of which values, numbers and bytes are changed, and arbitrary JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fuzzing import NO_FILES, assert_harmless, fuzz, larobust, put_no_file
from hypothesis import example, given
from hypothesis import strategies as st

_NUMBERS = st.one_of(
    st.sampled_from([-1, 0, 1, 2**31, 2**62, 2**64, 10**39, -0.0, 1e308]), st.integers(), st.floats(allow_nan=False)
)
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    _NUMBERS,
    st.sampled_from(
        [
            "",
            "canary.py:net",
            "canary:net",
            "\x1b[31mPASS",
            "\u202e",
            "::error::x",
            "\ud800",
            "x" * 5000,
            "AAAA",
            "eJw=",
            [],
            {},
            [[]],
            ["a"],
        ]
    ),
    st.text(max_size=8),
)
_RAW = st.sampled_from(
    [
        b"9" * 5000,
        b"NaN",
        b"1e999",
        b"[" * 3000,
        b'{"a":' * 3000,
        b"[{}," * 500,
        b'"\\ud800"',
        b"\0",
        b"\xff",
        b"'",
        b"//",
        b'{"a":1,"a":2}',
        b"-",
    ]
)


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all values of a document."""
    entries = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    return [place, *(found for key, inner in entries for found in _places(inner, (*place, key)))]


@st.composite
def _changed(draw: st.DrawFn, valid: bytes) -> bytes:
    document = json.loads(valid)
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.sampled_from(_places(document)[1:]))
        within = document
        for key in place[:-1]:
            within = within[key]
        how = draw(st.sampled_from(["value", "value", "value", "gone", "renamed", "doubled"]))
        if how == "gone":
            del within[place[-1]]
        elif how == "doubled" and isinstance(within, list):
            within.append(within[place[-1]])
        elif how == "renamed" and isinstance(within, dict):
            within[draw(st.text(max_size=8))] = within.pop(place[-1])
        else:
            within[place[-1]] = draw(_VALUES)
    content = json.dumps(document).encode()
    kind = draw(st.sampled_from(["whole", "whole", "whole", "cut", "raw", "flipped"]))
    start = draw(st.integers(0, len(content) - 1))
    if kind == "raw":
        return content[:start] + draw(_RAW) + content[start + draw(st.integers(0, 3)) :]
    if kind == "flipped":
        return content[:start] + bytes([content[start] ^ 1 << draw(st.integers(0, 7))]) + content[start + 1 :]
    return content[:start] if kind == "cut" else content


_MADE = (Path(__file__).parents[1] / "baselines" / "quickstart.json").read_bytes()


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baselines")
    (folder / "canary.py").write_text("open('was-run', 'w')\n")
    return folder


@fuzz()
@given(content=st.one_of(_changed(_MADE), st.binary(max_size=60)))
@example(content=b'{"larobust_baseline": ' + b"9" * 5000 + b"}")
@example(content=b'{"larobust_baseline": 2, "larobust_baseline": 2}')
@example(content=b"[" * 1_000_000)
@example(content=b'"' + b"\\" * 15_000_000)
@example(content=b'"a' * 5_000_000)
@example(content=b"[" + b"{}," * 140_000 + b"{}]")
def test_any_baseline_is_harmless(folder: Path, digits_pair: list[Path], content: bytes) -> None:
    before = os.getcwd()  # noqa: PTH109  # what hypothesis runs may use no fixture of one test
    os.chdir(folder)
    try:
        Path("baseline.json").write_bytes(content)
        assert_harmless(larobust("check", "--baseline", "baseline.json", "--ckpt", str(digits_pair[0]), "--noise", "clean"))
        assert not Path("was-run").exists()
    finally:
        os.chdir(before)


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "baseline.json"
    put_no_file(path, kind)
    outcome = larobust("check", "--baseline", str(path), "--ckpt", "absent.pt")

    assert_harmless(outcome)
    assert outcome.code in (2, 3, 4)
