"""How a network is run, and what it returns: memory formats, outputs of every kind, answers that are not its own."""

from __future__ import annotations

import collections
import dataclasses
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import robustbench_la as la
from robustbench_la import cli

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
LABELS = np.arange(40) % 10


class Net(nn.Module):
    """A convolution and a line; ``end`` is what it returns."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.line = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(512, 10)

    def logits(self, x: Tensor) -> Tensor:
        return self.line(F.relu(self.conv(x)).flatten(1))

    def forward(self, x: Tensor) -> Any:
        return self.logits(x)


class Viewing(Net):
    def logits(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        return self.line(x.view(x.size(0), -1))


class InMemoryOrder(Net):
    """Fails in no memory format, but reads the memory in order: in channels_last it would answer otherwise."""

    def logits(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        return self.line(torch.as_strided(x, (len(x), 512), (512, 1)))


@dataclasses.dataclass
class Output:
    features: Tensor
    logits: Tensor


Named = collections.namedtuple("Named", ["logits", "aux_logits"])  # as torchvision's Inception
ENDS: dict[str, Any] = {
    "a tuple": lambda z: (z, torch.zeros(len(z), 3)),
    "a list": lambda z: [z],
    "a dictionary": lambda z: {"out": z, "features": torch.zeros(len(z), 3, 2, 2)},
    "two of a shape, one named": lambda z: {"aux": z * 0, "logits": z},
    "a dataclass": lambda z: Output(torch.zeros(len(z), 3), z),
    "a named tuple": lambda z: Named(z, z * 0),
    "an object": lambda z: type("Plain", (), {"logits": z})(),
    "probabilities": lambda z: z.softmax(1),
    "log-probabilities": lambda z: z.log_softmax(1),
    "probabilities in a tuple": lambda z: (z.softmax(1),),
}


def evaluated(model: nn.Module, **options: Any) -> la.EvaluationResult:
    return la.evaluate(model, (IMAGES, LABELS), noise="gaussian", severity=5, device="cpu", **options)


def numbers(result: la.EvaluationResult) -> list[tuple[bytes, float]]:
    return [(cell.predictions, round(cell.nll_sum, 3)) for cell in result.cells]


@pytest.mark.parametrize("network", [Viewing, InMemoryOrder])
def test_channels_last_is_given_up_where_it_fails_or_changes_answers(network: type[Net]) -> None:
    assert numbers(evaluated(network())) == numbers(evaluated(Net()))


@pytest.mark.parametrize("end", ENDS)
def test_logits_are_found_in_whatever_is_returned(end: str) -> None:
    class Ending(Net):
        def forward(self, x: Tensor) -> Any:
            return ENDS[end](self.logits(x))

    result = evaluated(Ending())

    assert numbers(result) == numbers(evaluated(Net()))
    assert any("probabilities" in note for note in result.notes) == end.startswith("probabilities")


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda z: {"a": z, "b": z}, r"2 tensors that could be logits of shape \(4, classes\); name one of them logits"),
        (lambda z: (z[:, :, None],), r"returned tuple with tensors of shape \(4, 10, 1\), not logits of shape \(4, classes\)"),
        (lambda z: None, r"returned NoneType, not logits"),
    ],
)
def test_what_holds_no_logits_is_refused(end: Any, words: str) -> None:
    class Ending(Net):
        def forward(self, x: Tensor) -> Any:
            return end(self.logits(x))

    with pytest.raises(la.UserError, match=words):
        evaluated(Ending())


class Dropout(Net):
    def logits(self, x: Tensor) -> Tensor:
        return self.line(F.dropout(F.relu(self.conv(x)).flatten(1)))


class OthersCount(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(8, track_running_stats=False)

    def logits(self, x: Tensor) -> Tensor:
        return self.line(F.relu(self.norm(self.conv(x))).flatten(1))


class FirstCounts(Net):
    def logits(self, x: Tensor) -> Tensor:
        return super().logits(x - 3 * x[:1].mean())


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (FirstCounts, "images in the same batch change each other's outputs"),
        (Dropout, "different outputs for the same images"),
        (OthersCount, "images in the same batch change each other's outputs"),
    ],
)
def test_a_network_whose_answers_are_not_its_own_is_refused_unless_allowed(network: type[Net], words: str) -> None:
    for function in (la.evaluate, la.fluctuation):
        with pytest.raises(la.UserError, match=f"{words}.*allow_stochastic="):
            function(network(), (IMAGES, LABELS), noise="gaussian", severity=5)
    result = evaluated(network(), allow_stochastic=True)

    assert all(cell.network.stochastic for cell in result.cells)
    assert f"Stochastic ({network.__name__})" in repr(result)
    assert not any(cell.network.stochastic for cell in evaluated(Net()).cells)


CODE = """
import torch
from torch import nn

