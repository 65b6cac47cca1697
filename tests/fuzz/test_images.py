"""Image files, and the files of MNIST, CIFAR and ImageNet, that are damaged or made to harm."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import random
import socket
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
import torchvision
from fuzzing import Outcome, assert_harmless, fuzz, larobust
from hypothesis import given
from hypothesis import strategies as st

from robustbench_la.images import cifar

_SIZES = (0, 1, 7, 255, 256, 0x7FFF, 0xFFFF, 13_000, 10**6, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""What a header may declare."""
_CLASSES = "0123456789"


def _pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _saved(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _valid() -> dict[str, bytes]:
    """A small file of each kind."""
    grey, colour = PIL.Image.fromarray(_pixels(8, 8)), PIL.Image.fromarray(_pixels(8, 8, 3))
    alpha, palette = PIL.Image.fromarray(_pixels(8, 8, 4)), colour.quantize(16)
    exif = PIL.Image.Exif()
    exif[274], exif[270] = 6, "text"
    frames = {"save_all": True, "append_images": [colour.transpose(PIL.Image.Transpose.ROTATE_90)]}
    return {
        "png": _saved(grey, "PNG"),
        "png rgba": _saved(alpha, "PNG", pnginfo=_text()),
        "png palette": _saved(palette, "PNG", transparency=3),
        "png 16": _saved(PIL.Image.fromarray(_pixels(8, 8).astype(np.uint16) * 250), "PNG"),
        "png 1": _saved(grey.convert("1"), "PNG"),
        "apng": _saved(colour, "PNG", **frames),
        "jpeg": _saved(grey, "JPEG"),
        "jpeg exif": _saved(colour, "JPEG", exif=exif, progressive=True, icc_profile=b"profile"),
        "jpeg cmyk": _saved(colour.convert("CMYK"), "JPEG"),
        "gif": _saved(palette, "GIF", comment=b"text"),
        "gif animated": _saved(colour, "GIF", **frames),
        "bmp": _saved(grey, "BMP"),
        "bmp rle": _rle(8, 8, b"\x08\x01\x00\x00" * 8 + b"\x00\x01"),
        "tiff": _saved(grey, "TIFF"),
        "tiff lzw": _saved(colour, "TIFF", compression="tiff_lzw", **frames),
        "tiff float": _saved(PIL.Image.fromarray(_pixels(8, 8).astype(np.float32)), "TIFF"),
        "webp": _saved(colour, "WEBP"),
        "webp animated": _saved(colour, "WEBP", lossless=True, **frames),
        "pgm": _saved(grey, "PPM"),
        "ppm text": b"P3 2 2 255 " + b"1 2 3 " * 4,
        "jpeg 2000": _saved(colour, "JPEG2000"),
        "ico": _saved(alpha, "ICO"),
        "eps": _saved(grey, "EPS"),
        "tga": _saved(grey, "TGA"),
    } | ({"avif": _saved(colour, "AVIF")} if "AVIF" in PIL.Image.SAVE else {})


def _text() -> PIL.PngImagePlugin.PngInfo:
    text = PIL.PngImagePlugin.PngInfo()
    text.add_text("Comment", "\x1b[2J::error::x", zip=True)
    return text


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(width: int, height: int, *chunks: bytes, bits: int = 8, kind: int = 0, data: bytes = b"") -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _rle(width: int, height: int, data: bytes) -> bytes:
    """A BMP file of run lengths."""
    header = struct.pack("<IiiHHIIIIII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(data), 0, 0, 54 + 1024) + header + bytes(1024) + data


def _tiff(*tags: tuple[int, int], data: bytes = b"") -> bytes:
    """A TIFF file of short tags, then of data."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


def _offsets(count: int) -> bytes:
    """A TIFF file with so many strips of one row."""
    tags = {256: 1, 257: count, 258: 8, 259: 1, 262: 1, 277: 1, 278: 1}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    entries[5:5] = [struct.pack("<HHII", 273, 4, count, 256)]
    return (b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)).ljust(256, b"\0") + bytes(4 * count)


def _many_scans(count: int) -> bytes:
    """A progressive JPEG that passes very often over its pixels."""
    whole = _saved(PIL.Image.new("L", (2000, 2000)), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * count + whole[-2:]


_BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "many pixels": (
        lambda: _png(13_000, 13_000, data=zlib.compress(bytes(13_001 * 13_000), 1)),
        "13,000 x 13,000 pixels, and at most 67,108,864 are read",
    ),
    "a long side": (lambda: _rle(50_000, 1, b"\x00\x02\x00\xff" * 99), "32,768 to a side"),
    "46 bytes": (lambda: _saved(PIL.Image.new("RGB", (4096, 4096)), "WEBP", lossless=True, method=0), "is no photograph"),
    "a text that inflates": (
        lambda: _png(8, 8, _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**26), 9)), data=zlib.compress(bytes(72))),
        "too large",
    ),
    "a profile that inflates": (
        lambda: _png(8, 8, _chunk(b"iCCP", b"ICC\0\0" + zlib.compress(bytes(2**26), 9)), data=zlib.compress(bytes(72))),
        "too large",
    ),
    "many chunks": (lambda: _png(8, 8, *[_chunk(b"teSt", b"")] * 100_000), "too many pieces"),
    "many pieces of data": (
        lambda: _png(8, 8, _chunk(b"IDAT", zlib.compress(b"")[:1]), *[_chunk(b"IDAT", b"")] * 999_999),
        "pieces",
    ),
    "a comment in pieces": (lambda: b"GIF89a\x08\0\x08\0\0\0\0!\xfe" + b"\xffcomment".ljust(256, b".") * 40_000, "pieces"),
    "strips": (lambda: _offsets(4_000_000), "pieces|pixels"),
    "tiles": (
        lambda: _tiff(
            (256, 8), (257, 8), (258, 8), (259, 8), (262, 1), (277, 1), (322, 20_000), (323, 20_000), (324, 200), (325, 9)
        ),
        "its tiles have 400,000,000 pixels",
    ),
    "scans": (lambda: _many_scans(2_000), "too many scans"),
    "numbers as text": (lambda: b"P3 1000 1000 255 " + b"1 2 3 " * 1_000_000, "up to 131,072 pixels only; save it as PNG"),
    "runs": (lambda: _rle(2_000, 2_000, b"\x01\x01" * 4_000_000), "up to 131,072 pixels only"),
    "nothing": (lambda: b"", "damaged, or no image"),
    "a program for Ghostscript": (lambda: _valid()["eps"], "damaged, or no image"),
}


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """Ten classes of one valid picture each."""
    for name in _CLASSES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "valid.png").write_bytes(_valid()["png"])
    return tmp_path


@pytest.fixture(name="evaluated")
def _evaluated(digits_pair: list[Path], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Outcome]:
    """Evaluates a small network on a dataset."""

    def no_program(*words: object, **options: object) -> None:
        raise AssertionError(f"started {words}")

    monkeypatch.setattr(subprocess, "check_call", no_program)  # by which Pillow starts Ghostscript
    return lambda data: larobust("eval", "--ckpt", str(digits_pair[0]), "--data", data, "--noise", "gaussian", "--severity", "1")


@pytest.mark.parametrize("bomb", _BOMBS)
def test_a_picture_that_would_take_long_or_much_memory_is_refused_by_name(
    folder: Path, evaluated: Callable[[str], Outcome], bomb: str
) -> None:
    make, reason = _BOMBS[bomb]
    (folder / "0" / "bomb.png").write_bytes(make())
    outcome = evaluated(f"folder:{folder}")

    assert_harmless(outcome)
    assert outcome.code == 2, outcome
    assert "bomb.png" in outcome.stderr
    assert any(word in outcome.stderr for word in reason.split("|")), outcome.stderr


def _changed(content: bytes, generator: random.Random) -> bytes:
    """Damages a file in one of several ways."""
    data = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 5))):
        place = generator.randrange(len(data) or 1)
        match generator.randrange(7):
            case 0:
                data[place : place + 1] = bytes([generator.randrange(256)])
            case 1:
                del data[place:]
            case 2:
                del data[place : place + generator.randrange(1, 20)]
            case 3:
                data[place:place] = data[place : place + 40] * generator.choice((1, 3, 500))
            case 4:
                width, order = generator.choice(((2, "big"), (2, "little"), (4, "big"), (4, "little")))
                size = generator.choice(_SIZES) & (2 ** (8 * width) - 1)
                data[place : place + width] = size.to_bytes(width, order)  # type: ignore[arg-type]
            case 5:
                data[place:place] = generator.choice((b"\x1b[2J", b"\n::error::x\n", "\u202e".encode(), b"\0" * 9, b"\xff\xda"))
            case 6:
                data[place:] = generator.choice(list(_FILES.values()))[place:]
    return _with_sums(bytes(data)) if generator.random() < 0.8 else bytes(data)


def _with_sums(content: bytes) -> bytes:
    """A PNG file with the right sum for every chunk, so that what is in them is read; other files as they are."""
    if not content.startswith(b"\x89PNG"):
        return content
    result, position = content[:8], 8
    while position + 12 <= len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        body = content[position + 4 : position + 8 + min(length, len(content))]
        result += content[position : position + 4] + body + struct.pack(">I", zlib.crc32(body))
        position += 8 + len(body)
    return result


_FILES = _valid()


@fuzz()
@given(kind=st.sampled_from(sorted(_FILES)), seed=st.integers(0, 2**32))
def test_any_damaged_picture_is_harmless(
    evaluated: Callable[[str], Outcome], tmp_path_factory: pytest.TempPathFactory, kind: str, seed: int
) -> None:
    folder = _ten_classes(tmp_path_factory)
    (folder / "0" / "damaged.png").write_bytes(_changed(_FILES[kind], random.Random(seed)))

    assert_harmless(evaluated(f"folder:{folder}"))


def _ten_classes(factory: pytest.TempPathFactory) -> Path:
    """The same folder for every input of one run."""
    folder = factory.getbasetemp() / "pictures"
    for name in _CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "valid.png").write_bytes(_FILES["png"])
    return folder


def _named_pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    os.chdir(path.parent)  # the path of a socket has at most 107 characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


_NO_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a named pipe": (_named_pipe, "it is no regular file"),
    "a socket": (_socket, "it is no regular file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "it is no regular file"),
    "a link to nothing": (lambda path: path.symlink_to("gone"), "it is a link to nothing"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "it is a link to nothing"),
}


@pytest.mark.parametrize("kind", _NO_FILES)
def test_what_is_named_as_a_picture_and_is_no_file_is_refused_by_name(
    folder: Path, evaluated: Callable[[str], Outcome], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(folder)
    make, reason = _NO_FILES[kind]
    make(folder / "0" / "x.png")
    outcome = evaluated(f"folder:{folder}")

    assert_harmless(outcome)
    assert outcome.code == 2
    assert "x.png" in outcome.stderr
    assert reason in outcome.stderr


def test_links_between_folders_end(folder: Path, evaluated: Callable[[str], Outcome]) -> None:
    for place in (folder / "0", folder / "1"):
        for name in ("back", "again"):
            (place / name).symlink_to(folder)

    assert evaluated(f"folder:{folder}").code == 0
    (folder / "c").mkdir()
    (folder / "c" / "only").mkdir()
    for name in ("back", "again"):
        (folder / "c" / "only" / name).symlink_to(folder / "c" / "only")
    outcome = evaluated(f"folder:{folder / 'c'}")
    assert_harmless(outcome)
    assert "holds no images" in outcome.stderr


@pytest.mark.parametrize("kind", ["folder", "mnist", "cifar10", "imagenet"])
@pytest.mark.parametrize("root", ["a" * 5000, "x/" * 2100, "~nobody_at_all", "/dev/zero", "/dev/null", "a\x1b[2J\n::error::x"])
def test_a_place_that_is_no_folder_is_refused(evaluated: Callable[[str], Outcome], kind: str, root: str) -> None:
    outcome = evaluated(f"{kind}:{root}")

    assert_harmless(outcome)
    assert outcome.code == 2


def _idx(*shape: int, kind: int = 8, data: bytes = b"") -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, kind, len(shape), *shape) + data


def _mnist(folder: Path) -> None:
    """MNIST's files, with four images of 8x8 px."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    (raw / "t10k-images-idx3-ubyte").write_bytes(_idx(4, 8, 8, data=_pixels(4, 8, 8).tobytes()))
    (raw / "t10k-labels-idx1-ubyte").write_bytes(_idx(4, data=bytes(4)))


_IDX_FILES: dict[str, Callable[[], bytes]] = {
    "a trillion images": lambda: _idx(10**9, 1000, 1, data=bytes(64)),
    "sizes that overflow": lambda: _idx(2**32 - 1, 2**32 - 1, 2**32 - 1),
    "no axes": lambda: _idx(),
    "255 axes": lambda: b"\0\0\x08\xff",
    "other numbers": lambda: _idx(4, 8, 8, kind=13, data=bytes(1024)),
    "no images": lambda: _idx(0, 8, 8),
    "more images than labels": lambda: _idx(5, 8, 8, data=bytes(5 * 64)),
    "no file": lambda: b"",
}


@pytest.mark.parametrize("kind", _IDX_FILES)
def test_an_idx_file_of_other_sizes_is_refused(tmp_path: Path, evaluated: Callable[[str], Outcome], kind: str) -> None:
    _mnist(tmp_path)
    (tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(_IDX_FILES[kind]())
    outcome = evaluated(f"mnist:{tmp_path}")

    assert_harmless(outcome)
    assert outcome.code == 2
    assert "cannot read MNIST in" in outcome.stderr


def test_a_packed_idx_file_is_read_and_one_that_inflates_is_refused(tmp_path: Path, evaluated: Callable[[str], Outcome]) -> None:
    _mnist(tmp_path)
    file = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    packed = file.with_name(f"{file.name}.gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    assert evaluated(f"mnist:{tmp_path}").code == 0
    packed.write_bytes(gzip.compress(bytes(2**28), 9))
    outcome = evaluated(f"mnist:{tmp_path}")

    assert_harmless(outcome)
    assert "it has more than" in outcome.stderr


@fuzz()
@given(labels=st.booleans(), seed=st.integers(0, 2**32))
def test_any_damaged_idx_file_is_harmless(
    evaluated: Callable[[str], Outcome], tmp_path_factory: pytest.TempPathFactory, labels: bool, seed: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "mnist"
    _mnist(folder)
    file = folder / "MNIST" / "raw" / ("t10k-labels-idx1-ubyte" if labels else "t10k-images-idx3-ubyte")
    file.write_bytes(_changed(file.read_bytes(), random.Random(seed)))

    assert_harmless(evaluated(f"mnist:{folder}"))


class _Harm:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch harmed",)


_CIFAR = {"data": _pixels(4, 3072), "labels": [0, 1, 2, 3]}


@pytest.fixture(name="cifar_folder")
def _cifar_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """CIFAR-10's files, of which any sum is taken for the published one: what a forger of sums could do."""
    monkeypatch.setattr(cifar, "_is_published", lambda content, md5: True)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("0123456789")}))
    (folder / "test_batch").write_bytes(pickle.dumps(_CIFAR))
    yield tmp_path
    assert not Path("harmed").exists()


_CIFAR_FILES: dict[str, Callable[[], bytes]] = {
    "code": lambda: pickle.dumps({"data": _Harm()}),
    "code of numpy": lambda: b"cnumpy.testing\nmeasure\n(S'1'\ntR.",
    "an array of any size": lambda: b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I100000000000\ntS'b'\ntR.",
    "no dictionary": lambda: pickle.dumps([1]),
    "no images": lambda: pickle.dumps({"labels": [1]}),
    "floating images": lambda: pickle.dumps({**_CIFAR, "data": np.zeros((4, 3072))}),
    "objects": lambda: pickle.dumps({**_CIFAR, "data": np.array([{}] * 3072)}),
    "missing labels": lambda: pickle.dumps({**_CIFAR, "labels": [1]}),
    "labels that are no numbers": lambda: pickle.dumps({**_CIFAR, "labels": ["x", None, [], {}]}),
    "labels of no class": lambda: pickle.dumps({**_CIFAR, "labels": [0, 1, 2, 10]}),
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("kind", _CIFAR_FILES)
def test_a_cifar_file_of_anything_else_is_refused_even_with_the_published_sum(
    cifar_folder: Path, evaluated: Callable[[str], Outcome], kind: str
) -> None:
    (cifar_folder / "cifar-10-batches-py" / "test_batch").write_bytes(_CIFAR_FILES[kind]())
    outcome = evaluated(f"cifar10:{cifar_folder}")

    assert_harmless(outcome)
    assert outcome.code == 2
    assert "cannot read CIFAR10 in" in outcome.stderr


@fuzz()
@given(seed=st.integers(0, 2**32), protocol=st.sampled_from([0, 2, 4]))
def test_any_damaged_cifar_file_is_harmless(
    cifar_folder: Path, evaluated: Callable[[str], Outcome], seed: int, protocol: int
) -> None:
    content = _changed(pickle.dumps(_CIFAR, protocol), random.Random(seed))
    (cifar_folder / "cifar-10-batches-py" / "test_batch").write_bytes(content)

    assert_harmless(evaluated(f"cifar10:{cifar_folder}"))


def _meta(pickled: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta/data.pkl", pickled)
    return file.getvalue()


def _shared_tuples() -> bytes:
    """Forty tuples that hold the one before twice, as the key of a dictionary: hashing it takes years."""
    return b"\x80\x02}(K\x01\x85q\x00" + b"h\x000h\x00h\x00\x86q\x00" * 40 + b"X\x01\0\0\0xu."


_META_FILES: dict[str, Callable[[], bytes]] = {
    "code": lambda: _meta(pickle.dumps(({"n01440764": _Harm()}, []), 2)),
    "shared tuples": lambda: _meta(_shared_tuples()),
    "a pickle that inflates": lambda: _meta(bytes(2**26)),
    "names that are no text": lambda: _meta(pickle.dumps(({"n01440764": ([[]],)}, []), 2)),
    "another class": lambda: _meta(pickle.dumps(({"n01443537": ("goldfish",)}, []), 2)),
    "a tensor": lambda: _meta(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n."),
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("kind", _META_FILES)
def test_names_of_imagenets_classes_with_anything_but_text_are_refused(
    tmp_path: Path, evaluated: Callable[[str], Outcome], kind: str
) -> None:
    (tmp_path / "val" / "n01440764").mkdir(parents=True)
    (tmp_path / "val" / "n01440764" / "valid.png").write_bytes(_FILES["png"])
    (tmp_path / "meta.bin").write_bytes(_META_FILES[kind]())
    outcome = evaluated(f"imagenet:{tmp_path}")

    assert_harmless(outcome)
    assert outcome.code == 2
    assert "meta.bin" in outcome.stderr
    assert not Path("harmed").exists()


def test_names_of_imagenets_classes_are_those_that_torch_reads(tmp_path: Path) -> None:
    from robustbench_la.images.imagenet import _class_names

    torch.save(({"n1": ("tench", "Tinca tinca"), "n2": ("goldfish",), "n3": tuple("abcde")}, ["n2", "n2"]), tmp_path / "meta.bin")
    names, _ = torch.load(tmp_path / "meta.bin", weights_only=True)

    assert _class_names(tmp_path / "meta.bin") == {key: value[0] for key, value in names.items()}
    assert torchvision.datasets.imagenet.META_FILE == "meta.bin"
