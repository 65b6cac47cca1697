"""Published sets in the hands of users: baselines and checks, filters of stores, comparisons with generated images, previews."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fuzzing import larobust
from make_published_sets import corrupted, write_blocks, write_mnist_c
from PIL import Image
from test_check import command

import robustbench_la as la
from robustbench_la.analysis.tables.table import Estimate, Table
from robustbench_la.images.decoding import ImageChoice, open_dataset
from robustbench_la.measuring.session import _sizes_ignored

IMAGES = 20
LABELS = [index * 7 % 10 for index in range(IMAGES)]
PIXELS = np.random.default_rng(3).integers(0, 256, (IMAGES, 3, 32, 32), dtype=np.uint8)
NETWORK = """
import torch

def small():
    return torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear({inputs}, 8), torch.nn.ReLU(), torch.nn.Linear(8, 10)
    )
"""


def network(channels: int = 3) -> torch.nn.Module:
    names: dict[str, object] = {}
    exec(NETWORK.format(inputs=16 * channels), names)
    torch.manual_seed(0)
    return names["small"]()  # type: ignore[no-any-return, operator]


def differences(table: Table) -> list[float]:
    return [value.value for row in table.rows if isinstance(value := row.values[4], Estimate)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set in ``set``, a network of it and the flags that load it in ``net.pt`` and ``net.py``."""
    write_blocks(tmp_path / "set", corrupted(PIXELS, ("brightness", "contrast"), "cifar-c"), LABELS)
    (tmp_path / "net.py").write_text(NETWORK.format(inputs=48))
    torch.save(network().state_dict(), tmp_path / "net.pt")
    return tmp_path


LOADED = ("--ckpt", "net.pt", "--arch", "net.py:small", "--normalize", "none")


def test_a_baseline_of_a_set_without_clean_images_is_checked_and_other_files_are_not_comparable(folder: Path) -> None:
    made = command("baseline", *LOADED, "--data", "cifar10-c:set", "--severity", "1,3", "-o", "b.json", folder=folder)
    assert made.returncode == 0, made.stderr
    same = command("check", *LOADED, "--baseline", "b.json", folder=folder)
    part = command("check", *LOADED, "--baseline", "b.json", "--noise", "contrast", folder=folder)
    images = np.load(folder / "set" / "contrast.npy")
    images[0, 0, 0, 0] ^= 1
    np.save(folder / "set" / "contrast.npy", images)
    other = command("check", *LOADED, "--baseline", "b.json", folder=folder)

    assert (same.returncode, part.returncode, other.returncode) == (0, 0, 4), (same.stderr, part.stderr, other.stderr)
    assert "0 of 80 answers differ" in same.stdout
    assert "0 of 40 answers differ" in part.stdout
    assert "the images of contrast 1, cifar10-c (modified) are others" in other.stderr


def test_results_are_filtered_by_corruptions_that_only_a_set_in_the_store_has(tmp_path: Path) -> None:
    pixels = PIXELS[:, :1, :28, :28]
    write_mnist_c(tmp_path, {"identity": pixels, "zigzag": 255 - pixels, "stripe": pixels}, LABELS)
    store = tmp_path / "x.sqlite"
    la.evaluate(network(1), f"mnist-c:{tmp_path}", normalize="none", store=store)

    shown = command("results", "--store", store, "--noise", "zigzag", "--csv", folder=tmp_path)
    compared = command("compare", "--store", store, "--noise", "zigzag", folder=tmp_path)
    wrong = command("results", "--store", store, "--noise", "zigzg", folder=tmp_path)
    elsewhere = command("results", "--store", "none.sqlite", "--noise", "zigzag", folder=tmp_path)

    assert (shown.returncode, compared.returncode, wrong.returncode, elsewhere.returncode) == (0, 0, 2, 2)
    assert len(shown.stdout.splitlines()) == 2
    assert "stripe" not in compared.stdout
    assert "unknown corruption 'zigzg'" in wrong.stderr
    assert [cell.condition.corruption for cell in la.open_store(store, noise="clean,zigzag").cells] == ["clean", "zigzag"]


def test_a_set_that_larobust_wrote_from_part_of_a_dataset_gives_what_that_part_gives(tmp_path: Path) -> None:
    for index, image in enumerate(PIXELS):
        path = tmp_path / "photos" / f"class{LABELS[index]}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(path)
    data, noise, store = f"folder:{tmp_path}/photos", ["gaussian_noise", "contrast"], tmp_path / "x.sqlite"
    la.write_corrupted(data, tmp_path / "set", noise=noise, limit=15, format="npy")

    made = la.evaluate(network(), data, noise=noise, limit=15, normalize="none", store=store)
    read = la.evaluate(network(), f"cifar10-c:{tmp_path}/set", normalize="none", store=store)
    (table,) = la.compare(store, source="prebuilt,generated", detail="severity").tables()

    generated = {(cell.condition.corruption, cell.condition.severity): cell.nll_sum for cell in made.cells}
    assert len(read.cells) == len(table.rows) - 1 == 10
    assert all(cell.nll_sum == generated[cell.condition.corruption, cell.condition.severity] for cell in read.cells)
    assert set(differences(table)) == {0.0}


