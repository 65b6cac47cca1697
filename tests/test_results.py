"""Commands around the store: nothing is measured twice, and what is there can be listed, joined and removed."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from robustbench_la import cli
from robustbench_la.images import decoding
from robustbench_la.images.decoding import ImageChoice, Shape
from robustbench_la.measuring import accuracy
from robustbench_la.models.checkpoints.assemble import assemble_network
from robustbench_la.models.checkpoints.file import read_checkpoint
from robustbench_la.models.checkpoints.network import LoadOverrides
from robustbench_la.records import calibration
from robustbench_la.store.store import Store


def _network(path):
    """The network of a checkpoint that records all about itself."""
    return assemble_network(read_checkpoint(path), LoadOverrides(), Shape(classes=10, channels=1, height=8, width=8))


@pytest.fixture(scope="session")
def measured(digits_pair: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with 2 checkpoints x 4 conditions."""
    path = tmp_path_factory.mktemp("measured") / "x.sqlite"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["larobust", *command(digits_pair), "--store", str(path)])
        assert cli._run() == 0
    return path


@pytest.fixture
def store(measured: Path, tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return Path(shutil.copy(measured, tmp_path / "runs" / "results.sqlite"))


def command(paths: list[Path], *more: str) -> list[str]:
    return ["eval", *(f"--ckpt={path}" for path in paths), "--noise=gaussian,blur=0.7", "--severity=1-2", "--device=cpu", *more]


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """What is measured from now on: condition, noise seed, number of checkpoints."""
    seen: list[tuple[str, int, int]] = []
    real = accuracy._measure_pass

    def measure(evaluation, condition, advance):
        seen.append((str(condition), evaluation.seed, len(evaluation.networks)))
        return real(evaluation, condition, advance)

    monkeypatch.setattr(accuracy, "_measure_pass", measure)
    return seen


def cells(out: str) -> list[dict[str, object]]:
    return [{key: value for key, value in cell.items() if key != "seconds"} for cell in json.loads(out)["cells"]]


def test_a_second_run_measures_nothing_says_so_and_prints_the_same(larobust, digits_pair, passes) -> None:
    code, first, said = larobust(*command(digits_pair, "--json"))
    assert (code, len(passes)) == (0, 4)
    assert "8 cells in" in said
    assert "cells were in" not in said
    passes.clear()

    code, second, said = larobust(*command(digits_pair, "--json"))
    assert (code, passes) == (0, [])
    assert "8 of 8 cells were in runs/results.sqlite; nothing is left to measure" in said
    assert json.loads(second)["cells"] == json.loads(first)["cells"]
    assert [json.loads(text)["from_store"] for text in (first, second)] == [0, 8]
    assert json.loads(second)["provenance"].keys() == json.loads(first)["provenance"].keys()
    table = [larobust(*command(digits_pair, *more))[1] for more in ([], ["--no-store"])]
    assert table[0] == table[1]


def test_only_what_is_missing_is_measured_each_batch_once_for_all_that_lack_it(larobust, digits_pair, passes) -> None:
    larobust(*command(digits_pair[:1]))
    passes.clear()
    code, out, said = larobust(*command(digits_pair, "--severity=3", "--json"))

    assert code == 0
    assert passes == [
        ("clean", 0, 1),
        ("gaussian_noise 1", 0, 1),
        ("gaussian_noise 2", 0, 1),
        ("gaussian_noise 3", 0, 2),
        ("gaussian_blur=0.7", 0, 1),
    ]
    assert "4 of 10 cells were in" in said
    assert cells(out) == cells(larobust(*command(digits_pair, "--severity=3", "--json", "--no-store"))[1])


def test_fresh_measures_again_and_replaces(larobust, digits_pair, store, passes) -> None:
    with Store(store, reading=True) as before:
        first = before.cells(predictions=True)
    code, _, said = larobust(*command(digits_pair, "--fresh"))
    with Store(store, reading=True) as after:
        second = after.cells(predictions=True)

    assert code == 0
    assert len(passes) == 4
    assert "cells were in" not in said
    assert [one.cell.predictions for one in second] == [one.cell.predictions for one in first]
    assert [one.cell.seconds for one in second] != [one.cell.seconds for one in first]


def test_no_store_neither_reads_nor_writes_one(larobust, digits_pair, passes, tmp_path) -> None:
    for _ in range(2):
        assert larobust(*command(digits_pair, "--no-store"))[0] == 0

    assert len(passes) == 8
    assert list(tmp_path.iterdir()) == []


def test_noise_seeds_are_cells_of_their_own_and_clean_is_measured_once(larobust, digits_pair, passes) -> None:
    flags = [f"--ckpt={digits_pair[0]}", "--noise=gaussian", "--severity=5", "--device=cpu", "--json"]
    code, out, said = larobust("eval", *flags, "--noise-seeds=3", "--noise-seed=7")
    three = cells(out)
    assert code == 0
    assert passes == [("clean", 7, 1), *(("gaussian_noise 5", seed, 1) for seed in (7, 8, 9))]
    assert "noise seeds 7 to 9" in said
    assert [cell["noise_seed"] for cell in three] == [None, 7, 8, 9]
    assert json.loads(out)["provenance"]["noise_seeds"] == [7, 8, 9]
    passes.clear()

    _, out, said = larobust("eval", *flags, "--noise-seed=8")
    assert passes == []
    assert cells(out) == [three[0], three[2]]
    assert cells(larobust("eval", *flags, "--noise-seed=8", "--no-store")[1]) == [three[0], three[2]]


def test_several_noise_seeds_make_one_mean_and_a_column_of_their_own(larobust, digits_pair) -> None:
    flags = [f"--ckpt={digits_pair[0]}", "--noise=gaussian", "--severity=4-5", "--noise-seeds=2", "--device=cpu"]
    out = larobust("eval", *flags, "--json")[1]
    table = larobust("eval", *flags, "--detail")[1]
    noisy = [cell["correct"] / cell["total"] for cell in cells(out) if cell["corruption"] != "clean"]

    assert len(noisy) == 4
    assert f"{100 * sum(noisy) / 4:.2f}" in table
    assert "severities 4, 5 and 2 noise seeds" in " ".join(table.split())
    assert "noise seed" in table


def test_a_copy_under_another_name_is_the_same_checkpoint(larobust, digits_pair, store, tmp_path, passes) -> None:
    shutil.copy(digits_pair[0], tmp_path / "copy.pt")
    _, out, said = larobust(*command([Path("copy.pt"), digits_pair[1]], "--json"))

    assert passes == []
    assert "8 of 8" in said
    assert {cell["checkpoint"] for cell in cells(out)} == {"copy.pt", str(digits_pair[1])}


@pytest.mark.parametrize("more", [["--limit=100"], ["--noise-seed=1"], ["--amp"]], ids=str)
def test_other_images_seeds_and_precisions_are_measured(larobust, digits_pair, store, passes, more) -> None:
    code, _, said = larobust(*command(digits_pair, *more))

    assert code == 0
    assert "nothing is left" not in said
    assert ("gaussian_noise 1", 1 if "--noise-seed=1" in more else 0, 2) in passes


def test_changed_code_of_a_network_is_another_network(larobust, tmp_path, passes) -> None:
    import torch

    source = "import torch\ndef make():\n    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))\n"
    (tmp_path / "mine.py").write_text(source)
    torch.save(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)).state_dict(), tmp_path / "m.pt")
    flags = ["--ckpt=m.pt", "--arch=mine.py:make", "--activation=relu", "--data=digits", "--noise=gaussian_noise=0.1"]
    changed = source.replace("Flatten()", "Flatten(1)")
    for counted, text in ((2, source), (2, source), (2, source + "# said\n"), (4, changed)):
        (tmp_path / "mine.py").write_text(text)
        assert larobust("eval", *flags)[0] == 0
        assert len(passes) == counted


