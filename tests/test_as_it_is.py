"""A network given by --arch is taken as it is: its activation is seen, and nothing is exchanged unless --exchange says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import robustbench_la as la
from robustbench_la.cli.app import app
from robustbench_la.models.exchange import exchange

CODE = '''
import torch.nn.functional as F
from torch import nn


class Modules(nn.Module):
    """Three ReLUs as modules, one SiLU."""

    def __init__(self, act=nn.ReLU):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.act, self.more = act(), nn.Sequential(act(), nn.SiLU(), act())
        self.out = nn.Linear(4, 10)

    def forward(self, x):
        return self.out(self.more(self.act(self.conv(x))).mean((2, 3)))


class Functional(Modules):
    """The same design with calls of functions, some in place."""

    def forward(self, x):
        x = F.relu(self.conv(x))
        return self.out(F.relu(F.silu(F.relu(x, inplace=True))).mean((2, 3)))


class Mixed(Modules):
    def forward(self, x):
        return super().forward(F.relu(x))


def leaky():
    return Modules(nn.LeakyReLU)


def smooth():
    return Modules(nn.SiLU)


def made(activation):
    return Modules(activation)
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with net.py and weights that fit all its networks."""
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(CODE)
    torch.manual_seed(0)
    torch.save({"conv.weight": torch.randn(4, 1, 3, 3), "conv.bias": torch.zeros(4),
                "out.weight": torch.randn(10, 4), "out.bias": torch.zeros(10)}, "net.pt")  # fmt: skip
    return tmp_path


Evaluate = Callable[..., dict[str, Any]]


@pytest.fixture
def evaluate(folder: Path, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    """Run ``larobust eval`` on digits; what is known of the checkpoint, and what was said on stderr."""

    def run(*words: str) -> dict[str, Any]:
        more = ["--noise", "gaussian", "--severity", "1", "--limit", "20", "--data", "digits", "--normalize", "half", "--json"]
        app(["eval", "--ckpt", "net.pt", *words, *more], standalone_mode=False)
        out, err = capsys.readouterr()
        (known,) = json.loads(out)["provenance"]["checkpoints"].values()
        return {**known, "err": err}

    return run


@pytest.mark.parametrize(
    ("name", "seen", "label"),
    [
        ("Modules", "relu x 3 + silu x 1", "relu"),
        ("Functional", "relu x 3 + silu x 1", "relu"),
        ("Mixed", "relu x 4 + silu x 1", "relu"),
        ("leaky", "leaky_relu x 3 + silu x 1", "leaky_relu"),
        ("smooth", "silu x 4", "silu"),
    ],
)
def test_the_activations_are_seen(evaluate: Evaluate, name: str, seen: str, label: str) -> None:
    known = evaluate("--arch", f"net.py:{name}")

    assert (known["activations_seen"], known["activation"]) == (seen, label)
    assert f"net.pt: its activations: {seen}" in known["err"]
    assert known["exchange"] == []


def test_nothing_is_exchanged_unless_it_is_asked_for(evaluate: Evaluate, folder: Path) -> None:
    plain = evaluate("--arch", "net.py:Modules")
    exchanged = evaluate("--arch", "net.py:Modules", "--exchange", "relu=la_silu", "--layeract-alpha", "0.1")

    assert plain["activations_seen"] == "relu x 3 + silu x 1"
    assert exchanged["activations_seen"] == "la_silu x 3 + silu x 1"
    assert (exchanged["activation"], exchanged["alpha"]) == ("la_silu", 0.1)
    assert "relu=la_silu: 3 modules exchanged" in exchanged["err"]
    tables = la.compare("runs/results.sqlite", by="activation").tables()
    assert len([table for table in tables if any(row.values[0] == "la_silu" for row in table.rows)]) >= 1


def test_several_exchanges_and_what_they_could_not_reach_are_reported(evaluate: Evaluate) -> None:
    both = evaluate("--arch", "net.py:Mixed", "--exchange", "relu=gelu", "--exchange", "silu=mish")

    assert both["activations_seen"] == "gelu x 3 + relu x 1 + mish x 1"
    assert both["exchange"] == ["relu=gelu", "silu=mish"]
    assert "relu=gelu: 3 modules exchanged" in both["err"]
    assert "silu=mish: 1 module exchanged" in both["err"]
    assert "relu=gelu: 1 call of the function relu not exchanged: relu[0]" in both["err"]


def test_a_baseline_remembers_what_was_exchanged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("plan.yaml").write_text(
        "checkpoints: net.pt\narch: net.py:Modules\nexchange: relu=gelu, silu=mish\narch_label: small\nnormalize: half\n"
        "data: digits\nlimit: 20\nnoise: gaussian\nseverity: 1\n"
    )
    own = ["--arch", "net.py:Modules"]
    app(["baseline", "--config", "plan.yaml", *own, "-o", "baseline.json"], standalone_mode=False)
    app(["check", "--baseline", "baseline.json", "--ckpt", "net.pt", *own, "--json"], standalone_mode=False)

    given = json.loads(Path("baseline.json").read_text())["given"]
    assert (given["exchange"], given["arch_label"]) == ("relu=gelu,silu=mish", "small")
    assert "relu=gelu: 3 modules exchanged" in capsys.readouterr().err
    results = ["--results", "runs/results.sqlite", "--ckpt", "net.pt", "--exchange", "relu=gelu,silu=mish"]
    app(["eval", "--config", "plan.yaml", *own], standalone_mode=False)
    app(["check", "--baseline", "baseline.json", *results], standalone_mode=False)
    with pytest.raises(la.UserError, match="holds no results"):
        app(["check", "--baseline", "baseline.json", *results[:-1], "relu=gelu"], standalone_mode=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--arch net.py:Modules --exchange gelu=la_silu", "no gelu module to replace by la_silu (its activation modules: relu"),
        ("--arch net.py:Modules --exchange relu", "expected two activations, as in relu=la_silu"),
        ("--arch net.py:Modules --exchange relu=relu", "would change nothing"),
        ("--arch net.py:Modules --exchange rulu=la_silu", "unknown activation 'rulu'; did you mean relu"),
        ("--arch net.py:smooth --activation la_silu", "net.pt: the network calls silu 4 times and never la_silu; omit"),
        ("--arch net.py:Modules --activation silu+gelu", "calls relu 3 times and silu 1 time and never gelu"),
        ("--arch net.py:made", "net.py:made takes the activation to build with; specify it with --activation"),
        ("--arch net.py:Modules --layeract-alpha 0.1", "no network has a LayerAct (relu); omit it"),
    ],
)  # fmt: skip
def test_what_contradicts_the_network_is_refused(evaluate: Evaluate, words: str, message: str) -> None:
    with pytest.raises(la.UserError) as refused:
        evaluate(*words.split())

    assert message in str(refused.value)


def test_a_contradiction_says_how_to_exchange(evaluate: Evaluate) -> None:
    with pytest.raises(la.UserError, match=r"never la_silu; omit --activation, or put it there with --exchange relu=la_silu"):
        evaluate("--arch", "net.py:Modules", "--activation", "la_silu")


def test_what_cannot_be_seen_is_labelled(folder: Path) -> None:
    bare = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    (cell,) = la.evaluate(bare, "digits", noise="clean", limit=20, activation="elu").cells
    assert (cell.network.activation, cell.network.activations_seen) == ("elu", None)


def test_a_label_that_is_seen_is_accepted(evaluate: Evaluate) -> None:
    assert evaluate("--arch", "net.py:Modules", "--activation", "silu")["activation"] == "silu"


def test_code_that_takes_an_activation_is_built_with_it(evaluate: Evaluate) -> None:
    known = evaluate("--arch", "net.py:made", "--activation", "la_hardsilu")

    assert known["activations_seen"] == "la_hardsilu x 3 + silu x 1"
    assert (known["activation"], known["alpha"]) == ("la_hardsilu", 1e-5)


def test_networks_of_the_table_are_built_and_not_exchanged(folder: Path) -> None:
    from robustbench_la.models.architectures import NetworkSpec
    from robustbench_la.models.build import build

    spec = NetworkSpec(architecture="mlp", classes=10, channels=1, height=8, width=8, hidden=8)
    torch.save(build(spec, "relu").state_dict(), "mlp.pt")

    with pytest.raises(la.UserError, match=r"exchange= is for networks that are taken as they are; a mlp is built with"):
        la.evaluate("mlp.pt", "digits", activation="relu", exchange="relu=la_silu")
    with pytest.raises(la.UserError, match=r"exchange= is for checkpoint files"):
        la.evaluate(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), "digits", exchange="relu=la_silu")


