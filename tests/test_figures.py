"""Figures of the store: what is drawn follows from the answers by formulas written here; what may not be mixed is refused."""

from __future__ import annotations

import hashlib
import itertools
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import statsmodels.stats.proportion

from robustbench_la import cli
from robustbench_la.activations import ACTIVATIONS
from robustbench_la.analysis.groups.one_group import cells_of_one, layers_of_one
from robustbench_la.errors import UserError
from robustbench_la.output.figures.bars import group_bars
from robustbench_la.output.figures.scatter import scatter
from robustbench_la.output.figures.severity import severity
from robustbench_la.records.cells import CLEAN, Cell, Condition, Pass, RunSetting
from robustbench_la.records.layers import LayerStats, NetworkFluctuation
from robustbench_la.records.networks import NetworkRecord
from robustbench_la.store import layer_rows
from robustbench_la.store.store import Store

IMAGES = 200
SEEDS = (11, 22, 33, 44, 55, 66)
BONUS = {"la_silu": 0.06, "silu": 0.0, "relu": 0.02}


def noise(name: str, severity: int) -> Condition:
    return Condition(corruption=name, severity=severity, parameters=(0.1 * severity,), profile="cifar-c")


def setting() -> RunSetting:
    return RunSetting(
        data="mnist:data", fingerprint="f" * 64, images=IMAGES, dataset_images=IMAGES, resize=None, crop=None, device="cpu",
        precision="float32", batch_size=64, threads=1, started="2026-01-02T03:04:05+00:00", versions={}, host="here", commit=None,
        dirty=None,
    )  # fmt: skip


def network(activation: str, seed: int, name: str, architecture: str) -> NetworkRecord:
    checkpoint = name.format(activation=activation, seed=seed)
    level = ACTIVATIONS[activation].level
    return NetworkRecord(
        checkpoint=checkpoint,
        sha256=hashlib.sha256(checkpoint.encode()).hexdigest(),
        architecture=architecture,
        activation=activation,
        activation_level=level,
        alpha=1e-5 if level == "layer" else None,
        normalization="half",
        training_seed=seed,
    )


def fill(
    path: Path,
    conditions: Sequence[Condition],
    *,
    activations: Sequence[str] = ("la_silu", "silu", "relu"),
    seeds: Sequence[int] = SEEDS,
    noise_seeds: Sequence[int] = (0,),
    name: str = "runs/{activation}-{seed}.pt",
    architecture: str = "mlp",
    left_out: Callable[[str, int, Condition], bool] = lambda *_: False,
) -> dict[tuple[str, int, Condition, int | None], np.ndarray]:
    """Put answers into a store, and give them: right or wrong of each image."""
    draws = np.random.default_rng(7)
    answers: dict[tuple[str, int, Condition, int | None], np.ndarray] = {}
    cells = []
    for activation, seed, condition in itertools.product(activations, seeds, conditions):
        for draw in (None,) if condition == CLEAN else noise_seeds:
            right = draws.random(IMAGES) < max(0.1, 0.9 - 0.06 * (condition.severity or 0) + BONUS[activation])
            if left_out(activation, seed, condition):
                continue
            answers[activation, seed, condition, draw] = right
            correct = int(right.sum())
            cells.append(
                Cell(
                    pass_=Pass(condition, draw),
                    network=network(activation, seed, name, architecture),
                    correct=correct,
                    correct_top5=None,
                    total=IMAGES,
                    nll_sum=1.5 * (IMAGES - correct),
                    seconds=1.0,
                    predictions=b"",
                )
            )
    with Store(path) as store:
        store.add(setting(), cells)
    return answers