def test_a_limit_takes_the_same_images_of_a_set_as_of_a_clean_dataset_of_its_size(folder: Path) -> None:
    store = folder / "x.sqlite"
    la.evaluate(network(), (PIXELS, LABELS), noise="contrast", profile="cifar-c", limit=7, normalize="none", store=store,
                data_name="ours")  # fmt: skip
    la.evaluate(network(), f"cifar10-c:{folder}/set", noise="contrast", limit=7, normalize="none", store=store)

    (table,) = la.compare(store, source="prebuilt,generated").tables()
    assert differences(table) == [0.0]
    assert "Partial: 7 of 20 images." in table.notes


def test_the_papers_corruptions_are_those_that_the_set_holds_and_only_without_noise_is_everything_measured(folder: Path) -> None:
    (folder / "set" / "contrast.npy").rename(folder / "set" / "gaussian_blur.npy")

    def measured(**noise: str) -> tuple[set[str], str]:
        read = la.evaluate(network(), f"cifar10-c:{folder}/set", normalize="none", severity=1, **noise)  # type: ignore[arg-type]
        return {cell.condition.corruption for cell in read.cells}, " ".join(str(read).split())

    paper, everything, all_ = measured(noise="paper"), measured(), measured(noise="all")

    assert (paper[0], everything[0]) == ({"gaussian_blur"}, {"gaussian_blur", "brightness"})
    assert all_[0] == everything[0]
    assert "Left out" not in everything[1]
    for said in (paper[1], all_[1]):
        assert said.count("Left out:") == said.count("which the set does not hold") == 1
    assert "shot_noise" in paper[1]


def test_corruptions_of_a_set_stand_in_the_papers_order_then_others_by_name(tmp_path: Path) -> None:
    paper = ["shot_noise", "fog", "brightness", "gaussian_blur"]
    images = dict.fromkeys(["zigzag", "caustic", *sorted(paper)], [PIXELS] * 5)
    write_blocks(tmp_path / "set", images, LABELS)
    store = tmp_path / "x.sqlite"
    result = la.evaluate(network(), f"cifar10-c:{tmp_path}/set", normalize="none", severity=1, store=store)

    for table in (result.tables()[0], la.compare(store).tables()[0]):
        names = [column.name for column in table.columns if column.name in images]
        assert names == [*paper, "caustic", "zigzag"]


def test_notes_below_a_table_without_clean_images_explain_nothing_that_it_lacks(folder: Path) -> None:
    shown = str(la.evaluate(network(), f"cifar10-c:{folder}/set", normalize="none", severity=1))

    assert "Rel. drop" not in shown
    assert "below the clean accuracy" not in shown


def test_a_size_that_a_checkpoint_records_is_said_not_to_apply_to_a_set(folder: Path) -> None:
    dataset = open_dataset(ImageChoice(f"cifar10-c:{folder}/set"))
    checkpoint = SimpleNamespace(file=SimpleNamespace(images=ImageChoice("imagenet", resize=256, crop=224)))

    remarked = _sizes_ignored(dataset, [checkpoint])  # type: ignore[list-item]
    assert remarked.remarks == ("measured in 32x32 px; 224 px, which a checkpoint records, is not applied to a published set",)


def test_a_preview_shows_images_of_a_set_as_they_are(folder: Path) -> None:
    shown = la.preview(f"cifar10-c:{folder}/set", 3, severity="1,5").preview

    tiles = shown.images[0].tiles
    assert [str(tile.condition) for tile in tiles] == [
        f"{name} {severity}, cifar10-c (modified)" for name in ("brightness", "contrast") for severity in (1, 5)
    ]
    assert (tiles[3].pixels == np.load(folder / "set" / "contrast.npy")[4 * IMAGES + 3]).all()
    assert shown.about.endswith("as in cifar10-c (modified).")
    with pytest.raises(la.UserError, match=r"give --image an index|index in it"):
        la.preview(f"cifar10-c:{folder}/set", str(folder / "net.py"))


def test_a_tolerance_may_name_a_corruption_that_only_the_set_of_the_baseline_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = PIXELS[:, :1, :28, :28]
    write_mnist_c(tmp_path, {"zigzag": 255 - pixels, "stripe": pixels}, LABELS)
    (tmp_path / "net.py").write_text(NETWORK.format(inputs=16))
    torch.save(network(1).state_dict(), tmp_path / "net.pt")
    monkeypatch.chdir(tmp_path)
    assert larobust("baseline", *LOADED, "--data", "mnist-c:.", "-o", "b.json").code == 0
    check = ("check", *LOADED, "--baseline", "b.json", "--max-drop")

    assert larobust(*check, "zigzag:1").code == 0
    wrong = larobust(*check, "zigzg:1")
    assert (wrong.code, "unknown corruption 'zigzg'; did you mean zigzag?" in wrong.stderr) == (2, True)
