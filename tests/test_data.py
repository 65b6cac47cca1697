"""Datasets: what is decoded, which images are taken, and what is said of those that cannot be read."""

import hashlib
import pickle
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
import torchvision

from robustbench_la.errors import UserError
from robustbench_la.images import cifar, datasets, folders, storage
from robustbench_la.images.decoding import ImageChoice, load


def _picture(path, *, size=(8, 8), colour=False, seed=0):
    """An image file of random pixels, (width, height) in size; gives its pixels (H, W) or (H, W, 3)."""
    width, height = size
    shape = (height, width, 3) if colour else (height, width)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture(name="grey_folder")
def _grey_folder(tmp_path):
    """Two classes, ``cat`` with one image and ``dog`` with two, 8x8 grey."""
    for seed, name in enumerate(("cat/a.png", "dog/b.png", "dog/c.png")):
        _picture(tmp_path / name, seed=seed)
    return tmp_path


def _idx(array):
    """``array`` of bytes in the format of the MNIST files: two zeros, the type (8: unsigned byte), the number of dimensions."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize(("split", "count"), [("train", 1297), ("test", 500)])
def test_digits_have_a_fixed_number_of_images(split, count):
    digits = load(ImageChoice("digits"), split=split)

    assert digits.images.shape == (count, 1, 8, 8)
    assert digits.images.dtype == np.uint8
    assert digits.labels.shape == digits.ids.shape == (count,)
    assert digits.classes == tuple("0123456789")
    assert digits.total == count
    assert not digits.partial


def test_digits_are_scikit_learns_17_levels_spread_over_8_bits():
    images = load(ImageChoice("digits")).images

    assert set(np.unique(images)) == {round(level * 255 / 16) for level in range(17)}


def test_digits_are_split_into_disjoint_halves_of_the_whole():
    from sklearn.datasets import load_digits

    whole = sorted(image.tobytes() for image in np.rint(load_digits().images * 255 / 16).astype(np.uint8))
    train, test = (load(ImageChoice("digits"), split=split) for split in ("train", "test"))

    # Where scikit-learn holds the same picture twice, comparing sorted multisets still counts it twice.
    assert sorted(image.tobytes() for part in (train, test) for image in part.images) == whole


def test_digits_are_stratified():
    counts = np.array([np.bincount(load(ImageChoice("digits"), split=split).labels) for split in ("train", "test")])

    share = counts[1] / counts.sum(axis=0)
    assert abs(share - 500 / 1797).max() < 0.005


def test_digits_take_no_folder():
    with pytest.raises(UserError, match=r"digits is built in and takes no folder"):
        load(ImageChoice("digits:somewhere"))


def test_a_grey_folder_gives_the_pixels_of_its_files(grey_folder):
    images = load(ImageChoice(f"folder:{grey_folder}"))

    expected = np.stack([np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8) for seed in range(3)])
    assert np.array_equal(images.images, expected[:, None])
    assert images.labels.tolist() == [0, 1, 1]
    assert images.classes == ("cat", "dog")
    assert images.name == f"folder:{grey_folder}"


def test_a_colour_folder_gives_channels_first(tmp_path):
    pixels = _picture(tmp_path / "cat" / "a.png", size=(6, 4), colour=True)

    images = load(ImageChoice(f"folder:{tmp_path}")).images

    assert images.shape == (1, 3, 4, 6)
    assert np.array_equal(images[0], pixels.transpose(2, 0, 1))


def test_a_grey_image_among_colour_ones_is_made_colour(tmp_path):
    _picture(tmp_path / "cat" / "a.png", colour=True)
    pixels = _picture(tmp_path / "cat" / "b.png")

    images = load(ImageChoice(f"folder:{tmp_path}")).images

    assert np.array_equal(images[1], np.broadcast_to(pixels, (3, 8, 8)))


def test_a_colour_image_among_grey_ones_is_named_where_the_sample_missed_it(grey_folder, monkeypatch):
    # With a sample of one file only the first is looked at, as with the second of 400 files.
    monkeypatch.setattr(folders, "_GREY_SAMPLE", 1)
    _picture(grey_folder / "dog" / "colour.png", colour=True)

    with pytest.raises(UserError, match=r"colour\.png: its mode is RGB, while the other images are grey"):
        load(ImageChoice(f"folder:{grey_folder}"))


@pytest.mark.parametrize(("split", "held", "seed"), [("train", "train", 0), ("test", "val", 1), ("test", "test", 1)])
def test_a_folder_may_hold_train_and_val_or_test(tmp_path, split, held, seed):
    pixels = {"train": _picture(tmp_path / "train" / "cat" / "a.png", seed=0)}
    other = held if held != "train" else "val"
    pixels[other] = _picture(tmp_path / other / "cat" / "a.png", seed=1)

    images = load(ImageChoice(f"folder:{tmp_path}"), split=split)

    assert images.classes == ("cat",)
    assert np.array_equal(images.images[0, 0], pixels[held])


def test_hidden_folders_and_other_files_are_no_classes_and_no_images(grey_folder):
    (grey_folder / ".cache").mkdir()
    (grey_folder / "README.txt").write_text("notes")
    (grey_folder / "cat" / "notes.txt").write_text("notes")

    images = load(ImageChoice(f"folder:{grey_folder}"))

    assert images.classes == ("cat", "dog")
    assert len(images.images) == 3


def test_folders_that_a_class_links_to_are_read_once_each(grey_folder, tmp_path_factory, monkeypatch):
    """As by torchvision's ImageFolder, which would enter a circle of links forty times."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    _picture(elsewhere / "more" / "d.png", seed=3)
    (grey_folder / "cat" / "linked").symlink_to(elsewhere)
    (grey_folder / "cat" / "again").symlink_to(elsewhere / "more")
    (elsewhere / "back").symlink_to(grey_folder / "cat")

    assert [path.name for path in folders.image_files(grey_folder / "cat")] == ["a.png", "d.png"]
    assert sorted(load(ImageChoice(f"folder:{grey_folder}")).labels) == [0, 0, 1, 1]
    monkeypatch.setattr(folders, "_MOST_LINKED", 1)
    with pytest.raises(UserError, match=r"cat links to more than 1 folders, such as .*"):
        folders.image_files(grey_folder / "cat")


