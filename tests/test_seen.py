"""The activations of others' networks are recognised by what they compute, wherever it is written, and measured as such."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import robustbench_la as la
from robustbench_la.errors import UserError
from robustbench_la.images.decoding import Shape
from robustbench_la.images.normalization import NORMALIZATIONS
from robustbench_la.measuring.probe import Probe
from robustbench_la.measuring.seen import try_out
from robustbench_la.models.layeract import la_silu

SHAPE = Shape(classes=10, channels=3, height=16, width=16)


class Theirs(nn.Module):
    """A LayerAct of somebody else."""

    def __init__(self, alpha: float = 1e-5, *, hard: bool = False, biased: bool = False) -> None:
        super().__init__()
        self.epsilon, self.hard, self.biased = alpha, hard, biased

    def forward(self, x: Tensor) -> Tensor:
        axes = tuple(range(1, x.dim()))
        variance = x.var(axes, keepdim=True, correction=0 if self.biased else 1)
        n = (x - x.mean(axes, keepdim=True)) / torch.sqrt(variance + self.epsilon)
        return x * (F.relu6(n + 3) / 6 if self.hard else torch.sigmoid(n))


class Swish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class OfFunction(nn.Module):
    """As in EfficientNets that save memory."""

    class Saving(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x * torch.sigmoid(x)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.Saving.apply(x)
        return result


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(torch.sigmoid(x))


class NewGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))


class QuickGELUActivation(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Silu(nn.Module):
    """What it is called is not what it computes."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.tanh(F.softplus(x))


class Scaled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x + 1


def theirs(x: Tensor, alpha: float) -> Tensor:
    n = (x - x.mean((1, 2, 3), keepdim=True)) / torch.sqrt(x.var((1, 2, 3), keepdim=True) + alpha)
    return x * torch.sigmoid(n)


class Net(nn.Module):
    """One convolution, one activation: a module or a function."""

    def __init__(self, act: nn.Module | Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 8, 3), nn.Linear(8, 10)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.out(self.act(self.conv(x)).mean((2, 3)))
        return logits


MODULES = [
    (Swish(), "silu", None),
    (OfFunction(), "silu", None),
    (InPlace(), "silu", None),
    (NewGELU(), "gelu", None),
    (Silu(), "mish", None),
    (QuickGELUActivation(), "quick_gelu", None),
    (Theirs(), "la_silu", 1e-5),
    (Theirs(0.1), "la_silu", 0.1),
    (Theirs(1e-3, biased=True), "la_silu", 1e-3),
    (Theirs(hard=True), "la_hardsilu", 1e-5),
    (la.LAHardSiLU(0.1), "la_hardsilu", 0.1),
    (nn.Softplus(), "softplus", None),
    (nn.Tanh(), "tanh", None),
    (nn.Sigmoid(), "sigmoid", None),
    (nn.ReLU6(), "relu6", None),
    (nn.Hardsigmoid(), "hardsigmoid", None),
]
FUNCTIONS = [
    (lambda x: x * torch.sigmoid(x), "silu", None),
    (lambda x: x.sigmoid().mul(x), "silu", None),
    (lambda x: x.mul_(x.sigmoid()), "silu", None),
    (lambda x: F.hardsigmoid(x) * x, "hardsilu", None),
    (lambda x: theirs(x, 1e-5), "la_silu", 1e-5),
    (lambda x: theirs(x, 0.1), "la_silu", 0.1),
    (lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)), "sigmoid", None),
    (lambda x: x * torch.sigmoid(x.flip(1)), "sigmoid", None),
    (lambda x: x.clamp(min=0), "relu", None),
    (lambda x: torch.clamp(x, 0, 6), "relu6", None),
    (lambda x: torch.relu_(x), "relu", None),
]  # fmt: skip
ARITHMETIC: list[tuple[Callable[[Tensor], Tensor], str]] = [
    (lambda x: torch.where(x > 0, x, 0), "relu"),
    (lambda x: torch.where(x > 0, x, torch.tensor(0.0)), "relu"),
    (lambda x: torch.where(x < 0, torch.zeros(x.shape), x), "relu"),
    (lambda x: torch.maximum(x, torch.zeros_like(x)), "relu"),
    (lambda x: torch.max(x, torch.zeros(1)), "relu"),
    (lambda x: torch.clamp(x, min=torch.tensor(0.0)), "relu"),
    (lambda x: x * (x > 0), "relu"),
    (lambda x: x * (x > 0).float(), "relu"),
    (lambda x: x.masked_fill(x < 0, 0.0), "relu"),
    (lambda x: torch.maximum(0.5 * x, torch.tensor(0.0)) * 3, "relu"),
    (lambda x: torch.where(x > 0, x, 0.1 * x), "leaky_relu"),
    (lambda x: torch.where(x > 0, x, torch.exp(x) - 1), "elu"),
    (lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))), "gelu"),
    (lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), "gelu"),
    (lambda x: x / (1 + torch.exp(-x)), "silu"),
    (lambda x: x * torch.tanh(F.softplus(x)), "mish"),
    (lambda x: x * F.relu6(x + 3) / 6, "hardsilu"),
]