def record(
    activation: str,
    *,
    seed: int = 11,
    depth: int = 3,
    architecture: str = "resnet20",
    condition: Condition | None = None,
) -> NetworkFluctuation:
    """Random numbers that depend on the arguments."""
    draws = np.random.default_rng(seed + depth)
    layers = []
    for index in range(depth):
        low, middle, high = sorted(draws.uniform(0.1, 1, 3).tolist())
        layers.append(
            LayerStats(
                pass_=Pass(condition or noise("gaussian_noise", 3), 0),
                network=network(activation, seed, "runs/{activation}-{seed}.pt", architecture),
                layer=f"block{index}/relu",
                index=index,
                function=activation,
                elements=10,
                images=IMAGES,
                statistics={"relative_mean": middle, "relative_q25": low, "relative_q75": high},
            )
        )
    return NetworkFluctuation(
        layers=tuple(layers),
        threshold=0.01,
        unreached=(),
        skipped=(),
        sample=np.arange(IMAGES),
        per_image={"relative": draws.random(IMAGES)},
        activation_means=(),
    )


def lines(axes) -> dict[str, np.ndarray]:
    """The numbers of each line that stands for an activation, by its label: (2, points)."""
    return {one.get_label(): np.array(one.get_data()) for one in axes.lines if not one.get_label().startswith("_")}


def legend(figure) -> list[str]:
    return [text.get_text() for one in figure.legends for text in one.get_texts()]


def small_print(figure) -> str:
    return " ".join(one.get_title().get_text() for one in figure.legends).replace("\n", " ").replace("\u00a0", " ")