def test_a_link_back_to_the_dataset_gives_a_class_no_images_of_others(grey_folder):
    (grey_folder / "cat" / "back").symlink_to(grey_folder)
    (grey_folder / "dog" / "up").symlink_to("../..")

    assert sorted(load(ImageChoice(f"folder:{grey_folder}")).labels) == [0, 1, 1]


def test_images_of_unequal_size_are_refused_with_both_names(grey_folder):
    _picture(grey_folder / "dog" / "wide.png", size=(12, 8))

    with pytest.raises(UserError, match=r"differ in size: .*a\.png is 8x8 px.*wide\.png is 12x8 px.*--resize and --crop"):
        load(ImageChoice(f"folder:{grey_folder}"))


def test_resize_and_crop_bring_unequal_images_to_one_size(grey_folder):
    _picture(grey_folder / "dog" / "wide.png", size=(12, 8))

    images = load(ImageChoice(f"folder:{grey_folder}", resize=6, crop=4)).images

    assert images.shape == (4, 1, 4, 4)


def test_a_crop_is_the_centre(tmp_path):
    pixels = _picture(tmp_path / "cat" / "a.png", size=(10, 8))

    images = load(ImageChoice(f"folder:{tmp_path}", crop=4)).images

    assert np.array_equal(images[0, 0], pixels[2:6, 3:7])


def test_a_resize_is_torchvisions(tmp_path):
    pixels = _picture(tmp_path / "cat" / "a.png", size=(12, 8))

    images = load(ImageChoice(f"folder:{tmp_path}", resize=4)).images

    expected = PIL.Image.fromarray(pixels).resize((6, 4), PIL.Image.Resampling.BILINEAR)
    assert np.array_equal(images[0, 0], np.asarray(expected))


def test_a_crop_larger_than_the_image_is_refused(grey_folder):
    with pytest.raises(UserError, match=r"--crop 9 exceeds an image of 8x8 px"):
        load(ImageChoice(f"folder:{grey_folder}", crop=9))


