"""Tables of checkpoints, files of labels, and patterns of names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fuzzing import assert_harmless, fuzz, larobust
from hypothesis import example, given
from hypothesis import strategies as st

_CSV = "path,activation,seed,label,group,normalize\nnet.pt,la_silu,,first,a,\n"
_YAML = "- {path: net.pt, activation: la_silu, label: first, group: a}\n"
_LABELS = "".join(f"{number}\n" for number in range(10))
_PIECES = st.one_of(
    st.sampled_from(
        [
            '"',
            "'",
            ",",
            "\n",
            "\r",
            "\0",
            "\t",
            "\x1b[31m",
            "\u202e",
            "\u2028",
            "\ufeff",
            "=1+1",
            "::error::x",
            "9" * 5000,
            "x" * 140_000,
            "path",
            "seed",
            "arch",
            "canary.py:net",
            "canary:net",
            "../net.pt",
            "/dev/zero",
            "pipe",
            "~nobody",
            "{activation}",
            "*",
            "*x",
            "&x",
            "!!set ",
            "[" * 50,
            "1e999",
            "nan",
            "-1",
            "{",
            "}",
            ": ",
            "- ",
            "''",
            "2001-13-45",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)


@st.composite
def _changed(draw: st.DrawFn, text: str) -> bytes:
    """A text with pieces put in place of others, perhaps cut, with a bit flipped or in another encoding."""
    for piece in draw(st.lists(_PIECES, max_size=3)):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + piece + text[start + draw(st.integers(0, 6)) :]
    content = text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8", "utf-16", "utf-8-sig"])))
    if content and draw(st.integers(0, 4)) == 0:
        changed = bytearray(content)
        changed[draw(st.integers(0, len(content) - 1))] ^= 1 << draw(st.integers(0, 7))
        content = bytes(changed)
    return content if draw(st.integers(0, 4)) else content[: draw(st.integers(0, len(content)))]


@pytest.fixture(name="folder", scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory, digits_pair: list[Path]) -> Path:
    """A folder with a checkpoint, a pipe, and code that must not run."""
    folder = tmp_path_factory.mktemp("tables")
    (folder / "net.pt").write_bytes(digits_pair[0].read_bytes())
    (folder / "canary.py").write_text("open('was-run', 'w')\n")
    os.mkfifo(folder / "pipe")
    for name in ("a/b/c", "d/e/f"):
        (folder / name).mkdir(parents=True)
    return folder


def _eval(folder: Path, *words: str) -> None:
    before = os.getcwd()  # noqa: PTH109  # what hypothesis runs may use no fixture of one test
    os.chdir(folder)
    try:
        assert_harmless(larobust("eval", *words, "--data", "digits", "--limit", "4", "--noise", "clean", "--no-store"))
        assert not Path("was-run").exists()
    finally:
        os.chdir(before)


@fuzz()
@given(content=st.one_of(_changed(_CSV), st.binary(max_size=60)), suffix=st.sampled_from(["csv", "tsv"]))
@example(content=b"path\n~nobody-here\n", suffix="csv")
@example(content=b"path\n" + b"x" * 140_000, suffix="csv")
@example(content=b"x" * 140_000 + b",path\nnet.pt\n", suffix="csv")
@example(content=b'path,label\nnet.pt,"open\nnet.pt,x\n', suffix="csv")
@example(content=b"path,seed,training_seed\nnet.pt,1,2\n", suffix="csv")
@example(content=b"path,label\nnet.pt,\x1b[31mPASS\n", suffix="csv")
@example(content=b"," * 1_000_000, suffix="csv")
def test_any_csv_table_is_harmless(folder: Path, content: bytes, suffix: str) -> None:
    (folder / f"nets.{suffix}").write_bytes(content)

    _eval(folder, "--ckpt-table", f"nets.{suffix}")


@fuzz()
@given(content=st.one_of(_changed(_YAML), st.binary(max_size=60)))
@example(content=b"- {path: [net.pt]}")
@example(content=b"- {path: net.pt, training_seed: 0x" + b"f" * 4000 + b"}")
@example(content=b"- {path: net.pt, seed: 1, training_seed: 2}")
@example(content=b'- {path: "net.pt\\0"}')
def test_any_yaml_table_is_harmless(folder: Path, content: bytes) -> None:
    (folder / "nets.yaml").write_bytes(content)

    _eval(folder, "--ckpt-table", "nets.yaml")


@fuzz()
@given(content=st.one_of(_changed(_LABELS), st.binary(max_size=60)))
@example(content=b"x\n" * 500_000)
@example(content=b"".join(b"%d\n" % number for number in range(140_000)))
@example(content=b"\xff\xfe0\0")
def test_any_file_of_labels_is_harmless(folder: Path, content: bytes) -> None:
    (folder / "labels.txt").write_bytes(content)

    _eval(folder, "--ckpt", "net.pt", "--labels", "labels.txt")


_PATTERNS = st.lists(
    st.sampled_from(
        [
            "{arch}",
            "{activation}",
            "{label}",
            "{group}",
            "{seed}",
            "{x}",
            "{",
            "*",
            "**/",
            "?",
            "[a-z]",
            "[",
            "../",
            "/",
            "net",
            ".pt",
            "\0",
            "\x1b",
        ]
    ),
    min_size=1,
    max_size=12,
).map("".join)


@fuzz()
@given(pattern=_PATTERNS.filter(lambda text: not text.startswith("/")))
@example(pattern="{label}{group}{arch}{normalize}{label}{group}{arch}*?*?*?.pt")
@example(pattern="**/" * 12 + "x")
@example(pattern="*/../" * 12 + "x")
@example(pattern="*\0/x")
def test_any_pattern_of_names_is_harmless(folder: Path, pattern: str) -> None:
    (folder / ("a-long-name-" * 12 + ".pt")).write_bytes(b"")

    _eval(folder, "--ckpt", pattern)


@pytest.mark.parametrize("flag", ["--labels", "--ckpt-table"])
def test_pipes_and_devices_are_refused_at_once(folder: Path, flag: str) -> None:
    (folder / "pipe.csv").unlink(missing_ok=True)
    os.mkfifo(folder / "pipe.csv")

    _eval(folder, *([] if flag == "--ckpt-table" else ["--ckpt", "net.pt"]), flag, str(folder / "pipe.csv"))
