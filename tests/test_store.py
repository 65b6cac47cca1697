"""The store: everything comes back as it was put, once, and a file that is not in order is told and left alone."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fuzzing import larobust
from hypothesis import given
from hypothesis import strategies as st

from robustbench_la.errors import RunError, UserError
from robustbench_la.records import calibration
from robustbench_la.records.cells import CLEAN, Cell, Condition, Pass, RunSetting
from robustbench_la.records.networks import NETWORK, NetworkRecord
from robustbench_la.records.packing import pack_classes, unpack_classes
from robustbench_la.store import database, schema
from robustbench_la.store.layer_rows import LayerRow
from robustbench_la.store.merge import merge
from robustbench_la.store.schema import MIGRATIONS, Selection
from robustbench_la.store.store import Store, check

STORES = Path(__file__).parent / "stores"
NOISE = Condition(corruption="gaussian_noise", severity=3, parameters=(0.08,), profile="cifar-c")
OWN = Condition(corruption="gaussian_noise", severity=None, parameters=(0.08,), profile=None)
LABELS = [0, 1, 2, 3, 4, 5, 6, 7]


def setting(**changes: object) -> RunSetting:
    plain = RunSetting(
        data="digits",
        fingerprint="f" * 64,
        images=8,
        dataset_images=500,
        resize=None,
        crop=224,
        device="cpu",
        precision="float32",
        batch_size=64,
        threads=2,
        started="2025-01-02T03:04:05+00:00",
        versions={"larobust": "0.1.0", "torch": "2.9.0"},
        host="Linux x86_64",
        commit="c" * 40,
        dirty=True,
    )
    return dataclasses.replace(plain, **changes)


def cell(**changes: object) -> Cell:
    predicted = [0, 1, 2, 3, 4, 5, 0, 999]
    plain = Cell(
        network=NetworkRecord(
            checkpoint="runs/la_silu.pt",
            sha256="a" * 64,
            architecture="cnn",
            code=None,
            activation="la_silu",
            activation_level="layer",
            alpha=1e-5,
            normalization="half",
            training_seed=11,
        ),
        pass_=Pass(NOISE, 0),
        correct=6,
        correct_top5=7,
        total=8,
        nll_sum=1 / 3,
        seconds=0.1,
        predictions=pack_classes(predicted),
        calibration=calibration.pack(calibration.sums_by_bin(np.linspace(0.3, 1, 8), np.array(predicted) == LABELS)),
    )
    network = {name: changes.pop(name) for name in NETWORK if name in changes}
    under = {name: changes.pop(name) for name in ("condition", "noise_seed") if name in changes}
    return dataclasses.replace(
        plain,
        network=dataclasses.replace(plain.network, **network),  # type: ignore[arg-type]
        pass_=plain.pass_._replace(**under),  # type: ignore[arg-type]
        **changes,
    )


KEY = {
    "sha256": "b" * 64,
    "architecture": "resnet20",
    "code": "e" * 64,
    "activation": "la_hardsilu",
    "alpha": None,
    "normalization": "none",
    "condition": OWN,
    "noise_seed": 1,
}
SHARED_KEY = {"fingerprint": "e" * 64, "precision": "bfloat16 autocast"}


@given(st.lists(st.integers(0, 65_535), max_size=50))
def test_classes_come_back_as_they_were_packed(classes: list[int]) -> None:
    assert unpack_classes(pack_classes(classes)).tolist() == classes


@pytest.mark.parametrize(("classes", "most"), [(10, 0.55), (256, 1.01), (1000, 1.65)])
def test_a_prediction_takes_one_or_two_bytes_at_most(classes: int, most: float) -> None:
    """Even random ones, which no one can compress below log2(classes) / 8 bytes."""
    packed = pack_classes(np.random.default_rng(0).integers(0, classes, 10_000))

    assert len(packed) / 10_000 <= most


@pytest.mark.parametrize(
    "packed", [b"", b"\x01", b"\x02abc", b"\x00" + pack_classes([1, 2])[1:], b"\x02" + pack_classes([1])[1:]]
)
def test_damaged_predictions_are_told(packed: bytes) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        unpack_classes(packed)


def test_calibration_sums_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    confidence, correct = np.append(rng.random(500), [0.0, 1.0, 1 / 15]), rng.random(503) < 0.7
    expected = np.zeros((3, 15))
    for value, right in zip(confidence, correct, strict=True):
        for place in range(15):
            if place / 15 < value <= (place + 1) / 15 or (value == 0 and place == 0):
                expected[:, place] += [1, right, value]

    assert calibration.unpack(calibration.pack(calibration.sums_by_bin(confidence, correct))) == pytest.approx(
        expected, rel=1e-12
    )
    for damaged in (b"", bytes(360), np.full((3, 15), np.nan).tobytes(), np.full((3, 15), -1.0).tobytes()):
        with pytest.raises(UserError, match="calibration"):
            calibration.unpack(damaged)


def test_a_cell_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    clean = cell(condition=CLEAN, noise_seed=None, alpha=None, correct_top5=None, training_seed=None, activation="silu")
    with Store(tmp_path / "deep" / "x.sqlite") as store:
        assert store.add(setting(), [cell(), clean], labels=pack_classes(LABELS)) == 2
        bare, whole = store.cells(), store.cells(predictions=True)
        with Store(store.path, reading=True) as other:
            assert other.cells(predictions=True) == whole

    assert [stored.cell for stored in whole] == [cell(), clean]
    assert [stored.cell for stored in bare] == [dataclasses.replace(one, predictions=b"") for one in (cell(), clean)]
    assert all(stored.setting == setting() for stored in whole)
    assert bare[0].setting is bare[1].setting


def test_correctness_of_each_image_follows_from_predictions_and_labels(tmp_path: Path) -> None:
    with Store(tmp_path / "x.sqlite") as store:
        store.add(setting(), [cell()])
        with pytest.raises(UserError, match="does not hold"):
            store.labels("f" * 64)
        store.add(setting(), [], labels=pack_classes(LABELS))
        (stored,) = store.cells()
        right = store.predictions(stored) == store.labels(stored.setting.fingerprint)

    assert right.tolist() == [True] * 6 + [False] * 2
    assert right.sum() == stored.cell.correct


@pytest.mark.parametrize("name", [*KEY, *SHARED_KEY])
def test_what_belongs_to_the_key_makes_another_cell(tmp_path: Path, name: str) -> None:
    own = {name: KEY[name]} if name in KEY else {}
    shared = {name: SHARED_KEY[name]} if name in SHARED_KEY else {}
    with Store(tmp_path / "x.sqlite") as store:
        for _ in range(2):
            store.add(setting(), [cell()])
            store.add(setting(**shared), [cell(**own)])

        assert len(store.cells()) == 2
        assert len({(one.cell.key, one.setting.fingerprint, one.setting.precision) for one in store.cells()}) == 2


def test_the_same_key_is_stored_once_and_the_first_stays(tmp_path: Path) -> None:
    with Store(tmp_path / "x.sqlite") as store:
        assert store.add(setting(), [cell()]) == 1
        other = setting(device="cuda:0 (X)", started="2026-01-01T00:00:00+00:00", data="folder:x", host="y", batch_size=1)
        assert store.add(other, [cell(checkpoint="copy.pt", correct=5, seconds=9.0)]) == 0
        (stored,) = store.cells(predictions=True)

    assert (stored.cell, stored.setting) == (cell(), setting())


def test_the_database_itself_refuses_a_key_twice(tmp_path: Path) -> None:
    """Whatever a later version of the code does."""
    with Store(tmp_path / "x.sqlite") as store:
        store.add(setting(), [cell(condition=CLEAN, noise_seed=None, alpha=None)])
        columns = [row[1] for row in store._connection.execute("PRAGMA table_info(cells)") if row[1] != "id"]
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            store._connection.execute(f"INSERT INTO cells ({', '.join(columns)}) SELECT {', '.join(columns)} FROM cells")


def test_replacing_puts_the_new_cell_in_the_place_of_the_old(tmp_path: Path) -> None:
    with Store(tmp_path / "x.sqlite") as store:
        store.add(setting(), [cell()])
        later = setting(started="2026-01-01T00:00:00+00:00")
        new = cell(correct=5, predictions=pack_classes([1] * 8))
        assert store.add(later, [new], replace=True) == 0
        (stored,) = store.cells(predictions=True)
        assert store._connection.execute("SELECT count(*) FROM predictions").fetchone() == (1,)

    assert (stored.cell, stored.setting) == (new, later)


LAYER = LayerRow(
    network=cell().network,
    pass_=cell().pass_,
    layer="features.1",
    index=0,
    statistics={"seconds": 0.1, "elements": 4096, "images": 8, "fluctuation_mean": 0.1, "histogram": [1, 2, 3]},
)


def layer(**changes: object) -> LayerRow:
    return dataclasses.replace(LAYER, **changes)  # type: ignore[arg-type]


def test_layer_records_come_back_as_they_were_stored_once(tmp_path: Path) -> None:
    rows = [LAYER, layer(index=1), layer(layer="features.4"), layer(pass_=LAYER.pass_._replace(noise_seed=1))]
    with Store(tmp_path / "x.sqlite") as store, Store(tmp_path / "y.sqlite") as other:
        assert [store.add_layers(setting(), rows), store.add_layers(setting(), rows)] == [4, 0]
        assert store.layers() == [(setting(), row) for row in rows]
        assert store.layers(Selection(noise_seeds=(1,))) == [(setting(), rows[3])]
        assert store.add_layers(setting(), [layer(statistics={**LAYER.statistics, "fluctuation_mean": 0.2})], replace=True) == 0
        assert {(row.noise_seed, row.statistics["fluctuation_mean"]) for _, row in store.layers()} == {(0, 0.2), (1, 0.1)}
        assert len(store.layers()) == 2  # it took the place of all layers of that network under that condition
        assert merge(other, store).added == 2
        assert sorted(map(str, other.layers())) == sorted(map(str, store.layers()))
        assert store.forget(Selection(noise_seeds=(0,))) == (0, 1)


def test_merging_adds_what_is_missing_and_tells_conflicts(tmp_path: Path) -> None:
    with Store(tmp_path / "a.sqlite") as first, Store(tmp_path / "b.sqlite") as second:
        first.add(setting(), [cell(), cell(noise_seed=1)])
        shared = setting(host="elsewhere")
        other = cell(noise_seed=1, predictions=pack_classes([7] * 8), correct=1)
        second.add(shared, [cell(seconds=5.0, nll_sum=0.34), other, cell(noise_seed=2)], labels=pack_classes(LABELS))
        merged = merge(first, second)
        assert (merged.added, merged.present, merged.conflicting) == (1, 1, (other,))
        assert merge(first, second).added == 0
        stored = first.cells(predictions=True)
        assert first.labels("f" * 64).tolist() == LABELS

    assert [one.cell for one in stored] == [cell(), cell(noise_seed=1), cell(noise_seed=2)]
    assert [one.setting.host for one in stored] == ["Linux x86_64", "Linux x86_64", "elsewhere"]


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        (Selection(checkpoints=("runs/la*",)), "silu"),
        (Selection(checkpoints=("runs/silu.pt",)), "la_silu"),
        (Selection(checkpoints=("bbbbbbbb",)), "la_silu"),
        (Selection(checkpoints=("bbbb",)), "la_silu silu"),
        (Selection(activations=("silu",)), "la_silu"),
        (Selection(activations=("silu", "la_silu")), ""),
        (Selection(activations=("silu",), noise_seeds=(5,)), "la_silu silu"),
        (Selection(architectures=("cnn",), severities=(3,)), ""),
        (Selection(corruptions=("clean",)), "la_silu silu"),
        (Selection(data=("dig*",)), ""),
        (Selection(precisions=("float32",), fingerprints=("f" * 64,)), ""),
    ],
    ids=repr,
)
def test_forgetting_removes_what_matches_every_filter_and_nothing_else(tmp_path: Path, selection: Selection, left: str) -> None:
    kept = set(left.split())
    with Store(tmp_path / "x.sqlite") as store:
        silu = cell(activation="silu", checkpoint="runs/silu.pt", sha256="b" * 64, alpha=None)
        store.add(setting(), [cell(), silu], labels=pack_classes(LABELS))
        expected = {stored.cell.network.activation for stored in store.cells(selection)}
        assert store.forget(selection) == (2 - len(kept), 0)
        assert {stored.cell.network.activation for stored in store.cells()} == kept == {"la_silu", "silu"} - expected
        rows = {table: store._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("cells", "predictions", "networks", "settings", "datasets")}  # fmt: skip

    assert rows == {
        "cells": len(kept),
        "predictions": len(kept),
        "networks": len(kept),
        "settings": bool(kept),
        "datasets": bool(kept),
    }


def good(path: Path, count: int = 40) -> None:
    """A store of several pages."""
    rng = np.random.default_rng(0)
    with Store(path) as store:
        cells = [cell(noise_seed=seed, predictions=pack_classes(rng.integers(0, 1000, 2000))) for seed in range(count)]
        store.add(setting(), cells, labels=pack_classes(LABELS))


def newer(path: Path) -> None:
    good(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()


def another_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE cells (id)")
    connection.close()


def without_a_table(path: Path) -> None:
    good(path)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE predictions")
        connection.execute("DROP TABLE layers")
    connection.close()


def truncated(path: Path) -> None:
    good(path)
    path.write_bytes(path.read_bytes()[:-9000])


def overwritten(path: Path) -> None:
    good(path)
    raw = bytearray(path.read_bytes())
    raw[4096 : len(raw) - 4096] = random.Random(0).randbytes(len(raw) - 8192)
    path.write_bytes(raw)


def with_schema(number: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        good(path)
        with sqlite3.connect(path) as connection:
            connection.execute(f"PRAGMA user_version = {number}")
        connection.close()

    return make


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("not a database, but longer than its header " * 30), "not a store of results"),
    "newer": (newer, "newer larobust"),
    "of a schema below one": (with_schema(-1), "damaged"),
    "of no schema": (with_schema(0), "damaged"),
    "of another program": (another_program, "another program"),
    "without a table": (without_a_table, "damaged"),
    "truncated": (truncated, "damaged"),
    "overwritten": (overwritten, "damaged"),
    "a folder": (lambda path: path.mkdir(), "folder|not a store"),
}


EDITS: dict[str, str] = {
    "versions that are a list": "UPDATE settings SET versions = '[]'",
    "versions that are numbers": "UPDATE settings SET versions = '{\"torch\": 2}'",
    "images that are a word": "UPDATE settings SET images = 'many'",
    "more images than there are": "UPDATE settings SET images = 100000000000000",
    "a level that is a word": "UPDATE cells SET parameters = 'x'",
    "a count that is a word": "UPDATE cells SET correct = 'a'",
    "no images": "UPDATE cells SET total = 0, correct = 0",
    "more right than there are": "UPDATE cells SET correct = total + 1",
    "an infinite likelihood": "UPDATE cells SET nll_sum = 9e999",
    "what was assumed is a text": "UPDATE settings SET assumed = '\"normalization none\"'",
    "a commit that is neither clean nor dirty": "UPDATE settings SET dirty = 2",
    "statistics that are a list": "UPDATE layers SET statistics = '[1]'",
    "a layer that is a number": "UPDATE layers SET layer = x'00'",
}


def test_what_was_assumed_comes_back(tmp_path: Path) -> None:
    assumed = setting(assumed=("normalization none", "alpha 1e-05 (la.pt)"), dirty=False)
    with Store(tmp_path / "x.sqlite") as store:
        store.add(assumed, [cell()], labels=pack_classes(np.array(LABELS)))
        (stored,) = store.cells()

    assert stored.setting == assumed
    assert stored.setting.as_dict()["assumed"] == ("normalization none", "alpha 1e-05 (la.pt)")


@pytest.mark.parametrize("edit", EDITS)
def test_a_row_that_larobust_cannot_have_written_is_told_in_one_line(tmp_path: Path, edit: str) -> None:
    path = tmp_path / "x.sqlite"
    good(path)
    with Store(path) as store:
        store.add_layers(setting(), [LAYER])
    with sqlite3.connect(path) as connection:
        connection.execute(EDITS[edit])
    connection.close()

    with Store(path, reading=True) as store, pytest.raises(UserError, match="is damaged"):
        print(store.cells(), store.layers())


def test_names_in_a_store_cannot_take_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    name = "m.pt\n::error title=x::y\x1b[31m"
    with Store(path) as store:
        store.add(setting(), [cell(checkpoint=name)])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE settings SET started = '2026\x01', host = 'a\x1bb'")
    connection.close()

    with Store(path, reading=True) as store:
        (found,) = store.cells()
    assert found.cell.network.checkpoint == name
    assert (found.setting.started, found.setting.host) == ("2026\x01", "a\x1bb")
    table = larobust("results", "--store", str(path)).stdout
    rows = larobust("results", "--csv", "--store", str(path)).stdout
    for shown in (table, rows):
        assert all(line.isprintable() and not line.startswith("::") for line in shown.splitlines())
    assert r"m.pt\n::error title=x::y\x1b[31m" in rows
    assert r"a\x1bb" in rows
    document = larobust("results", "--json", "--store", str(path)).stdout
    assert document.isascii()
    assert json.loads(document)["cells"][0]["checkpoint"] == name


def test_predictions_that_fill_the_memory_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store(path) as store:
        store.add(setting(), [cell(predictions=pack_classes(np.zeros(50_000_000, dtype=np.uint16)))])
        with pytest.raises(UserError, match="is damaged"):
            store.predictions(store.cells()[0])


def test_a_number_that_another_cell_got_meanwhile_gives_no_predictions(tmp_path: Path) -> None:
    with Store(tmp_path / "x.sqlite") as reader, Store(tmp_path / "x.sqlite") as writer:
        writer.add(setting(), [cell(checkpoint="a.pt", sha256="a" * 64, nll_sum=1.5)])
        (known,) = reader.cells()
        writer.forget(Selection(checkpoints=("a.pt",)))
        writer.add(setting(), [cell(checkpoint="b.pt", sha256="b" * 64, nll_sum=2.5)])
        assert writer.cells()[0].id == known.id

        with pytest.raises(UserError, match="deleted in the meantime"):
            reader.predictions(known)


def test_the_same_answers_packed_otherwise_are_no_conflict(tmp_path: Path) -> None:
    classes = np.arange(len(LABELS), dtype=np.uint16) % 7
    packed = pack_classes(classes)
    other = packed[:1] + zlib.compress(classes.astype(np.uint8).tobytes(), level=0)
    assert other != packed
    with Store(tmp_path / "x.sqlite") as one, Store(tmp_path / "y.sqlite") as two:
        one.add(setting(), [cell(predictions=packed)])
        two.add(setting(), [cell(predictions=other)])
        merged = merge(one, two)

    assert (merged.added, merged.present, merged.conflicting) == (0, 1, ())


def test_merged_layers_keep_the_record_that_tells_more(tmp_path: Path) -> None:
    more = layer(statistics={**LAYER.statistics, "relative_mean": 0.3})
    whole = layer(layer="", index=-1, statistics={**LAYER.statistics, "per_image": {"fluctuation": "x"}})
    fuller = dataclasses.replace(whole, statistics={**LAYER.statistics, "per_image": {"fluctuation": "x", "relative": "y"}})
    for first, second in (([LAYER, whole], [more, fuller]), ([more, fuller], [LAYER, whole])):
        names = [tmp_path / f"{len(row.statistics)}{place}.sqlite" for place, row in enumerate((first[0], second[0]))]
        with Store(names[0]) as one, Store(names[1]) as two:
            one.add_layers(setting(), first)
            two.add_layers(setting(), second)
            merge(one, two)
            assert [row for _, row in one.layers()] == [more, fuller]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_is_not_in_order_is_told_in_one_line_and_left_alone(tmp_path: Path, fault: str) -> None:
    make, words = FAULTS[fault]
    path = tmp_path / "x.sqlite"
    make(path)
    before = path.read_bytes() if path.is_file() else None

    def write() -> None:
        with Store(path) as store:
            store.add(setting(), [cell()])
            store.add_layers(setting(), [LAYER])

    def read() -> None:
        with Store(path, reading=True) as store:
            store.cells(predictions=True)
            store.layers()

    def take_over() -> None:
        with Store(tmp_path / "other.sqlite") as store, Store(path, reading=True) as source:
            merge(store, source)

    for action in (write, read, take_over):
        with pytest.raises(UserError, match=words) as caught:
            action()
        assert str(path) in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
        assert (path.read_bytes() if path.is_file() else None) == before
    assert [entry.name for entry in tmp_path.iterdir() if not entry.name.startswith(("x.", "other."))] == []


def test_nothing_is_written_into_a_file_of_which_any_page_is_damaged(tmp_path: Path) -> None:
    """Even where what is to be written would not touch that page."""
    path = tmp_path / "x.sqlite"
    good(path)
    raw = bytearray(path.read_bytes())
    raw[20 * 4096 : 21 * 4096] = random.Random(0).randbytes(4096)
    path.write_bytes(raw)
    with pytest.raises(UserError, match="damaged"):
        Store(path)

    assert path.read_bytes() == raw


def test_a_full_disk_is_told_and_what_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    good(path)
    with Store(path) as store:
        before = store.cells(predictions=True)
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        rng = np.random.default_rng(1)
        with pytest.raises(RunError, match="no space left") as caught:
            store.add(setting(), [cell(noise_seed=77, predictions=pack_classes(rng.integers(0, 1000, 50_000)))])
        assert caught.value.exit_code == 3
        assert store.cells(predictions=True) == before
    with Store(path) as store:
        assert store.cells(predictions=True) == before
        assert store.add(setting(), [cell(noise_seed=77)]) == 1


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder that anyone may look into, and a user who is stopped by permissions, which root is not."""
    if not hasattr(os, "seteuid"):
        pytest.skip("needs POSIX permissions")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "closed"
        good(folder / "x.sqlite")
        shutil.copy(STORES / "v1.sqlite", folder / "old.sqlite")
        Path(name).chmod(0o755)
        for path in (*folder.iterdir(), folder):
            path.chmod(0o555)
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