def test_a_corrupt_jpeg_is_refused_with_its_name(tmp_path):
    _picture(tmp_path / "cat" / "whole.jpg", size=(64, 64))
    content = (tmp_path / "cat" / "whole.jpg").read_bytes()
    (tmp_path / "cat" / "zcut.jpg").write_bytes(content[: len(content) // 2])

    with pytest.raises(UserError, match=r"cannot decode .*zcut\.jpg: "):
        load(ImageChoice(f"folder:{tmp_path}"))


@pytest.mark.parametrize("content", [b"", b"no picture"], ids=["empty", "text"])
def test_a_file_that_is_no_picture_is_refused_with_its_name(grey_folder, content):
    (grey_folder / "dog" / "text.png").write_bytes(content)

    with pytest.raises(UserError, match=r"cannot decode .*text\.png: damaged, or no image; replace it, or move it out"):
        load(ImageChoice(f"folder:{grey_folder}"))


def test_an_empty_class_folder_is_refused_with_its_name(grey_folder):
    (grey_folder / "eel").mkdir()

    with pytest.raises(UserError, match=r"class folder .*eel holds no images"):
        load(ImageChoice(f"folder:{grey_folder}"))


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"holds no class sub-folders"):
        load(ImageChoice(f"folder:{tmp_path}"))


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no folder '.*gone'"):
        load(ImageChoice(f"folder:{tmp_path / 'gone'}"))


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
@pytest.mark.parametrize(("split", "stem"), [("train", "train"), ("test", "t10k")])
def test_mnist_is_read_from_its_original_files(tmp_path, name, folder, split, stem):
    raw = tmp_path / folder / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        generator = np.random.default_rng(len(part))
        pixels, labels = generator.integers(0, 256, (4, 28, 28), dtype=np.uint8), np.arange(4, dtype=np.uint8)[::-1].copy()
        (raw / f"{part}-images-idx3-ubyte").write_bytes(_idx(pixels))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(_idx(labels))

    images = load(ImageChoice(f"{name}:{tmp_path}"), split=split)

    expected = np.random.default_rng(len(stem)).integers(0, 256, (4, 1, 28, 28), dtype=np.uint8)
    assert np.array_equal(images.images, expected)
    assert images.labels.tolist() == [3, 2, 1, 0]
    assert len(images.classes) == 10


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", _idx(np.zeros((4, 28, 28), dtype=np.uint8))[:-9]], ids=["empty", "HTML", "cut"]
)
def test_a_damaged_mnist_file_is_refused(tmp_path, content):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(content)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(_idx(np.zeros(4, dtype=np.uint8)))

    with pytest.raises(UserError, match=r"cannot read MNIST in"):
        load(ImageChoice(f"mnist:{tmp_path}"))


@pytest.mark.parametrize(("name", "reader", "folder", "meta", "key", "meta_key"), [
    ("cifar10", "CIFAR10", "cifar-10-batches-py", "batches.meta", "labels", "label_names"),
    ("cifar100", "CIFAR100", "cifar-100-python", "meta", "fine_labels", "fine_label_names"),
])  # fmt: skip
@pytest.mark.parametrize("split", ["train", "test"])
def test_cifar_is_read_from_its_original_files(tmp_path, monkeypatch, name, reader, folder, meta, key, meta_key, split):
    # Each file is compared with the MD5 sum of the published one, which small files of our own cannot have.
    monkeypatch.setattr(cifar, "_is_published", lambda content, md5: True)
    batches = getattr(torchvision.datasets, reader)
    (tmp_path / folder).mkdir()
    classes = [f"class {number}" for number in range(int(name.removeprefix("cifar")))]
    (tmp_path / folder / meta).write_bytes(pickle.dumps({meta_key: classes}))
    expected = []
    for number, (file, _) in enumerate([*batches.train_list, *batches.test_list]):
        pixels = np.random.default_rng(number).integers(0, 256, (2, 3072), dtype=np.uint8)
        (tmp_path / folder / file).write_bytes(pickle.dumps({"data": pixels, key: [number, number + 1]}))
        if (number < len(batches.train_list)) == (split == "train"):
            expected.append((pixels.reshape(2, 3, 32, 32), [number, number + 1]))

    images = load(ImageChoice(f"{name}:{tmp_path}"), split=split)

    assert np.array_equal(images.images, np.concatenate([pixels for pixels, _ in expected]))
    assert images.labels.tolist() == [label for _, labels in expected for label in labels]
    assert images.classes == tuple(classes)


