"""A made-up activation, one row and its module, goes through every command and figure without another edit."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from robustbench_la import activations, cli
from robustbench_la.activations import Activation, counterparts, in_order
from robustbench_la.images.decoding import ImageChoice
from robustbench_la.images.normalization import NORMALIZATIONS
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.build import build
from robustbench_la.models.checkpoints.file import save_checkpoint

Larobust = Callable[..., tuple[int, str, str]]
NEEDS_A_SCALE = (
    "bound_mean",
    "bound_scale_moved_mean",
    "bound_shift_passed_mean",
    "tightness_mean",
    "tightness_max",
    "saturation_clean",
    "saturation_noisy",
)


def swirl(y: Tensor) -> Tensor:
    """y atan-like scale: value x scale, at the element level."""
    if has_torch_function_unary(y):
        result: Tensor = handle_torch_function(swirl, (y,), y)
        return result
    return y * (y.atan() / torch.pi + 0.5)


def normed(y: Tensor, alpha: float = 1e-5) -> Tensor:
    """SiLU of the normalised layer: no function of y alone is its scale."""
    if has_torch_function_unary(y):
        result: Tensor = handle_torch_function(normed, (y,), y, alpha)
        return result
    n = (y - y.mean(1, keepdim=True)) / (y.var(1, keepdim=True) + alpha).sqrt()
    return n * n.sigmoid()


class Swirl(nn.Module):
    def forward(self, y: Tensor) -> Tensor:
        return swirl(y)


class Normed(nn.Module):
    def __init__(self, alpha: float = 1e-5) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, y: Tensor) -> Tensor:
        return normed(y, self.alpha)


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = {
        "swirl": Activation(
            label="Swirl",
            level="element",
            formula="atan(u) / pi + 1/2",
            scale=lambda u: np.arctan(u) / np.pi + 0.5,
            module=f"{__name__}:Swirl",
            functions=(f"{__name__}:swirl",),
            colour="#123456",
            marker="h",
        ),
        "ln_silu": Activation(
            label="LN-SiLU",
            level="layer",
            formula="none: n sigmoid(n)",
            scale=None,
            has_scale=False,
            counterpart="silu",
            module=f"{__name__}:Normed",
            functions=(f"{__name__}:normed",),
            colour="#0072B2",
            marker="*",
        ),
    }
    for name, row in made_up.items():
        monkeypatch.setitem(activations._TABLE, name, row)


@pytest.fixture
def larobust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Larobust:
    """Runs a command in a folder with an untrained checkpoint of each: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    for name in ("swirl", "ln_silu", "silu"):
        torch.manual_seed(3)
        spec = NetworkSpec(architecture="mlp", classes=10, channels=1, height=8, width=8, hidden=12)
        save_checkpoint(
            tmp_path / f"{name}.pt",
            build(spec, name),
            spec=spec,
            activation=name,
            alpha=1e-5,
            normalization=NORMALIZATIONS["half"],
            data=ImageChoice("digits"),
            training={"seed": 11},
        )

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["larobust", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


ALL = ("--ckpt", "*.pt", "--noise", "gaussian", "--severity", "1,3", "--limit", "50")


def test_it_is_evaluated_compared_and_drawn(larobust: Larobust) -> None:
    code, out, err = larobust("eval", *ALL, "--json")
    assert code == 0, err
    assert {network["activation"] for network in json.loads(out)["cells"]} == {"swirl", "ln_silu", "silu"}

    for figure in (("severity",), ("groups",), ("scatter",)):
        code, _, err = larobust("plot", *figure, "-o", f"{figure[0]}.svg")
        assert code == 0, err
        assert Path(f"{figure[0]}.svg").stat().st_size > 1000
    code, out, err = larobust("compare")
    assert code == 0, err
    assert "ln_silu" in out


def test_what_it_does_inside_the_network_is_measured(larobust: Larobust) -> None:
    code, out, err = larobust("fluctuation", *ALL, "--json", "--plot", "layers=layers.svg", "--plot", "means=means.svg")

    assert code == 0, err
    assert Path("layers.svg").stat().st_size > 1000
    rows = {row["activation"]: row for row in json.loads(out)["layers"]}
    assert {name: row["function"] for name, row in rows.items()} == {name: name for name in rows}
    assert all(row["layer"] == rows["silu"]["layer"] for row in rows.values())
    for name in NEEDS_A_SCALE:
        assert rows["ln_silu"][name] is None
        assert rows["swirl"][name] is not None
    others = [
        name for name, value in rows["swirl"].items() if value is not None and name not in NEEDS_A_SCALE and name != "alpha"
    ]
    assert [name for name in others if rows["ln_silu"][name] is None] == []
    assert larobust("plot", "layers", "-o", "stored.svg")[0] == 0


def test_a_gap_is_explained(larobust: Larobust) -> None:
    code, out, err = larobust("fluctuation", *ALL)

    assert code == 0, err
    assert "no bound and no saturation for ln_silu, which is not value x scale" in " ".join(out.split())


def test_numbers_without_a_scale_are_the_same_as_with_it(larobust: Larobust, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs no scale does not depend on whether there is one."""
    _, out, _ = larobust("fluctuation", *ALL, "--json", "--no-store")
    with_scale = next(row for row in json.loads(out)["layers"] if row["activation"] == "swirl")
    monkeypatch.setitem(activations._TABLE, "swirl", dataclasses.replace(activations._TABLE["swirl"], has_scale=False))
    _, out, _ = larobust("fluctuation", *ALL, "--json", "--no-store")
    without = next(row for row in json.loads(out)["layers"] if row["activation"] == "swirl")

    assert {name for name in with_scale if with_scale[name] != without[name]} == set(NEEDS_A_SCALE)


def test_a_counterpart_is_shared() -> None:
    assert counterparts("silu") == ("la_silu", "ln_silu")
    assert counterparts("ln_silu") == ("silu",)
    assert in_order(["silu", "relu", "swirl", "ln_silu", "la_silu"]) == ["la_silu", "ln_silu", "silu", "relu", "swirl"]


def test_it_is_listed(larobust: Larobust) -> None:
    _, out, _ = larobust("list", "activations", "--json")

    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["swirl"]["scale"] == "atan(u) / pi + 1/2"
    assert rows["silu"]["counterpart"] == "la_silu, ln_silu"
