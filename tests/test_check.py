"""``larobust baseline`` and ``check`` from end to end: every exit code, on real digits."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from killing import Server

from robustbench_la.cli import _run
from robustbench_la.gate import baseline, judge
from robustbench_la.gate.subjects import MEAN
from robustbench_la.measuring import provenance
from robustbench_la.models.checkpoints.file import read_checkpoint
from robustbench_la.records.plan import EvaluationPlan, NetworkPlan

CONSOLE_SCRIPT = Path(sys.executable).with_name("larobust")
FROM_HERE = "import sys; sys.path.insert(0, {root!r}); from robustbench_la.cli import main; main()"


def larobust(blocked: str = "") -> list[str]:
    """The installed command, if it is this tree's; otherwise what it runs."""
    root = str(Path(baseline.__file__).parent.parent)
    if not blocked and CONSOLE_SCRIPT.exists() and not os.environ.get("PYTHONPATH"):
        return [str(CONSOLE_SCRIPT)]
    return [sys.executable, "-c", blocked + FROM_HERE.format(root=root)]


def apart(*words: object, folder: Path, blocked: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    return subprocess.run(
        [*larobust(blocked), *map(str, words)],
        cwd=folder,
        env={**own, "COLUMNS": "100", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def command(*words: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in this process, which spares the import of torch."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
            patch.delenv(name, raising=False)
        for name, value in {"COLUMNS": "100", **environment}.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["larobust", *map(str, words)])
        code = _run()
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, digits_pair: list[Path]) -> Path:
    """A folder with a trained model, its baseline, results of it in a store, a copy with noise on its weights, a broken one."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(digits_pair[1], folder / "model.pt")
    noise = ["--noise", "gaussian,gaussian_blur", "--severity", "3,5", "--profile", "imagenet-c"]
    done = command("baseline", "--ckpt", "model.pt", *noise, "--fluctuation", folder=folder)
    assert done.returncode == 0, done.stderr
    damage(folder / "model.pt", folder / "worse.pt", 0.6)
    damage(folder / "model.pt", folder / "huge.pt", 1e30)
    for name in ("model.pt", "worse.pt"):
        for measure in ("eval", "fluctuation"):
            for own in (noise, ["--noise", "poisson", "--severity", "5", "--profile", "imagenet-c"]):
                done = command(measure, "--ckpt", name, *own, folder=folder)
                assert done.returncode == 0, done.stderr
    done = command("eval", "--ckpt", "model.pt", *noise, "--store", "no-layers.sqlite", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder


def damage(source: Path, target: Path, scale: float) -> None:
    """Write a checkpoint with Gaussian noise on its weights, ``scale`` times as large as they are on average."""
    content = torch.load(source, weights_only=True)
    generator = torch.Generator().manual_seed(0)
    for name, tensor in content["state_dict"].items():
        if tensor.is_floating_point() and tensor.dim() > 1:
            noise = torch.randn(tensor.shape, generator=generator)
            content["state_dict"][name] = tensor + scale * tensor.std() * noise
    torch.save(content, target)


def test_the_same_checkpoint_passes_with_exit_code_0(project: Path, processes: Server) -> None:
    code = processes.run(project / "log", "check", "--ckpt", "model.pt")
    stdout, stderr = ((project / f"log.{name}").read_text() for name in ("out", "err"))

    assert code == 0, stderr
    assert stdout.startswith("PASS: none of 12 regressed\n")
    assert "the same checkpoint as the baseline's" in stderr


def test_a_worse_one_is_a_regression_with_exit_code_1(project: Path, processes: Server) -> None:
    code = processes.run(project / "log", "check", "--ckpt", "worse.pt")
    stdout, stderr = ((project / f"log.{name}").read_text() for name in ("out", "err"))

    assert code == 1, stderr
    assert stdout.startswith("REGRESSION: ")
    assert "gaussian_noise 5" in stdout


CODES: dict[str, tuple[str, int, str]] = {
    "a checkpoint that is not there": ("check --ckpt gone.pt", 2, "gone.pt"),
    "a checkpoint that cannot be read": ("check --ckpt robustness-baseline.json", 2, "robustness-baseline.json"),
    "nothing to judge": ("check", 2, "--ckpt"),
    "a tolerance that is none": ("check --ckpt model.pt --max-drop much", 2, "--max-drop much"),
    "an unknown corruption": ("check --ckpt model.pt --max-drop gausian:1", 2, "gaussian_noise"),
    "a rise that the store cannot tell": (
        "check --results no-layers.sqlite --max-rise fluctuation:1%",
        2,
        "larobust fluctuation",
    ),
    "a dataset that is not there": ("check --ckpt model.pt --data folder:gone", 2, "gone"),
    "several checkpoints in the store": ("check --results runs/results.sqlite", 2, "specify one with --ckpt"),
    "a store that is not there": ("check --results gone.sqlite", 2, "gone.sqlite"),
    "a report below a file": ("check --ckpt model.pt --junit model.pt/report.xml", 2, "model.pt"),
    "a baseline that exists": ("baseline --ckpt model.pt", 2, "--update"),
    "a baseline of two": ("baseline --ckpt model.pt --ckpt worse.pt -o two.json", 2, "one checkpoint"),
    "a baseline over its checkpoint": ("baseline --ckpt model.pt -o model.pt --update", 2, "model.pt"),
    "numbers that are not finite": ("check --ckpt huge.pt", 3, "NaN"),
    "two checkpoints": ("check --ckpt worse.pt --ckpt model.pt", 2, "one checkpoint is judged at a time, not 2"),
    "a report over the baseline": ("check --ckpt model.pt --junit robustness-baseline.json", 2, "would overwrite the baseline"),
    "a report over the checkpoint": ("check --ckpt model.pt --summary model.pt", 2, "would overwrite what is judged"),
    "a report over the store": (
        "check --results runs/results.sqlite --junit runs/results.sqlite",
        2,
        "would overwrite the store",
    ),
    "two reports in one": ("check --ckpt model.pt --junit x.out --summary ./x.out", 2, "given for two different outputs"),
    "a report without a name": ("check --ckpt model.pt --junit -", 2, "--junit takes a file"),
    "what only measuring needs": ("check --results runs/results.sqlite --device cpu --download", 2, "--device, --download"),
    "a tolerance for nothing": ("check --ckpt model.pt --max-drop shot_noise:1", 2, "--max-drop shot_noise: nothing of that"),
    "a tolerance that the filter leaves": ("check --ckpt model.pt --noise clean --max-drop blur:1", 2, "only clean"),
    "a mean that the filter leaves": ("check --ckpt model.pt --noise gaussian_blur --max-drop mean:1", 2, "--max-drop mean"),
    "a tolerance given twice": ("check --ckpt model.pt --max-drop 1 --max-drop 2", 2, "given twice"),
    "a name that is too long": (f"check --baseline {'b' * 300} --allow-missing-baseline --ckpt model.pt", 2, "too long"),
    "a checkpoint with a long name": (f"check --results runs/results.sqlite --ckpt {'c' * 300}", 5, "holds no results"),
    "another activation": ("check --results runs/results.sqlite --ckpt model.pt --activation relu", 5, "activation relu"),
    "no baseline": ("check --baseline none.json --ckpt model.pt", 4, "larobust baseline --ckpt model.pt -o none.json"),
    "no baseline to update": ("baseline --update --ckpt model.pt -o none.json", 4, "larobust baseline"),
    "other images": ("check --ckpt model.pt --data folder:images", 4, "data (fingerprint)"),
    "a filter that matches nothing": ("check --ckpt model.pt --noise speckle", 5, "no condition that matches"),
    "results of nothing": ("check --results runs/results.sqlite --ckpt gone.pt", 5, "holds no results of gone.pt"),
}


@pytest.mark.parametrize(("words", "code", "said"), CODES.values(), ids=CODES)
def test_what_is_no_regression_never_looks_like_one(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, code: int, said: str
) -> None:
    monkeypatch.chdir(project)
    if "folder:images" in words:
        from PIL import Image

        for label in range(10):
            (project / "images" / str(label)).mkdir(parents=True, exist_ok=True)
            for place in range(50):
                Image.new("L", (8, 8), 25 * label + place // 10).save(project / "images" / str(label) / f"{place}.png")
    before = (project / "robustness-baseline.json").read_bytes()
    monkeypatch.setattr(sys, "argv", ["larobust", *words.split()])

    found = _run()
    error = capsys.readouterr().err.strip().splitlines()
    assert found == code, error
    assert said in error[-1]
    assert error[-1].startswith("larobust: ")
    assert (project / "robustness-baseline.json").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("check --ckpt model.pt --max-drop much", 2),
        ("check --ckpt huge.pt", 3),
        ("check --baseline none.json --ckpt model.pt", 4),
        ("check --ckpt model.pt --noise speckle", 5),
    ],
)
def test_the_installed_command_exits_with_that_code(project: Path, words: str, code: int) -> None:
    done = apart(*words.split(), folder=project)

    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_ctrl_c_exits_with_130(project: Path) -> None:
    words = ["check", "--ckpt", "model.pt", "--batch-size", "1"]
    with subprocess.Popen(
        [*larobust(), *words],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as running:
        assert running.stderr is not None
        line = running.stderr.readline()  # what will be measured: measuring begins
        assert "images at a time" in line
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)

    assert running.returncode == 130, err
    assert out == ""


JUDGE_WORSE = ("check", "--results", "runs/results.sqlite", "--ckpt", "worse.pt")


@pytest.mark.parametrize("deaf", ["stdout", "both"])
def test_a_reader_that_goes_away_changes_no_verdict(project: Path, tmp_path: Path, deaf: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*larobust(), *JUDGE_WORSE, "--junit", str(tmp_path / "report.xml")],
        cwd=project,
        stdout=writing,
        stderr=writing if deaf == "both" else subprocess.PIPE,
        check=False,
    )
    os.close(writing)

    assert done.returncode == 1
    assert (tmp_path / "report.xml").read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize("name", ["model.pt", "worse.pt"])
def test_what_cannot_be_written_hides_no_regression(project: Path, name: str) -> None:
    code = 1 if name == "worse.pt" else 3
    words = ("check", "--results", "runs/results.sqlite", "--ckpt", name)
    with Path("/dev/full").open("w") as full:
        screen = subprocess.run([*larobust(), *words], cwd=project, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    report = apart(*words, "--junit", "/dev/full", folder=project)
    page = apart(*words, folder=project, GITHUB_STEP_SUMMARY="/proc/no/page.md")

    assert (screen.returncode, report.returncode, page.returncode) == (code, code, code % 3)
    assert "cannot print (No space left on device)" in screen.stderr
    for done in (screen, report, page):
        assert "Traceback" not in done.stderr
        assert done.stderr.count("cannot ") == 1


def test_actions_are_told_why_nothing_could_be_judged(project: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    done = command(
        *("check", "--baseline", "none.json", "--ckpt", "model.pt"),
        folder=project,
        GITHUB_ACTIONS="true",
        GITHUB_STEP_SUMMARY=str(page),
    )

    assert done.returncode == 4
    assert done.stderr.startswith("::error title=larobust%3A could not judge::none.json: there is no baseline")
    assert page.read_text(encoding="utf-8").startswith("### ⚠️ larobust: could not judge\n\nnone.json: there is no baseline")


def test_a_crash_is_no_regression(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def crash(*_: object, **__: object) -> None:
        raise MemoryError("no room")

    monkeypatch.chdir(project)
    monkeypatch.setattr(judge, "judge", crash)
    monkeypatch.setattr(sys, "argv", ["larobust", "check", "--results", "runs/results.sqlite", "--ckpt", "model.pt"])

    assert _run() == 3


@pytest.mark.parametrize("name", ["baseline", "check"])
def test_help_tells_the_exit_codes(project: Path, name: str) -> None:
    help_ = command("--help", folder=project).stdout + command(name, "--help", folder=project).stdout

    for code in ("1 a regression", "2 a mistake", "3 could not", "4 not comparable", "5 nothing selected", "130 interrupted"):
        assert code in " ".join(help_.split())


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (7, 2), (1000, 2)])
def test_measured_again_not_one_answer_is_another(project: Path, batch_size: int, threads: int) -> None:
    words = ["check", "--ckpt", "model.pt", "--batch-size", batch_size, "--json"]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        done = command(*words, folder=project)
    finally:
        torch.set_num_threads(before)
    told = json.loads(done.stdout)

    assert (done.returncode, told["flips"], told["verdict"]) == (0, 0, "pass")
    assert all(one["difference"] == pytest.approx(0, abs=1e-4) for one in told["judgements"])


WITHOUT_TORCH = "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None; "


def test_results_are_judged_without_torch_as_they_are_measured(project: Path) -> None:
    for name, code in (("model.pt", 0), ("worse.pt", 1)):
        measured = command("check", "--ckpt", name, "--json", folder=project)
        done = apart("check", "--results", "runs/results.sqlite", "--ckpt", name, "--json", folder=project, blocked=WITHOUT_TORCH)
        assert (done.returncode, measured.returncode) == (code, code), done.stderr
        one, other = (json.loads(text)["judgements"] for text in (measured.stdout, done.stdout))
        assert one == other
        assert any(row["subject"] == "fluctuation" for row in other)


def test_the_tables_of_what_is_stored_are_those_of_what_is_measured(project: Path) -> None:
    """Also where the store holds more noises than the baseline."""
    measured = command("check", "--ckpt", "worse.pt", folder=project)
    stored = command("check", "--results", "runs/results.sqlite", "--ckpt", "worse.pt", folder=project)

    assert "Fluctuation by layer" in stored.stdout
    assert stored.stdout == measured.stdout


def test_what_a_store_does_not_hold_of_the_activations_is_not_judged_and_that_is_said(project: Path) -> None:
    done = command("check", "--results", "no-layers.sqlite", "--json", folder=project)

    assert done.returncode == 0, done.stderr
    assert all(row["subject"] != "fluctuation" for row in json.loads(done.stdout)["judgements"])
    assert "fluctuation was not measured, so it is not judged" in done.stderr


def test_results_are_judged_in_a_second_and_a_half(project: Path) -> None:
    """Of the processor's time: other tests may keep it busy."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = apart("check", "--results", "runs/results.sqlite", "--ckpt", "model.pt", folder=project, blocked=WITHOUT_TORCH)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert done.returncode == 0
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5


def test_results_are_found_by_content_name_or_digest(project: Path) -> None:
    digest = read_checkpoint(project / "worse.pt").sha256[:10]
    (project / "copy.pt").write_bytes((project / "worse.pt").read_bytes())
    for word in ("worse.pt", "copy.pt", "wor*.pt", digest):
        done = command("check", "--results", "runs/results.sqlite", "--ckpt", word, "--json", folder=project)
        assert json.loads(done.stdout)["now"]["checkpoint"] == "worse.pt"


def test_results_that_lack_a_condition_are_a_regression_and_results_of_other_noise_are_not_comparable(project: Path) -> None:
    common = ["--ckpt", "model.pt", "--profile", "imagenet-c", "--noise"]
    for store, words in {
        "few.sqlite": ["gaussian", "--severity", "3,5"],
        "seed.sqlite": ["gaussian,gaussian_blur", "--severity", "3,5", "--noise-seed", "4"],
        "levels.sqlite": ["gaussian,gaussian_blur", "--severity", "3,5", "--profile", "cifar-c"],
        "data.sqlite": ["gaussian", "--severity", "3", "--limit", "100"],
    }.items():
        assert command("eval", *common, *words, "--store", store, folder=project).returncode == 0
    found = {
        store: command("check", "--results", f"{store}.sqlite", folder=project) for store in ("few", "seed", "levels", "data")
    }

    assert {store: done.returncode for store, done in found.items()} == {"few": 1, "seed": 4, "levels": 4, "data": 4}
    assert "gaussian_blur 3 no longer measured" in found["few"].stdout
    assert "noise seed of gaussian_noise 3: 0 in the baseline, 4 here" in found["seed"].stderr
    assert "level of gaussian_noise 3: 0.18 (imagenet-c) in the baseline, 0.08 (cifar-c) here" in found["levels"].stderr
    assert "number of images: 500 in the baseline, 100 in data.sqlite" in found["data"].stderr


@pytest.mark.parametrize(("label", "code"), [("la_silu+relu", 5), ("none", 5), ("la_silu+rleu", 2)])
def test_the_label_of_two_activations_is_one_to_look_up(project: Path, label: str, code: int) -> None:
    done = command("check", "--results", "runs/results.sqlite", "--ckpt", "model.pt", "--activation", label, folder=project)

    assert done.returncode == code
    assert ("unknown activation 'rleu'" if code == 2 else "holds no results of model.pt as it is now") in done.stderr


@pytest.mark.parametrize("words", [("check",), ("baseline", "--update", "-o", "robustness-baseline.json")])
def test_images_are_read_and_git_is_asked_once(project: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    asked: list[object] = []
    made = provenance.setting
    monkeypatch.setattr(provenance, "setting", lambda *args, **kwargs: (asked.append(1), made(*args, **kwargs))[1])
    before = (project / "robustness-baseline.json").read_bytes()

    done = command(*words, "--ckpt", "model.pt", folder=project)
    (project / "robustness-baseline.json").write_bytes(before)
    assert (done.returncode, len(asked)) == (0, 1), done.stderr


def test_a_filter_judges_only_what_it_names(project: Path) -> None:
    done = command("check", "--ckpt", "worse.pt", "--noise", "gaussian_blur,clean", "--max-drop", "100", "--json", folder=project)

    names = {one["name"] for one in json.loads(done.stdout)["judgements"] if one["subject"] == "accuracy"}
    assert names == {"clean", "gaussian_blur 3", "gaussian_blur 5"}


def test_reports_are_written_where_they_are_asked_for(project: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n")
    done = command(
        *("check", "--results", "runs/results.sqlite", "--ckpt", "worse.pt", "--junit", tmp_path / "new" / "report.xml"),
        folder=project,
        GITHUB_STEP_SUMMARY=str(page),
        GITHUB_ACTIONS="true",
    )

    assert done.returncode == 1
    assert page.read_text().startswith("before\n### ❌ larobust: REGRESSION")
    assert (tmp_path / "new" / "report.xml").read_bytes().startswith(b"<?xml")
    assert "::error title=larobust%3A regression::" in done.stderr
    assert "::error" not in done.stdout


def test_summary_and_json_share_stdout_only_with_themselves(project: Path, tmp_path: Path) -> None:
    words = ["check", "--results", "runs/results.sqlite", "--ckpt", "model.pt", "--summary"]
    printed = command(*words, "-", folder=project)
    both = command(*words, "-", "--json", folder=project)
    written = command(*words, tmp_path / "page.md", folder=project, GITHUB_STEP_SUMMARY=str(tmp_path / "other.md"))

    assert printed.stdout.startswith("### ✅ larobust: PASS")
    assert json.loads(both.stdout)["failed"] is False
    assert "### ✅ larobust: PASS" in both.stderr
    assert (tmp_path / "page.md").read_text() == printed.stdout
    assert written.stdout.startswith("PASS: ")
    assert not (tmp_path / "other.md").exists()


def test_a_first_run_without_a_baseline_may_pass(project: Path, tmp_path: Path) -> None:
    words = ["check", "--baseline", "none.json", "--ckpt", "model.pt", "--allow-missing-baseline", "--junit", tmp_path / "r.xml"]
    done = command(*words, folder=project)

    assert done.returncode == 0
    assert "NO BASELINE" in done.stdout
    assert "larobust baseline --ckpt model.pt -o none.json" in done.stderr
    assert b'skipped="1"' in (tmp_path / "r.xml").read_bytes()


def test_strict_fails_on_what_is_inconclusive(project: Path) -> None:
    words = ["check", "--results", "runs/results.sqlite", "--ckpt", "worse.pt", "--max-drop", "0", "--alpha", "1e-300"]
    loose, strict = command(*words, folder=project), command(*words, "--strict", folder=project)

    assert (loose.returncode, strict.returncode) == (0, 1)
    assert "inconclusive" in loose.stdout
    assert strict.stdout.startswith("INCONCLUSIVE: ")


def test_an_update_is_measured_by_the_old_plan_and_tells_what_moved(project: Path) -> None:
    shutil.copy(project / "robustness-baseline.json", project / "updated.json")
    done = command("baseline", "--update", "--ckpt", "worse.pt", "-o", "updated.json", folder=project)
    old, new = (baseline.read_baseline(project / name) for name in ("robustness-baseline.json", "updated.json"))

    assert done.returncode == 0, done.stderr
    assert "REGRESSION" in done.stdout
    assert [one.pass_ for one in new.answers] == [one.pass_ for one in old.answers]
    assert (new.network.sha256 == old.network.sha256, new.fingerprint == old.fingerprint, len(new.fluctuations)) == (
        False,
        True,
        4,
    )
    assert command("check", "--baseline", "updated.json", "--ckpt", "worse.pt", folder=project).returncode == 0


@pytest.mark.parametrize(
    ("words", "images", "conditions"),
    [
        ("--limit 50", 50, ["clean", "gaussian_noise 3", "gaussian_noise 5", "gaussian_blur 3", "gaussian_blur 5"]),
        ("--severity 5", 500, ["clean", "gaussian_noise 5", "gaussian_blur 5"]),
        ("--noise shot --severity 2", 500, ["clean", "shot_noise 2"]),
        ("--severity 5 --jpeg 85", 500, ["clean", "gaussian_noise 5, JPEG 85", "gaussian_blur 5, JPEG 85"]),
        ("--noise-seed 3", 500, ["clean", "gaussian_noise 3", "gaussian_noise 5", "gaussian_blur 3", "gaussian_blur 5"]),
    ],
)
def test_an_update_changes_what_is_said_and_nothing_else(project: Path, words: str, images: int, conditions: list[str]) -> None:
    shutil.copy(project / "robustness-baseline.json", project / "changed.json")
    done = command("baseline", "--update", "--ckpt", "model.pt", "-o", "changed.json", *words.split(), folder=project)
    new = baseline.read_baseline(project / "changed.json")

    assert done.returncode == 0, done.stderr
    assert (new.images, new.profile, bool(new.fluctuations)) == (images, "imagenet-c", True)
    assert [str(one.condition) for one in new.answers] == conditions
    assert new.seed == (3 if "--noise-seed" in words else 0)


def test_an_update_by_another_plan_says_why_nothing_can_be_compared(project: Path) -> None:
    shutil.copy(project / "robustness-baseline.json", project / "replanned.json")
    words = ["baseline", "--update", "--ckpt", "model.pt", "-o", "replanned.json", "--limit", 50, "--noise", "blur=1"]
    done = command(*words, folder=project)

    assert done.returncode == 0, done.stderr
    assert "number of images: 500 in the baseline, 50" in done.stderr
    assert baseline.read_baseline(project / "replanned.json").images == 50


def test_a_plan_makes_a_baseline_with_fluctuation_and_several_seeds(project: Path) -> None:
    plan = "data: digits\nlimit: 60\nnoise: [gaussian_noise=0.3, blur=1]\nnoise_seed: 5\nnoise_seeds: 2\nfluctuation: true\n"
    (project / "ci.yaml").write_text(plan)
    done = command("baseline", "--config", "ci.yaml", "--ckpt", "model.pt", "-o", "ci.json", folder=project)
    assert done.returncode == 0, done.stderr

    told = json.loads(command("check", "--baseline", "ci.json", "--ckpt", "model.pt", "--json", folder=project).stdout)
    names = {one["name"] for one in told["judgements"]}
    assert {
        "clean",
        "gaussian_noise=0.3",
        "gaussian_blur=1",
        "fluctuation under gaussian_blur=1",
    } <= names
    assert (told["flips"], len(names)) == (0, 1 + 2 + 1 + 2)


def test_a_foreign_checkpoint_is_told_once(project: Path) -> None:
    """What the baseline was told of it holds for the next one."""
    network = read_checkpoint(project / "model.pt").content
    state = {f"module.{name}": tensor for name, tensor in network["state_dict"].items()}
    torch.save({"state_dict": state}, project / "foreign.pth")
    words = ["--activation", "silu", "--normalize", "half", "--data", "digits", "--noise", "blur=1", "-o", "foreign.json"]
    made = command("baseline", "--ckpt", "foreign.pth", *words, folder=project)
    assert made.returncode == 0, made.stderr

    assert command("check", "--baseline", "foreign.json", "--ckpt", "foreign.pth", folder=project).returncode == 0
    other = command("check", "--baseline", "foreign.json", "--ckpt", "foreign.pth", "--normalize", "mnist", folder=project)
    assert other.returncode == 4
    assert "normalization: half in the baseline, mnist in this measurement" in other.stderr


@pytest.mark.parametrize("flag", ["arch", "preprocess"])
def test_a_baseline_never_makes_code_run(project: Path, flag: str) -> None:
    text = (project / "robustness-baseline.json").read_text()
    given = f'"given": {{"{flag}": "evil.py:make", "trust_file": true}}'
    (project / "code.json").write_text(text.replace('"given": {}', given))
    (project / "evil.py").write_text("raise SystemExit(1)")
    done = command("check", "--baseline", "code.json", "--ckpt", "model.pt", folder=project)

    assert done.returncode == 2
    assert f"allow that with --{flag} evil.py:make" in done.stderr


def test_trust_in_a_file_is_not_remembered() -> None:
    assert "trust_file" in EvaluationPlan.model_fields
    assert "trust_file" not in NetworkPlan.model_fields


def test_a_file_that_was_changed_or_removed_is_named(project: Path) -> None:
    from PIL import Image

    for label in range(10):
        (project / "files" / str(label)).mkdir(parents=True)
        for place in range(4):
            Image.new("L", (8, 8), 25 * label + 3 * place).save(project / "files" / str(label) / f"{place}.png")
    words = ["--ckpt", "model.pt", "--data", "folder:files"]
    made = command("baseline", *words, "--noise", "blur=1", "-o", "files.json", folder=project)
    assert made.returncode == 0, made.stderr
    check = ["check", *words, "--baseline", "files.json"]
    assert command(*check, folder=project).returncode == 0

    Image.new("L", (8, 8), 250).save(project / "files" / "3" / "2.png")
    changed = command(*check, folder=project)
    (project / "files" / "3" / "2.png").unlink()
    removed = command(*check, folder=project)

    assert (changed.returncode, removed.returncode) == (4, 4)
    assert "; 1 of 40 images differs (3/2.png)" in changed.stderr
    assert "; 1 of the 40 images is not here (3/2.png)" in removed.stderr


def test_a_level_that_means_something_else_now_is_not_comparable(project: Path) -> None:
    text = (project / "robustness-baseline.json").read_text()
    (project / "level.json").write_text(text.replace('"parameters": [0.18', '"parameters": [0.17'))
    done = command("check", "--baseline", "level.json", "--ckpt", "model.pt", folder=project)

    assert done.returncode == 4
    assert "level of gaussian_noise 3: 0.17 in the baseline, 0.18 here" in done.stderr


@pytest.mark.parametrize(
    ("was", "becomes", "words"),
    [
        ('"noise_version": 2', '"noise_version": 1', "make the baseline again with: larobust baseline --update"),
        ('"parameters": [0.18', '"parameters": [0.17', "level of gaussian_noise 3: 0.17 in the baseline"),
    ],
)
def test_a_baseline_of_an_earlier_larobust_becomes_one_of_this_by_an_update(
    project: Path, was: str, becomes: str, words: str
) -> None:
    lines = (project / "robustness-baseline.json").read_text().splitlines()
    lines = [line.replace(was, becomes) if '"gaussian_noise", "severity": 3' in line else line for line in lines]
    (project / "earlier.json").write_text("\n".join(lines))
    check = ["check", "--baseline", "earlier.json", "--ckpt", "model.pt"]
    refused = command(*check, folder=project)
    updated = command("baseline", "--update", "--ckpt", "model.pt", "-o", "earlier.json", folder=project)

    assert (refused.returncode, updated.returncode) == (4, 0), updated.stderr
    assert words in refused.stderr
    assert "cannot show what moved: not comparable" in updated.stderr
    assert command(*check, folder=project).returncode == 0


@pytest.mark.parametrize("words", ["--batch-size 0", "--layeract-alpha 0"])
def test_a_flag_of_zero_is_a_flag(project: Path, words: str) -> None:
    assert command("check", "--ckpt", "model.pt", *words.split(), folder=project).returncode == 2


def test_a_gate_of_clean_accuracy_alone_would_miss_what_this_one_catches(tmp_path: Path, digits_trained: Path) -> None:
    """Weight noise is raised until accuracy under noise has fallen by 3 points, while clean accuracy has not by half a one."""
    noise = ["--noise", "gaussian_noise=0.2,0.3", "--noise", "blur=0.8,1", "--noise", "shot_noise=15", "--noise-seed", "2"]
    names = ("gaussian_blur=1", "gaussian_noise mean")
    assert command("baseline", "--ckpt", digits_trained, *noise, "-o", "b.json", folder=tmp_path).returncode == 0
    for scale in (0.15, 0.2, 0.25, 0.3):
        damage(digits_trained, tmp_path / "worse.pt", scale)
        done = command("check", "--baseline", "b.json", "--ckpt", "worse.pt", "--json", folder=tmp_path)
        told = {one["name"]: one for one in json.loads(done.stdout)["judgements"]}
        if told[MEAN]["difference"] <= -0.03 and told["clean"]["difference"] > -0.005:
            break
    else:
        pytest.fail("no such network was found")

    assert done.returncode == 1
    assert told["clean"]["outcome"] == "pass"
    assert [told[name]["outcome"] for name in names] == ["regression"] * 2
    assert "REGRESSION: " in done.stdout
    assert "gaussian_blur=1 -" in done.stdout


@pytest.fixture(scope="module")
def digits_trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cnn on digits, trained to the end: clean accuracy with something to spare."""
    folder = tmp_path_factory.mktemp("trained")
    words = ["train", "--data", "digits", "--arch", "cnn", "--activation", "silu", "--epochs", 12, "-o", "model.pt"]
    assert command(*words, folder=folder).returncode == 0
    return folder / "model.pt"
