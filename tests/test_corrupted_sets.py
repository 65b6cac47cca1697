"""``larobust corrupt``: the images that are measured on, in the layouts of the published sets, also if it is interrupted."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from commands import Larobust
from make_published_sets import write_blocks
from torchvision.datasets import ImageFolder

import robustbench_la as la
from corruptions import CORRUPTIONS
from corruptions.textures import missing
from robustbench_la.errors import UserError
from robustbench_la.images.decoding import ImageChoice, load, open_dataset
from robustbench_la.images.jpeg import as_jpeg
from robustbench_la.images.written_sets import UNFINISHED
from robustbench_la.writing import flushing
from robustbench_la.writing import write as writing_module
from robustbench_la.writing.folder import claimed
from robustbench_la.writing.layouts import class_folders
from robustbench_la.writing.manifest import MANIFEST

FROST = missing() is None


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of small pictures in colour, one of them with a folder within, and with two files of one stem."""
    folder, rng = tmp_path_factory.mktemp("data") / "photos", np.random.default_rng(0)
    for name in ("n01/b.png", "n01/a.JPG", "n01/a.png", "n02/deep/c.d.png", "n02/e.png", "n02/f.png", "n02/g.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.kron(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8), np.ones((8, 8, 1), dtype=np.uint8))
        PIL.Image.fromarray(pixels).save(path, "PNG")
    return folder


@pytest.mark.parametrize("form", ["png", "jpeg85"])
def test_folders_hold_the_images_that_are_measured_on(larobust: Larobust, photos: Path, form: str) -> None:
    data = f"folder:{photos}"
    code, _, said = larobust(
        "corrupt", "--data", data, "--noise", "gaussian,fog", "--severity", "2,5", "-o", "out", "--format", form
    )
    assert code == 0, said
    clean = load(ImageChoice(data))

    for name in ("gaussian_noise", "fog"):
        for severity in (2, 5):
            read = ImageFolder(str(Path("out", name, str(severity))))
            by_file = {Path(path).relative_to(read.root).as_posix(): np.array(read.loader(path)) for path, _ in read.samples}
            expected = la.corrupt(clean.images, name, severity=severity, layout="NCHW")
            expected = as_jpeg(expected, 85) if form == "jpeg85" else expected
            assert read.classes == ["n01", "n02"]
            for pixels, file in zip(expected, clean.files, strict=True):
                stem = file if Path(file).stem == "a" else file.rpartition(".")[0]
                written = by_file[stem + (".JPEG" if form == "jpeg85" else ".png")]
                assert np.array_equal(written, pixels.transpose(1, 2, 0))
    assert {path.name for path in Path("out").iterdir()} == {"gaussian_noise", "fog", MANIFEST}


def test_arrays_hold_one_severity_after_another(larobust: Larobust, photos: Path) -> None:
    data = f"folder:{photos}"
    assert larobust("corrupt", "--data", data, "--noise", "poisson", "-o", "out", "--format", "npy")[0] == 0
    clean = load(ImageChoice(data))
    images, labels = (np.load(f"out/{name}.npy", allow_pickle=False) for name in ("shot_noise", "labels"))

    assert images.shape == (5 * 7, 32, 40, 3)
    assert (images.dtype, labels.dtype) == (np.uint8, np.uint8)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 1] * 5
    for severity in range(1, 6):
        expected = la.corrupt(clean.images, "shot_noise", severity=severity, layout="NCHW").transpose(0, 2, 3, 1)
        assert np.array_equal(images[(severity - 1) * 7 : severity * 7], expected)


def test_all_nineteen_are_written_at_the_ids_of_a_part(larobust: Larobust) -> None:
    """Grey images keep an axis for their channel, as MNIST-C has it; without photographs frost is named as left out."""
    code, _, said = larobust("corrupt", "--data", "digits", "--limit", 3, "--noise", "all", "-o", "out", "--format", "npy")
    assert code == 0, said
    clean = load(ImageChoice("digits"), limit=3)
    names = {path.stem for path in Path("out").glob("*.npy")} - {"labels"}

    assert names == set(CORRUPTIONS) - (set() if FROST else {"frost"})
    assert FROST or "Left out: frost" in said
    for name in names:
        written = np.load(f"out/{name}.npy")
        assert written.shape == (15, 8, 8, 1)
        expected = la.corrupt(clean.images, name, severity=4, ids=clean.ids, layout="NCHW")
        assert np.array_equal(written[9:12, ..., 0], expected[:, 0]), name


