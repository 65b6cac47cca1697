"""What people see: tables, JSON, exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from robustbench_la import cli
from robustbench_la.analysis.statistics.paired_tests import wilson
from robustbench_la.analysis.tables import accuracy_tables
from robustbench_la.analysis.tables.table import Table
from robustbench_la.output import terminal
from robustbench_la.records.cells import CLEAN, Cell, Condition, Pass
from robustbench_la.records.networks import NetworkRecord


def cell(checkpoint: str, activation: str, condition: Condition, correct: int) -> Cell:
    return Cell(
        network=NetworkRecord(
            checkpoint=checkpoint,
            sha256="0" * 64,
            architecture="cnn",
            activation=activation,
            activation_level="layer" if activation.startswith("la_") else "element",
            alpha=1e-5 if activation.startswith("la_") else None,
            normalization="half",
            training_seed=11,
        ),
        pass_=Pass(condition, None if condition == CLEAN else 0),
        correct=correct,
        correct_top5=999,
        total=1000,
        nll_sum=1000 - correct * 0.5,
        seconds=1.0,
        predictions=b"",
    )


def example() -> list[Cell]:
    """Four checkpoints, four corruptions, two severities."""
    corruptions = ["gaussian_noise", "shot_noise", "gaussian_blur", "impulse_noise"]
    conditions = [
        Condition(corruption=name, severity=severity, parameters=(0.1 * severity,), profile="cifar-c")
        for name in corruptions
        for severity in (1, 5)
    ]
    cells = []
    for bonus, activation in enumerate(["relu", "silu", "la_silu", "la_hardsilu"]):
        path = f"runs/{activation}-11.pt"
        cells.append(cell(path, activation, CLEAN, 950 + bonus))
        for harm, condition in enumerate(conditions):
            cells.append(cell(path, activation, condition, 900 - 61 * harm + 7 * bonus))
    return cells


def shown(table: Table, width: int) -> str:
    console = Console(width=width, highlight=False, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(terminal.terminal(table, width=width))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_summary_fits_the_terminal(golden: Callable[[str, str], None], width: int) -> None:
    text = shown(accuracy_tables.summary(example()), width)

    assert max(map(len, text.splitlines())) <= width
    golden(f"summary-{width}.txt", text)


@pytest.mark.parametrize("width", [80, 160])
def test_the_details_fit_the_terminal(golden: Callable[[str, str], None], width: int) -> None:
    text = shown(accuracy_tables.detail(example()[:9]), width)

    assert max(map(len, text.splitlines())) <= width
    golden(f"detail-{width}.txt", text)


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("what", ["corruptions", "activations", "architectures", "datasets"])
def test_a_list_uses_the_width_there_is_and_no_more(what: str, width: int) -> None:
    from robustbench_la.cli.list_ import _LISTS

    for table in _LISTS[what]():
        text = shown(table, width)
        assert max(map(len, text.splitlines())) <= width
        for row in table.rows:
            words = re.split(r"[\s_./-]", " ".join(str(value) for value in row.values))  # where labels may be folded
            assert all(word[:10] in text for word in words)
    fits = sum(max(map(len, map(str, column))) + 2 for column in zip(*(row.values for row in table.rows), strict=True)) <= width
    if width == 160 and fits:  # title, heading, rule, a line a row, and a blank one
        assert len(text.splitlines()) <= len(table.rows) + 4 + len(table.notes) * 3


def test_a_number_is_never_cut_or_folded() -> None:
    text = shown(accuracy_tables.summary(example()), 80)

    for value in ("95.20", "93.7–96.4", "+0.70"):
        assert value in text
    assert "…" not in text


def test_means_and_differences_are_of_counts() -> None:
    table = accuracy_tables.summary(example())
    rows = {row.values[1] or row.values[0]: row.values for row in table.rows}
    silu = [(900 - 61 * harm + 7) / 1000 for harm in range(8)]
    names = [column.name for column in table.columns]

    assert rows["silu"][names.index("gaussian_noise")] == pytest.approx((silu[0] + silu[1]) / 2)
    assert rows["silu"][names.index("mean corr.")] == pytest.approx(sum(silu) / 8)
    assert rows["silu"][names.index("rel. drop")] == pytest.approx((0.951 - sum(silu) / 8) / 0.951)
    assert rows["la_silu − silu"][names.index("clean")] == pytest.approx(0.001)
    assert rows["la_silu − silu"][names.index("mean corr.")] == pytest.approx(0.007)
    assert [row.values[1] for row in table.rows if not row.is_difference] == ["la_silu", "silu", "la_hardsilu", "relu"]


def test_what_was_not_measured_is_a_gap_and_never_a_mean_of_the_rest() -> None:
    table = accuracy_tables.summary(example()[:-1])  # an interrupted run: one severity of one corruption is missing
    names = [column.name for column in table.columns]
    row = next(row.values for row in table.rows if row.values[1] == "la_hardsilu")

    assert row[names.index("impulse_noise")] is None
    assert row[names.index("mean corr.")] is None
    assert row[names.index("gaussian_noise")] is not None
    assert "–" in shown(table, 100)


def test_the_mean_of_an_interrupted_run_is_over_the_severities_that_all_share() -> None:
    measured = [cell for cell in example() if cell.network.activation == "silu"]
    table = accuracy_tables.summary(measured[:-1])
    place = [column.name for column in table.columns].index("mean corr.")
    at_1 = [cell.correct / cell.total for cell in measured if cell.condition.severity == 1]

    assert table.rows[0].values[place] == pytest.approx(sum(at_1) / 4)
    assert "Mean corr.: mean over corruptions, at severity 1 only, as not all were measured at the others." in table.notes[0]
    assert "Mean corr.: mean over corruptions. " in accuracy_tables.summary(measured[:1]).notes[0]


def test_wilson_is_the_textbook_interval() -> None:
    """Newcombe 1998, Statistics in Medicine 17, 857-872, table I: 81 of 263 and 0 of 20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["larobust", *arguments])
    return cli._run()