def test_a_torchvision_network_is_taken_as_it_is(folder: Path) -> None:
    import torchvision

    torch.save(torchvision.models.mobilenet_v3_small(num_classes=10).state_dict(), "mobile.pt")
    images = (torch.zeros(8, 3, 32, 32, dtype=torch.uint8), list(range(8)))

    (cell,) = la.evaluate("mobile.pt", images, arch="torchvision:mobilenet_v3_small", noise="clean", normalize="half").cells
    assert cell.network.activation == "hardsilu"
    assert cell.network.activations_seen is not None
    assert cell.network.activations_seen.startswith("hardsilu x 19 + relu x 14")


def test_a_file_whose_keys_begin_like_another_network_is_built_by_the_users_code(folder: Path) -> None:
    Path("alike.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv1 = nn.Conv2d(1, 4, 3)\n"
        "        self.layer1 = nn.ModuleList([nn.ModuleDict({'conv1': nn.Conv2d(4, 4, 3)})])\n"
        "        self.layer2 = nn.ModuleList([nn.ModuleDict({'conv1': nn.Conv2d(4, 4, 3)})])\n"
        "        self.layer3 = nn.ModuleList([nn.ModuleDict({'conv1': nn.Conv2d(4, 4, 3, padding=2)})])\n"
        "        self.linear = nn.Linear(4, 10)\n"
        "    def forward(self, x):\n"
        "        for layer in (self.layer1, self.layer2, self.layer3):\n"
        "            x = layer[0]['conv1'](self.conv1(x) if layer is self.layer1 else x).sigmoid()\n"
        "        return self.linear(x.mean((2, 3)))\n"
    )
    import importlib.util

    loader = importlib.util.spec_from_file_location("alike", "alike.py")
    assert loader is not None
    assert loader.loader is not None
    module = importlib.util.module_from_spec(loader)
    loader.loader.exec_module(module)
    torch.save(module.Net().state_dict(), "alike.pt")

    assert la.evaluate("alike.pt", "digits", arch="alike.py:Net", noise="clean", limit=20).cells


def test_an_exchange_in_a_transformer_is_computed_in_evaluation_as_well() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, activation=nn.ReLU()).eval()
    tokens = torch.randn(4, 5, 16)
    with torch.inference_mode():
        before = layer(tokens)
        assert exchange(layer, "relu", "silu") == 1
        assert not torch.allclose(layer(tokens), before, atol=1e-3)
