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