def test_a_cifar_file_with_another_checksum_is_refused(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    for file, _ in (*torchvision.datasets.CIFAR10.train_list, *torchvision.datasets.CIFAR10.test_list):
        (tmp_path / "cifar-10-batches-py" / file).write_bytes(pickle.dumps({"data": np.zeros((1, 3072)), "labels": [0]}))

    with pytest.raises(UserError, match=r"cannot read CIFAR10 in .*corrupted"):
        load(ImageChoice(f"cifar10:{tmp_path}"))


@pytest.mark.parametrize(("split", "folder"), [("train", "train"), ("test", "val")])
def test_imagenet_is_resized_and_cropped_and_carries_the_names_of_its_classes(tmp_path, split, folder):
    names = {"n01440764": ("tench", "Tinca tinca"), "n01443537": ("goldfish",)}
    torch.save((names, list(names)), tmp_path / "meta.bin")
    for part in ("train", "val"):
        for seed, wnid in enumerate(names):
            _picture(tmp_path / part / wnid / "a.JPEG", size=(320, 260), colour=True, seed=seed + (part == "val"))

    images = load(ImageChoice(f"imagenet:{tmp_path}"), split=split)

    assert images.images.shape == (2, 3, 224, 224)
    assert images.classes == ("tench", "goldfish")
    assert images.labels.tolist() == [0, 1]
    with PIL.Image.open(tmp_path / folder / "n01440764" / "a.JPEG") as file:
        small = np.asarray(file.resize((315, 256), PIL.Image.Resampling.BILINEAR))
    left = round((315 - 224) / 2)
    assert np.array_equal(images.images[0], small[16:240, left : left + 224].transpose(2, 0, 1))


def test_a_missing_imagenet_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"cannot read ImageNet in .*devkit"):
        load(ImageChoice(f"imagenet:{tmp_path}"))


@pytest.mark.parametrize("name", [name for name, dataset in datasets.DATASETS.items() if dataset.needs_root])
def test_a_dataset_without_its_folder_says_how_to_give_it(name):
    with pytest.raises(UserError, match=f"--data {name}:DIR"):
        load(ImageChoice(name))


@pytest.mark.parametrize("name", [name for name, dataset in datasets.DATASETS.items() if dataset.needs_root])
def test_a_dataset_in_an_empty_folder_is_refused(name, tmp_path):
    with pytest.raises(UserError, match=tmp_path.name):
        load(ImageChoice(f"{name}:{tmp_path}"))


@pytest.mark.parametrize(("split", "ids"), [("test", [147, 247, 377, 390, 409, 428]), ("train", [377, 645, 716, 724, 889, 1264])])
def test_a_limit_takes_the_same_images_for_ever(split, ids):
    limited = load(ImageChoice("digits"), split=split, limit=6)

    assert limited.ids.tolist() == ids  # published results name them: never change these numbers
    assert limited.partial


def test_a_limit_takes_a_subset_of_the_whole_run():
    whole, limited = load(ImageChoice("digits")), load(ImageChoice("digits"), limit=50)

    assert len(limited.ids) == 50
    assert (np.diff(limited.ids) > 0).all()
    assert np.array_equal(limited.images, whole.images[limited.ids])
    assert np.array_equal(limited.labels, whole.labels[limited.ids])
    assert limited.total == whole.total == 500


def test_a_larger_limit_adds_images_and_takes_none_away():
    small, large = (load(ImageChoice("digits"), limit=limit) for limit in (20, 60))

    assert set(small.ids) < set(large.ids)


@pytest.mark.parametrize("limit", [500, 501])
def test_a_limit_of_all_images_is_not_partial(limit):
    whole = load(ImageChoice("digits"), limit=limit)

    assert whole.ids.tolist() == list(range(500))
    assert not whole.partial