@pytest.mark.parametrize(("act", "function", "alpha"), MODULES, ids=lambda value: type(value).__name__)
def test_a_module_is_known_by_what_it_computes(act: nn.Module, function: str, alpha: float | None) -> None:
    seen, _ = try_out(Net(act).eval(), "net", SHAPE, NORMALIZATIONS["half"])

    assert seen.calls == (("act", function),)
    assert seen.alphas == ({alpha} if alpha else set())


@pytest.mark.parametrize(("act", "function", "alpha"), FUNCTIONS)
def test_a_function_is_known_by_what_it_computes(act: Callable[[Tensor], Tensor], function: str, alpha: float | None) -> None:
    seen, _ = try_out(Net(act).eval(), "net", SHAPE, NORMALIZATIONS["half"])

    assert seen.calls == ((f"{function}[0]", function),)
    assert seen.alphas == ({alpha} if alpha else set())


@pytest.mark.parametrize(("act", "function"), ARITHMETIC)
def test_an_activation_written_as_arithmetic_is_one_call(act: Callable[[Tensor], Tensor], function: str) -> None:
    seen, _ = try_out(Net(act).eval(), "net", SHAPE, NORMALIZATIONS["half"])

    assert seen.calls == ((f"{function}[0]", function),)
    assert not seen.unknown


def test_arithmetic_around_activations_joins_none_of_them() -> None:
    seen, _ = try_out(Net(lambda x: F.relu(1 - 2 * F.relu(x))).eval(), "net", SHAPE, NORMALIZATIONS["half"])

    assert seen.calls == (("relu[0]", "relu"), ("relu[1]", "relu"))


@pytest.mark.parametrize("place", [torch.zeros, torch.ones])
def test_a_constant_that_was_overwritten_is_none(place: Callable[[torch.Size], Tensor]) -> None:
    def act(x: Tensor) -> Tensor:
        threshold = place(x.shape)
        threshold[:, :2] = 5
        return torch.maximum(x, threshold)

    seen, _ = try_out(Net(act).eval(), "net", SHAPE, NORMALIZATIONS["half"])

    assert seen.label == "none"


def test_arithmetic_that_is_not_recognised_is_said_in_one_remark() -> None:
    def act(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.1 * x * x)

    images = (torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8), [0] * 8)

    (remark,) = [note for note in la.evaluate(Net(act), images, noise="clean", normalize="half").notes if "activation" in note]
    assert "Net: it computes with gt x 1, which may be activations that are not recognised" in remark
    assert "name the activation with activation=" in remark
    assert not [one for one in la.evaluate(Net(act), images, noise="clean", activation="relu").notes if "recognised" in one]


