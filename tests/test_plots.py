"""Figures: what is drawn are the records' numbers, each file is the same each time, and hard cases draw too."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch

from robustbench_la import cli
from robustbench_la.activations import ACTIVATIONS, in_order
from robustbench_la.errors import UserError
from robustbench_la.models import layeract
from robustbench_la.output.figures import curves, distributions, layers, style
from robustbench_la.output.figures.kinds import OF_STORES
from robustbench_la.output.figures.panels import panels
from robustbench_la.records.cells import CLEAN, Condition, Pass
from robustbench_la.records.layers import LayerStats, NetworkFluctuation
from robustbench_la.records.networks import NetworkRecord

IMAGES = 40


def noise(severity: int | None = 3, name: str = "gaussian_noise") -> Condition:
    return Condition(corruption=name, severity=severity, parameters=(0.1 * (severity or 1),), profile="cifar-c")


def record(
    activation: str,
    *,
    seed: int = 11,
    depth: int = 3,
    condition: Condition | None = None,
    images: int = IMAGES,
    alpha: float = 1e-5,
    architecture: str = "resnet20",
    only: bool = False,
    none: bool = False,
    zero: bool = False,
) -> NetworkFluctuation:
    """Random numbers that depend on the arguments. none: no relative values; zero: no fluctuation at all."""
    key = f"{activation} {seed} {depth} {condition} {images} {alpha} {architecture}"
    draws = np.random.default_rng(int(hashlib.sha256(key.encode()).hexdigest()[:12], 16))
    fluctuation = draws.lognormal(0, 0.4, (depth, images)) * (not zero)
    relative = np.full_like(fluctuation, math.nan) if none else fluctuation / 3
    layers = []
    for index in range(depth):
        elements = 10 * (index + 1)
        statistics: dict[str, float | None] = {}
        for name, values in (("fluctuation", fluctuation[index]), ("relative", relative[index])):
            if only and name == "relative":
                continue
            known = {"mean": values.mean()} | {f"q{q:02d}": np.quantile(values, q / 100) for q in (5, 25, 50, 75, 95)}
            statistics |= {f"{name}_{part}": None if math.isnan(value) else float(value) for part, value in known.items()}
        layers.append(
            LayerStats(
                network=NetworkRecord(
                    checkpoint=f"runs/{activation}-{alpha:g}-{seed}.pt",
                    sha256=f"{seed:064d}",
                    architecture=architecture,
                    activation=activation,
                    activation_level=ACTIVATIONS[activation].level,
                    alpha=alpha if ACTIVATIONS[activation].level == "layer" else None,
                    normalization="half",
                    training_seed=seed,
                ),
                pass_=Pass(condition or noise(), 0),
                layer=f"block{index}/relu",
                index=index,
                function=activation,
                elements=elements,
                images=images,
                statistics=statistics,
            )
        )
    per_image = {"fluctuation": fluctuation.mean(axis=0)}
    if not only:
        per_image |= {"relative": relative.mean(axis=0), "input_fluctuation": draws.lognormal(1, 0.2, images)}
    return NetworkFluctuation(
        layers=tuple(layers),
        threshold=0.01,
        unreached=(),
        skipped=(),
        sample=np.arange(images),
        per_image=per_image,
        activation_means=() if only else tuple(draws.normal(0.2, 0.5, layer.elements) for layer in layers),
    )


def lines(axes) -> dict[str, np.ndarray]:
    """The numbers of each line that stands for an activation, by its label: (2, points)."""
    return {one.get_label(): np.array(one.get_data()) for one in axes.lines if not one.get_label().startswith("_")}


def legend(figure) -> list[str]:
    return [text.get_text() for one in figure.legends for text in one.get_texts()]


def small_print(figure) -> str:
    return " ".join(one.get_title().get_text() for one in figure.legends).replace("\n", " ").replace("\u00a0", " ")


def test_lines_are_the_means_over_checkpoints_layer_by_layer() -> None:
    measured = [record(name, seed=seed) for name in ("silu", "la_silu", "relu") for seed in (11, 22)]

    (axes,) = layers.layers(measured).axes

    drawn = lines(axes)
    assert list(drawn) == ["LA-SiLU", "SiLU", "ReLU"]
    for name, (calls, values) in zip(("la_silu", "silu", "relu"), drawn.values(), strict=True):
        own = [one for one in measured if one.layers[0].network.activation == name]
        expected = [
            50 * (own[0].layers[i].statistics["relative_mean"] + own[1].layers[i].statistics["relative_mean"]) for i in range(3)
        ]
        assert list(calls) == [0, 1, 2]
        assert values == pytest.approx(expected, rel=1e-12)
    assert axes.get_ylabel() == "relative fluctuation (%)"
    assert axes.get_xlabel() == "activation call, in forward order"
    assert axes.get_title() == "gaussian noise, severity 3"


def test_a_band_lies_between_the_quartiles_over_images() -> None:
    measured = record("relu")

    (axes,) = layers.layers([measured]).axes

    corners = axes.collections[0].get_paths()[0].vertices
    for layer in measured.layers:
        here = corners[corners[:, 0] == layer.index, 1]
        assert here.min() == pytest.approx(100 * layer.statistics["relative_q25"], rel=1e-12)
        assert here.max() == pytest.approx(100 * layer.statistics["relative_q75"], rel=1e-12)


def test_per_element_divides_by_the_elements_of_each_layer() -> None:
    measured = record("relu", only=True)

    (axes,) = layers.layers([measured], per_element=True).axes

    expected = [layer.statistics["fluctuation_mean"] / layer.elements for layer in measured.layers]
    assert lines(axes)["ReLU"][1] == pytest.approx(expected, rel=1e-12)
    assert axes.get_ylabel() == "fluctuation per element"


def test_where_only_the_fluctuation_was_measured_the_rest_is_refused() -> None:
    measured = [record("relu", only=True)]

    with pytest.raises(UserError, match="per element"):
        layers.layers(measured)
    with pytest.raises(UserError, match="only the fluctuation"):
        distributions.distribution(measured, relative=True)
    with pytest.raises(UserError, match="only the fluctuation"):
        distributions.activation_means(measured)
    assert len(distributions.distribution(measured).axes) == 1


@pytest.mark.parametrize("draw", [layers.layers, distributions.distribution, distributions.activation_means])
def test_nothing_measured_is_told(draw) -> None:
    with pytest.raises(UserError, match="nothing was measured"):
        draw([])


def test_networks_measured_on_other_images_are_not_drawn_together() -> None:
    with pytest.raises(UserError, match="different images"):
        distributions.distribution([record("relu"), record("silu", images=30)])


def test_networks_of_one_layer_have_a_row_each() -> None:
    measured = [record(name, depth=1, seed=seed) for name in ("relu", "la_silu", "silu") for seed in (11, 22)]

    figure = layers.layers(measured)

    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["LA-SiLU", "SiLU", "ReLU"]
    for row, (name, (x, y)) in enumerate(zip(("la_silu", "silu", "relu"), lines(axes).values(), strict=True)):
        own = [one.layers[0].statistics for one in measured if one.layers[0].network.activation == name]
        assert y == [row]
        assert x == pytest.approx([100 * np.mean([one["relative_mean"] for one in own])], rel=1e-12)
        bar = axes.collections[row].get_segments()[0]
        assert bar[:, 0] == pytest.approx([100 * np.mean([one[f"relative_q{q}"] for one in own]) for q in (25, 75)], rel=1e-12)
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlim()[1] > max(bar.get_segments()[0][1, 0] for bar in axes.collections)
    assert legend(figure) == ["layer level", "element level"]


def test_panels_share_their_axis_and_all_values_lie_within() -> None:
    measured = [record(name, depth=depth, condition=noise(s)) for depth in (1, 4) for name in ("relu", "silu") for s in (1, 5)]

    for depth in (1, 4):
        figure = layers.layers([one for one in measured if len(one.layers) == depth])
        limits = {axes.get_xlim() if depth == 1 else axes.get_ylim() for axes in figure.axes}
        highest = max(line[0 if depth == 1 else 1].max() for axes in figure.axes for line in lines(axes).values())
        assert len(limits) == 1
        assert max(limits)[1] > highest


def test_many_conditions_are_averaged_to_six_panels_at_most() -> None:
    names = ("gaussian_noise", "shot_noise", "gaussian_blur")
    measured = [record("relu", condition=noise(severity, name)) for name in names for severity in (1, 2, 3)]

    few = panels(measured[:6], most=6)
    some = panels(measured, most=6)
    one = panels(measured, most=2)

    assert [panel.title for panel in few][:2] == ["gaussian noise, severity 1", "gaussian noise, severity 2"]
    assert [panel.title for panel in some] == [f"{name.replace('_', ' ')}\nmean over severities 1, 2, 3" for name in names]
    assert [panel.title for panel in one] == ["mean over 3 corruptions"]
    expected = [100 * np.mean([own.layers[i].statistics["relative_mean"] for own in measured[3:6]]) for i in range(3)]
    assert lines(layers.layers(measured).axes[1])["ReLU"][1] == pytest.approx(expected, rel=1e-12)


def test_corruptions_weigh_the_same_however_many_levels_each_has() -> None:
    levels = [noise(1), noise(2), noise(3), noise(1, "gaussian_blur")]
    measured = [record("relu", condition=level) for level in levels]

    (panel,) = panels(measured, most=1)

    found = panel.series[0].over_layers(lambda layer: layer.statistics["relative_mean"])
    own = [np.array([layer.statistics["relative_mean"] for layer in one.layers]) for one in measured]
    assert found[0] == pytest.approx((np.mean(own[:3], axis=0) + own[3]) / 2, rel=1e-12)


def test_a_checkpoint_without_every_condition_is_left_out_of_means() -> None:
    measured = [record("relu", condition=noise(severity)) for severity in (1, 2)] + [record("silu", condition=noise(1))]

    (panel,) = panels(measured, most=1)

    assert [one.activation for one in panel.series] == ["relu"]


def test_architectures_have_panels_of_their_own() -> None:
    measured = [record("relu"), record("relu", architecture="mlp", depth=1, seed=22)]

    figure = layers.layers(measured)

    assert [axes.get_title() for axes in figure.axes] == [
        "resnet20: gaussian noise, severity 3",
        "mlp: gaussian noise, severity 3",
    ]
    assert len(lines(figure.axes[1])["ReLU"][0]) == 1


def test_alphas_of_one_activation_are_lines_of_their_own() -> None:
    measured = [record("la_silu", alpha=alpha) for alpha in (0.1, 1e-5)]

    figure = layers.layers(measured)

    assert legend(figure) == ["LA-SiLU, α = 1e-05", "LA-SiLU, α = 0.1"]
    colours = [one.get_color() for one in figure.axes[0].lines]
    assert len(set(colours)) == 2


def test_distribution_shows_mean_and_quartiles_of_the_images_of_all_checkpoints() -> None:
    measured = [record("la_silu", seed=seed) for seed in (11, 22)] + [record("silu")]

    left, right = distributions.distribution(measured).axes

    for axes, name in ((left, "fluctuation"), (right, "input_fluctuation")):
        values = np.concatenate([one.per_image[name] for one in measured[:2]])
        assert lines(axes)["LA-SiLU"][0] == pytest.approx([values.mean()], rel=1e-12)
        bars = [one for one in axes.collections if hasattr(one, "get_segments")]
        assert bars[0].get_segments()[0][:, 0] == pytest.approx(np.quantile(values, [0.25, 0.75]), rel=1e-12)
    assert left.get_xlabel() == "fluctuation (L1 norm)"
    assert right.get_xlabel() == "input fluctuation (L1 norm)"
    assert [text.get_text() for text in left.get_yticklabels()] == ["LA-SiLU", "SiLU"]


def test_distribution_averages_conditions_image_by_image() -> None:
    measured = [record("relu", condition=noise(severity)) for severity in (1, 2, 3, 4)]

    left, _ = distributions.distribution(measured).axes

    values = np.mean([one.per_image["fluctuation"] for one in measured], axis=0)
    bars = [one for one in left.collections if hasattr(one, "get_segments")]
    assert bars[0].get_segments()[0][:, 0] == pytest.approx(np.quantile(values, [0.25, 0.75]), rel=1e-12)


def test_activation_means_count_each_checkpoint_once_and_show_zero() -> None:
    measured = [record("elu", seed=seed, condition=noise(severity)) for seed in (11, 22) for severity in (1, 2)]

    (axes,) = distributions.activation_means(measured).axes

    values = np.concatenate([mean for one in (measured[0], measured[2]) for mean in one.activation_means])
    assert lines(axes)["ELU"][0] == pytest.approx([values.mean()], rel=1e-12)
    assert list(axes.lines[0].get_xdata()) == [0, 0]
    assert axes.get_xlim()[0] < 0 < axes.get_xlim()[1]


def test_an_outline_is_a_smooth_density() -> None:
    from scipy.stats import norm

    values = np.random.default_rng(0).normal(5, 2, 200_000)

    places, heights = distributions.outline(values)

    middle = np.abs(places - 5) < 4
    assert heights[middle] == pytest.approx(norm.pdf(places[middle], 5, 2) / norm.pdf(5, 5, 2), abs=0.03)


def test_an_outline_ends_where_the_values_end_also_on_a_logarithmic_axis() -> None:
    values = np.random.default_rng(0).lognormal(0, 2, 1000)

    places, heights = distributions.outline(values, log=True)

    assert values.min() < places[0] < places[-1] < values.max()
    assert heights.max() == 1
    assert 0.3 < places[heights.argmax()] < 3


@pytest.mark.parametrize("name", ["la_silu", "la_hardsilu"])
def test_curves_are_what_the_activation_gives(name: str) -> None:
    grid = curves.activation_curves(alpha=0.1).axes
    row = grid[:2] if name == "la_silu" else grid[2:]

    for axes, parameters in zip(row, ([(-2, 1), (0, 1), (2, 1)], [(0, 0.25), (0, 1), (0, 4)]), strict=True):
        drawn = list(lines(axes).values())[-4:]  # above them the lines of the axes
        y = torch.from_numpy(drawn[0][0])
        for (_, values), (mu, sigma) in zip(drawn, parameters, strict=False):
            # A layer of this mean and this unbiased variance: its elements hold y, and two more that bring it there.
            expected = [_in_a_layer(name, float(one), mu, sigma, 0.1) for one in y[::40]]
            assert values[::40] == pytest.approx(expected, abs=1e-9)
        function = torch.nn.SiLU() if name == "la_silu" else torch.nn.Hardswish()
        assert drawn[3][1] == pytest.approx(function(y).numpy(), abs=1e-12)


def _in_a_layer(name: str, y: float, mu: float, sigma: float, alpha: float) -> float:
    """The activation of an element ``y`` among others that give its layer the mean ``mu`` and the variance ``sigma``^2."""
    count = 2 + 2 * math.ceil((y - mu) ** 2 / sigma**2)  # others, enough for the variance
    others = mu - (y - mu) / count
    # (y - mu)^2 + count (others - mu)^2 + count spread^2 = count sigma^2
    spread = math.sqrt(sigma**2 - ((y - mu) ** 2 + count * (others - mu) ** 2) / count)
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(count // 2)
    layer = torch.cat([torch.tensor([y], dtype=torch.float64), others + spread * signs])[None]
    assert layer.mean().item() == pytest.approx(mu, abs=1e-9)
    assert layer.var().item() == pytest.approx(sigma**2, rel=1e-9)
    module = {"la_silu": layeract.LASiLU, "la_hardsilu": layeract.LAHardSiLU}[name](alpha=alpha)
    return float(module(layer)[0, 0])


def test_levels_differ_in_lines_and_fillings_and_counterparts_share_a_hue() -> None:
    for name, entry in ACTIVATIONS.items():
        shown = style.look(name)
        assert shown.solid == (entry.level == "layer")
        assert (shown.line()["linestyle"] == "-") == shown.solid
        assert (shown.points()["markerfacecolor"] == "white") != shown.solid
        if entry.counterpart:
            assert style.look(entry.counterpart).colour == shown.colour

    def grey(colour: str) -> float:
        return float(np.dot([int(colour[at : at + 2], 16) for at in (1, 3, 5)], [0.299, 0.587, 0.114]))

    layer, element = style.look("la_silu"), style.look("silu")
    assert grey(layer.line()["color"]) - grey(element.line()["color"]) > 25
    assert "hatch" in style.shade(element)
    assert "hatch" not in style.shade(layer)
    hues = {style.look(name).colour for name, entry in ACTIVATIONS.items() if entry.level == "element"}
    assert len(hues) == sum(entry.level == "element" for entry in ACTIVATIONS.values())


def test_ten_activations_are_ten_entries_in_the_order_of_the_tables() -> None:
    measured = [record(name) for name in reversed(ACTIVATIONS)]

    figure = layers.layers(measured)

    assert legend(figure) == [style.name_of(name) for name in in_order(ACTIVATIONS)]
    assert legend(figure)[:4] == ["LA-SiLU", "SiLU", "LA-HardSiLU", "HardSiLU"]
    assert len(figure.axes[0].collections) == 4
    assert "band (LayerAct and counterparts)" in small_print(figure)
    assert len({(one.get_color(), one.get_linestyle()) for one in figure.axes[0].lines}) == 10


@pytest.mark.parametrize("columns", [1, 2])
def test_nothing_reaches_over_the_edge_or_over_a_neighbour(columns) -> None:
    """Titles and labels of all panels, at both widths."""
    measured = [record(name, condition=noise(s), depth=depth) for name in ACTIVATIONS for s in (1, 5) for depth in (1, 19)]
    flat, deep = ([one for one in measured if len(one.layers) == depth] for depth in (1, 19))

    for figure in (
        layers.layers(flat, columns=columns),
        layers.layers(deep, columns=columns),
        distributions.distribution(deep, columns=columns),
        distributions.activation_means(deep, columns=columns),
        curves.activation_curves(columns=columns),
    ):
        with style.themed():
            figure.draw_without_rendering()
        boxes = [text.get_window_extent() for axes in figure.axes for text in (axes.title, axes._left_title, axes.xaxis.label)]
        boxes = [box for box in boxes if box.width > 1]
        page = figure.bbox
        assert all(box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1 for box in boxes)
        assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
        widest = max(one.get_window_extent().x1 for one in figure.legends)
        assert widest <= page.x1 + 1, (figure.axes[0].get_title(), widest, page.x1)


HARD = {
    "one image": [record("relu", images=1)],
    "one image and one layer": [record("relu", images=1, depth=1)],
    "two images": [record("relu", images=2, depth=1)],
    "values of None": [record("relu", none=True), record("silu")],
    "one layer and values of None": [record("relu", none=True, depth=1), record("silu", depth=1)],
    "no fluctuation at all": [record("relu", zero=True)],
    "one that fluctuates and one that does not": [record("relu", zero=True), record("silu")],
    "one layer that does not fluctuate": [record("relu", zero=True, depth=1), record("silu", depth=1)],
    "own levels": [
        record("relu", condition=Condition(corruption="inject:gaussian", severity=None, parameters=(0.1,), profile=None))
    ],
    "no noise": [record("relu", condition=CLEAN)],
    "several depths": [record("relu", depth=2), record("relu", depth=4)],
    "five panels": [record("relu", condition=noise(severity)) for severity in range(1, 6)],
}


@pytest.mark.parametrize("measured", HARD.values(), ids=HARD)
def test_hard_cases_are_drawn_without_a_warning(measured) -> None:
    for figure in (
        layers.layers(measured),
        layers.layers(measured, per_element=True, log=True, columns=1),
        distributions.distribution(measured, relative=True, columns=1),
        distributions.distribution(measured, log=True),
        distributions.activation_means(measured, columns=1),
    ):
        with style.themed():
            figure.draw_without_rendering()


def test_a_layer_without_a_number_is_a_gap() -> None:
    whole, broken = record("silu"), record("silu", seed=22, none=True)

    (axes,) = layers.layers([whole, broken, record("relu")]).axes

    assert np.isnan(lines(axes)["SiLU"][1]).all()
    assert np.isfinite(lines(axes)["ReLU"][1]).all()


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "PNG"])
def test_the_same_records_give_the_same_bytes(suffix, tmp_path) -> None:
    measured = [record(name, depth=2) for name in ("la_silu", "silu")]
    figure = layers.layers(measured)

    style.save(figure, tmp_path / f"one.{suffix}")
    style.save(figure, tmp_path / f"again.{suffix}")
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 7, "savefig.dpi": 30, "svg.hashsalt": "other"}):
        style.save(layers.layers(measured), tmp_path / f"elsewhere.{suffix}")

    content = (tmp_path / f"one.{suffix}").read_bytes()
    assert content.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix.lower()])
    assert content == (tmp_path / f"again.{suffix}").read_bytes()
    assert content == (tmp_path / f"elsewhere.{suffix}").read_bytes()
    assert b"Date" not in content or suffix == "pdf"


def test_other_suffixes_are_refused_and_nothing_is_written(tmp_path) -> None:
    for name in ("figure.jpg", "figure", "figure.png.bak"):
        with pytest.raises(UserError, match=r"\.png, \.svg, \.pdf"):
            style.save(curves.activation_curves(), tmp_path / name)

    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")
    figure = curves.activation_curves()
    monkeypatch.setattr(figure, "savefig", lambda file, **_: (file.write(b"half"), 1 / 0))

    with pytest.raises(ZeroDivisionError):
        style.save(figure, path)

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_drawing_leaves_the_settings_of_matplotlib_as_it_found_them() -> None:
    before = dict(matplotlib.rcParams)

    layers.layers([record("relu")])

    assert dict(matplotlib.rcParams) == before


def test_plot_command_draws_without_torch_or_pyplot(tmp_path) -> None:
    path = tmp_path / "new" / "curves.svg"
    code = (
        "import sys; sys.modules['torch'] = sys.modules['torchvision'] = sys.modules['matplotlib.pyplot'] = None; "
        f"sys.argv = ['larobust', 'plot', 'activations', '-o', {str(path)!r}, '--columns', '1']; "
        "from robustbench_la.cli import main; main()"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", f"{path} written\n")
    assert path.read_text(encoding="utf-8").startswith("<?xml")


def test_importing_the_figures_imports_no_matplotlib() -> None:
    code = (
        "import sys; import robustbench_la.output.figures.layers, robustbench_la.cli.plot; sys.exit('matplotlib' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_kind_of_the_plot_command_is_in_its_help(monkeypatch, capsys) -> None:

    monkeypatch.setattr(sys, "argv", ["larobust", "plot", "--help"])

    cli._run()

    said = capsys.readouterr().out
    assert all(f"{kind}:" in said for kind in OF_STORES)
    assert Path("curves.pdf").suffix in said


def test_recipes_are_lines_of_their_own_and_identical_weights_count_once() -> None:
    def trained(seed: int, recipe: str, weights: str) -> NetworkFluctuation:
        one = record("silu", seed=seed)
        network = dataclasses.replace(one.layers[0].network, recipe=recipe, weights=weights)
        return dataclasses.replace(one, layers=tuple(dataclasses.replace(layer, network=network) for layer in one.layers))

    measured = [trained(11, "long", "a"), trained(22, "short", "b"), trained(33, "long", "a")]
    (axes,) = layers.layers(measured).axes

    drawn = lines(axes)
    assert list(drawn) == ["SiLU, recipe long", "SiLU, recipe short"]
    expected = [100 * layer.statistics["relative_mean"] for layer in measured[0].layers]
    assert drawn["SiLU, recipe long"][1] == pytest.approx(expected, rel=1e-12)
