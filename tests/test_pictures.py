"""Every kind of image file: the pixels of torchvision's ImageFolder, or a refusal that says why."""

from __future__ import annotations

import struct
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.TiffImagePlugin
import pytest
from torchvision.datasets.folder import default_loader

from robustbench_la.errors import UserError
from robustbench_la.images.decoding import ImageChoice, load, open_dataset
from robustbench_la.images.labels import names_of_outputs

_RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
_ALPHA = np.random.default_rng(1).integers(0, 256, (6, 8), dtype=np.uint8)
_GREY = _RGB[..., 0]
_COLOUR, _OTHER = PIL.Image.fromarray(_RGB), PIL.Image.fromarray(_RGB[::-1].copy())


def _rotated(path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[274] = 6  # to be turned by a quarter
    _COLOUR.save(path, "PNG", exif=exif)


def _palette(path: Path) -> None:
    """Sixteen colours; each pixel's index is its column, and colour 3 is transparent."""
    image = PIL.Image.fromarray(np.tile(np.arange(8, dtype=np.uint8), (6, 1)))
    image.putpalette(_RGB[0].tobytes())
    image.save(path, "PNG", transparency=3)


def _colour_16(path: Path) -> None:
    """PNG of 16 bits per channel: each 8-bit value, followed by a low byte."""
    rows = np.stack([_RGB, 255 - _RGB], axis=-1).reshape(6, -1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 8, 6, 16, 2, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
        )
    )


_KINDS: dict[str, tuple[Callable[[Path], None], np.ndarray]] = {
    "animated GIF": (lambda path: _grey_frames(path, "GIF"), np.repeat(_GREY[..., None], 3, axis=2)),
    "animated PNG": (lambda path: _COLOUR.save(path, "PNG", save_all=True, append_images=[_OTHER]), _RGB),
    "animated WebP": (lambda path: _COLOUR.save(path, "WEBP", save_all=True, lossless=True, append_images=[_OTHER]), _RGB),
    "TIFF of two pages": (lambda path: _COLOUR.save(path, "TIFF", save_all=True, append_images=[_OTHER]), _RGB),
    "RGBA": (lambda path: PIL.Image.fromarray(np.dstack([_RGB, _ALPHA])).save(path, "PNG"), _RGB),
    "LA": (
        lambda path: PIL.Image.merge("LA", [PIL.Image.fromarray(_GREY.copy()), PIL.Image.fromarray(_ALPHA)]).save(path, "PNG"),
        np.repeat(_GREY[..., None], 3, axis=2),
    ),
    "palette with transparency": (_palette, np.tile(_RGB[0], (6, 1, 1))),
    "EXIF orientation": (_rotated, _RGB),
    "colour of 16 bits": (_colour_16, _RGB),
}


def _grey_frames(path: Path, kind: str) -> None:
    first, second = (PIL.Image.fromarray(pixels) for pixels in (_GREY.copy(), _GREY[::-1].copy()))
    first.save(path, kind, save_all=True, append_images=[second])


def _decoded(path: Path) -> np.ndarray:
    """As the dataset has it, (H, W, C)."""
    return load(ImageChoice(f"folder:{path.parent.parent}")).images[0].transpose(1, 2, 0)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    (tmp_path / "class").mkdir()
    return tmp_path / "class" / "a.png"