def test_calibration_is_that_of_a_plain_loop(digits_pair, measured) -> None:
    """In float64, image by image; a confidence within rounding of the border of a bin may fall on either side."""
    import torch

    network = _network(digits_pair[0])
    model = network.model.double()
    images = decoding.load(ImageChoice("digits"))
    expected = np.zeros((3, 15))
    for pixels, label in zip(images.images, images.labels, strict=True):
        with torch.no_grad():
            logits = model((torch.from_numpy(pixels)[None].double() / 255 - 0.5) / 0.5)[0].numpy()
        shares = np.exp(logits) / np.exp(logits).sum()
        expected[:, int(np.ceil(shares.max() * 15)) - 1] += [1, shares.argmax() == label, shares.max()]
    with Store(measured, reading=True) as store:
        clean = next(
            one.cell for one in store.cells() if one.cell.noise_seed is None and one.cell.network.activation == "la_silu"
        )
        labels = store.labels(store.cells()[0].setting.fingerprint)

    assert calibration.unpack(clean.calibration) == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert labels.tolist() == images.labels.tolist()


def test_results_lists_networks_cells_json_and_csv(larobust, digits_pair, store) -> None:
    code, table, _ = larobust("results")
    assert code == 0
    assert "8 cells" in table
    assert "la_silu" in table
    assert "gaussian_noise" not in table
    detail = larobust("results", "--detail")[1]
    assert detail.count("gaussian_noise") == 4
    told = json.loads(larobust("results", "--json")[1])
    rows = list(csv.DictReader(io.StringIO(larobust("results", "--csv")[1])))
    assert (len(told["cells"]), told["layers"], len(rows)) == (8, [], 8)
    for cell, row in zip(told["cells"], rows, strict=True):
        assert [name for name in cell if name != "parameters"] == list(row)  # in CSV a level is one text
        assert int(row["correct"]) == cell["correct"]
        assert float(row["nll_sum"]) == cell["nll_sum"]
        assert cell["data"] == "digits"
        assert cell["partial"] is False
        assert {"torch", "larobust"} <= cell["versions"].keys()