def test_images_without_files_are_named_by_their_ids(larobust: Larobust) -> None:
    assert larobust("corrupt", "--data", "digits", "--limit", 5, "--noise", "fog=1.5/2,gaussian=0.1", "-o", "out")[0] == 0
    clean = load(ImageChoice("digits"), limit=5)
    expected = {f"{label}/{index:03}.png" for index, label in zip(clean.ids.tolist(), clean.labels.tolist(), strict=True)}

    assert set(content(Path("out/fog/level_1.5_2"))) == expected
    assert set(content(Path("out/gaussian_noise/level_0.1"))) == expected


def test_folders_of_classes_sort_as_the_labels() -> None:
    assert class_folders(["airplane", "automobile"]) == ["airplane", "automobile"]
    for names in (["T-shirt/top", "Trouser"], ["b", "a"], ["..", "a"], [".a", "b"], ["a", "a"], [str(n) for n in range(11)]):
        folders = class_folders(names)
        assert folders == [f"{n:0{len(str(len(names) - 1))}}" for n in range(len(names))]
        assert sorted(folders) == folders


@pytest.mark.parametrize("form", ["png", "jpeg85", "npy"])
def test_bytes_do_not_depend_on_batches_threads_and_order(larobust: Larobust, form: str, request: pytest.FixtureRequest) -> None:
    before = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(before))
    few = ("corrupt", "--data", "digits", "--limit", 9, "--format", form)
    results = []
    for batch, threads, noise in ((1, 1, "snow,glass_blur"), (7, 2, "glass_blur,snow"), (64, 2, "snow,glass_blur")):
        torch.set_num_threads(threads)
        assert larobust(*few, "--noise", noise, "--batch-size", batch, "-o", f"out{batch}")[0] == 0
        results.append({name: raw for name, raw in content(Path(f"out{batch}")).items() if name != MANIFEST})

    assert results[0] == results[1] == results[2]
    assert content(Path("out1")) == content(Path("out64"))


@pytest.mark.parametrize("form", ["png", "npy"])
@pytest.mark.parametrize("batches", [0, 1, 4, 9])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    larobust: Larobust, monkeypatch: pytest.MonkeyPatch, form: str, batches: int
) -> None:
    words = ("corrupt", "--data", "digits", "--limit", 7, "--noise", "gaussian,contrast", "--batch-size", 3, "--format", form)
    assert larobust(*words, "-o", "whole")[0] == 0
    corrupted, done = writing_module.corrupted_images, []

    def interrupted(*given: Any, **more: Any) -> torch.Tensor:
        if len(done) == batches:
            raise KeyboardInterrupt
        done.append(1)
        return corrupted(*given, **more)

    with monkeypatch.context() as patched:
        patched.setattr(writing_module, "corrupted_images", interrupted)
        code, _, said = larobust(*words, "-o", "out")
    assert (code, "goes on" in said) == (130, True), said
    seen = {path for path in content(Path("out")) if not path.startswith(".")}
    assert {path: content(Path("whole"))[path] for path in seen} == {path: content(Path("out"))[path] for path in seen}
    for folder in Path("out").glob("*/*"):
        assert folder.parent.name.startswith(".") or len(content(folder)) == 7
    code, _, said = larobust(*words, "-o", "out")

    assert code == 0, said
    assert ("were there" in said) == (batches > 0)
    assert content(Path("out")) == content(Path("whole"))
    assert "finished already" in larobust(*words, "-o", "out")[2]


_SET = ("corrupt", "--data", "digits", "--limit", "4", "--noise", "gaussian", "-o", "out")


