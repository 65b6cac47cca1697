"""Published corrupted sets are read as they are: every layout, what is said about them, and what is refused in one line."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from make_published_sets import corrupted, write_blocks, write_mnist_c, write_tree

import robustbench_la as la
from robustbench_la.images.decoding import ImageChoice, open_dataset
from robustbench_la.images.published import mnist_c
from robustbench_la.images.published.table import READERS
from robustbench_la.records.published_sets import PUBLISHED_SETS

IMAGES, SIDE = 12, 32
LABELS = [index % 10 for index in range(IMAGES)]
PIXELS = np.random.default_rng(3).integers(0, 256, (IMAGES, 3, SIDE, SIDE), dtype=np.uint8)


def network(channels: int, side: int, classes: int) -> torch.nn.Module:
    torch.manual_seed(0)
    hidden = torch.nn.Linear(channels * 16, 8)
    return torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), hidden, torch.nn.ReLU(), torch.nn.Linear(8, classes)
    )


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    write_blocks(tmp_path / "set", corrupted(PIXELS, ("brightness", "contrast"), "cifar-c"), LABELS)
    return tmp_path / "set"


def accuracies(result: la.EvaluationResult) -> dict[tuple[str, int | None], int]:
    return {(cell.condition.corruption, cell.condition.severity): cell.correct for cell in result.cells}


def test_a_set_of_blocks_gives_what_the_same_images_corrupted_here_give(blocks: Path) -> None:
    model = network(3, SIDE, 10)

    read = la.evaluate(model, f"cifar10-c:{blocks}", normalize="none", limit=7)
    made = la.evaluate(model, (PIXELS, LABELS), noise="brightness,contrast", profile="cifar-c", normalize="none", limit=7)

    nll = {(cell.condition.corruption, cell.condition.severity): cell.nll_sum for cell in made.cells}
    assert len(read.cells) == 10
    assert all(nll[cell.condition.corruption, cell.condition.severity] == cell.nll_sum for cell in read.cells)
    assert {cell.condition.profile for cell in read.cells} == {"cifar10-c (modified)"}
    assert {cell.noise_seed for cell in read.cells} == {None}
    assert "modified images" in str(read)


def test_a_set_of_files_is_read_by_severity_whatever_its_levels_are_called(tmp_path: Path) -> None:
    wnids = [f"n{number:08}" for number in range(200)]
    pixels = np.random.default_rng(3).integers(0, 256, (200, 3, 64, 64), dtype=np.uint8)
    levels = ("4.75", "7.00", "8.50", "9.25", "10.00")  # sorted as text, 10.00 comes first
    made = {"plasma_noise": [np.clip(pixels.astype(int) + 9 * level, 0, 255).astype(np.uint8) for level in range(5)]}
    write_tree(tmp_path / "set", made, [f"{wnid}/one.JPEG" for wnid in wnids], levels=levels, lossless=True)
    model = network(3, 64, 200)

    read = la.evaluate(model, f"tiny-imagenet-c:{tmp_path / 'set'}", noise="plasma_noise", severity="1,5", normalize="none")

    for cell, level in zip(read.cells, (0, 4), strict=True):
        direct = la.evaluate(model, (made["plasma_noise"][level], list(range(200))), noise="clean", normalize="none")
        assert cell.nll_sum == direct.cells[0].nll_sum


def test_mnist_c_has_clean_images_and_one_level(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (IMAGES, 1, 28, 28), dtype=np.uint8)
    write_mnist_c(tmp_path, {"identity": pixels, "zigzag": 255 - pixels}, LABELS)

    read = la.evaluate(network(1, 28, 10), f"mnist-c:{tmp_path}", normalize="none")

    assert [str(cell.condition) for cell in read.cells] == ["clean", "zigzag, mnist-c (modified)"]


def test_reading_files_leaves_no_threads_behind(tmp_path: Path) -> None:
    files = [f"n{number:08}/a.JPEG" for number in range(200)]
    write_tree(tmp_path, {"fog": [np.zeros((200, 3, 64, 64), dtype=np.uint8)]}, files, levels=("1",))
    before = threading.active_count()
    published = open_dataset(ImageChoice(f"tiny-imagenet-c:{tmp_path}")).source.published
    assert published is not None
    assert published.read("fog", 1, np.arange(8)).shape == (8, 3, 64, 64)
    assert threading.active_count() == before


def test_each_file_of_mnist_c_is_summed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist_c(tmp_path, {"fog": np.zeros((2, 1, 28, 28), dtype=np.uint8)}, [0, 1])
    published = open_dataset(ImageChoice(f"mnist-c:{tmp_path}")).source.published
    assert published is not None
    first = published.identify("fog", None)
    monkeypatch.setattr(mnist_c, "md5_of", lambda *given: pytest.fail("summed again"))
    assert published.identify("fog", None) == first


def test_files_are_mapped_and_not_read(blocks: Path) -> None:
    published = READERS["cifar10-c"](blocks, "test", False).published
    assert published is not None

    assert isinstance(published._images("contrast"), np.memmap)  # type: ignore[attr-defined]


def test_every_set_has_a_reader_and_a_summary() -> None:
    assert set(READERS) == set(PUBLISHED_SETS)


def rows(change: Callable[[np.ndarray], np.ndarray], file: str = "contrast.npy") -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        np.save(root / file, change(np.load(root / file)))

    return edit


def pickled(root: Path) -> None:
    np.save(root / "contrast.npy", np.array([os.getcwd] * 3, dtype=object), allow_pickle=True)


def truncated(root: Path) -> None:
    content = (root / "contrast.npy").read_bytes()
    (root / "contrast.npy").write_bytes(content[:-1])


def huge(root: Path) -> None:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({2**60}, 32, 32, 3), }}".ljust(117) + "\n"
    (root / "contrast.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())


def fifo(root: Path) -> None:
    (root / "contrast.npy").unlink()
    os.mkfifo(root / "contrast.npy")


def folder(root: Path) -> None:
    (root / "contrast.npy").unlink()
    (root / "contrast.npy").mkdir()


def other_labels(labels: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(labels)) == len(labels) - 1, (labels + 1) % 10, labels)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a row too few": (rows(lambda images: images[:-1]), "59 images, but labels.npy has 60"),
    "labels too few": (rows(lambda labels: labels[:-1], "labels.npy"), "not five equal blocks"),
    "labels of fewer images": (rows(lambda labels: labels[:50], "labels.npy"), "60 images, but labels.npy has 50|blocks differ"),
    "blocks that differ": (rows(other_labels, "labels.npy"), "blocks differ"),
    "labels beyond the classes": (rows(lambda labels: labels + 1, "labels.npy"), "classes 0 to 9"),
    "labels that are fractions": (rows(lambda labels: labels / 2, "labels.npy"), "whole numbers"),
    "no labels": (lambda root: (root / "labels.npy").unlink(), "labels of the set are missing"),
    "fractions": (rows(lambda images: images / 255), "float64, and images are uint8"),
    "another shape": (rows(lambda images: images.transpose(0, 3, 1, 2)), "its shape is"),
    "Fortran order": (rows(np.asfortranarray), "Fortran order"),
    "pickled": (pickled, "pickled objects, which are never read"),
    "truncated": (truncated, "truncated"),
    "a header without end": (huge, "truncated"),
    "a pipe": (fifo, "contrast.npy"),
    "a folder": (folder, "contrast.npy"),
    "no npy file": (lambda root: (root / "contrast.npy").write_bytes(b"hello"), "no npy file"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "message"), REFUSED.values(), ids=REFUSED)
def test_a_set_that_does_not_fit_is_refused_in_one_line(blocks: Path, edit: Callable[[Path], None], message: str) -> None:
    edit(blocks)

    with pytest.raises(la.UserError, match=message) as refused:
        la.evaluate(network(3, SIDE, 10), f"cifar10-c:{blocks}", noise="contrast", normalize="none")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise": "fog"}, "cifar10-c has no 'fog'; available: brightness, contrast"),
        ({"noise": "contrast=0.5"}, "no custom levels"),
        ({"noise_seeds": 2}, "noise_seeds"),
        ({"noise_seed": 2}, "noise_seed"),
        ({"profile": "cifar-c"}, "profile"),
        ({"jpeg": 85}, "jpeg"),
        ({"resize": 32}, "resize"),
        ({"crop": 32}, "crop"),
        ({"channels": 1}, "channels= has no effect on cifar10-c: its images are measured with the channels"),
        ({"download": True}, "download=.* has no effect on cifar10-c"),
    ],
)
def test_settings_without_effect_on_a_set_are_refused(blocks: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(la.UserError, match=message):
        la.evaluate(network(3, SIDE, 10), f"cifar10-c:{blocks}", normalize="none", **settings)  # type: ignore[arg-type]


def test_groups_leave_out_what_a_set_lacks_and_say_so(blocks: Path) -> None:
    read = la.evaluate(network(3, SIDE, 10), f"cifar10-c:{blocks}", noise="digital", severity=3, normalize="none")

    assert [cell.condition.corruption for cell in read.cells] == ["contrast"]
    assert "Left out: elastic_transform, pixelate, jpeg_compression, which the set does not hold" in " ".join(str(read).split())


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda root: (root / "fog" / "3").rename(root / "fog" / "three"), "no severity 3 of fog"),
        (lambda root: (root / "fog" / "3" / "n00000007").rename(root / "fog" / "3" / "dogs"), "other images|no class"),
        (
            lambda root: (root / "fog/3/n00000007/a.JPEG").rename(root / "fog/3/n00000007/b.JPEG"),
            "other images",
        ),
        (lambda root: (root / "fog" / "1" / "n00000007").rename(root / "fog" / "1" / "dogs"), "no class of tiny-imagenet-c"),
    ],
    ids=["a severity missing", "another class", "another image", "no WordNet id"],
)
def test_a_tree_that_does_not_fit_is_refused(tmp_path: Path, edit: Callable[[Path], object], message: str) -> None:
    pixels = np.zeros((200, 3, 64, 64), dtype=np.uint8)
    write_tree(tmp_path, {"fog": [pixels] * 3}, [f"n{number:08}/a.JPEG" for number in range(200)], levels=("1", "2", "3"))
    edit(tmp_path)

    with pytest.raises(la.UserError, match=message):
        la.evaluate(network(3, 64, 200), f"tiny-imagenet-c:{tmp_path}", severity="1,3", normalize="none")


def test_imagenet_c_refuses_folders_that_are_no_class_of_it(tmp_path: Path) -> None:
    write_tree(tmp_path, {"fog": [PIXELS] * 5}, [f"n{number:08}/a.JPEG" for number in range(IMAGES)])

    with pytest.raises(la.UserError, match="no class of imagenet-c"):
        la.evaluate(network(3, 224, 1000), f"imagenet-c:{tmp_path}", normalize="none")


def test_fluctuation_needs_clean_images_which_a_set_does_not_hold(blocks: Path) -> None:
    with pytest.raises(la.UserError, match="no clean images"):
        la.fluctuation(network(3, SIDE, 10), f"cifar10-c:{blocks}", normalize="none")