def test_the_fluctuation_of_arithmetic_is_that_of_the_function() -> None:
    torch.manual_seed(0)
    nets = Net(nn.GELU()), Net(lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))), Net(nn.ReLU()), Net(lambda x: x * (x > 0))
    images = torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8)
    for net in nets[1:]:
        net.load_state_dict(nets[0].state_dict())

    moved = [
        la.fluctuation(net, (images, [0] * 40), noise="gaussian", severity=3, normalize="half").networks[0].layers[0]
        for net in nets
    ]
    assert [layer.function for layer in moved] == ["gelu", "gelu", "relu", "relu"]
    for one, other in (moved[:2], moved[2:]):
        for name, value in one.statistics.items():
            assert other.statistics[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name


@pytest.mark.parametrize(
    "act", [Scaled(), nn.Identity(), nn.GroupNorm(1, 8, affine=False), nn.Dropout(), lambda x: x.clamp(1e-6)]
)
def test_what_is_no_activation_is_none(act: nn.Module) -> None:
    seen, _ = try_out(Net(act).eval(), "net", SHAPE, NORMALIZATIONS["half"])

    assert (seen.calls, seen.label) == ((), "none")


def test_the_label_is_what_is_called_most() -> None:
    mixed = nn.Sequential(Net(nn.SiLU()).conv, nn.SiLU(), nn.SiLU(), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 10))
    seen, _ = try_out(mixed.eval(), "net", SHAPE, NORMALIZATIONS["half"])

    assert (str(seen), seen.label) == ("silu x 2 + relu x 1", "silu")