def test_where_nothing_may_be_written_results_can_be_read_and_writing_is_refused(unprivileged: Path) -> None:
    before = (unprivileged / "x.sqlite").read_bytes()
    for name in ("x.sqlite", "new.sqlite"):
        with pytest.raises(UserError, match=r"cannot (open or )?write"):
            Store(unprivileged / name)
    for name in ("x.sqlite", "old.sqlite"):
        with Store(unprivileged / name, reading=True) as store:
            assert store.cells(predictions=True)

    assert (unprivileged / "x.sqlite").read_bytes() == before
    assert sorted(path.name for path in unprivileged.iterdir()) == ["old.sqlite", "x.sqlite"]


def test_a_folder_that_may_not_be_looked_into_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", denied)
    for reading in (True, False):
        with pytest.raises(UserError, match="no permission"):
            Store(tmp_path / "x.sqlite", reading=reading)
    with pytest.raises(UserError, match="no permission"):
        check(tmp_path / "x.sqlite")


def test_a_store_that_another_process_holds_too_long_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    good(path)
    holder = sqlite3.connect(path, isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RunError, match="locked by another process"):
            Store(path, patience=0.1)
    finally:
        holder.close()


def test_a_missing_store_is_not_made_by_reading_or_checking(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results at"):
        Store(tmp_path / "x.sqlite", reading=True)
    check(tmp_path / "deep" / "x.sqlite")

    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_an_empty_store(tmp_path: Path) -> None:
    """What remains where a process is killed while it makes the file."""
    (tmp_path / "x.sqlite").touch()
    with Store(tmp_path / "x.sqlite", reading=True) as store:
        assert store.cells() == []

    assert (tmp_path / "x.sqlite").read_bytes() == b""


def test_a_process_killed_in_the_midst_of_writing_leaves_what_was_there(tmp_path: Path) -> None:
    """Killed after more was written than SQLite keeps in memory, so that the file itself is half-changed."""
    path = tmp_path / "x.sqlite"
    good(path)
    with Store(path) as store:
        before = store.cells(predictions=True)
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import numpy as np
from test_store import *
def cells():
    rng = np.random.default_rng(1)
    for seed in range(100, 400):
        yield cell(noise_seed=seed, predictions=pack_classes(rng.integers(0, 1000, 10_000)))
    os.kill(os.getpid(), signal.SIGKILL)
with Store(Path({str(path)!r})) as store:
    store._connection.execute("DELETE FROM predictions WHERE cell = 0")
    store.add(setting(), cells())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert path.with_name("x.sqlite-journal").exists()
    with Store(path, reading=True) as store:
        assert store.cells(predictions=True) == before
    with Store(path) as store:
        assert store.add(setting(), [cell(noise_seed=100)]) == 1


def test_one_file_of_every_schema_is_kept() -> None:
    assert [path.name for path in sorted(STORES.iterdir(), key=lambda path: int(path.stem[1:]))] == [
        f"v{number + 1}.sqlite" for number in range(len(MIGRATIONS))
    ]


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_file_of_every_schema_is_read_and_written(tmp_path: Path, version: int) -> None:
    path = tmp_path / "old.sqlite"
    shutil.copy(STORES / f"v{version}.sqlite", path)
    before = path.read_bytes()
    with Store(path, reading=True) as store:
        stored = store.cells(predictions=True)
        drawn, own = (dataclasses.replace(condition, noise_version=1) for condition in (NOISE, OWN))  # these files say so
        expected = [cell(condition=CLEAN, noise_seed=None), cell(condition=drawn), cell(condition=own, noise_seed=4)]
        assert [one.cell for one in stored] == expected
        assert {one.setting.started for one in stored} == {setting().started}
        assert stored[0].setting == setting()
        assert store.labels("f" * 64).tolist() == LABELS
        assert store.layers() == [(setting(), layer(pass_=Pass(drawn, 0)))]
    assert path.read_bytes() == before
    with Store(path) as store:
        assert store.add(setting(), [cell(condition=drawn), cell(noise_seed=9)]) == 1
        assert store.add(setting(), [cell()]) == 1  # the same severity under today's draws is another condition
        assert [one.cell for one in store.cells(predictions=True)][:3] == [one.cell for one in stored]


def test_an_older_file_is_migrated_to_write_and_left_alone_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old.sqlite"
    good(path)
    before = path.read_bytes()
    monkeypatch.setattr(database, "MIGRATIONS", (*schema.MIGRATIONS, ("ALTER TABLE cells ADD COLUMN colour TEXT DEFAULT 'red'",)))
    query = "SELECT DISTINCT colour FROM cells"
    with Store(path, reading=True) as store:
        assert store._connection.execute(query).fetchall() == [("red",)]
        assert len(store.cells(predictions=True)) == 40
    assert path.read_bytes() == before
    with Store(path) as store:
        assert store._connection.execute(query).fetchall() == [("red",)]
        assert store._connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
    monkeypatch.undo()
    with pytest.raises(UserError, match="newer larobust"):
        Store(path)


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old.sqlite"
    good(path)
    before = path.read_bytes()
    steps = ("ALTER TABLE cells ADD COLUMN colour TEXT", "SELECT nonsense FROM nowhere")
    monkeypatch.setattr(database, "MIGRATIONS", (*schema.MIGRATIONS, steps))
    with pytest.raises(UserError, match="damaged"):
        Store(path)

    assert path.read_bytes() == before


def test_names_that_are_no_text_are_stored(tmp_path: Path) -> None:
    """Bytes of a file name that are not UTF-8, as Python gives them."""
    with Store(tmp_path / "x.sqlite") as store:
        store.add(setting(data="folder:\udcff"), [cell(checkpoint="a\udcff.pt")])
        (stored,) = store.cells()

    assert (stored.cell.network.checkpoint, stored.setting.data) == (
        "a\N{REPLACEMENT CHARACTER}.pt",
        "folder:\N{REPLACEMENT CHARACTER}",
    )


def test_a_number_beyond_64_bits_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path / "x.sqlite") as store:
        with pytest.raises(UserError, match="cannot store"):
            store.add(setting(), [cell(training_seed=2**70)])
        assert store.cells() == []


@pytest.mark.slow
def test_a_whole_study_takes_less_than_600_megabytes(tmp_path: Path) -> None:
    """30 seeds x 10 activations x 95 conditions x 10,000 predictions among 1,000 classes, 4 of 10 at random."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1000, 10_000)
    packed = [pack_classes(np.where(rng.random(10_000) < 0.6, labels, rng.integers(0, 1000, 10_000))) for _ in range(50)]
    conditions = [dataclasses.replace(NOISE, parameters=(float(level),)) for level in range(95)]
    with Store(tmp_path / "x.sqlite") as store:
        cells = (
            cell(sha256=f"{number:064d}", condition=condition, predictions=packed[(number + place) % 50])
            for number in range(300)
            for place, condition in enumerate(conditions)
        )
        assert store.add(setting(), cells, labels=pack_classes(labels)) == 28_500

    assert store.path.stat().st_size < 600e6