@pytest.mark.parametrize(
    ("words", "difference"),
    [
        (("--format", "npy"), "in format png, not npy"),
        (("--noise-seed", "1"), "with noise seed 0, not 1"),
        (("--profile", "tiny-c"), "with levels of profile cifar-c, not tiny-c"),
        (("--noise", "gaussian,fog"), 'of other corruptions or severities (not "fog 1")'),
        (("--severity", "1-4"), 'of other corruptions or severities (also "gaussian_noise 5")'),
        (("--noise", "fog=1.5/2"), 'of other corruptions or severities (also "gaussian_noise 1")'),
        (("--limit", "5"), "made of 4 images, not of 5"),
        (("--resize", "16"), "of 8x8 px with 1 channel, not 16x16 px with 1 channel"),
        (("--channels", "3"), "of 8x8 px with 1 channel, not 8x8 px with 3 channels"),
    ],
)
def test_a_set_with_other_settings_is_refused_by_the_difference(
    larobust: Larobust, words: tuple[str, ...], difference: str
) -> None:
    assert larobust(*_SET)[0] == 0
    before = content(Path("out"))
    code, _, said = larobust(*_SET[:-4], *(() if "--noise" in words else _SET[-4:-2]), *words, "-o", "out")

    assert code == 2
    assert f"out holds images {difference}; give the settings it was begun with, or another folder" in said
    assert said.count("larobust:") == 1
    assert content(Path("out")) == before


def test_a_set_of_other_images_or_libraries_is_refused(larobust: Larobust, tmp_path: Path, photos: Path) -> None:
    words = ("corrupt", "--data", f"folder:{tmp_path}/photos", "--noise", "contrast", "-o", "out")
    for path in photos.rglob("*.*"):
        if path.is_file():
            copy = tmp_path / "photos" / path.relative_to(photos)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    assert larobust(*words)[0] == 0
    (tmp_path / "photos/n01/b.png").rename(tmp_path / "photos/n01/bb.png")
    assert "whose files are named otherwise" in larobust(*words)[2]
    (tmp_path / "photos/n01/bb.png").rename(tmp_path / "photos/n01/b.png")
    kept = json.loads(Path("out", MANIFEST).read_text())
    Path("out", MANIFEST).write_text(json.dumps({**kept, "versions": {**kept["versions"], "pillow": "1.0"}}))
    code, _, said = larobust(*words)
    assert (code, "with pillow 1.0, not " in said) == (2, True), said
    Path("out", MANIFEST).write_text(json.dumps(kept))
    (tmp_path / "photos/n01/b.png").write_bytes((photos / "n02/e.png").read_bytes())
    code, _, said = larobust(*words)

    assert (code, "that are not those given" in said) == (2, True), said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--noise", "clean"), "no corruption to write images of; name some with --noise"),
        (("--severity", "1-3", "--format", "npy"), "give --severity 1-5, or --format png"),
        (("--noise", "fog=1.5/2", "--format", "npy"), "for custom levels give --format png"),
        (("--format", "gif"), "unknown format 'gif'; available: png, jpeg85, npy"),
        (("--config", "seeds.yaml"), "holds images of one noise seed"),
        (("--config", "jpeg.yaml"), "the plan says JPEG of quality 60"),
        (("--data", "folder:photos", "-o", "photos/out"), "would be taken for a class of images"),
        (("-o", "file"), "file is not a folder"),
        (("-o", "full"), "full holds other files, such as notes.txt; give a new or an empty folder with -o"),
        (("-o", "broken"), "is no larobust_set 1; give another folder with -o"),
        (("-o", "damaged"), "not readable as JSON"),
        (("-o", "/proc/out"), "cannot write /proc/out"),
        (("-o", "x" * 300), "File name too long"),
    ],
)
def test_what_cannot_be_written_is_refused_in_a_line(
    larobust: Larobust, photos: Path, words: tuple[str, ...], message: str
) -> None:
    if "/proc/out" in words and not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    Path("photos").symlink_to(photos)
    Path("seeds.yaml").write_text("noise_seeds: 2\n")
    Path("jpeg.yaml").write_text("jpeg: 60\n")
    Path("file").write_text("mine")
    for name, file, text in (("full", "notes.txt", "mine"), ("broken", MANIFEST, "{}"), ("damaged", MANIFEST, "{")):
        Path(name).mkdir()
        Path(name, file).write_text(text)
    before = content(Path())
    code, _, said = larobust("corrupt", "--data", "digits", "--limit", "4", "-o", "out", *words)

    assert code == 2
    assert message in said
    assert said.count("\n") <= 2, said
    assert "Traceback" not in said
    assert content(Path()) == before
    assert not Path("out").exists()