def test_a_limit_decodes_the_files_of_its_ids(tmp_path):
    pixels = [_picture(tmp_path / "cat" / f"{number:02}.png", seed=number) for number in range(10)]

    limited = load(ImageChoice(f"folder:{tmp_path}"), limit=3)

    assert len(limited.ids) == 3
    assert all(np.array_equal(image[0], pixels[index]) for image, index in zip(limited.images, limited.ids, strict=True))


def test_a_fingerprint_is_the_sha256_of_all_that_is_measured_on():
    images = load(ImageChoice("digits"), limit=10)

    expected = hashlib.sha256(
        repr((images.images.shape, 10)).encode() + images.ids.tobytes() + images.labels.tobytes() + images.images.tobytes()
    )
    assert images.fingerprint() == expected.hexdigest()


@pytest.mark.parametrize("part", ["images", "labels", "ids"])
def test_a_fingerprint_changes_with_one_value(part):
    images = load(ImageChoice("digits"), limit=10)
    changed = getattr(images, part).copy()
    changed.flat[-1] ^= 1

    other = replace(images, **{part: changed})

    assert other.fingerprint() != images.fingerprint()


def test_a_fingerprint_changes_with_shape_and_classes_alone():
    images = load(ImageChoice("digits"), limit=10)
    others = (
        replace(images, images=images.images.reshape(10, 1, 4, 16)),
        replace(images, classes=images.classes[:-1]),
    )

    assert all(other.fingerprint() != images.fingerprint() for other in others)


def test_a_fingerprint_does_not_depend_on_name_or_place():
    images = load(ImageChoice("digits"), limit=10)

    assert replace(images, name="copied").fingerprint() == images.fingerprint()


def test_images_above_the_size_limit_are_mapped_and_the_same(grey_folder, monkeypatch):
    in_memory = load(ImageChoice(f"folder:{grey_folder}"))
    monkeypatch.setattr(storage, "_IN_MEMORY", 0)

    mapped = load(ImageChoice(f"folder:{grey_folder}"))

    assert isinstance(mapped.images, np.memmap)
    assert not isinstance(in_memory.images, np.memmap)
    assert np.array_equal(mapped.images, in_memory.images)
    assert mapped.fingerprint() == in_memory.fingerprint()
    assert torch.from_numpy(mapped.images).sum() == in_memory.images.sum()  # without torch's warning of read-only arrays


def resident(array: np.ndarray) -> int:
    """KiB of an array's mapped file that count as memory of this process."""
    entry = Path("/proc/self/smaps").read_text().partition(f"{array.ctypes.data:x}-")[2]
    return int(entry.partition("Rss:")[2].split()[0])


@pytest.mark.skipif(not Path("/proc/self/smaps").is_file(), reason="needs Linux")
def test_mapped_images_that_were_read_take_no_memory_once_they_are_given_back(monkeypatch):
    monkeypatch.setattr(storage, "_IN_MEMORY", 0)
    images = storage.room_for((64, 3, 64, 64))
    images[:] = 7
    assert resident(images) > 700

    storage.give_back(images)

    assert resident(images) == 0
    assert (images == 7).all()


def test_an_array_dataset_can_be_resized():
    images = load(ImageChoice("digits", resize=16, crop=12), limit=3).images

    assert images.shape == (3, 1, 12, 12)


@pytest.mark.parametrize("name", ["digit", "cifar1O:data", "imagnet:data", "MNIST:data", ""])
def test_an_unknown_dataset_is_refused_both_early_and_late(name):
    for refuse in (datasets.check_name, lambda name: load(ImageChoice(name))):
        with pytest.raises(UserError, match=f"unknown dataset '{name.partition(':')[0]}'; (did you mean|available:) "):
            refuse(name)


def test_a_folder_given_without_its_kind_is_told_how(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()

    with pytest.raises(UserError, match=r"use folder:photos"):
        datasets.check_name("photos")


@pytest.mark.parametrize(("choice", "text"), [
    (ImageChoice("digits"), "digits"),
    (ImageChoice("folder:a", 256, 224), "folder:a --resize 256 --crop 224"),
    (ImageChoice("folder:a", crop=224), "folder:a --crop 224"),
])  # fmt: skip
def test_a_choice_reads_as_its_flags(choice, text):
    assert str(choice) == text
