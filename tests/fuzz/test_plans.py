"""Plan files: valid ones, changed where it hurts, and arbitrary bytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzzing import NO_FILES, assert_harmless, fuzz, larobust, put_no_file
from hypothesis import example, given
from hypothesis import strategies as st

_VALID: dict[str, Any] = {
    "data": "digits",
    "noise": ["gaussian", "blur=0.5,0.7"],
    "severity": [1, 3],
    "profile": "imagenet-c",
    "limit": 8,
    "noise_seed": 0,
    "noise_seeds": 1,
    "normalize": "half",
    "amp": False,
    "jpeg": 85,
    "train": {"epochs": 1, "lr": 0.05, "milestones": [1], "augment": {"pad": 1, "flip": True}},
}
_KEYS = st.sampled_from(
    [*_VALID, "arch", "preprocess", "trust_file", "allow_code", "checkpoints", "labels", "label_map", "crop", "key", "alpha"]
)
_WORDS = [
    "canary.py:net",
    "canary:net",
    "torchvision:canary.py:net",
    "1-5",
    "gaussian=1e999",
    "clean,,",
    "\u202eecnairav",
    "~nobody/x",
]
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30).filter(lambda number: not 16 < number < 10**4),  # sizes that fit take time
    st.floats(),
    st.sampled_from(_WORDS),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.lists(st.sampled_from([*_WORDS, 1, None, {}]), max_size=3),
)
_RAW = st.sampled_from(
    [
        "2001-13-45",
        "!!int foo",
        "!!bool maybe",
        "!!python/object/apply:os.system [touch canary]",
        "!!binary aGk=",
        "!!set {a}",
        "9" * 5000,
        "0x" + "f" * 4000,
        "1" + ":59" * 900,
        "[" * 5000,
        "{" * 900,
        "? " * 3000,
        "- " * 3000,
        "&a [*a]",
        "*nothing",
        "&b [&c [x, x], *c]",
        ".nan",
        "-.inf",
        "1e400",
        '"\\ud800"',
        '"\\x1b[31m"',
        '"\\0"',
        "\x1b[2J",
        "\ufeff",
        "\t",
        "'",
        "|",
        "%YAML 3.0",
        "--- a",
        "<<: [1]",
        "::error::x",
    ]
)


@st.composite
def _plans(draw: st.DrawFn) -> bytes:
    """A plan of which some values are of another kind, some text is raw, and some bytes are lost, doubled or flipped."""
    plan = dict(_VALID)
    for key in draw(st.lists(_KEYS, max_size=2)):
        plan[key] = draw(_VALUES)
    text = yaml.safe_dump(plan, allow_unicode=True)
    for raw in draw(st.lists(_RAW, max_size=1)):
        lines = text.splitlines(keepends=True)
        number = draw(st.integers(0, len(lines) - 1))
        lines[number] = f"{lines[number].partition(':')[0]}: {raw}\n" if draw(st.booleans()) else f"{raw}\n"
        text = "".join(lines)
    content = text.encode()
    start, end = sorted(draw(st.tuples(st.integers(0, len(content)), st.integers(0, len(content)))))
    how = draw(st.sampled_from(["whole", "whole", "cut", "doubled", "flipped"]))
    if how == "flipped" and content:
        changed = bytearray(content)
        changed[min(start, len(content) - 1)] ^= 1 << draw(st.integers(0, 7))
        return bytes(changed)
    return {"cut": content[:start], "doubled": content[:end] + content[start:]}.get(how, content)


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory, digits_pair: list[Path]) -> Path:
    """A folder with code that must not run. What is compiled on first use is compiled."""
    folder = tmp_path_factory.mktemp("plans")
    (folder / "valid.yaml").write_text(yaml.safe_dump(_VALID))
    for command in ("eval", "fluctuation"):
        larobust(command, "--config", str(folder / "valid.yaml"), "--ckpt", str(digits_pair[0]), "--limit", "4", "--no-store")
    (folder / "canary.py").write_text("open('was-run', 'w')\n")
    return folder


@fuzz()
@given(command=st.sampled_from(["eval", "fluctuation", "train"]), content=st.one_of(_plans(), st.binary(max_size=60)))
@example(command="eval", content=b"seed: 2001-13-45")
@example(command="eval", content=b"{noise_seed: !!int foo}")
@example(command="eval", content=b"amp: !!bool maybe")
@example(command="eval", content=b"noise_seed: " + b"9" * 5000)
@example(command="train", content=b"train: [" + b"x," * 20_000 + b"]")
@example(command="eval", content=b"noise: [" + b"5," * 20_000 + b"]")
@example(command="eval", content=b"resize: 1000000000\n")
@example(
    command="eval",
    content=b"a: &a [x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (c + 1, c + 1, b",".join([b"*%c" % c] * 8)) for c in range(97, 107)),
)
def test_any_plan_is_harmless(folder: Path, digits_pair: list[Path], command: str, content: bytes) -> None:
    before = os.getcwd()  # noqa: PTH109  # what hypothesis runs may use no fixture of one test
    os.chdir(folder)
    try:
        Path("plan.yaml").write_bytes(content)
        rest = ["-o", "/dev/null/x.pt"] if command == "train" else ["--ckpt", str(digits_pair[0]), "--limit", "4", "--no-store"]
        assert_harmless(larobust(command, "--config", "plan.yaml", *rest))
        assert not Path("was-run").exists()
    finally:
        os.chdir(before)


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_plan_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "plan.yaml"
    put_no_file(path, kind)
    outcome = larobust("eval", "--config", str(path), "--ckpt", "absent.pt")

    assert_harmless(outcome)
    assert outcome.code == 2
    assert "plan.yaml" in outcome.stderr