def test_what_is_missing_of_a_finished_folder_is_written_again(larobust: Larobust) -> None:
    assert larobust(*_SET)[0] == 0
    before = content(Path("out"))
    first, second, *_ = (path for path in Path("out").rglob("*.png"))
    first.unlink()
    second.write_bytes(b"")  # as a loss of power may leave it
    code, _, said = larobust(*_SET)

    assert (code, "out: 2 images, " in said) == (0, True), said
    assert content(Path("out")) == before


def test_a_set_that_is_not_finished_says_so_where_it_is_read(tmp_path: Path) -> None:
    (tmp_path / UNFINISHED).mkdir()
    for kind in ("cifar10-c", "imagenet-c"):
        with pytest.raises(UserError, match=r"no finished corruption: .*has not finished this set .* the same command goes on"):
            open_dataset(ImageChoice(f"{kind}:{tmp_path}"))
    write_blocks(tmp_path, {"fog": [np.zeros((2, 3, 32, 32), dtype=np.uint8)] * 5}, [0, 1])
    (remark,) = open_dataset(ImageChoice(f"cifar10-c:{tmp_path}")).remarks
    assert "the same command goes on" in remark


def test_images_that_larobust_wrote_are_named_as_corrupted_where_they_are_read_as_a_folder(larobust: Larobust) -> None:
    assert larobust("corrupt", "--data", "digits", "--limit", 20, "--noise", "fog", "--severity", 3, "-o", "out")[0] == 0
    (remark,) = open_dataset(ImageChoice("folder:out/fog/3")).remarks

    assert "--noise clean measures them as they are" in remark
    code, _, said = larobust("corrupt", "--data", "folder:out/fog/3", "--noise", "fog", "--severity", 1, "-o", "again")
    assert (code, remark in said) == (0, True)
    shutil.move("out/fog", "fog")
    assert open_dataset(ImageChoice("folder:fog/3")).remarks == ()


def test_what_file_managers_leave_in_a_folder_does_not_keep_it_from_being_written_to(larobust: Larobust) -> None:
    Path("out").mkdir()
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        Path("out", name).touch()
    assert larobust("corrupt", "--data", "digits", "--limit", 2, "--noise", "fog", "--severity", 3, "-o", "out")[0] == 0


def test_what_was_written_is_flushed_also_where_a_file_system_cannot_be_flushed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never the whole machine, on which others write, too."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.png").write_bytes(b"0")
    flushed: list[int] = []
    monkeypatch.setattr(os, "sync", lambda: pytest.fail("the whole machine was flushed"), raising=False)
    monkeypatch.setattr(os, "fsync", flushed.append)
    flushing.flush(tmp_path)
    assert not flushed or sys.platform != "linux"
    monkeypatch.setattr(flushing, "_flush_file_system", lambda folder: False)
    flushed.clear()
    flushing.flush(tmp_path)
    assert len(flushed) == 3 * hasattr(os, "O_DIRECTORY")