@pytest.mark.parametrize("kind", _KINDS)
def test_a_picture_has_the_pixels_that_were_stored_and_those_of_torchvision(path: Path, kind: str) -> None:
    write, expected = _KINDS[kind]
    write(path)
    decoded = _decoded(path)

    assert np.array_equal(decoded, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow remarks on palettes with transparency
        assert np.array_equal(decoded, np.asarray(default_loader(str(path))))


def test_cmyk_is_converted_by_pillows_formula(path: Path) -> None:
    image = PIL.Image.frombytes("CMYK", (8, 6), np.dstack([_RGB, _ALPHA]).tobytes())
    image.save(path, "TIFF")
    ink, black = _RGB / 255, (_ALPHA / 255)[..., None]
    decoded = _decoded(path)

    assert abs(decoded - 255 * (1 - ink) * (1 - black)).max() <= 1
    assert np.array_equal(decoded, np.asarray(default_loader(str(path))))


def test_one_bit_is_black_and_white_in_one_channel(path: Path) -> None:
    PIL.Image.fromarray(_GREY > 127).save(path)

    assert np.array_equal(_decoded(path)[..., 0], np.where(_GREY > 127, 255, 0))


@pytest.mark.parametrize(("pixels", "kind", "mode"), [
    (_GREY.astype(np.uint16) * 257, "PNG", "I;16"),
    (_GREY.astype(np.float32), "TIFF", "F"),
    (_GREY.astype(np.int32), "TIFF", "I"),
])  # fmt: skip
def test_one_channel_of_more_than_8_bits_is_refused(path: Path, pixels: np.ndarray, kind: str, mode: str) -> None:
    PIL.Image.fromarray(pixels).save(path, kind)

    with pytest.raises(UserError, match=rf"a\.png: its mode is {mode}.*8 bits per channel"):
        _decoded(path)


def test_what_pillow_remarks_on_files_is_not_shown(path: Path, recwarn: pytest.WarningsRecorder) -> None:
    image = PIL.Image.fromarray(np.tile(np.arange(8, dtype=np.uint8), (6, 1)))
    image.putpalette(_RGB[0].tobytes())
    image.save(path, "PNG", transparency=bytes(8))  # of which convert("RGB") warns
    open_dataset(ImageChoice(f"folder:{path.parent.parent}")).shape()
    _decoded(path)

    assert not recwarn.list


def test_libtiff_prints_nothing_of_its_own(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    PIL.Image.fromarray(_RGB).save(path, "TIFF", compression="tiff_deflate")
    content = bytearray(path.read_bytes())
    content[12] ^= 255  # within the packed pixels
    path.write_bytes(content)

    with pytest.raises(UserError, match=r"cannot decode .*a\.png"):
        _decoded(path)
    assert capfd.readouterr().err == ""


def test_a_photograph_may_have_more_pixels_than_an_empty_picture(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400), dtype=np.uint8)
    PIL.Image.fromarray(pixels).resize((2800, 2100)).save(path, "JPEG")

    assert _decoded(path).shape == (2100, 2800, 1)
    PIL.Image.new("1", (2800, 2100)).save(path, "PNG")
    with pytest.raises(UserError, match=r"a\.png: a file of .* bytes that declares 2,800 x 2,100 pixels is no photograph"):
        _decoded(path)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "JPEG", "progressive"])
def test_a_large_picture_in_one_colour_is_read(path: Path, kind: str) -> None:
    settings = {"compression": "tiff_deflate"} if kind == "TIFF" else {"progressive": kind == "progressive"}
    PIL.Image.new("L", (2800, 2100), 90).save(path, kind.replace("progressive", "JPEG"), **settings)

    assert _decoded(path).shape[:2] == (2100, 2800)


@pytest.mark.parametrize("tag", [34675, 34377])
def test_a_tiff_file_may_carry_a_large_profile_and_data_of_photoshop(path: Path, tag: int) -> None:
    tags = PIL.TiffImagePlugin.ImageFileDirectory_v2()
    tags[tag], tags.tagtype[tag] = bytes(3_000_000), 7 if tag == 34675 else 1
    PIL.Image.new("L", (8, 8), 90).save(path, "TIFF", tiffinfo=tags)

    assert path.stat().st_size > 3_000_000
    assert _decoded(path).shape == (8, 8, 1)


def test_what_a_camera_puts_into_and_behind_a_progressive_jpeg_is_no_scan(path: Path) -> None:
    other = b"\xff\xda\x00\x02" * 5_000
    PIL.Image.new("L", (2000, 2000), 90).save(path, "JPEG", progressive=True, exif=b"Exif\0\0" + other, comment=other)
    with path.open("ab") as file:
        file.write(other)  # a film, or more pictures

    assert _decoded(path).shape == (2000, 2000, 1)


def _seconds(work: Callable[[], object]) -> float:
    """The processor time of the quickest of three runs."""
    times = []
    for _ in range(3):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def test_ten_times_the_files_take_about_ten_times_as_long_to_list(tmp_path: Path) -> None:
    def listed(count: int) -> float:
        folder = tmp_path / str(count) / "a"
        folder.mkdir(parents=True)
        PIL.Image.fromarray(_GREY.copy()).save(folder / "0.png")
        for number in range(1, count):
            (folder / f"{number}.png").hardlink_to(folder / "0.png")
        choice = ImageChoice(f"folder:{folder.parent}")
        assert len(open_dataset(choice).source.labels) == count
        return _seconds(lambda: open_dataset(choice))

    assert listed(10_000) < 40 * listed(1_000)  # a quadratic search takes a hundred times as long


def test_a_long_list_of_labels_is_read_in_a_moment_and_an_endless_one_refused(tmp_path: Path) -> None:
    file, short = tmp_path / "labels.txt", tmp_path / "short.txt"
    file.write_text("\n".join(map(str, range(60_000))))
    short.write_text("\n".join(map(str, range(6_000))))

    assert names_of_outputs(str(file), None) == tuple(map(str, range(60_000)))
    # A quadratic search takes a hundred times as long.
    assert _seconds(lambda: names_of_outputs(str(file), None)) < 40 * _seconds(lambda: names_of_outputs(str(short), None))
    for name, reason in (("/dev/zero", "it is no regular file"), (str(tmp_path), "cannot be read")):
        with pytest.raises(UserError, match=reason):
            names_of_outputs(name, None)
    file.write_text("x\n" * 70_000)
    with pytest.raises(UserError, match=r"names more than 65,536 folders"):
        names_of_outputs(str(file), None)
