"""Levels of several numbers: a made-up corruption of two parameters goes through everything that a real one does."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from commands import Larobust
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from corruptions import CORRUPTIONS, level_of, registry
from corruptions.apply import corrupt, prepared
from corruptions.registry import Operator, Parameter, as_level, corruption
from robustbench_la.errors import UserError
from robustbench_la.gate import baseline
from robustbench_la.records.cells import Condition, decode_level, encode_level
from robustbench_la.records.noise_words import parse_noise

PARAMETERS = (Parameter("thickness", "grey levels added", bound=255), Parameter("decay", "divisor", bound=10, least=1))
LEVELS = ((10, 1), (20, 1), (30, 2), (40, 2), (50, 1.5))


def enter_haze() -> None:
    @corruption(
        group="extra", aliases=("mist",), parameters=PARAMETERS, noisier="higher", source="made up",
        cifar_c=LEVELS, tiny_c=LEVELS, imagenet_c=LEVELS, imagenet_c_299=LEVELS,
    )  # fmt: skip
    def haze(thickness: float, decay: float) -> Operator:
        """Grey levels are divided, then raised."""

        def apply(images: Tensor, keys: Callable[[], Tensor]) -> Tensor:
            return (images.float() / decay + thickness).clamp(0, 255).to(torch.uint8)

        return apply


@pytest.fixture
def haze() -> Iterator[str]:
    """The name of a corruption of two parameters, known while the test lasts."""
    enter_haze()
    yield "haze"
    del registry._table["haze"]
    prepared.cache_clear()


def test_a_level_is_handed_over_number_by_number(haze: str) -> None:
    images = torch.full((2, 3, 4, 4), 100, dtype=torch.uint8)

    assert corrupt(images, haze, (30, 2), ids=torch.arange(2)).unique().tolist() == [80]
    assert level_of(haze, severity=5, profile="cifar-c") == (50.0, 1.5)


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (3, "haze takes 2 parameters (thickness/decay), not 1"),
        ((1, 2, 3), "haze takes 2 parameters (thickness/decay), not 3"),
        ((300, 2), "haze takes a thickness above 0 and up to 255 (grey levels added), not 300"),
        ((30, 0.5), "haze takes a decay from 1 up to 10 (divisor), not 0.5"),
    ],
)
def test_a_level_of_other_numbers_is_refused(haze: str, level: object, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        corrupt(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), haze, level, ids=torch.arange(1))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=re.escape(words)):
        parse_noise([f"haze={encode_level(as_level(level))}"])  # type: ignore[arg-type]


def test_several_numbers_for_a_corruption_of_one_are_refused() -> None:
    with pytest.raises(UserError, match=r"gaussian_noise takes 1 parameter \(sigma\), not 2"):
        parse_noise(["gaussian=0.1/0.2"])


def test_a_function_that_takes_other_parameters_is_refused() -> None:
    level = (1.0,)
    enter = corruption(
        group="extra", parameters=PARAMETERS[:1], noisier="higher", source="made up",
        cifar_c=level, tiny_c=level, imagenet_c=level, imagenet_c_299=level,
    )  # fmt: skip

    def smoke(density: float) -> Operator:
        """Not entered."""
        raise NotImplementedError

    with pytest.raises(TypeError, match=r"smoke takes \(density\), but its parameters are named \(thickness\)"):
        enter(smoke)
    assert "smoke" not in CORRUPTIONS


def test_the_numbers_of_a_level_are_joined_by_a_slash(haze: str) -> None:
    assert parse_noise(["mist=1.5/2,2/2", "poisson"]) == [(haze, ((1.5, 2.0), (2.0, 2.0))), ("shot_noise", ())]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=7).map(tuple))
def test_the_text_of_a_level_keeps_every_digit(level: tuple[float, ...]) -> None:
    assert decode_level(encode_level(level)) == level


@pytest.mark.parametrize("text", ["x", "1/", "nan", "1.0", "1e5", "inf", " 1", "1/2/"])
def test_other_texts_are_no_levels(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a level|could not convert"):
        decode_level(text)


def test_a_condition_is_shown_with_all_numbers(haze: str) -> None:
    condition = Condition(corruption=haze, severity=None, parameters=(1.5, 2.0), profile=None)

    assert str(condition) == "haze=1.5/2"
    assert (condition.parameter, condition.level) == (None, "1.5/2")
    assert condition.as_dict()["parameters"] == {"thickness": 1.5, "decay": 2.0}


def test_commands_take_show_and_keep_levels_of_several_numbers(haze: str, digits_pair: list[Path], larobust: Larobust) -> None:
    measure = ("eval", "--ckpt", digits_pair[0], "--noise", "haze=30/2,60.5/1", "--noise", "gaussian=0.1", "--limit", 60)
    code, out, err = larobust(*measure, "--json")
    told = {(row["corruption"], str(row["parameters"])): row for row in json.loads(out)["cells"]}
    one, other = (told["haze", str({"thickness": a, "decay": b})] for a, b in ((30.0, 2.0), (60.5, 1.0)))

    assert code == 0, err
    assert (one["parameter"], other["parameter"], told["gaussian_noise", "{'sigma': 0.1}"]["parameter"]) == (None, None, 0.1)
    assert told["clean", "{}"]["parameter"] is None
    code, shown, err = larobust(*measure, "--detail")
    assert "4 of 4 cells" in err
    assert re.search(r"haze\s+custom\s+60.5/1 ", shown)
    rows = csv.DictReader(io.StringIO(larobust("results", "--csv", "--noise", "mist")[1]))
    assert [row["parameter"] for row in rows] == ["30/2", "60.5/1"]
    assert larobust("results", "--json")[1].count('"thickness"') == 2
    code, shown, err = larobust("compare", "--detail", "severity")
    assert (code, "haze=60.5/1" in shown) == (0, True), err


def test_a_baseline_holds_levels_of_several_numbers(haze: str, digits_pair: list[Path], larobust: Larobust) -> None:
    base = ("--ckpt", digits_pair[0], "--noise", "haze,gaussian", "--severity", 5, "--limit", 60)
    code, _, err = larobust("baseline", *base, "-o", "b.json")

    assert code == 0, err
    read = baseline.read_baseline(Path("b.json"))
    assert [one.condition.parameters for one in read.answers] == [(), (50.0, 1.5), (0.1,)]
    assert '"parameters": [50.0, 1.5]' in Path("b.json").read_text(encoding="utf-8")
    code, out, err = larobust("check", "--baseline", "b.json", "--ckpt", digits_pair[1], "--json", "--max-drop", 100)
    conditions = [row["condition"] for row in json.loads(out)["judgements"]]
    assert code == 0, err
    assert {"thickness": 50.0, "decay": 1.5} in [one["parameters"] for one in conditions if one]
    text = Path("b.json").read_text(encoding="utf-8")
    Path("b.json").write_text(text.replace("[50.0, 1.5]", "[50.0]"), encoding="utf-8")
    code, _, err = larobust("check", "--baseline", "b.json", "--ckpt", digits_pair[1])
    assert (code, "haze takes 2 parameters (thickness/decay), not 1" in err) == (2, True)