class ByHand(nn.Module):
    """HardSiLU, written out in the forward of a network, where it is no module."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3 * 16 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head((x * F.relu6(x + 3) / 6).flatten(1))
        return logits


def test_an_activation_computed_by_hand_may_be_named() -> None:
    seen, _ = try_out(ByHand().eval(), "net", SHAPE, NORMALIZATIONS["half"])

    seen.check("hardsilu", "net")
    with pytest.raises(UserError, match=r"never mish"):
        seen.check("mish", "net")


def test_gates_give_no_label_next_to_activations() -> None:
    gated = nn.Sequential(Net(nn.SiLU()).conv, nn.ReLU(), nn.Sigmoid(), nn.Sigmoid(), nn.Flatten(), nn.Linear(8 * 14 * 14, 10))
    seen, _ = try_out(gated.eval(), "net", SHAPE, NORMALIZATIONS["half"])

    assert (str(seen), seen.label) == ("sigmoid x 2 + relu x 1", "relu")


@pytest.mark.parametrize("act", [Theirs(0.1), lambda x: theirs(x, 0.1)])
def test_the_layeract_of_others_has_the_numbers_of_ours(act: nn.Module) -> None:
    torch.manual_seed(0)
    ours = Net(la.LASiLU(0.1))
    other = Net(act)
    other.load_state_dict(ours.state_dict())
    images = torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8)

    moved = [
        la.fluctuation(net, (images, [0] * 40), noise="gaussian", severity=3, normalize="half").networks[0].layers[0]
        for net in (ours, other)
    ]
    assert [layer.function for layer in moved] == ["la_silu", "la_silu"]
    assert moved[1].network.alpha == 0.1
    for name, value in moved[0].statistics.items():
        assert moved[1].statistics[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize("act", [nn.Sigmoid(), nn.Softplus(), QuickGELUActivation()])
def test_an_activation_without_a_scale_has_a_fluctuation_and_no_bound(act: nn.Module) -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8)

    result = la.fluctuation(Net(act), (images, [0] * 40), noise="gaussian", severity=3, normalize="half")
    (layer,) = result.networks[0].layers
    assert layer.statistics["fluctuation_mean"] is not None
    assert layer.statistics["fluctuation_mean"] > 0
    assert layer.statistics["bound_mean"] is None
    assert "which is not value x scale" in repr(result)


def test_a_module_seen_as_a_whole_is_left_as_it_was() -> None:
    net = Net(Theirs()).eval()
    seen, _ = try_out(net, "net", SHAPE, NORMALIZATIONS["half"])
    calls: list[str] = []
    with torch.inference_mode(), Probe(net, lambda layer, *_: calls.append(layer), seen.composed).watching():
        net(torch.zeros(2, 3, 16, 16))
    before = dict(vars(net.act))

    assert calls == ["act"]
    assert "forward" not in before
    assert not net.act._forward_hooks


def test_an_alpha_that_the_network_does_not_compute_with_is_refused() -> None:
    images = (torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8), [0] * 8)

    with pytest.raises(la.UserError, match=r"layeract_alpha= is 0.1, but the network computes with 1e-05; omit it"):
        la.evaluate(Net(Theirs()), images, noise="clean", normalize="half", layeract_alpha=0.1)
    (cell,) = la.evaluate(Net(Theirs()), images, noise="clean", normalize="half").cells
    assert (cell.network.activation, cell.network.alpha, cell.network.activation_level) == ("la_silu", 1e-5, "layer")


def test_ours_and_theirs_agree() -> None:
    x = torch.randn(4, 8, 5, 5)

    torch.testing.assert_close(Theirs(0.1)(x), la_silu(x, 0.1))


class Two(Net):
    def forward(self, x: Tensor) -> Tensor:
        features = self.act(self.conv(x)).mean((2, 3))
        return features[:, :3], self.out(features)  # type: ignore[return-value]  # as many networks do


def test_the_element_of_a_tuple_that_is_taken_is_said() -> None:
    images = (torch.randint(0, 256, (20, 3, 16, 16), dtype=torch.uint8), [*range(10)] * 2)

    (remark,) = [note for note in la.evaluate(Two(nn.ReLU()), images, noise="clean").notes if "taken as its logits" in note]
    assert "returns tuple with tensors of shape (4, 3), (4, 10); element 1, of shape (N, 10), is taken as its logits" in remark
    assert not [note for note in la.evaluate(Net(nn.ReLU()), images, noise="clean").notes if "logits" in note]


def test_networks_of_one_class_are_all_numbered() -> None:
    images = (torch.randint(0, 256, (10, 3, 16, 16), dtype=torch.uint8), [*range(10)])

    cells = la.evaluate([Net(nn.ReLU()), Two(nn.ReLU()), Net(nn.ReLU())], images, noise="clean").cells
    assert [cell.network.checkpoint for cell in cells] == ["Net[1]", "Two", "Net[2]"]


@pytest.mark.parametrize(
    ("count", "labels", "message"),
    [
        (10, [*range(1, 11)], r"labels go from 1 to 10, but the 10 outputs of the network count from 0: subtract 1 from each"),
        (0, [], r"no images given: the array has shape \(0, 3, 16, 16\)"),
    ],
)
def test_labels_from_1_and_no_images_are_refused_with_what_to_do(count: int, labels: list[int], message: str) -> None:
    with pytest.raises(la.UserError, match=message):
        la.evaluate(Net(nn.ReLU()), (torch.zeros(count, 3, 16, 16, dtype=torch.uint8), labels), noise="clean")


def test_the_activation_that_user_code_is_built_with_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(
        "from torch import nn\n\n\ndef net(activation=nn.ReLU):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9), activation(), nn.Linear(9, 10))\n"
    )
    layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 10))
    torch.save(layers.state_dict(), "net.pt")

    def notes(**given: str) -> str:
        return " ".join(la.evaluate("net.pt", "digits", arch="nets.py:net", noise="clean", limit=10, **given).notes)

    assert "nets.py:net has an argument activation: it was built with silu" in notes(activation="silu")
    assert "built with la_silu of larobust; to measure a class of your own" in notes(activation="la_silu")
    assert "its default was taken, as no activation= was given" in notes()
