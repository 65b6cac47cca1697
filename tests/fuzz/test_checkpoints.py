"""Checkpoints of every format that somebody else may have made: read, or refused in one line; nothing in them runs."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from fuzzing import assert_harmless, fuzz, larobust
from hypothesis import given
from hypothesis import strategies as st

from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.build import build

_TEXTS = ("\x1b[31mPASS", "\u202eevil", "::error::x\n::error::y", "a" * 5000, "", "../../x", "data.pkl", "\ud800")
_NUMBERS = (0, 1, -1, 255, 2**31 - 1, -(2**31))
_NAMED = (
    "torch._utils _rebuild_qtensor", "torch._utils _rebuild_sparse_tensor", "torch._utils _rebuild_tensor_v3",
    "torch._tensor _rebuild_from_type_v2", "torch Tensor", "torch Size", "torch int8", "torch complex64",
    "torch.storage UntypedStorage",
    "torch CharStorage", "torch ComplexFloatStorage", "__builtin__ set", "__builtin__ bytearray", "_codecs encode", "os mkdir",
    "builtins exec", "argparse Namespace", "numpy.core.multiarray scalar", "numpy dtype", "torch.hub load",
)  # fmt: skip
_INSTRUCTIONS = [b"(", b"}", b"]", b")", b"t", b"u", b"e", b"s", b"a", b"R", b"b", b"\x81", b"Q", b"N", b"0", b"\x85", b"."]
_RUNS_CODE = b"cos\nmkdir\nX\x08\x00\x00\x00executed\x85R"
"""Makes a folder where it is unpickled with code allowed."""


def _weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    spec = NetworkSpec(architecture="mlp", classes=10, channels=1, height=8, width=8, hidden=5)
    return dict(build(spec, "relu").state_dict())


def _saved(*, older: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save({"state_dict": _weights(), "epoch": 3}, buffer, _use_new_zipfile_serialization=not older)
    return buffer.getvalue()


def _instructions(pickled: bytes) -> list[bytes]:
    places = [place or 0 for *_, place in pickletools.genops(pickled)]
    return [pickled[start:end] for start, end in zip(places, [*places[1:], len(pickled)], strict=True)]


@st.composite
def _flipped(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes of which some are changed, left out or added."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(changed)))
        changed[start : start + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(changed)


@st.composite
def _spliced(draw: st.DrawFn, pickled: bytes) -> bytes:
    """A pickle with instructions left out, repeated, exchanged and added, other numbers and other texts."""
    parts = _instructions(pickled)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(1, len(parts) - 1))
        text = draw(st.sampled_from(_TEXTS)).encode("utf-8", "surrogatepass")
        added = st.one_of(
            st.just(b""),
            st.just(_RUNS_CODE),
            st.sampled_from(parts),
            st.sampled_from(_NUMBERS).map(lambda number: b"J" + struct.pack("<i", number)),
            st.sampled_from(_NAMED).map(lambda name: f"c{name.replace(' ', chr(10))}\n".encode()),
            st.just(b"X" + struct.pack("<I", len(text)) + text),
            st.tuples(st.sampled_from(_INSTRUCTIONS), st.sampled_from([1, 2, 300])).map(lambda run: run[0] * run[1]),
        )
        parts[place : place + draw(st.integers(0, 1))] = [draw(added)]
    return b"".join(parts)


@st.composite
def _archives(draw: st.DrawFn) -> bytes:
    """Files as torch writes them, with a part or the directory changed; check sums are right."""
    raw = _saved(older=False)
    if draw(st.booleans()):
        return draw(_flipped(raw))
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        parts = [(name, file.read(name)) for name in file.namelist()]
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from([0, 0, 0, *range(len(parts))]))
        name, content = parts[place]
        if name.endswith("data.pkl") and content == parts_pickle(raw):
            content = draw(_spliced(content))
        else:
            content = draw(st.one_of(st.just(b""), st.just(content * 50), st.just(bytes(3_000_000)), _flipped(content)))
        name = draw(st.sampled_from([name, name, name, name + "\x1b", "data.pkl", "archive/code/x.py", "/etc/x"]))
        parts[place] = (name, content)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as file:
        for name, content in dict(parts).items():
            file.writestr(name, content)
    return buffer.getvalue()


def parts_pickle(raw: bytes) -> bytes:
    """The pickle in an archive."""
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        return file.read("archive/data.pkl")


@st.composite
def _older(draw: st.DrawFn) -> bytes:
    """Files from before torch 1.6: the pickle of the content spliced, the rest changed or cut off."""
    raw = _saved(older=True)
    file = io.BytesIO(raw)
    ends = [0]
    for _ in range(5):
        for _ in pickletools.genops(file):
            pass
        ends.append(file.tell())
    start, end = ends[3:5]
    head, content, tail = raw[:start], raw[start:end], raw[end:]
    how = draw(st.integers(0, 3))
    if how == 0:
        return raw[: draw(st.integers(0, len(raw)))]
    return head + draw(_spliced(content)) + tail if how > 1 else head + content + draw(_flipped(tail))


@st.composite
def _safetensors(draw: st.DrawFn) -> bytes:
    """Safetensors with another header: other types, shapes, places and names."""
    raw = safetensors.torch.save(_weights())
    length = int.from_bytes(raw[:8], "little")
    header, numbers = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from(sorted(header)))
        entry: dict[str, Any] = header.pop(name)
        entry[draw(st.sampled_from(["dtype", "shape", "data_offsets"]))] = draw(
            st.sampled_from(
                ["F8_E4M3", "I8", "BOOL", "U16", "C64", "F64", "BF16", 7, None, [], [0], [10**18, 0], [2**63], [10**6, 10**6],
                 [0, 10**12], [4, 0], [-4, 4], [1.5]]
            )
        )  # fmt: skip
        header[draw(st.sampled_from([name, name, *_TEXTS]))] = entry
    text = json.dumps(header).encode()
    text = draw(st.sampled_from([text, text, b'{"a":' + b"[" * 5000, text[:-9]]))
    declared = draw(st.sampled_from([len(text), len(text), len(text) + 5, 0, 2**63]))
    return declared.to_bytes(8, "little") + text + draw(st.sampled_from([numbers, numbers, numbers[:-8], b""]))


_KINDS: dict[str, tuple[str, Callable[[], st.SearchStrategy[bytes]]]] = {
    "archives of torch": ("model.pt", _archives),
    "older files of torch": ("model.pth", _older),
    "safetensors": ("model.safetensors", _safetensors),
    "any bytes": (
        "model.pt",
        lambda: st.one_of(st.binary(max_size=200), st.binary(max_size=50).map(lambda end: b"\x80\x02" + end)),
    ),
}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    assert not Path("executed").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", _KINDS)
def test_any_checkpoint_is_read_or_refused_in_one_line(kind: str) -> None:
    name, strategy = _KINDS[kind]

    @fuzz()
    @given(content=strategy())
    def harmless(content: bytes) -> None:
        Path(name).write_bytes(content)
        assert_harmless(
            larobust("eval", "--ckpt", name, "--activation", "relu", "--noise", "gaussian", "--limit", "10", "--no-store")
        )

    harmless()


def test_the_code_in_these_files_would_run_if_it_were_allowed() -> None:
    """Otherwise the tests above could not fail."""
    pickle.loads(b"\x80\x02" + _RUNS_CODE + b".")

    assert Path("executed").is_dir()
    Path("executed").rmdir()