def test_eval_prints_a_table_and_writes_the_document(digits_pair, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "deep" / "result.json"
    arguments = ["eval", *(f"--ckpt={path}" for path in digits_pair), "--noise", "gaussian,blur=0.7", "--severity", "2", "-o"]

    assert run([*arguments, str(output)], monkeypatch) == 0
    out, err = capsys.readouterr()
    assert "la_silu − silu" in out
    assert "levels of profile cifar-c" in err
    document = json.loads(output.read_text())
    assert document["schema"] == 2
    first, second, *_ = document["cells"]
    assert list(first)[:7] == ["checkpoint", "activation", "activation_level", "corruption", "severity", "parameter", "profile"]
    assert (first["corruption"], first["severity"], first["parameter"]) == ("clean", 0, None)
    assert [cell["activation_level"] for cell in (first, second)] == ["layer", "element"]
    own = document["cells"][-1]
    assert (own["corruption"], own["severity"], own["parameter"], own["profile"]) == ("gaussian_blur", None, 0.7, None)
    assert own["total"] == 500
    assert document["provenance"]["dataset"]["name"] == "digits"


def test_the_levels_of_each_corruption_are_named_below_the_table(digits_pair, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        "eval",
        "--ckpt",
        str(digits_pair[0]),
        "--limit=20",
        "--no-store",
        "--noise=fog=1.5/2",
        "--noise=snow",
        "--severity=5",
    ]

    assert run(words, monkeypatch) == 0
    out, err = capsys.readouterr()
    assert "Each corruption: mean over its levels (fog: level 1.5/2; snow: severity 5)." in " ".join(out.split())
    assert "; levels of profile cifar-c and custom level fog=1.5/2;" in err
    assert run([word for word in words if word not in ("--noise=snow", "--severity=5")], monkeypatch) == 0
    assert "1 channel; custom level fog=1.5/2; noise seed 0" in capsys.readouterr().err


def test_json_is_one_document_and_nothing_else_on_stdout(digits_pair, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    code = run(["eval", "--ckpt", str(digits_pair[0]), "--noise=gaussian", "--severity=1", "--json", "--detail"], monkeypatch)

    assert code == 0
    assert len(json.loads(capsys.readouterr().out)["cells"]) == 2


@pytest.fixture(name="interrupted_in_the_third_pass")
def _interrupted_in_the_third_pass(monkeypatch):
    from robustbench_la.measuring import accuracy

    real = accuracy._measure_pass
    calls = iter(range(100))

    def interrupted(*arguments):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(accuracy, "_measure_pass", interrupted)


@pytest.mark.usefixtures("interrupted_in_the_third_pass")
def test_ctrl_c_prints_what_was_finished_and_exits_130(digits_pair, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "part.json"
    code = run(["eval", "--ckpt", str(digits_pair[0]), "--noise=gaussian", "-o", str(output)], monkeypatch)

    assert code == 130
    assert "Accuracy under corruption" in capsys.readouterr().out
    assert len(json.loads(output.read_text())["cells"]) == 2
    assert json.loads(output.read_text())["interrupted"] is True


@pytest.mark.usefixtures("interrupted_in_the_third_pass")
def test_a_part_takes_no_older_results_place(digits_pair, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("result.json").write_text("whole")

    assert run(["eval", "--ckpt", str(digits_pair[0]), "--noise=gaussian", "--no-store", "-o", "result.json"], monkeypatch) == 130
    assert Path("result.json").read_text() == "whole"
    assert len(json.loads(Path("result.partial.json").read_text())["cells"]) == 2
    assert "result.json is left as it was; the part" in capsys.readouterr().err


def test_a_fault_of_ours_keeps_its_traceback_and_exits_3(monkeypatch, capsys) -> None:
    from robustbench_la.records import plan_file

    def broken(*arguments):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(plan_file, "read_plan", broken)

    assert run(["eval", "--ckpt", "x.pt"], monkeypatch) == 3
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.slow
def test_a_real_ctrl_c_during_training_and_evaluation(tmp_path: Path) -> None:
    """SIGINT to the process: 130, no traceback, and the same command goes on."""
    command = [sys.executable, "-c", "from robustbench_la.cli import main; main()"]
    training = [*command, "train", "--arch=resnet20", "--activation=relu", "--epochs=3", "-oa.pt"]
    process = subprocess.Popen(
        training, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    while not (tmp_path / "a.pt.partial").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert "Traceback" not in err
    done = subprocess.run(training, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "resumed after epoch" in done.stderr


@pytest.mark.slow
def test_quickstart_reaches_95_percent_on_digits(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)

    assert run(["quickstart"], monkeypatch) == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == ["quickstart", "results.sqlite"]
    capsys.readouterr()
    assert run(["eval", "--ckpt", "runs/quickstart/*.pt", "--noise=gaussian", "--severity=1", "--json"], monkeypatch) == 0
    clean = [cell for cell in json.loads(capsys.readouterr().out)["cells"] if cell["corruption"] == "clean"]
    assert len(clean) == 2
    assert all(cell["correct"] >= 0.95 * cell["total"] for cell in clean)
    assert run(["compare", "--by", "checkpoint", "--ckpt", "runs/quickstart/*.pt"], monkeypatch) == 0


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder in which no file can be made")
@pytest.mark.parametrize(
    "words",
    [["train", "--arch=cnn", "--activation=silu", "-o"], ["eval", "--no-store", "--ckpt=net.pt", "-o"]],
    ids=["train", "eval"],
)
def test_a_file_that_cannot_be_made_is_found_before_anything_is_computed(words, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.pt").write_bytes(b"never read")

    assert run([*words, "/proc/x.pt"], monkeypatch) == 2
    assert capsys.readouterr().err.startswith("larobust: cannot write /proc/x.pt: no")
