"""``larobust fluctuation`` as its users see it: tables, documents, the store, errors."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_up_layers import fluctuation
from rich.console import Console
from scipy import stats

from robustbench_la import cli
from robustbench_la.analysis.tables import layer_pairs, layer_tables
from robustbench_la.analysis.tables.table import Estimate, Table
from robustbench_la.output import terminal
from robustbench_la.output.json_documents import fluctuation_document
from robustbench_la.records.cells import Provenance, RunSetting
from robustbench_la.records.layers import STATISTICS
from robustbench_la.store import layer_rows
from robustbench_la.store.store import Store

Larobust = Callable[..., tuple[int, str, str]]
ARGUMENTS = ("--noise", "gaussian,gaussian_blur", "--severity", 3, "--limit", 60)


@pytest.fixture
def larobust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Larobust:
    """Run ``larobust fluctuation`` in a folder of its own: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["larobust", "fluctuation", *map(str, arguments)])
        code = cli._run()
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


MEASURED = [fluctuation(name, seed, 1 + place / 4) for place, name in enumerate(["relu", "silu", "la_silu"]) for seed in (11, 22)]


def shown(table: Table, width: int) -> str:
    console = Console(width=width, highlight=False, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(terminal.terminal(table, width=width))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_tables_fit_the_terminal(golden: Callable[[str, str], None], width: int) -> None:
    pairs = layer_pairs.pairs(MEASURED)
    assert pairs is not None
    tables = [layer_tables.layers(MEASURED, about="40 images."), layer_tables.activations(MEASURED), pairs]
    text = "\n".join(shown(table, width) for table in tables)

    assert max(map(len, text.splitlines())) <= width
    golden(f"fluctuation-{width}.txt", text)


def test_a_pair_is_compared_over_the_same_images() -> None:
    table = layer_pairs.pairs(MEASURED)
    assert table is not None
    one, other = (
        np.mean([found.per_image["relative"] for found in MEASURED if found.layers[0].network.activation == name], axis=0)
        for name in ("la_silu", "silu")
    )
    row = next(row.values for row in table.rows if row.values[2:4] == ("relative", "mean"))
    spread = next(row.values for row in table.rows if row.values[2:4] == ("relative", "std. dev."))

    assert row[4:6] == pytest.approx((one.mean(), other.mean()))
    assert isinstance(row[6], Estimate)
    normal = stats.t.interval(0.95, 39, (one - other).mean(), stats.sem(one - other))
    assert (row[6].low, row[6].high) == pytest.approx(normal, abs=0.3 * (normal[1] - normal[0]))
    assert row[7].value == pytest.approx(one.mean() / other.mean())
    assert spread[4:6] == pytest.approx((one.std(ddof=1), other.std(ddof=1)))


def test_no_pair_no_comparison() -> None:
    assert layer_pairs.pairs(MEASURED[:2]) is None


def test_the_largest_rise_and_what_was_not_reached_are_named() -> None:
    notes = " ".join(layer_tables.layers(MEASURED).notes)

    assert "runs/la_silu-11.pt: relative fluctuation rises most at layer2.act, from 30.0 to 45.0 %." in notes
    assert "runs/relu-11.pt" in notes
    assert "never reached: never" in notes


def test_every_number_is_in_the_document_and_the_csv(digits_pair: list[Path], larobust: Larobust) -> None:
    arguments = [part for path in digits_pair for part in ("--ckpt", path)]
    code, out, err = larobust(*arguments, *ARGUMENTS, "--json", "--csv", "layers.csv", "-o", "x.json")
    document = json.loads(out)

    assert code == 0, err
    assert document == json.loads(Path("x.json").read_text(encoding="utf-8"))
    assert document["schema"] == 2
    assert len(document["layers"]) == 2 * 2 * 2  # checkpoints, conditions, layers
    first = document["layers"][0]
    assert {"checkpoint", "activation", "corruption", "severity", "layer", "index", "elements", "images"} <= first.keys()
    assert STATISTICS.keys() <= first.keys()
    assert (first["layer"], first["index"], first["elements"], first["images"]) == ("act1", 0, 16 * 8 * 8, 60)
    assert len(document["networks"]) == 4
    assert {row["quantity"] for row in document["comparisons"]} == {"fluctuation", "relative", "input"}
    assert document["provenance"]["dataset"]["partial"] is True
    with Path("layers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["fluctuation_mean"]) for row in rows] == [layer["fluctuation_mean"] for layer in document["layers"]]


def test_what_is_in_the_store_is_not_measured_again_and_looks_the_same(digits_pair: list[Path], larobust: Larobust) -> None:
    arguments = [part for path in digits_pair for part in ("--ckpt", path)]
    part = larobust(*arguments[:2], *ARGUMENTS[:-4], "--severity", 3, "--limit", 60, "-o", "part.json")
    first = larobust(*arguments, *ARGUMENTS, "-o", "first.json")
    second = larobust(*arguments, *ARGUMENTS, "-o", "second.json")
    none = larobust(*arguments, *ARGUMENTS, "--no-store", "-o", "none.json")

    assert [code for code, _, _ in (part, first, second, none)] == [0] * 4
    assert "2 of 4 passes were in runs/results.sqlite" in first[2]
    assert "nothing is left to measure" in second[2]
    assert first[1] == second[1] == none[1]
    documents = [json.loads(Path(f"{name}.json").read_text(encoding="utf-8")) for name in ("first", "second", "none")]
    for document in documents[1:]:
        for key in ("layers", "networks", "comparisons"):
            assert document[key] == documents[0][key]


def test_another_threshold_or_more_statistics_are_measured(digits_pair: list[Path], larobust: Larobust) -> None:
    ckpt = ("--ckpt", digits_pair[0])
    larobust(*ckpt, *ARGUMENTS, "--only", "fluctuation")
    everything = larobust(*ckpt, *ARGUMENTS)
    only = larobust(*ckpt, *ARGUMENTS, "--only", "fluctuation")
    other = larobust(*ckpt, *ARGUMENTS, "--threshold", 0.2)

    assert "runs/results.sqlite:" not in everything[2]
    assert "nothing is left" in only[2]
    assert "runs/results.sqlite:" not in other[2]


def test_injected_noise_takes_the_place_of_a_plans_severities(
    tmp_path: Path, digits_pair: list[Path], larobust: Larobust
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"checkpoints: {digits_pair[0]}\nnoise: [gaussian, gaussian_blur]\nseverity: [1, 3]\nlimit: 20\n")
    status, out, err = larobust("--config", plan, "--inject", "gaussian=0.1", "--json")

    assert status == 0, err
    assert {layer["corruption"] for layer in json.loads(out)["layers"]} == {"inject:gaussian"}


def test_injected_noise_needs_no_corruption(digits_pair: list[Path], larobust: Larobust) -> None:
    code, out, err = larobust(
        "--ckpt", digits_pair[0], "--inject", "gaussian=0.1,0.2", "--inject", "gaussian-absolute=0.5", "--limit", 40, "--json"
    )
    told = [(row["corruption"], row["severity"], row["parameter"]) for row in json.loads(out)["layers"] if row["index"] == 0]

    assert code == 0, err
    assert told == [
        ("inject:gaussian", None, 0.1),
        ("inject:gaussian", None, 0.2),
        ("inject:gaussian-absolute", None, 0.5),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--inject", "salt=1"), "unknown injected noise 'salt'"),
        (("--inject", "gaussian=-1"), "expected a level above 0"),
        (("--inject", "gaussian=0.1", "--noise", "blur"), "--inject replaces --noise"),
        (("--inject", "gaussian=0.1", "--profile", "cifar-c"), "--inject replaces --noise"),
        (("--only", "bounds"), "unknown --only 'bounds'"),
        (("--only", "fluctuation", "--threshold", "0.5"), "--threshold would have no effect"),
        (("--threshold", "2"), "a scale between 0 and 1"),
        (("--plot", "x.bmp"), ".bmp"),
        (("--plot", "pie=x.png"), "unknown figure 'pie'"),
        (("--only", "fluctuation", "--plot", "means=x.png"), "measures no activation means"),
        (("--csv", "."), "folder"),
        (("--csv", "x", "-o", "x"), "two different outputs"),
        (("--csv", "runs/results.sqlite"), "would overwrite the store"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(
    digits_pair: list[Path], larobust: Larobust, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = larobust("--ckpt", digits_pair[0], *arguments)

    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(Path().iterdir()) == []


def test_dead_layers_and_single_images_break_no_report() -> None:
    """A layer that is 0 everywhere has no relative value: images and networks are told without it."""
    dead = []
    for one in MEASURED:
        relative = one.per_image["relative"].copy()
        relative[:7] = np.nan
        dead.append(dataclasses.replace(one, per_image={**one.per_image, "relative": relative}))
    pairs = layer_pairs.pairs(dead)
    assert pairs is not None
    provenance = Provenance(
        started="", wall_time_s=0, checkpoints={}, dataset={}, seed=0, noise_seeds=[0], profile="cifar-c", device="cpu",
        precision="float32", batch_size=1, threads=1, versions={}, host="", git=None,
    )  # fmt: skip
    document = fluctuation_document(dead, pairs, provenance)

    assert json.loads(json.dumps(document, allow_nan=False))["networks"][0]["relative_mean"] == pytest.approx(
        MEASURED[0].per_image["relative"][7:].mean()
    )
    for images in (slice(0, 1), slice(0, 7), slice(0, 8)):
        few = [
            dataclasses.replace(one, per_image={name: values[images] for name, values in one.per_image.items()}) for one in dead
        ]
        table = layer_pairs.pairs(few)
        assert table is not None
        json.dumps(fluctuation_document(few, table, provenance), allow_nan=False)
        assert shown(table, 100)


def test_less_is_made_of_more_and_never_takes_its_place(digits_pair: list[Path], larobust: Larobust) -> None:
    first, both = ("--ckpt", digits_pair[0]), [part for path in digits_pair for part in ("--ckpt", path)]
    larobust(*first, *ARGUMENTS)
    only = larobust(*both, *ARGUMENTS, "--only", "fluctuation", "--csv", "x.csv", "-o", "x.json")
    larobust(*first, *ARGUMENTS, "--only", "fluctuation", "--fresh")
    again = larobust(*first, *ARGUMENTS)

    assert only[0] == 0, only[2]
    assert "2 of 4 passes" in only[2]
    assert "nothing is left to measure" in again[2]
    layers = json.loads(Path("x.json").read_text(encoding="utf-8"))["layers"]
    assert len({frozenset(layer) for layer in layers}) == 1
    assert "gain" not in layers[0]


def test_layers_that_are_measured_again_replace_all_that_were_there(tmp_path: Path) -> None:
    one = MEASURED[0]
    fewer = dataclasses.replace(one, layers=(dataclasses.replace(one.layers[0], layer="renamed"),))
    setting = RunSetting(
        data="x", fingerprint="f", images=40, dataset_images=40, resize=None, crop=None, device="cpu", precision="float32",
        batch_size=1, threads=1, started="2026-01-01", versions={}, host="", commit=None, dirty=None,
    )  # fmt: skip
    with Store(tmp_path / "x.sqlite") as store:
        for found in (one, fewer):
            store.add_layers(setting, layer_rows.rows(found), replace=True)
        read = layer_rows.networks((row for _, row in store.layers()), one.sample, {one.layers[0].key})

    assert [layer.layer for layer in read[one.layers[0].key].layers] == ["renamed"]


def test_calls_of_other_functions_are_named() -> None:
    layers = (dataclasses.replace(MEASURED[0].layers[0], function="tanh"), *MEASURED[0].layers[1:])
    notes = " ".join(layer_tables.layers([dataclasses.replace(MEASURED[0], layers=layers)]).notes)

    assert "its means include calls of other functions than relu: layer0.act" in notes
