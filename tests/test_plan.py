"""Plans: files and flags merged, words read, mistakes told."""

import math
from pathlib import Path

import pytest
import yaml

from corruptions import CORRUPTIONS, PROFILES, level_of
from robustbench_la.errors import UserError
from robustbench_la.images.normalization import NORMALIZATIONS, Normalization, parse_normalization
from robustbench_la.measuring.session import prepare_evaluation
from robustbench_la.records.noise_words import parse_noise, parse_noise_filter, parse_severities
from robustbench_la.records.plan import Plan
from robustbench_la.records.plan_file import find_config, read_plan, shipped_configs
from robustbench_la.training.jobs import prepare_jobs

CONFIGS = sorted(path for path in shipped_configs().glob("*.yaml") if path.stem != "published")  # that one is no plan
RECIPES = [path for path in CONFIGS if path.stem != "ci"]
"""Those that train; the other is judged by."""
PAPER = ["gaussian_noise", "shot_noise", "gaussian_blur"]


@pytest.fixture(name="write")
def _write(tmp_path, monkeypatch):
    """Writes a plan ``plan.yaml`` into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(text):
        Path("plan.yaml").write_text(text, encoding="utf-8")
        return "plan.yaml"

    return write


def test_a_plan_without_a_file_is_the_default_one():
    plan = read_plan(None, {})

    assert plan == Plan()
    assert plan.noise == ["paper"]
    assert plan.severity == [1, 2, 3, 4, 5]


def test_flags_win_over_the_file(write):
    config = write("data: mnist:data\nnoise: [blur, gaussian]\nnoise_seed: 3\nlimit: 7\ntrain: {epochs: 4, lr: 0.5}\n")

    plan = read_plan(config, {"data": "digits", "noise": ["poisson"], "train": {"lr": 0.25}})

    assert plan.data == "digits"
    assert plan.noise == ["poisson"]
    assert plan.noise_seed == 3
    assert plan.limit == 7
    assert plan.train.epochs == 4
    assert plan.train.lr == 0.25


@pytest.mark.parametrize("absent", [None, []])
def test_a_flag_that_was_not_given_changes_nothing(write, absent):
    config = write("noise: gaussian_blur\nlimit: 7\n")

    assert read_plan(config, {"noise": absent, "limit": None, "train": {}}) == read_plan(config, {})


def test_a_flag_of_0_or_False_is_given():
    assert read_plan(None, {"noise_seed": 0}).noise_seed == 0
    with pytest.raises(UserError, match=r"limit: .*greater than 0, not 0"):
        read_plan(None, {"limit": 0})


@pytest.mark.parametrize("flag", ["resize", "crop", "limit", "batch_size"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_count_is_above_0(flag, value):
    with pytest.raises(UserError, match=f"{flag}: .*greater than 0, not {value}"):
        read_plan(None, {flag: value})


@pytest.mark.parametrize("alpha", [0, -1, math.nan, math.inf])
def test_alpha_is_finite_and_above_0(alpha):
    with pytest.raises(UserError, match="alpha: "):
        read_plan(None, {"layeract_alpha": alpha})


@pytest.mark.parametrize("field", ["lr", "weight_decay", "momentum", "gamma", "holdout"])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_the_numbers_of_a_recipe_are_finite_and_not_negative(field, value):
    with pytest.raises(UserError, match=rf"train\.{field}: "):
        read_plan(None, {"train": {"epochs": 1, field: value}})


def test_a_single_value_stands_for_a_list_of_one(write):
    plan = read_plan(write("checkpoints: a.pt\nactivation: relu\nnoise: gaussian_blur\nseverity: 3\ntraining_seeds: 5\n"), {})

    assert (plan.checkpoints, plan.activation, plan.noise, plan.severity, plan.training_seeds) == (
        ["a.pt"],
        ["relu"],
        ["gaussian_blur"],
        [3],
        [5],
    )


@pytest.mark.parametrize(("text", "words"), [
    ("severty: 1", ["plan.yaml", "unknown key 'severty'", "did you mean", "severity"]),
    ("train: {epochs: 1, momentun: 0.9}", ["plan.yaml", "unknown key 'train.momentun'", "did you mean", "momentum"]),
    ("train: {epochs: 1, augment: {flips: true}}", ["plan.yaml", "unknown key 'train.augment.flips'", "flip"]),
    ("limit: many", ["plan.yaml", "limit", "must be a whole number", "'many'"]),
    ("amp: perhaps", ["plan.yaml", "amp", "must be true or false", "'perhaps'"]),
    ("train: {epochs: 1, batch_size: half}", ["plan.yaml", "train.batch_size", "'half'"]),
    ("train: fast", ["plan.yaml", "train must be a mapping of settings", "'fast'"]),
    ("train: {epochs: 1, iterations: 1}", ["plan.yaml", "either epochs or iterations"]),
    ("train: {lr: 0.1}", ["plan.yaml", "either epochs or iterations"]),
    ("train: {epochs: 1, milestones: [0]}", ["plan.yaml", "train.milestones", "greater than 0"]),
    ("data: 5", ["plan.yaml", "data", "must be text", "5"]),
    ("noise: [5]", ["plan.yaml", "noise", "must be text", "5"]),
    ("activation: rleu", ["unknown activation 'rleu'", "relu"]),
    ("profile: cifar", ["unknown profile 'cifar'", "cifar-c"]),
    ("noise: gausian", ["unknown corruption 'gausian'", "gaussian_noise"]),
    ("alpha: 0.1", ["plan.yaml", "the key 'alpha' is now 'layeract_alpha'"]),
    ("seed: 1", ["plan.yaml", "the key 'seed' is now 'noise_seed'"]),
    ("seeds: [11]", ["plan.yaml", "the key 'seeds' is now 'training_seeds'"]),
    ("severity: 6", ["severity", "from 1 to 5", "'6'"]),
    ("- digits\n- mnist", ["plan.yaml", "a plan must be a mapping of settings", "list"]),
    ("just words", ["plan.yaml", "a plan must be a mapping of settings", "str"]),
    ("1: 2", ["plan.yaml", "line 1, column 1", "a key must be text"]),
])  # fmt: skip
def test_a_mistake_in_a_plan_is_told_with_its_place(write, text, words):
    with pytest.raises(UserError) as raised:
        read_plan(write(text), {})

    assert [word for word in words if word not in str(raised.value)] == [], raised.value
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("text", "words"), [
    ("data: digit", ["unknown dataset 'digit'", "digits"]),
    ("arch: resnet21", ["unknown architecture 'resnet21'", "resnet20"]),
    ("normalize: imagnet", ["unknown normalization 'imagnet'", "imagenet"]),
])  # fmt: skip
def test_a_name_that_only_the_measuring_wing_knows_is_refused_before_anything_is_read(write, text, words):
    plan = read_plan(write(f"checkpoints: absent.pt\n{text}\n"), {})

    for prepare in (prepare_evaluation, lambda plan: prepare_jobs(plan, "absent/model.pt")):
        with pytest.raises(UserError) as raised:
            prepare(plan)

        assert [word for word in words if word not in str(raised.value)] == [], raised.value
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("text", "line"), [
    ("data: digits\nnoise: [paper\nseverity: 1\n", 3),
    ("data: digits\n\tlimit: 1\n", 2),
    ("data: 'digits\n", 2),
    ("a: b: c\n", 1),
])  # fmt: skip
def test_a_plan_that_is_not_yaml_is_told_with_its_line(write, text, line):
    with pytest.raises(UserError, match=rf"plan\.yaml: line {line}, column \d+: not readable as YAML \(.+\)"):
        read_plan(write(text), {})


def test_a_plan_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"data: \xff\xfe")

    with pytest.raises(UserError, match=r"binary\.yaml: line 1: not UTF-8 text"):
        read_plan(str(path), {})


def test_a_plan_builds_no_python_objects(write):
    with pytest.raises(UserError, match=r"line 1, column 7: the tag '!!python/object/apply:os\.mkdir' is of no plain value"):
        read_plan(write("data: !!python/object/apply:os.mkdir [executed]\n"), {})

    assert not Path("executed").exists()


def test_the_plan_of_our_own_gate_is_valid_and_is_that_of_the_committed_baseline():
    from robustbench_la.gate import baseline

    plan = read_plan("ci", {})
    known = baseline.read_baseline(Path(__file__).parent / "baselines" / "quickstart.json")

    assert plan.conditions(height=8, width=8) == [one.condition for one in known.answers[1:]]
    assert (plan.data, plan.noise_seed, plan.fluctuation) == (known.data, known.seed, False)


def test_there_are_shipped_plans():
    assert {"quickstart", "paper-mnist", "paper-cifar10", "paper-cifar100", "paper-imagenet"} <= {path.stem for path in CONFIGS}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_plan_is_valid_and_says_what_it_holds(path):
    plan = read_plan(str(path), {}, purpose="train")

    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(content) <= plan.model_fields_set
    assert plan.arch is not None
    assert plan.activation == content["activation"]
    assert all(getattr(plan.train, key) == value for key, value in content["train"].items() if key != "augment")
    assert [condition.corruption for condition in plan.conditions(height=32, width=32)][::5] == PAPER


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("form", ["{stem}", "{stem}.yaml", "configs/{stem}.yaml"])
def test_a_shipped_plan_is_found_by_its_name(tmp_path, monkeypatch, path, form):
    monkeypatch.chdir(tmp_path)

    assert find_config(form.format(stem=path.stem)) == path


def test_a_file_of_the_user_goes_before_a_shipped_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("quickstart").write_text("limit: 3\n")

    assert read_plan("quickstart", {}).limit == 3


@pytest.mark.parametrize("name", ["paper-mist", "elsewhere/paper-mnist.yaml", "configs"])
def test_a_plan_that_is_not_there_is_refused_with_what_is_near(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"no plan '{name}'; (did you mean|available:) .*paper-mnist"):
        find_config(name)


@pytest.mark.parametrize(("words", "expected"), [
    (["gaussian"], [("gaussian_noise", ())]),
    (["poisson"], [("shot_noise", ())]),
    (["shot"], [("shot_noise", ())]),
    (["gaussian_blur"], [("gaussian_blur", ())]),
    (["Gaussian-Noise"], [("gaussian_noise", ())]),
    (["paper"], [(name, ()) for name in PAPER]),
    (["all"], [(name, ()) for name in CORRUPTIONS]),
    (["gaussian, poisson"], [("gaussian_noise", ()), ("shot_noise", ())]),
    (["gaussian", "poisson"], [("gaussian_noise", ()), ("shot_noise", ())]),
    (["gaussian=0.05"], [("gaussian_noise", ((0.05,),))]),
    (["gaussian=0.05,0.1,1e-3"], [("gaussian_noise", ((0.05,), (0.1,), (0.001,)))]),
    (["gaussian=0.05,poisson,blur=2"], [("gaussian_noise", ((0.05,),)), ("shot_noise", ()), ("gaussian_blur", ((2.0,),))]),
    (["gaussian=0.05,gaussian=0.1"], [("gaussian_noise", ((0.05,), (0.1,)))]),
    (["gaussian=0.05", "gaussian"], [("gaussian_noise", ((0.05,),)), ("gaussian_noise", ())]),
])  # fmt: skip
def test_noise_is_read_as_names_and_levels(words, expected):
    assert parse_noise(words) == expected


@pytest.mark.parametrize("entry", CORRUPTIONS.values(), ids=lambda entry: entry.name)
def test_every_alias_stands_for_its_corruption(entry):
    assert all(parse_noise([alias]) == [(entry.name, ())] for alias in (entry.name, *entry.aliases))


@pytest.mark.parametrize("group", ["noise", "extra"])
def test_a_group_stands_for_its_corruptions(group):
    assert parse_noise([group]) == [(name, ()) for name, entry in CORRUPTIONS.items() if entry.group == group]


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("number", ["-0.1", "nan", "0", "inf", "-inf", "1e300"])
def test_a_level_that_no_corruption_takes_is_refused(name, number):
    entry = CORRUPTIONS[name]
    for index, parameter in enumerate(entry.parameters):
        if number == "0" and parameter.least == 0:
            continue
        level = [f"{value!r}" for value in entry.levels["cifar-c"][4]]
        level[index] = number
        called = "level" if len(level) == 1 else parameter.name
        told = f"{name} takes a {called} (above 0 and|from .*) up to .*not {float(number):g}".replace("+", r"\+")
        with pytest.raises(UserError, match=told):
            parse_noise([f"{name}={'/'.join(level)}"])


@pytest.mark.parametrize(("word", "match"), [
    ("gausian", "unknown corruption 'gausian'; did you mean .*gaussian"),
    ("zzz", "unknown corruption 'zzz'; available: "),
    ("gausian=0.1", "unknown corruption 'gausian'"),
    ("gaussian,", "an empty corruption name; give one such as gaussian"),
    ("", "an empty corruption name; give one such as gaussian"),
    ("0.1", "unknown corruption '0.1'"),
    ("gaussian,0.1", "unknown corruption '0.1'"),
    ("paper=0.1", "expected one corruption and a number, such as gaussian_noise=0.05, not 'paper=0.1'"),
    ("gaussian=", "expected one corruption and a number, .* not 'gaussian='"),
    ("gaussian=strong", "expected one corruption and a number, .* not 'gaussian=strong'"),
    ("gaussian=0.1,-0.2", "above 0 .* not -0.2"),
])  # fmt: skip
def test_noise_that_cannot_be_read_is_refused(word, match):
    with pytest.raises(UserError, match=match):
        parse_noise([word])


@pytest.mark.parametrize(("words", "expected"), [
    (["3"], (3,)),
    (["1-5"], (1, 2, 3, 4, 5)),
    (["1,3"], (1, 3)),
    (["5", "1"], (1, 5)),
    (["2-3, 3-4"], (2, 3, 4)),
    (["4-4"], (4,)),
])  # fmt: skip
def test_severities_are_sorted_and_each_once(words, expected):
    assert parse_severities(words) == expected


@pytest.mark.parametrize("word", ["0", "6", "3-1", "0-5", "1-6", "-1", "five", "", "1-", "2.5", "1-2-3", "nan"])
def test_a_severity_outside_1_to_5_is_refused(word):
    with pytest.raises(UserError, match=f"severity must be a whole number from 1 to 5, or a range such as 1-5, not '{word}'"):
        parse_severities([word])


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (48, 48), (49, 8), (64, 64), (128, 128), (129, 129), (224, 224), (299, 299)])
def test_levels_are_of_the_profile_that_fits_the_images(size):
    height, width = size
    expected = {8: "cifar-c", 32: "cifar-c", 48: "cifar-c", 49: "tiny-c", 64: "tiny-c", 128: "tiny-c", 299: "imagenet-c-299"}
    profile = expected.get(height, "imagenet-c")

    conditions = Plan(noise=["gaussian_blur"], severity=[2, 4]).conditions(height=height, width=width)

    assert [(c.corruption, c.severity, c.parameters, c.profile) for c in conditions] == [
        ("gaussian_blur", severity, CORRUPTIONS["gaussian_blur"].levels[profile][severity - 1], profile) for severity in (2, 4)
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_that_was_given_goes_before_the_size(profile):
    conditions = Plan(profile=profile).conditions(height=32, width=32)

    assert [c.parameters for c in conditions] == [level_of(n, severity=s, profile=profile) for n in PAPER for s in range(1, 6)]
    assert {c.profile for c in conditions} == {profile}


def test_a_level_of_the_users_own_has_no_severity_and_no_profile():
    conditions = Plan(noise=["gaussian_noise=0.1,0.2"]).conditions(height=32, width=32)

    assert [(c.severity, c.parameters, c.profile) for c in conditions] == [(None, (0.1,), None), (None, (0.2,), None)]


def test_a_condition_named_twice_is_measured_once():
    once, twice = (
        Plan(noise=noise).conditions(height=32, width=32) for noise in (["paper"], ["paper", "gaussian_blur", "gaussian"])
    )

    assert twice == once


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_a_normalization_is_known_by_its_name(name):
    assert parse_normalization(name) == NORMALIZATIONS[name]
    assert str(parse_normalization(name)) == name


@pytest.mark.parametrize(("text", "expected"), [
    ("0.5/0.25", Normalization((0.5,), (0.25,))),
    ("0.1,0.2,0.3/0.4,0.5,0.6", Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))),
    ("0.1, 0.2/1, 2", Normalization((0.1, 0.2), (1.0, 2.0))),
])  # fmt: skip
def test_a_normalization_is_means_and_standard_deviations(text, expected):
    assert parse_normalization(text) == expected


@pytest.mark.parametrize("text", ["imagnet", "", "0.5", "0.5/", "0.5/0.5/0.5", "a,b/c,d"])
def test_a_normalization_that_cannot_be_read_is_refused(text):
    with pytest.raises(UserError, match=f"unknown normalization '{text}'.* or M,M,M/S,S,S"):
        parse_normalization(text)


@pytest.mark.parametrize("text", ["0.5/0", "0.5/-1", "nan/1", "0.5/nan", "0.5/inf", "0.5,0.5/0.5"])
def test_a_normalization_that_gives_no_numbers_is_refused(text):
    with pytest.raises(UserError, match=f"invalid normalization '{text}': give as many means as standard deviations"):
        parse_normalization(text)


def test_severities_that_would_have_no_effect_or_mix_with_own_levels_are_refused():
    with pytest.raises(UserError, match="severities have no effect, since every noise has custom levels; give either"):
        Plan(noise=["gaussian_noise=0.1"], severity=[1]).conditions(height=32, width=32)
    with pytest.raises(UserError, match="gaussian_noise is given both with and without custom levels"):
        Plan(noise=["gaussian", "gaussian_noise=0.1"]).conditions(height=32, width=32)


def test_flags_change_single_settings_of_a_recipe():
    default = Plan().train
    assert read_plan(None, {"train": {"lr": 0.01}}, purpose="train").train == default.model_copy(update={"lr": 0.01})
    shorter = read_plan("paper-cifar10", {"train": {"epochs": 3}}, purpose="train").train

    assert (shorter.epochs, shorter.iterations, shorter.milestones) == (3, None, [])
    assert shorter.augment.pad == 4


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_leaves_the_network_to_the_checkpoints_when_it_evaluates(path):
    plan = read_plan(str(path), {})

    assert (plan.arch, plan.activation, plan.layeract_alpha, plan.normalize, plan.resize, plan.crop) == (
        None,
        [],
        None,
        None,
        None,
        None,
    )
    assert plan.noise == ["paper"]


def test_a_yaml_alias_bomb_is_told_in_one_short_line(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(["noise: &n [x]", *lines, "limit: *a8"]))

    with pytest.raises(UserError) as caught:
        read_plan(str(path), {})
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(("words", "corruptions", "levels"), [
    (["gaussian_blur"], ("gaussian_blur",), ()),
    (["clean,paper"], ("clean", *PAPER), ()),
    (["gaussian=0.05,0.1", "poisson"], ("shot_noise",), (("gaussian_noise", (0.05,)), ("gaussian_noise", (0.1,)))),
    (["Gaussian-Blur=2"], (), (("gaussian_blur", (2.0,)),)),
])  # fmt: skip
def test_a_filter_takes_the_words_of_noise(words, corruptions, levels):
    assert parse_noise_filter(words) == (corruptions, levels)


@pytest.mark.parametrize("word", ["gausian", "paper=0.1", "clean=1", "gaussian=-1", "gaussian=much"])
def test_a_filter_that_cannot_be_read_is_refused(word):
    with pytest.raises(UserError):
        parse_noise_filter([word])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("limit: 1e3x", "limit: must be a whole number, not '1e3x'"),
        ("train: {epochs: 1, batch_size: big}", "train.batch_size: must be a whole number, not 'big'"),
        ("noise_seeds: 0", "noise_seeds: must be greater than 0, not 0"),
        ("amp: perhaps", "amp: must be true or false, not 'perhaps'"),
        ("train: {epochs: 1, momentum: 1}", "train.momentum: must be less than 1.0, not 1"),
    ],
)
def test_values_out_of_place_are_explained_in_plain_words(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_plan(str(path), {}, purpose="train")

    assert words in str(error.value)
