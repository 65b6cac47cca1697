"""Images of published sets are conditions of their own: in keys, stores and titles, never mixed with generated ones."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from made_up_answers import fill, noise, tables

from robustbench_la.errors import UserError
from robustbench_la.records.cells import CLEAN, Condition
from robustbench_la.records.level_words import custom_levels, levels_in_words
from robustbench_la.store.schema import EVERYTHING
from robustbench_la.store.store import Store


def published(name: str, severity: int | None, *, profile: str = "cifar10-c", digest: str = "0" * 32) -> Condition:
    return Condition(corruption=name, severity=severity, parameters=(), profile=profile, prebuilt=digest)


BOTH = [CLEAN, *(noise("gaussian_noise", severity) for severity in (1, 3))]
SET = [published("gaussian_noise", severity) for severity in (1, 3)]


def test_a_published_condition_names_its_set_and_is_neither_custom_nor_random() -> None:
    one, only = published("gaussian_noise", 3), published("zigzag", None, profile="mnist-c")

    assert [str(one), str(only)] == ["gaussian_noise 3, cifar10-c", "zigzag, mnist-c"]
    assert (one.source, noise("gaussian_noise", 3).source, CLEAN.source) == ("prebuilt", "generated", "generated")
    assert not one.is_random
    assert not only.is_custom
    assert custom_levels([one, only]) == ""
    assert levels_in_words([one, only]) == "gaussian_noise: severity 3; zigzag: its only level"
    assert one.as_dict()["prebuilt"] == "0" * 32


def test_published_and_generated_images_are_tables_of_their_own_and_so_are_other_files_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    fill(path, BOTH)
    fill(path, SET, noise_seeds=(None,))
    fill(path, [published("gaussian_noise", severity, digest="1" * 32) for severity in (1, 3)], noise_seeds=(None,))

    titles = [table.title for table in tables(path)]

    assert len(titles) == len(set(titles)) == 3
    assert sum("levels of cifar-c" in title for title in titles) == 1
    assert sum("images of cifar10-c" in title for title in titles) == 2


def test_a_store_keeps_what_identifies_published_images(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    fill(path, SET, noise_seeds=(None,))

    with Store(path, reading=True) as store:
        assert {stored.cell.condition for stored in store.cells(EVERYTHING)} == set(SET)


@pytest.mark.parametrize("edit", ["parameters = '0.1'", "noise_seed = 0", "profile = NULL"])
def test_a_published_condition_with_a_level_or_a_seed_is_no_row_of_ours(tmp_path: Path, edit: str) -> None:
    path = tmp_path / "results.sqlite"
    fill(path, SET[:1], noise_seeds=(None,))
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE cells SET {edit} WHERE id = 1")
    connection.close()

    with Store(path, reading=True) as store, pytest.raises(UserError, match="published set"):
        store.cells(EVERYTHING)
