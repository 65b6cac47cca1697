"""It is one edit to add a property of a network: all that is stored, checked and written follows the fields of NetworkRecord."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import robustbench_la
from robustbench_la.gate import baseline
from robustbench_la.records.networks import IDENTITY, NETWORK, NetworkId, NetworkRecord
from robustbench_la.store.store import Store

HERE = Path(__file__).parent
ROOT = Path(robustbench_la.__file__).parent.parent
EDITS = {
    "robustbench_la/records/networks.py": (
        "    normalization: str\n",
        "    normalization: str\n    bits: int | None = None\n    storage: str = 'float32'\n    pruned: bool = False\n",
    ),
    "robustbench_la/store/schema.py": (
        '\n)\n"""MIGRATIONS[n] takes',
        '\n    network_columns("bits", "storage", "pruned"),\n)\n"""MIGRATIONS[n] takes',
    ),
}
"""The one edit, and the line that gives older files the column."""
USE = """
import csv, dataclasses, io, json, sys
from pathlib import Path
from robustbench_la.analysis.groups.groups import group
from robustbench_la.gate import baseline
from robustbench_la.output.records_csv import cell_names, records_csv
from robustbench_la.store.store import Store

store_path, baseline_path, new = map(Path, sys.argv[1:])
with Store(store_path) as store:
    (clean, noisy, own) = store.cells(predictions=True)
    kept = {(one.cell.network.bits, one.cell.network.storage, one.cell.network.pruned) for one in (clean, noisy, own)}
    assert kept == {(None, "float32", False)}
    networks = [dataclasses.replace(one.cell.network, bits=8, pruned=True) for one in (clean, noisy)]
    eight = [dataclasses.replace(one.cell, network=own) for one, own in zip((clean, noisy), networks)]
    assert store.add(clean.setting, eight) == 2 and store.add(clean.setting, eight) == 0
    stored = store.cells()
    assert [one.cell.network.bits for one in stored] == [None, None, None, 8, 8]
    assert [one.cell.network.pruned for one in stored] == [False, False, False, True, True]
    assert len({one.cell.key for one in stored}) == 5
    assert len({one.networks[0].network.bits for one in group(stored, allow_missing=True)}) == 2
    rows = [one.cell.as_dict() | one.setting.as_dict() for one in stored]
    lines = list(csv.DictReader(io.StringIO(records_csv(rows))))
    assert [line["bits"] for line in lines] == ["", "", "", "8", "8"] and list(lines[0]) == cell_names()
    layer = store.layers()[0][1]
    layer = dataclasses.replace(layer, network=eight[0].network)
    assert store.add_layers(clean.setting, [layer]) == 1
    assert [row.as_dict()["bits"] for _, row in store.layers()] == [None, 8]
    store._connection.execute("UPDATE networks SET bits = 'many' WHERE bits = 8")
    try:
        store.cells()
    except Exception as error:
        assert "is damaged (row 2 of networks: bits is 'many')" in str(error)
    else:
        raise AssertionError
with Store(store_path) as store:
    store._connection.execute("UPDATE networks SET bits = 8, pruned = 2 WHERE bits IS NOT NULL")
    try:
        store.cells()
    except Exception as error:
        assert "is damaged (row 2 of networks: pruned is '2')" in str(error)
    else:
        raise AssertionError
old = baseline.read_baseline(baseline_path)
baseline.write_baseline(new, dataclasses.replace(old, network=dataclasses.replace(old.network, bits=8, pruned=True)))
read = baseline.read_baseline(new).network
assert (old.network.bits, old.network.pruned, read.bits, read.pruned) == (None, False, 8, True)
print(json.dumps([sorted(rows[-1]), list(json.loads(new.read_text())["network"])]))
"""


def test_a_network_is_told_by_its_content_and_not_by_its_name() -> None:
    record = NetworkRecord(
        checkpoint="a.pt", sha256="0" * 64, architecture="cnn", activation="silu", activation_level="element", alpha=None,
        normalization="half", training_seed=1,
    )  # fmt: skip

    assert type(record.id) is NetworkId
    assert record.id == NetworkId(
        sha256="0" * 64, architecture="cnn", activation="silu", alpha=None, normalization="half", exchange=""
    )
    assert [field.name for field in fields(record)] == list(NETWORK) == list(record.as_dict())
    known = {
        "checkpoint",
        "activation_level",
        "training_seed",
        "activations_seen",
        "architecture_label",
        "stochastic",
        "recipe",
        "weights",
    }
    assert {*NETWORK} - {*IDENTITY} == known


def test_the_columns_of_the_store_are_the_fields(tmp_path: Path) -> None:
    with Store(tmp_path / "x.sqlite") as store:
        columns = [name for _, name, *_ in store._connection.execute("PRAGMA table_info(networks)")]
        (index,) = store._connection.execute("SELECT sql FROM sqlite_master WHERE name = 'one_network'").fetchone()

    assert {*columns} == {"id", *NETWORK}
    assert all(name in index for name in IDENTITY)


def test_a_property_that_is_added_is_stored_checked_and_written_everywhere(tmp_path: Path) -> None:
    for package in ("robustbench_la", "corruptions"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (before, after) in EDITS.items():
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text.count(before) == 1
        (tmp_path / name).write_text(text.replace(before, after), encoding="utf-8")
    shutil.copy(HERE / "stores" / "v2.sqlite", tmp_path / "x.sqlite")
    baseline.write_baseline(tmp_path / "old.json", baseline.read_baseline(HERE / "baselines" / "quickstart.json"))
    command = [sys.executable, "-c", USE, str(tmp_path / "x.sqlite"), str(tmp_path / "old.json"), str(tmp_path / "new.json")]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    names = json.loads(done.stdout)
    assert all("bits" in each for each in names)
