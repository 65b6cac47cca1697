"""Previews: tiles are the images that eval measures, each pixel a square; predictions are eval's; nothing is smoothed."""

from __future__ import annotations

import base64
import html
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from commands import Larobust

import robustbench_la as la
from robustbench_la.errors import UserError
from robustbench_la.measuring import forward, session
from robustbench_la.measuring.preview import prepare_preview, preview_of
from robustbench_la.output.previews import figure as drawing
from robustbench_la.output.previews.arrangement import arranged
from robustbench_la.output.previews.files import save
from robustbench_la.output.previews.page import page
from robustbench_la.records.packing import unpack_classes
from robustbench_la.records.plan_file import read_plan
from robustbench_la.records.previews import Prediction, Preview, PreviewedImage, Tile

QUICK = ["shot_noise", "contrast"]


def previewed(words: list[str] | None = None, **flags: object) -> Preview:
    return preview_of(prepare_preview(read_plan(None, {"data": "digits", "noise": QUICK, **flags}), words or []))


def tiles_of(preview: Preview) -> list[Tile]:
    return [tile for image in preview.images for tile in image.tiles]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two classes of colour images of 12 x 9 px."""
    random = np.random.default_rng(3)
    for label in ("cat", "dog"):
        for number in range(3):
            path = tmp_path / "photographs" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8)).save(path)
    return tmp_path / "photographs"


@pytest.fixture
def stray(tmp_path: Path) -> Path:
    """An image file that is in no dataset."""
    path = tmp_path / "stray.png"
    PIL.Image.fromarray(np.random.default_rng(5).integers(0, 256, (9, 12, 3), np.uint8)).save(path)
    return path


def test_tiles_are_the_images_that_eval_measures(digits_pair: list[Path]) -> None:
    flags = {"data": "digits", "noise": [*QUICK, "glass_blur"], "severity": ["2-3"], "noise_seed": 4, "limit": 60}
    evaluation = session.prepare_evaluation(read_plan(None, {**flags, "checkpoints": [str(digits_pair[0])]}))
    places = [7, 2, 31]
    preview = previewed([str(evaluation.images.ids[place]) for place in places], **{**flags, "limit": None})

    assert preview.conditions == evaluation.conditions
    for number, condition in enumerate(evaluation.conditions):
        measured = forward.corrupted(evaluation, condition, slice(0, 60)).numpy()
        for image, place in zip(preview.images, places, strict=True):
            np.testing.assert_array_equal(image.tiles[number].pixels, measured[place, 0])


def test_predictions_are_those_of_eval(digits_pair: list[Path]) -> None:
    models = list(map(str, digits_pair))
    result = la.evaluate(models, noise="shot_noise", severity=5, limit=40)
    shown = la.preview(model=models, noise="shot_noise", severity=5, limit=40).preview

    assert len(result.cells) == 4
    for cell in result.cells:
        network, condition = shown.networks.index(cell.network.checkpoint), shown.conditions.index(cell.condition)
        answers = [(image.tiles[condition].predictions[network], image.label) for image in shown.images]
        assert [int(answer.name) for answer, _ in answers] == unpack_classes(cell.predictions).tolist()
        assert all(answer.right == (answer.name == label) for answer, label in answers)
        assert sum(bool(answer.right) for answer, _ in answers) == cell.correct


def squares(png: Path | bytes, preview: Preview) -> list[np.ndarray]:
    """The dots of a picture at the places of its tiles, which must be what the drawing puts there."""
    dots = np.asarray(PIL.Image.open(io.BytesIO(png) if isinstance(png, bytes) else png).convert("RGB"))
    found = []
    with drawing.themed():
        panels = arranged(preview)
        few = sum(len(spots) for panel in panels for _, spots in panel.rows) <= drawing._FEW
        for x, y, pixels in drawing.sheet_of(panels, preview.networks, preview.about, few=few).images:
            height, width = pixels.shape[:2]
            part = dots[y : y + height, x : x + width]
            np.testing.assert_array_equal(part, pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2))
            found.append(part)
    return found


@pytest.mark.parametrize("severity", [["1-5"], ["3"]])
def test_a_picture_shows_each_pixel_as_a_square_of_one_colour(severity: list[str], photographs: Path, tmp_path: Path) -> None:
    preview = previewed(["1", "4"], data=f"folder:{photographs}", severity=severity)
    save(preview, tmp_path / "grid.png")
    shown = squares(tmp_path / "grid.png", preview)
    tiles = {tile.pixels.tobytes() for tile in tiles_of(preview)}

    assert len(shown) >= len(tiles)
    for part in shown:
        scale = part.shape[0] // 9
        small = part[::scale, ::scale]
        assert small.tobytes() in tiles
        np.testing.assert_array_equal(small.repeat(scale, 0).repeat(scale, 1), part)


def test_large_images_are_neither_reduced_nor_smoothed(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (430, 400, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "large.png")
    preview = preview_of(prepare_preview(read_plan(None, {"noise": ["contrast"]}), [str(tmp_path / "large.png")]))
    save(preview, tmp_path / "grid.png")

    assert [part.shape for part in squares(tmp_path / "grid.png", preview)] == [(430, 400, 3)] * 6


def images_in(page_text: str) -> list[np.ndarray]:
    pngs = re.findall(r'src="data:image/png;base64,([^"]+)"', page_text)
    return [np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(png)))) for png in pngs]


def test_a_page_holds_the_pixels_and_needs_nothing_else(photographs: Path) -> None:
    preview = previewed(["0", "5"], data=f"folder:{photographs}", severity=["2"])
    text = page(preview)

    assert [image.tobytes() for image in images_in(text)] == [tile.pixels.tobytes() for tile in tiles_of(preview)]
    assert not re.search(r"https?:|<script|url\(|@import", text)
    assert text.count("<img ") == text.count('alt="image ')
    assert 'alt="image 5, shot noise, severity 2 (250)"' in text


def test_names_from_outside_do_nothing_in_a_page_or_a_picture(tmp_path: Path) -> None:
    hostile = '"><script>alert(1)</script>\x1b[2J\u202egnp$x$'
    tile = Tile(condition=previewed(severity=["1"]).conditions[1], pixels=np.zeros((4, 4), np.uint8),
                predictions=(Prediction(hostile, False), Prediction("é" * 5000, None)))  # fmt: skip
    clean = Tile(condition=previewed(severity=["1"]).conditions[0], pixels=tile.pixels, predictions=tile.predictions)
    image = PreviewedImage(name=hostile, label=hostile, file=hostile, tiles=(clean, tile))
    preview = Preview(images=(image, image), networks=(hostile, hostile), about=hostile)
    text = page(preview)
    for suffix in ("png", "svg", "pdf"):
        save(preview, tmp_path / f"grid.{suffix}")

    assert "<script" not in text
    assert text.isprintable() or set(re.findall(r"[^\x20-\x7e]", text)) <= set("\né✓✗→…")
    assert html.unescape(text).count(r"\x1b[2J\u202e") > 4
    assert "\x1b" not in (tmp_path / "grid.svg").read_text()


def test_right_and_wrong_differ_without_colours() -> None:
    assert drawing.marked(Prediction("cat", True)) == "✓ cat"
    assert drawing.marked(Prediction("cat", False)) == "✗ cat"
    assert drawing.marked(Prediction("cat", None)) == "→ cat"


@pytest.mark.parametrize(
    ("noise", "severity", "images", "columns", "rows"),
    [
        (["contrast,snow"], ["1,3"], 1, ["clean", "severity 1", "severity 3"], ["contrast", "snow"]),
        (["contrast=0.2,0.3,0.4", "saturate=2/0"], None, 1, ["clean", "", "", ""], ["contrast", "saturate"]),
        (["paper"], ["3"], 2, ["clean", "gaussian noise", "shot noise", "gaussian blur"], ["first", "second"]),
        (["paper"], ["3"], 1, ["clean", "gaussian noise", "shot noise", "gaussian blur"], [None]),
        (["digital,weather"], ["3"], 1, [], [None, None]),
        (["noise,digital"], ["3"], 2, ["first", "second"], ["clean", "gaussian noise", "shot noise", "impulse noise"]),
        (["clean"], None, 1, ["clean"], [None]),
    ],
)
def test_what_is_compared_is_side_by_side(
    noise: list[str], severity: list[str] | None, images: int, columns: list[str], rows: list[str | None]
) -> None:
    flags = {"noise": noise} | ({"severity": severity} if severity else {})
    preview = previewed(["377", "14"][:images], **flags)
    names = {image.label: name for image, name in zip(preview.images, ("first", "second"), strict=False)}
    panel = arranged(preview)[0]

    assert [names.get(heading.text, heading.text) for heading in panel.columns] == columns
    found = [None if heading is None else names.get(heading.text, heading.text) for heading, _ in panel.rows]
    assert found[: len(rows)] == rows
    assert len(panel.rows) == (8 if images == 2 and columns == ["first", "second"] else len(rows))


def test_conditions_without_a_clean_image_have_no_column_for_it() -> None:
    preview = previewed(["1"], severity=["2-3"])
    without = replace(preview, images=tuple(replace(image, tiles=image.tiles[1:]) for image in preview.images))
    panel = arranged(without)[0]

    assert [heading.text for heading in panel.columns] == ["severity 2", "severity 3"]
    assert [len(spots) for _, spots in panel.rows] == [2, 2]


def test_images_are_found_by_index_and_by_file(photographs: Path, stray: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photographs)
    preview = previewed(["5", "cat/1.png", str(stray), "4,5"], data=f"folder:{photographs}")

    assert [image.title for image in preview.images] == [
        "image 5, dog/2.png", "image 1, cat/1.png", "stray.png", "image 4, dog/1.png",
    ]  # fmt: skip
    assert [image.label for image in preview.images] == ["dog", "cat", None, "dog"]


def test_the_noise_on_a_file_elsewhere_does_not_depend_on_the_dataset(photographs: Path, stray: Path) -> None:
    beside = previewed(["3", str(stray)], data=f"folder:{photographs}").images[1]
    alone = preview_of(prepare_preview(read_plan(None, {"noise": QUICK}), [str(stray)])).images[0]
    array = np.asarray(PIL.Image.open(stray))

    for one, other in zip(beside.tiles, alone.tiles, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
    np.testing.assert_array_equal(alone.tiles[3].pixels, la.corrupt(array, "shot_noise", severity=3))


def test_images_in_memory_and_a_network_in_memory_are_shown(photographs: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (5, 9, 12, 3), np.uint8)
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(324, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    result = la.preview((images, [0, 1, 2, 0, 1]), [4, 0], model={"mine": network}, noise="contrast", severity=1)

    assert [image.name for image in result.preview.images] == ["image 4", "image 0"]
    np.testing.assert_array_equal(result.preview.images[0].tiles[0].pixels, images[4])
    assert result._repr_png_().startswith(b"\x89PNG")
    assert result._repr_html_().count("<img ") == 4
    assert result.figure().get_dpi() == drawing.DPI
    assert result.preview.networks == ("mine",)
    assert "save(FILE)" in repr(result)


def test_a_torch_dataset_is_asked_for_the_chosen_images_only() -> None:
    class Some(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
        asked: list[int] = []  # noqa: RUF012  # of this test alone

        def __len__(self) -> int:
            return 1000

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            self.asked.append(index)
            return torch.full((1, 8, 8), index % 256, dtype=torch.uint8), index % 10

    data = Some()
    shown = la.preview(data, 999, noise="contrast", severity=1, progress=False).preview

    assert data.asked == [999]
    assert shown.images[0].title == "image 999, 9"
    with pytest.raises(ValueError, match="indices from 0 to 999"):
        la.preview(data, 1000)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "html"])
def test_the_command_writes_each_format_and_the_same_bytes_again(suffix: str, larobust: Larobust, tmp_path: Path) -> None:
    words = ("preview", "--data", "digits", "--image", "3", "--image", "5", "--noise", "contrast", "-o", f"grid.{suffix}")
    code, out, err = larobust(*words)
    first = (tmp_path / f"grid.{suffix}").read_bytes()

    assert (code, out) == (0, "")
    assert err.splitlines() == [
        "2 images of digits, 8x8 px, 1 channel; levels of profile cifar-c; noise seed 0.",
        f"grid.{suffix} written",
    ]
    assert larobust(*words)[0] == 0
    assert (tmp_path / f"grid.{suffix}").read_bytes() == first
    if suffix == "pdf":
        assert len(re.findall(rb"/Type /Page\b", first)) == 2
    if suffix == "svg":
        assert first.count(b"<image ") == 12


def test_without_anything_said_the_first_digit_is_shown(larobust: Larobust, tmp_path: Path) -> None:
    code, _, err = larobust("preview", "--noise", "contrast")

    assert code == 0
    assert "using digits, the default" in err
    assert "no --image given: image 377 is shown" in err
    assert (tmp_path / "preview.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--image", "500"], "--image 500: digits has 500 images, with indices from 0 to 499"),
        (["--image", "nothing.png"], "--image nothing.png: no such file"),
        (["--image", "1", "--limit", "3"], "give either --image or --limit"),
        (["--limit", "101"], "at most 100 images, not 101"),
        (["--limit", "7"], "7 images under 96 conditions are 672 tiles of 8x8 px"),
        (["-o", "grid.jpg"], "its suffix has to be .png, .svg, .pdf or .html; not .jpg"),
        (["-o", "grid"], "it has none"),
        (["--activation", "relu"], "--activation is about a network, and none is given; add --ckpt, or omit it"),
        (["--noise", "snoww"], "did you mean snow"),
        (["--data", "cifar10-c:somewhere"], "cifar10-c"),
        (["--image", "stray.png", "-o", "stray.png"], "stray.png would overwrite an image that is shown"),
        (["--data", "folder:photographs", "-o", "photographs/cat/grid.png"], "is among the images of folder:photographs"),
        (["--image", "notes.txt"], "cannot decode notes.txt: damaged, or no image"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(
    words: list[str], message: str, larobust: Larobust, photographs: Path, stray: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = larobust("preview", *words)

    assert (code, out, len(err.strip().splitlines())) == (2, "", 1)
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before


def test_images_of_several_sizes_are_refused(photographs: Path, stray: Path, tmp_path: Path) -> None:
    PIL.Image.new("RGB", (5, 5)).save(tmp_path / "other.png")

    with pytest.raises(UserError, match=r"differ in size.*give --resize and --crop"):
        previewed([str(stray), str(tmp_path / "other.png")], data=f"folder:{photographs}")


def test_frost_without_its_photographs_is_named_as_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from corruptions import textures

    monkeypatch.setattr(textures, "_PACKAGE", "not_installed_anywhere")
    monkeypatch.setattr(textures, "_given", [])
    preview = previewed(noise=["weather"], severity=["1"])

    assert [condition.corruption for condition in preview.conditions] == ["clean", "snow", "fog", "brightness"]
    assert "Left out: frost needs the published photographs" in preview.about


def test_a_preview_of_images_in_memory_needs_no_labels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    first, second = la.preview(images, [0, 2], noise="fog", severity=1).preview.images

    assert (first.name, first.label, second.name) == ("image 0", None, "image 2")
    assert np.array_equal(second.tiles[0].pixels, images[2])
    with pytest.raises(la.UserError, match=r"labels of the images are missing: give \(images, labels\), not one ndarray"):
        la.evaluate(torch.nn.Linear(1, 1), images)


def test_a_file_that_a_preview_replaces_is_named(larobust: Larobust) -> None:
    words = ("preview", "--data", "digits", "--noise", "fog", "--severity", "1")
    first, second = larobust(*words), larobust(*words)

    assert first[2].endswith("preview.png written\n")
    assert second[2].endswith("preview.png written, in place of the file that was there\n")