class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(64, 10)

    def forward(self, x):
        return self.line(self.flat(x))

    def flat(self, x):
        return x.flatten(1)[:, :63]  # line 14: the next one has no room for it

class Shaky(Broken):
    def flat(self, x):
        return nn.functional.dropout(x.flatten(1))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(CODE)
    torch.save(nn.ModuleDict({"line": nn.Linear(64, 10)}).state_dict(), "net.pt")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, command: str) -> int:
    monkeypatch.setattr(sys, "argv", ["larobust", *shlex.split(command)])
    return cli._run()


@pytest.mark.parametrize("command", ["eval", "fluctuation", "baseline"])
def test_an_error_of_the_users_code_is_a_line_that_says_where(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(monkeypatch, f"{command} --ckpt net.pt --arch nets.py:Broken --normalize none") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "RuntimeError: mat1 and mat2 shapes cannot be multiplied" in error
    assert f"{project / 'nets.py'}, line 11" in error
    assert error.endswith("(--traceback shows all of it)")

    assert run(monkeypatch, f"{command} --ckpt net.pt --arch nets.py:Broken --normalize none --traceback") == 2
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert "in flat" not in error
    assert "nets.py" in error


def test_eval_baseline_and_check_refuse_stochastic_networks_unless_allowed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--ckpt net.pt --arch nets.py:Shaky --normalize none --noise gaussian --severity 5 --limit 60"
    for command in ("eval", "baseline"):
        assert run(monkeypatch, f"{command} {words}") == 2
        assert "measure it all the same with --allow-stochastic" in capsys.readouterr().err
    assert run(monkeypatch, f"eval {words} --allow-stochastic --json") == 0
    assert all(cell["stochastic"] for cell in json.loads(capsys.readouterr().out)["cells"])
    assert run(monkeypatch, f"baseline {words} --allow-stochastic") == 0
    document = json.loads(Path("robustness-baseline.json").read_text())
    del document["given"]["allow_stochastic"]  # a baseline remembers it
    Path("other.json").write_text(json.dumps(document))
    capsys.readouterr()
    assert run(monkeypatch, "check --ckpt net.pt --arch nets.py:Shaky --baseline other.json") == 2
    assert "--allow-stochastic" in capsys.readouterr().err
    assert run(monkeypatch, "check --ckpt net.pt --arch nets.py:Shaky --max-drop 100") == 0


@pytest.mark.parametrize("images", [IMAGES[:, 0], IMAGES[:, 0, ..., None], IMAGES])
def test_grey_images_in_memory_reach_a_network_that_views_them_in_any_layout(images: np.ndarray) -> None:
    result = la.evaluate(Viewing(), (images, LABELS), noise="clean", normalize="none", progress=False)

    assert result.to_json() is not None


CHATTY = """
import sys
import torch

print("imported")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(64, 10)

    def forward(self, x):
        print("shape", x.shape)
        return self.line(torch.relu(x.flatten(1)))


class Leaving(Net):
    def forward(self, x):
        sys.exit(0)
"""


@pytest.fixture
def chatty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(CHATTY)
    torch.save({"line.weight": torch.zeros(10, 64), "line.bias": torch.zeros(10)}, tmp_path / "net.pt")


def _run(words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    common = "eval --ckpt net.pt --data digits --limit 8 --noise clean --normalize none --no-store --json"
    monkeypatch.setattr(sys, "argv", ["larobust", *shlex.split(common), *shlex.split(words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_what_a_network_prints_is_no_part_of_json(chatty: None, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert _run("--arch nets.py:Net", monkeypatch) == 0
    out, err = capsys.readouterr()

    assert json.loads(out)["cells"]
    assert "imported" in err
    assert "shape torch.Size" in err


def test_a_network_that_exits_is_named(chatty: None, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert _run("--arch nets.py:Leaving", monkeypatch) == 2

    assert "net.pt fails on images of 8x8 px with 1 channel: SystemExit: 0" in capsys.readouterr().err
