"""`compare --source prebuilt,generated`: published images beside those corrupted here, against numbers worked out here."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from made_up_answers import fill, noise
from scipy import stats

import robustbench_la as la
from robustbench_la.errors import UserError
from robustbench_la.records.cells import CLEAN

GENERATED = [noise(name, k) for name in ("fog", "frost") for k in (1, 2)]
PREBUILT = [dataclasses.replace(one, parameters=(), profile="cifar10-c", prebuilt="d" * 64) for one in GENERATED]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.sqlite"


def both(path: Path, **changes: object):
    ours = fill(path, [CLEAN, *GENERATED], seeds=(11,), activations=("relu",), noise_seeds=(0, 1))
    theirs = fill(path, PREBUILT, seeds=(11,), activations=("relu",), noise_seeds=(None,), fingerprint="e" * 64,
                  data="cifar10-c:x", **changes)  # fmt: skip
    return ours, theirs


def test_each_corruption_is_compared_image_by_image(path) -> None:
    ours, theirs = both(path)
    (table,) = la.compare(path, source="prebuilt,generated").tables()
    fog = table.rows[0].values
    images = np.mean([[ours["relu", 11, one, s] for s in (0, 1)] for one in GENERATED[:2]], axis=(0, 1))
    published = np.mean([theirs["relu", 11, one, None] for one in PREBUILT[:2]], axis=0)

    assert [row.values[1] for row in table.rows] == ["fog", "frost", "mean"]
    assert fog[2:4] == pytest.approx((images.mean(), published.mean()))
    assert fog[4].value == pytest.approx((images - published).mean())
    assert fog[5] == pytest.approx(stats.ttest_rel(images, published).pvalue)
    assert "levels of cifar-c and images of cifar10-c" in table.title
    assert "averaged over 2 noise seeds" in " ".join(table.notes)
    severities = la.compare(path, source="prebuilt,generated", detail="severity").tables()[0]
    assert [row.values[1] for row in severities.rows] == ["fog 1", "fog 2", "frost 1", "frost 2", "mean"]


def test_sources_are_in_tables_of_their_own_unless_both_are_asked_for(path) -> None:
    both(path)
    titles = [table.title for table in la.compare(path, against="none").tables()]

    assert len(titles) == 2
    assert sum("images of cifar10-c" in title for title in titles) == 1
    assert len(la.compare(path, source="generated").tables()) == 1


def test_what_cannot_be_paired_is_refused_with_the_reason(path) -> None:
    fill(path, [CLEAN, *GENERATED], seeds=(11,), activations=("relu",))
    with pytest.raises(UserError, match="no network was measured on published images"):
        la.compare(path, source="prebuilt,generated")
    with pytest.raises(UserError, match="must be prebuilt, generated, or prebuilt,generated"):
        la.compare(path, source="both")
    fill(path, PREBUILT, seeds=(22,), activations=("relu",), noise_seeds=(None,), fingerprint="e" * 64)
    with pytest.raises(UserError, match="same labels in the same order"):
        la.compare(path, source="prebuilt,generated")


def test_every_dataset_with_the_labels_of_a_set_has_a_table_that_names_both(path) -> None:
    both(path)
    fill(path, GENERATED, seeds=(11,), activations=("relu",), fingerprint="a" * 64, data="folder:fogged", dataset_images=200)
    fill(path, [CLEAN], seeds=(11,), activations=("relu",), fingerprint="b" * 64, data="folder:part", dataset_images=999)
    tables = la.compare(path, source="prebuilt,generated").tables()
    first, second = ("\n".join([table.title, *table.notes]) for table in tables)

    assert "mnist:data and cifar10-c:x" in first
    assert "folder:fogged and cifar10-c:x" in second
    assert "The labels of folder:fogged are the same in the same order, too" in first
    for said in (first, second):
        assert "Both have the same photographs" not in said
        assert "Both have the same labels in the same order; it was not checked that they show the same photographs" in said
        assert "Partial" not in said
    assert [len(table.rows) for table in tables] == [3, 3]
    (chosen,) = la.compare(path, source="prebuilt,generated", data=["mnist:data", "cifar10-c:x"]).tables()
    assert "folder" not in " ".join(chosen.notes)


def test_only_the_side_that_is_a_part_is_called_partial(path) -> None:
    fill(path, GENERATED, seeds=(11,), activations=("relu",), dataset_images=10_000)
    fill(path, PREBUILT, seeds=(11,), activations=("relu",), noise_seeds=(None,), fingerprint="e" * 64, data="cifar10-c:x")
    (table,) = la.compare(path, source="prebuilt,generated").tables()

    assert "Partial: 200 of 10,000 images of mnist:data." in table.notes


def test_two_contents_of_one_published_set_are_not_averaged(path) -> None:
    both(path)
    others = [dataclasses.replace(one, prebuilt="c" * 64) for one in PREBUILT]
    fill(path, others, seeds=(11,), activations=("relu",), noise_seeds=(None,), fingerprint="e" * 64, data="cifar10-c:x")
    titles = [table.title for table in la.compare(path, source="prebuilt,generated").tables()]

    assert len(set(titles)) == 2
    assert [title.rpartition(", ")[2] for title in titles] == ["files dddddddd", "files cccccccc"]


@pytest.mark.parametrize("option", [{"columns": ["fog"]}, {"sort": "fog"}, {"published": "published"}])
def test_options_that_would_do_nothing_beside_two_sources_are_refused(path, option: dict[str, object]) -> None:
    both(path)
    with pytest.raises(UserError, match=f"so {next(iter(option))}= would do nothing; choose corruptions with noise="):
        la.compare(path, source="prebuilt,generated", **option)