SMALL = (CLEAN, *(noise(name, severity) for name in ("gaussian_noise", "gaussian_blur") for severity in (1, 3)))
NOISES = (CLEAN, *(noise(name, level) for name in ("gaussian_noise", "shot_noise", "impulse_noise") for level in (1, 3)))
NAMES = {"LA-SiLU": "la_silu", "SiLU": "silu", "ReLU": "relu"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.sqlite"


def one(path: Path, **how):
    with Store(path, reading=True) as store:
        return cells_of_one(store.cells(), **how)


def each_seed(answers, activation: str, condition: Condition) -> np.ndarray:
    """Accuracy of each training seed in %."""
    draw = None if condition == CLEAN else 0
    return np.array([100 * answers[activation, seed, condition, draw].mean() for seed in SEEDS])


def larobust(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["larobust", *arguments])
    return cli._run()


def test_lines_are_means_over_seeds_and_bands_one_standard_deviation(path) -> None:
    answers = fill(path, SMALL)

    figure = severity(one(path))

    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["mean over 2 corruptions", "gaussian noise", "gaussian blur"]
    axes = figure.axes[1]
    conditions = [CLEAN, noise("gaussian_noise", 1), noise("gaussian_noise", 3)]
    assert list(lines(axes)) == list(NAMES)
    for band, (label, (across, up)) in zip(axes.collections, lines(axes).items(), strict=True):
        values = [each_seed(answers, NAMES[label], condition) for condition in conditions]
        assert list(across) == [0, 1, 3]
        assert up == pytest.approx([own.mean() for own in values], rel=1e-12)
        corners = band.get_paths()[0].vertices
        for level, own in zip((0, 1, 3), values, strict=True):
            here = corners[corners[:, 0] == level, 1]
            assert here.max() == pytest.approx(own.mean() + own.std(ddof=1), rel=1e-12)
            assert here.min() == pytest.approx(own.mean() - own.std(ddof=1), rel=1e-12)
    assert "mean over 6 training seeds" in small_print(figure)
    assert "± 1 standard deviation" in small_print(figure)
    assert figure.get_supylabel() == "top-1 accuracy (%)"


def test_the_first_panel_is_the_mean_over_corruptions_at_each_severity(path) -> None:
    answers = fill(path, SMALL)

    axes = severity(one(path)).axes[0]

    for label, (across, up) in lines(axes).items():
        own = {
            level: np.mean([each_seed(answers, NAMES[label], noise(name, level)) for name in ("gaussian_noise", "gaussian_blur")])
            for level in (1, 3)
        }
        assert list(across) == [0, 1, 3]
        assert up == pytest.approx([each_seed(answers, NAMES[label], CLEAN).mean(), own[1], own[3]], rel=1e-12)


def test_a_mean_over_corruptions_is_only_drawn_where_all_were_measured(path) -> None:
    fill(path, (CLEAN, noise("gaussian_noise", 1), noise("gaussian_noise", 3), noise("gaussian_blur", 3)))

    figure = severity(one(path))

    assert [list(lines(axes)["ReLU"][0]) for axes in figure.axes] == [[0, 3], [0, 1, 3], [0, 3]]


def test_a_single_network_has_wilson_intervals_but_not_for_a_mean(path) -> None:
    answers = fill(path, SMALL, activations=("relu",), seeds=(11,))

    figure = severity(one(path))

    assert not figure.axes[0].collections
    corners = figure.axes[1].collections[0].get_paths()[0].vertices
    for level, condition in ((0, CLEAN), (1, noise("gaussian_noise", 1)), (3, noise("gaussian_noise", 3))):
        right = int(answers["relu", 11, condition, None if condition == CLEAN else 0].sum())
        low, high = statsmodels.stats.proportion.proportion_confint(right, IMAGES, method="wilson")
        here = corners[corners[:, 0] == level, 1]
        assert (here.min(), here.max()) == pytest.approx((100 * low, 100 * high), rel=1e-9)
    assert "95 % Wilson interval of a single network" in small_print(figure)
    assert "standard deviation" not in small_print(figure)


def test_noise_seeds_are_averaged_within_each_network(path) -> None:
    answers = fill(path, SMALL, activations=("relu",), seeds=(11,), noise_seeds=(0, 1, 2))

    figure = severity(one(path))

    condition = noise("gaussian_noise", 3)
    expected = 100 * np.mean([answers["relu", 11, condition, draw].mean() for draw in (0, 1, 2)])
    assert lines(figure.axes[1])["ReLU"][1][2] == pytest.approx(expected, rel=1e-12)
    assert not figure.axes[1].collections
    assert "mean over noise seeds 0 to 2" in small_print(figure)


def test_other_figures_of_a_cell_have_curves_too(path) -> None:
    answers = fill(path, SMALL)

    axes = severity(one(path), metric="nll").axes[1]

    wrong = 1 - each_seed(answers, "relu", noise("gaussian_noise", 3)).mean() / 100
    assert lines(axes)["ReLU"][1][2] == pytest.approx(1.5 * wrong, rel=1e-12)
    with pytest.raises(UserError, match="not known of each severity on its own; those that are: top1, top5, nll, ece"):
        severity(one(path), metric="area")


def test_levels_of_ones_own_have_no_severity(path) -> None:
    own = Condition(corruption="gaussian_noise", severity=None, parameters=(0.2,), profile=None)
    fill(path, (CLEAN, own))

    with pytest.raises(UserError, match="custom levels"):
        severity(one(path))
    assert group_bars(one(path)).axes


def test_bars_are_means_of_whole_groups_with_standard_deviations_over_seeds(path) -> None:
    answers = fill(path, NOISES)

    figure = group_bars(one(path))

    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["clean", "Noise"]  # of which the mean is the same
    drawn = lines(axes)  # points, as the axis does not start at 0
    errors = [segments.get_segments() for segments in axes.collections]
    assert legend(figure) == list(drawn) == list(NAMES)
    for (label, (across, up)), reach in zip(drawn.items(), errors, strict=True):
        clean = each_seed(answers, NAMES[label], CLEAN)
        corrupted = np.mean([each_seed(answers, NAMES[label], one) for one in NOISES[1:]], axis=0)
        for place, height, segment, own in zip(across, up, reach, (clean, corrupted), strict=True):
            assert height == pytest.approx(own.mean(), rel=1e-12)
            assert segment[:, 1] == pytest.approx([own.mean() - own.std(ddof=1), own.mean() + own.std(ddof=1)], rel=1e-12)
            assert segment[0, 0] == pytest.approx(place)


FAR_APART = (CLEAN, noise("gaussian_noise", 4), noise("gaussian_noise", 5))


@pytest.fixture
def weak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that are so much worse under noise that bars begin at 0."""
    for name, bonus in BONUS.items():
        monkeypatch.setitem(BONUS, name, bonus - 0.4)


@pytest.mark.usefixtures("weak")
def test_bars_from_0_are_as_high_as_the_points_would_be(path) -> None:
    answers = fill(path, FAR_APART)

    (axes,) = group_bars(one(path)).axes

    drawn = {box.get_label(): box for box in axes.containers if box.get_label() in NAMES}
    for label, box in drawn.items():
        corrupted = np.mean([each_seed(answers, NAMES[label], one) for one in FAR_APART[1:]], axis=0)
        means = each_seed(answers, NAMES[label], CLEAN).mean(), corrupted.mean()
        assert [bar.get_height() for bar in box] == pytest.approx(means, rel=1e-12)
        errors = axes.collections[list(drawn).index(label)].get_segments()
        for bar, segment in zip(box, errors, strict=True):
            assert segment[0, 0] == pytest.approx(bar.get_x() + bar.get_width() / 2)
    assert drawn["LA-SiLU"][0].get_facecolor()[:3] != (1, 1, 1)
    assert drawn["SiLU"][0].get_facecolor()[:3] == (1, 1, 1)


def test_bars_begin_at_0_or_the_small_print_says_that_points_do_not(path, tmp_path, request) -> None:
    fill(path, NOISES)
    cut = group_bars(one(path))
    request.getfixturevalue("weak")
    fill(tmp_path / "y.sqlite", FAR_APART)
    whole = group_bars(one(tmp_path / "y.sqlite"))

    assert cut.axes[0].get_ylim()[0] > 0
    assert not cut.axes[0].patches  # whose lengths would mislead
    assert {one.get_label() for one in cut.axes[0].lines} >= set(NAMES)
    assert "does not start at 0" in small_print(cut)
    assert whole.axes[0].get_ylim()[0] == 0
    assert "begin at 0" not in small_print(whole)


def test_bars_of_relative_robustness_are_those_of_layer_level_activations(path) -> None:
    answers = fill(path, NOISES)

    (axes,) = group_bars(one(path), metric="relative").axes

    differences = [each_seed(answers, "la_silu", own) - each_seed(answers, "silu", own) for own in NOISES[1:]]
    (box,) = [box for box in axes.containers if box.get_label() in NAMES]
    assert [bar.get_height() for bar in box] == pytest.approx([np.mean(differences)], rel=1e-9)
    with pytest.raises(UserError, match="not known of groups"):
        group_bars(one(path), metric="mce")


def test_a_point_is_a_network_and_the_line_goes_through_element_level_ones_on_logits(path) -> None:
    for architecture in ("mlp", "cnn", "wide"):
        answers = fill(path, SMALL, architecture=architecture, name=architecture + "/{activation}-{seed}.pt")

    figure = scatter(one(path, across=True))

    (axes,) = figure.axes
    points = {}
    assert legend(figure) == [*NAMES, "mlp", "cnn", "wide"]
    for label in NAMES:
        own_lines = [one for one in axes.lines if one.get_label() == label]
        drawn = np.concatenate([one.get_data() for one in own_lines], axis=1)
        clean = each_seed(answers, NAMES[label], CLEAN)
        corrupted = np.mean([each_seed(answers, NAMES[label], own) for own in SMALL[1:]], axis=0)
        assert drawn == pytest.approx(np.tile([clean, corrupted], 3), rel=1e-12)  # each architecture gives the same answers
        assert len({one.get_marker() for one in own_lines}) == len(own_lines) == 3
        points[label] = drawn / 100
    logit = lambda share: np.log(share / (1 - share))  # noqa: E731
    across, up = np.concatenate([points["SiLU"], points["ReLU"]], axis=1)
    slope, intercept = np.polyfit(logit(across), logit(up), 1)
    (line,) = [np.array(one.get_data()) / 100 for one in axes.lines if one.get_label() == "_line"]
    assert logit(line[1]) == pytest.approx(intercept + slope * logit(line[0]), rel=1e-6)
    assert scipy.stats.linregress(logit(across), logit(up)).slope == pytest.approx(slope)
    fitted = scipy.stats.linregress(logit(across), logit(up))
    assert "36 element-level networks" in small_print(figure)
    assert f"slope {fitted.slope:.2f} ± {fitted.stderr:.2f}, standard error" in small_print(figure)


def test_with_few_element_level_networks_there_is_no_line_and_the_small_print_says_why(path) -> None:
    fill(path, SMALL, activations=("la_silu", "silu"), seeds=(11, 22))

    figure = scatter(one(path))

    assert not [one for one in figure.axes[0].lines if one.get_label() == "_line"]
    assert "No line: effective robustness needs a line through at least 5 element-level networks" in small_print(figure)


def test_what_lacks_is_refused_or_a_gap_never_a_mean_over_a_part(path) -> None:
    lacking = noise("gaussian_noise", 3)
    fill(path, SMALL, left_out=lambda activation, seed, condition: (activation, seed, condition) == ("relu", 22, lacking))

    with pytest.raises(UserError, match=r"missing cells: gaussian_noise 3 of .*relu-22\.pt"):
        one(path)
    found = one(path, allow_missing=True)
    figure = severity(found)
    assert [math.isnan(value) for value in lines(figure.axes[1])["ReLU"][1]] == [False, False, True]
    assert [math.isnan(value) for value in lines(figure.axes[0])["ReLU"][1]] == [False, False, True]
    assert "Gaps: missing cells." in small_print(figure)
    (axes,) = group_bars(found).axes
    heights = lines(axes)["ReLU"][1]
    assert [math.isnan(height) for height in heights] == [False, True]
    assert "Left out: 1 of 18 networks, with missing cells." in small_print(scatter(found))


def test_clean_images_alone_have_neither_curve_nor_scatter(path) -> None:
    fill(path, (CLEAN,))

    with pytest.raises(UserError, match="only clean images"):
        severity(one(path))
    with pytest.raises(UserError, match="clean and corrupted"):
        scatter(one(path))


def test_several_groups_are_listed_and_one_is_chosen_by_its_number(path) -> None:
    fill(path, SMALL)
    fill(path, SMALL, architecture="cnn", name="runs/cnn-{activation}-{seed}.pt", left_out=lambda _, seed, __: seed == 66)

    with pytest.raises(UserError, match=r"select one with --group.*1\. mlp on mnist:data.*2\. cnn on mnist:data"):
        one(path)
    with pytest.raises(UserError, match=r"--group 3: no such group; the groups are 1\. mlp"):
        one(path, number=3)
    assert one(path, number=2).architecture == "cnn"


def test_two_networks_of_one_activation_and_seed_are_refused(path) -> None:
    fill(path, SMALL)
    fill(path, SMALL, name="again/{activation}-{seed}.pt")

    with pytest.raises(UserError, match="both la_silu with training seed 11; select one with --ckpt, or draw each with") as told:
        severity(one(path))
    assert "--by" not in str(told.value)
    assert scatter(one(path)).axes


@pytest.mark.parametrize("columns", [1, 2])
def test_many_corruptions_and_activations_fit_the_width(path, columns) -> None:
    from robustbench_la.analysis.metrics.imagenet_c import GROUP_MEMBERS

    names = [name for members in GROUP_MEMBERS.values() for name in members]
    fill(path, (CLEAN, *(noise(name, level) for name in names for level in (1, 2))), seeds=(11, 22))
    found = one(path)

    many, grouped = severity(found, columns=columns), group_bars(found, columns=columns)

    assert len(many.axes) == 20
    shown = [text.get_text() for axes in grouped.axes for text in axes.get_xticklabels()]
    assert shown == ["clean", "Noise", "Blur", "Weather", "Digital", "Extra", "mean corr.", "paper Total"]


def layered(path: Path, records) -> None:
    with Store(path) as store:
        for one in records:
            store.add_layers(setting(), layer_rows.rows(one))


def stored_layers(path: Path, **how):
    with Store(path, reading=True) as store:
        return layers_of_one(store.layers(), **how)


def test_layers_come_back_from_the_store_as_they_were_measured(path) -> None:
    measured = [record(name, seed=seed) for name in ("la_silu", "silu") for seed in (1, 2)]
    layered(path, measured)

    title, found = stored_layers(path)

    assert [one.layers for one in found] == [one.layers for one in measured]
    assert title == "resnet20 on mnist:data, 200 images, levels of cifar-c"


def test_layers_that_may_not_be_mixed_or_lack_are_refused(path) -> None:
    layered(
        path, [record("la_silu", seed=1), record("silu", seed=2), record("silu", seed=2, condition=noise(name="x", severity=1))]
    )

    with pytest.raises(UserError, match=r"missing cells: x 1 of .*la_silu-1\.pt"):
        stored_layers(path)
    assert len(stored_layers(path, allow_missing=True)[1]) == 3
    layered(path, [record("silu", seed=1, architecture="mlp", depth=1)])
    with pytest.raises(UserError, match=r"--group.*1\. resnet20.*2\. mlp"):
        stored_layers(path)
    assert len(stored_layers(path, number=2)[1]) == 1


@pytest.mark.parametrize("kind", ["severity", "groups", "scatter", "layers"])
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_command_draws_the_same_bytes_each_time(kind, suffix, path, tmp_path, monkeypatch, capsys) -> None:
    fill(path, SMALL, seeds=(11, 22))
    layered(path, [record("la_silu"), record("silu", seed=12)])

    for name in ("a", "b"):
        assert larobust(monkeypatch, "plot", kind, "--store", str(path), "-o", str(tmp_path / f"{name}.{suffix}")) == 0

    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert capsys.readouterr().err.endswith(f"b.{suffix} written\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("severity", "--arch", "cnn"), 5, "holds no cell that matches"),
        (("layers",), 5, "holds no layer record"),
        (("severity", "--metric", "mce"), 2, "not known of each severity"),
        (("severity", "--metric", "accuracy"), 2, "unknown metric 'accuracy'"),
        (("scatter", "--metric", "nll"), 2, "not for plot scatter"),
        (("groups", "--per-element"), 2, "not for plot groups"),
        (("activations", "--arch", "cnn"), 2, "nothing to select"),
        (("severity", "--noise", "gausian"), 2, "unknown corruption"),
    ],
)
def test_mistakes_are_said_and_nothing_is_written(arguments, code, words, path, tmp_path, monkeypatch, capsys) -> None:
    fill(path, SMALL, seeds=(11,))
    store = () if arguments[0] == "activations" else ("--store", str(path))

    assert larobust(monkeypatch, "plot", *arguments, *store, "-o", str(tmp_path / "x.png")) == code

    assert words in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("kind", ["severity", "groups", "scatter", "layers"])
def test_drawing_what_is_in_the_store_needs_no_torch(kind, path, tmp_path) -> None:
    fill(path, SMALL, seeds=(11, 22))
    layered(path, [record("la_silu"), record("silu", seed=12)])
    arguments = ["larobust", "plot", kind, "--store", str(path), "-o", str(tmp_path / "x.svg")]
    # torch is looked for afterwards and not blocked: scipy asks a module that is None for its Tensor.
    code = f"import sys; sys.argv = {arguments!r}; from robustbench_la.cli import _run; assert _run() == 0; "
    code += "assert not {'torch', 'torchvision'} & set(sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