def test_results_that_match_every_filter_and_exit_5_where_none_does(larobust, store) -> None:
    code, out, _ = larobust("results", "--activation=silu", "--noise=gaussian,clean", "--json")
    assert code == 0
    assert {(cell["activation"], cell["corruption"]) for cell in cells(out)} == {("silu", "clean"), ("silu", "gaussian_noise")}
    code, out, said = larobust("results", "--noise-seed=5", "--csv")
    assert code == 5
    whole = larobust("results", "--csv")[1]
    assert out.splitlines() == whole.splitlines()[:1]
    assert "holds nothing that matches" in said


def test_merging_files_joins_them_once(larobust, digits_pair, store) -> None:
    larobust("eval", f"--ckpt={digits_pair[0]}", "--noise=gaussian", "--severity=2-3", "--store=there.sqlite", "--device=cpu")
    code, _, said = larobust("merge", store, "there.sqlite", "-o", "all.sqlite")
    assert code == 0
    assert "there.sqlite: 1 added, 2 were present already" in said
    assert len(cells(larobust("results", "--json", "--store=all.sqlite")[1])) == 9
    code, _, said = larobust("merge", "all.sqlite", "there.sqlite", "-o", "all.sqlite")
    assert code == 0
    assert "there.sqlite: 0 added, 3 were present already" in said
    assert larobust("merge", "there.sqlite", "gone.sqlite", "-o", "new.sqlite")[0] == 2
    assert not Path("new.sqlite").exists()


def test_a_conflict_is_told_and_the_first_stays(larobust, store) -> None:
    import sqlite3

    shutil.copy(store, "other.sqlite")
    with sqlite3.connect("other.sqlite") as connection:
        connection.execute("UPDATE cells SET correct = correct - 1 WHERE corruption = 'clean'")
    connection.close()
    code, _, said = larobust("merge", store, "other.sqlite", "-o", "all.sqlite")

    assert code == 0
    assert "2 have other answers than in all.sqlite, which are kept" in said
    assert cells(larobust("results", "--json", "--store=all.sqlite")[1]) == cells(larobust("results", "--json")[1])


def test_forgetting_shows_asks_and_removes(larobust, store, monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    everything = larobust("results", "--json")[1]
    code, _, said = larobust("forget", "--noise=gaussian_blur")
    assert code == 2
    assert "--yes" in said
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    code, out, said = larobust("forget", "--noise=gaussian_blur")
    assert (code, "2 cells" in out, "nothing was removed" in said) == (0, True, True)
    assert larobust("results", "--json")[1] == everything
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    code, _, said = larobust("forget", "--noise=gaussian_blur")
    assert (code, "2 cells removed" in said) == (0, True)
    assert len(cells(larobust("results", "--json")[1])) == 6
    assert larobust("forget", "--noise=gaussian_blur", "--yes")[0] == 5
    assert larobust("forget", "--activation=silu", "--yes")[0] == 0
    assert {cell["activation"] for cell in cells(larobust("results", "--json")[1])} == {"la_silu"}


def test_what_was_finished_before_ctrl_c_is_not_measured_again(larobust, digits_pair, monkeypatch) -> None:
    real, calls = accuracy._measure_pass, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(accuracy, "_measure_pass", interrupted)
    code, out, said = larobust(*command(digits_pair))
    assert code == 130
    assert "interrupted after 4 of 8" in said
    assert "Accuracy under corruption" in out
    code, _, said = larobust(*command(digits_pair))
    assert code == 0
    assert "4 of 8 cells were in" in said
    assert len(calls) == 3 + 2


def test_a_full_disk_ends_an_evaluation_with_exit_3(larobust, digits_pair, monkeypatch) -> None:
    from robustbench_la.errors import RunError

    def full(*arguments: object, **more: object) -> int:
        raise RunError("no space left to write runs/results.sqlite; its previous content is intact")

    monkeypatch.setattr(Store, "add", full)
    code, _, said = larobust(*command(digits_pair))

    assert code == 3
    assert "no space left" in said
    assert "Traceback" not in said