def test_two_files_of_one_name_are_refused(larobust: Larobust, photos: Path) -> None:
    for name in ("a.png", "a.jpg", "a.jpg.png", "a.jpg.jpg"):
        for folder in ("x", "y"):
            Path("data", folder).mkdir(parents=True, exist_ok=True)
            Path("data", folder, name).write_bytes((photos / "n02/e.png").read_bytes())
    assert larobust("corrupt", "--data", "folder:data", "--noise", "contrast", "--severity", 1, "-o", "out")[0] == 0
    assert set(content(Path("out/contrast/1/x"))) == {"a.png.png", "a.jpg.png", "a.jpg.png.png", "a.jpg.jpg.png"}
    Path("data/x/a.jpg.jpg").unlink()
    code, _, said = larobust("corrupt", "--data", "folder:data", "--noise", "contrast", "--severity", 1, "-o", "out2")

    assert (code, "would both be written as x/a.jpg.png; rename one" in said) == (2, True), said


def test_one_process_writes_at_a_time(larobust: Larobust) -> None:
    pytest.importorskip("fcntl")
    with claimed(Path("out")):
        code, _, said = larobust(*_SET)
    assert (code, "another process is writing to out" in said) == (3, True)
    assert not Path("out").exists()
    assert larobust(*_SET)[0] == 0


def test_a_folder_can_be_written_to_again_although_its_lock_could_not_be_removed(tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        raise OSError(30, "Read-only file system")

    with pytest.MonkeyPatch.context() as patched, claimed(tmp_path / "out"):
        patched.setattr(Path, "unlink", refuse)
    with claimed(tmp_path / "out"):
        pass

    assert not (tmp_path / "out" / ".larobust-writing").exists()


@pytest.mark.parametrize("form", ["png", "npy"])
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(larobust: Larobust, form: str) -> None:
    resource = pytest.importorskip("resource", reason="needs POSIX")
    words = ("corrupt", "--data", "digits", "--resize", 64, "--limit", 30, "--noise", "gaussian", "--format", form, "-o")
    assert larobust(*words, "whole")[0] == 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2500, hard))
    try:
        code, _, said = larobust(*words, "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 3, said
    assert "cannot write to out: File too large; once it can, the same command goes on" in said
    assert "Traceback" not in said
    assert not list(Path("out").glob("gaussian_noise*"))
    code, _, said = larobust(*words, "out")

    assert code == 0, said
    assert content(Path("out")) == content(Path("whole"))


def test_arrays_that_do_not_fit_on_the_disk_are_not_begun(larobust: Larobust, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(writing_module.shutil, "disk_usage", lambda path: usage)
    code, _, said = larobust(*_SET, "--format", "npy")

    assert code == 3
    assert "the arrays in out take 1.2 KiB more, but only 1.0 KiB are free" in said
    assert not list(Path("out").glob("*.npy"))


def test_a_plan_says_what_is_written(larobust: Larobust) -> None:
    Path("plan.yaml").write_text("data: digits\nlimit: 3\nresize: 16\nnoise: fog\nseverity: 2\njpeg: 85\ntrain: {epochs: 3}\n")
    assert larobust("corrupt", "--config", "plan.yaml", "-o", "out")[0] == 0
    files = [path for path in Path("out/fog/2").rglob("*") if path.is_file()]

    assert [path.suffix for path in files] == [".JPEG"] * 3
    with PIL.Image.open(files[0]) as read:
        assert read.size == (16, 16)


def test_python_writes_images_in_memory(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 12, 12, 3), dtype=np.uint8)
    labels = [0, 1, 0, 1, 1, 0]
    done = la.write_corrupted((images, labels), tmp_path / "out", noise="contrast", format="npy", progress=False)
    again = la.write_corrupted((images, labels), tmp_path / "out", noise="contrast", format="npy", progress=False)

    assert (done.images, done.written, again.written) == (6, 30, 0)
    assert done.conditions[2] == "contrast 3"
    written = np.load(tmp_path / "out" / "contrast.npy")
    assert np.array_equal(written[12:18], la.corrupt(images, "contrast", severity=3))
    assert np.load(tmp_path / "out" / "labels.npy").tolist() == labels * 5
    with pytest.raises(TypeError, match="unexpected keyword argument 'batchsize'; did you mean batch_size"):
        la.write_corrupted("digits", tmp_path / "out", batchsize=3)
    with pytest.raises(ValueError, match="give severity=1-5"):
        la.write_corrupted("digits", tmp_path / "out2", severity=3, format="npy")
