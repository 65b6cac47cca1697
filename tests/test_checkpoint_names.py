"""What names of files, and tables of files, say about checkpoints; and what happens to those that cannot be used."""

from __future__ import annotations

import glob
import json
import sys
from pathlib import Path

import pytest
import torch

import robustbench_la as la
from robustbench_la import cli
from robustbench_la.errors import UserError
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.build import build
from robustbench_la.models.checkpoints.deep_patterns import matching
from robustbench_la.models.checkpoints.file_names import read_name
from robustbench_la.models.checkpoints.find import find_checkpoints
from robustbench_la.store.store import Store

PATTERN = "runs/{arch}_{activation}_seed{seed}.pth"
ON = ["--data", "digits", "--noise", "clean", "--limit", "8", "--normalize", "half"]
SPEC = NetworkSpec(architecture="mlp", classes=10, channels=1, height=8, width=8, hidden=8)


def save(path: str, activation: str = "silu", seed: int = 0, **more: object) -> None:
    torch.manual_seed(seed)
    Path(path).parent.mkdir(exist_ok=True)
    torch.save({"state_dict": build(SPEC, activation).state_dict(), **more}, path)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with mlps of two activations and two seeds, in which the tests run."""
    monkeypatch.chdir(tmp_path)
    for activation in ("silu", "la_silu"):
        for seed in (1, 2):
            save(f"runs/mlp_{activation}_seed{seed}.pth", activation, seed)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["larobust", *words])
    return cli._run()


def known(*patterns: str) -> list[tuple[object, ...]]:
    cells = la.evaluate(list(patterns), "digits", noise="clean", limit=8, normalize="half").cells
    return [(cell.network.activation, cell.network.training_seed, cell.network.architecture) for cell in cells]


@pytest.mark.parametrize(
    ("template", "path", "read"),
    [
        (PATTERN, "runs/resnet20_la_silu_seed11.pth", ("resnet20", "la_silu", "11")),
        (PATTERN, "runs/my_net_la_silu_seed-3.pth", ("my_net", "la_silu", "-3")),
        ("{activation}/{activation}{seed}*.pt", "silu/silu12_best.pt", (None, "silu", "12")),
        ("**/{activation}-{training_seed}.pt", "a/b/LA-SiLU-3.pt", (None, "LA-SiLU", "3")),
    ],
)
def test_a_name_is_read_as_its_writer_meant_it(template: str, path: str, read: tuple[str | None, ...]) -> None:
    fields = read_name(template, path)

    assert tuple(fields.get(name) for name in ("arch", "activation", "training_seed")) == read


@pytest.mark.parametrize(
    ("template", "path", "message"),
    [
        ("{activatoin}.pt", "silu.pt", r"unknown field \{activatoin\}.*did you mean activation\?"),
        ("{label}_{group}.pt", "a_b_c.pt", r"fits .* in several ways \(label a, group b_c or label a_b, group c\)"),
        ("{activation}_{seed}.pt", "silu_best.pt", r"\{seed\} must be a whole number, not 'best'"),
        ("{activation}_{seed}.pt", "serf_1.pt", r"its name says activation 'serf', which is unknown .* put {group} in place of"),
        ("{activation}-{group}_{seed}.pt", "serf-long_1.pt", r"'serf', which is unknown .* put {label} in place of {activation}"),
        ("{activation}.pt", "serf.pt", r"'serf', which is unknown .* put {label} in place of {activation}"),
        ("{activation}/{activation}_{seed}.pt", "relu/silu_1.pt", "does not fit"),
    ],
)
def test_a_name_that_cannot_be_read_is_refused_in_one_line(template: str, path: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_name(template, path)


def test_activation_and_training_seed_come_from_names_at_every_door(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [("la_silu", 1, "mlp"), ("la_silu", 2, "mlp"), ("silu", 1, "mlp"), ("silu", 2, "mlp")]
    (runs / "plan.yaml").write_text(f"checkpoints: '{PATTERN}'\ndata: digits\nnoise: clean\nlimit: 8\nnormalize: half\n")

    assert known(PATTERN) == wanted
    for number, words in enumerate((["--ckpt", PATTERN, *ON], ["--config", "plan.yaml"])):
        assert run(monkeypatch, "eval", *words, "--store", f"{number}.sqlite") == 0
        with Store(Path(f"{number}.sqlite"), reading=True) as store:
            networks = [stored.cell.network for stored in store.cells()]
        assert [(network.activation, network.training_seed, network.architecture) for network in networks] == wanted


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nets.csv", "path, activation, seed, label\nmlp_silu_seed1.pth, SiLU, 7, first\nmlp_la_silu_seed2.pth, la_silu, 8,\n"),
        ("nets.yaml", "- {path: mlp_silu_seed1.pth, activation: silu, training_seed: 7, label: first}\n"
                      "- {path: mlp_la_silu_seed2.pth, activation: la_silu, training_seed: 8}\n"),
    ],
)  # fmt: skip
def test_a_table_says_what_names_do_not(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    (runs / "runs" / name).write_text(text)

    assert known(f"runs/{name}") == [("silu", 7, "mlp"), ("la_silu", 8, "mlp")]
    assert run(monkeypatch, "eval", "--ckpt-table", f"runs/{name}", *ON, "--json") == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [cell["checkpoint"] for cell in cells] == ["first", str(Path("runs/mlp_la_silu_seed2.pth"))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,activation\na.pt,silu\n", "must name the columns, with one called path"),
        ("path,actvation\nmlp_silu_seed1.pth,silu\n", "unknown column 'actvation'; did you mean activation?"),
        ("path,activation\nmlp_silu_sed1.pth,silu\n", "line 2: no such file: runs/mlp_silu_sed1.pth; did you mean"),
        ("path,seed\nmlp_silu_seed1.pth,first\n", "line 2: a training seed must be a whole number, not 'first'"),
        ("path,activation\n", "the table holds no checkpoint"),
        ("path,activation\nmlp_silu_seed1.pth,silu,3\n", "line 2: more values than columns"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(runs: Path, text: str, message: str) -> None:
    (runs / "runs" / "nets.csv").write_text(text)
    with pytest.raises(UserError) as raised:
        find_checkpoints(["runs/nets.csv"])

    assert message in str(raised.value)


def test_what_names_say_must_not_contradict_flags_or_files(runs: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    save("runs/mlp_relu_seed5.pth", "relu", args={"seed": 6})
    for words, message in (
        (["--ckpt", PATTERN, "--activation", "silu"], "its name says la_silu, but --activation is silu"),
        (["--ckpt", "runs/*_seed1.pth", "--activation", "silu"], "runs/mlp_la_silu_seed1.pth: its name says la_silu"),
        (["--ckpt", "runs/{arch}_relu_seed5.pth", "--arch", "cnn"], "its name says mlp, but --arch is cnn"),
        (["--ckpt", "runs/mlp_{activation}_seed5.pth", "--activation", "silu", "--activation", "relu"], "more than once"),
        (["--ckpt", "runs/mlp_{activation}_seed{seed}.pth"], "its name says training seed 5, but the file records 6"),
    ):
        assert run(monkeypatch, "eval", "--no-store", *words, *ON) == 2
        assert message in capsys.readouterr().err


def test_a_seed_that_names_say_later_is_added_to_what_is_stored(runs: Path) -> None:
    settings = {"noise": "clean", "limit": 8, "normalize": "half", "store": "results.sqlite"}
    la.evaluate("runs/mlp_silu_seed1.pth", "digits", activation="silu", **settings)
    la.evaluate("runs/mlp_{activation}_seed{seed}.pth", "digits", **settings)

    assert [cell.network.training_seed for cell in la.open_store("results.sqlite", checkpoint="*mlp_silu_seed1*").cells] == [1]


def test_labels_that_seeds_share_are_refused_with_what_to_write_instead(runs: Path) -> None:
    with pytest.raises(UserError, match=r"share the label 'mlp_.*silu'.* a group: {group} in names"):
        find_checkpoints(["runs/{label}_seed{seed}.pth"])

    assert {file.group for file in find_checkpoints(["runs/{group}_seed{seed}.pth"])} == {"mlp_silu", "mlp_la_silu"}


def test_a_group_says_which_networks_were_trained_alike(runs: Path) -> None:
    result = la.evaluate("runs/{group}_{activation}_seed{seed}.pth", "digits", noise="clean", limit=8, normalize="half")

    assert {cell.network.recipe for cell in result.cells} == {"mlp"}


def test_an_architecture_of_ones_own_is_labelled_by_the_name(runs: Path) -> None:
    (runs / "net.py").write_text(
        "import torch\n\ndef net(classes=10):\n    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, classes))\n"
    )
    torch.save(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)).state_dict(), "runs/tiny_none_seed1.pth")
    result = la.evaluate("runs/{arch}_none_seed{seed}.pth", "digits", noise="clean", limit=8, normalize="half", arch="net.py:net")

    assert [(cell.network.architecture, cell.network.architecture_label) for cell in result.cells] == [("net.py:net", "tiny")]


def test_a_checkpoint_that_cannot_be_used_stops_the_others_unless_they_keep_going(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "runs" / "mlp_silu_seed0.pth").write_bytes(b"not weights")
    words = ["eval", "--no-store", "--ckpt", PATTERN, *ON, "--json"]

    assert run(monkeypatch, *words) == 2
    assert "mlp_silu_seed0.pth" in capsys.readouterr().err
    assert run(monkeypatch, *words, "--keep-going") == 6
    document = json.loads(capsys.readouterr().out)
    assert len(document["cells"]) == 4
    assert [why.partition(":")[0] for why in document["left_out"]] == ["runs/mlp_silu_seed0.pth"]
    result = la.evaluate(PATTERN, "digits", noise="clean", limit=8, normalize="half", keep_going=True)
    assert len(result.cells) == 4
    assert "mlp_silu_seed0.pth" in result.notes[0]


def test_in_a_terminal_one_is_asked_whether_to_go_on(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (runs / "runs" / "mlp_silu_seed0.pth").write_bytes(b"not weights")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for answer, code in ((True, 6), (False, 2)):
        monkeypatch.setattr("typer.confirm", lambda *_, answer=answer, **__: answer)
        assert run(monkeypatch, "eval", "--no-store", "--ckpt", PATTERN, *ON) == code


def test_the_same_weights_under_two_names_are_said(runs: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    save("runs/mlp_silu_seed3.pth", "silu", 1)

    assert run(monkeypatch, "eval", "--no-store", "--ckpt", PATTERN, *ON) == 0
    assert "runs/mlp_silu_seed1.pth, runs/mlp_silu_seed3.pth hold the same weights" in capsys.readouterr().err


def test_of_several_names_of_one_file_the_first_says_its_seed(runs: Path) -> None:
    (runs / "runs" / "mlp_silu_seed9.pth").write_bytes((runs / "runs" / "mlp_silu_seed1.pth").read_bytes())
    la.evaluate(PATTERN, "digits", noise="clean", limit=8, normalize="half", store="results.sqlite")

    seeds = [cell.network.training_seed for cell in la.open_store("results.sqlite", activation="silu").cells]
    assert sorted(map(str, seeds)) == ["1", "2"]


@pytest.mark.parametrize("pattern", ["**/*.pt", "a/**", "**", "a/**/*.pt", "**/b/**/c?.pt", "**/**/c1.pt", "[ab]/**/b/*", "**/"])
def test_patterns_with_two_stars_match_what_glob_matches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    for name in ("a.pt", "a/b/c1.pt", "a/b/[b]/b/c2.pt", "b/b/c/c3.pt", ".hidden/b/c4.pt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)

    for start in ("", f"{tmp_path}/"):
        expected = set(glob.glob(start + pattern, recursive=True))  # noqa: PTH207  # which returns some twice
        assert matching(start + pattern) == sorted(expected - {start, start + "a/"} if pattern.endswith("**") else expected)


def test_links_that_lead_back_are_followed_once(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    save(str(runs / "net.pt"))
    save(str(tmp_path / "elsewhere" / "other.pt"))
    for name in ("again", "here", "latest"):
        (runs / name).symlink_to(runs)
    (runs / "more").symlink_to(tmp_path / "elsewhere")

    found = find_checkpoints([f"{runs}/**/*.pt"])

    assert [str(file.path.relative_to(tmp_path)) for file in found] == ["runs/more/other.pt", "runs/net.pt"]
    with pytest.raises(UserError, match="no checkpoint matches"):
        find_checkpoints([f"{runs}/**/*.pth"])
