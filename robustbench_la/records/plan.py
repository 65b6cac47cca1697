"""What is to be done, as a YAML file or a command line says it: types, ranges, names. Imports no torch."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from corruptions.registry import SEVERITIES, Level
from robustbench_la.activations import ACTIVATIONS
from robustbench_la.errors import UserError, did_you_mean, lookup
from robustbench_la.images.datasets import check_name
from robustbench_la.images.normalization import parse_normalization
from robustbench_la.models.build import check_architecture
from robustbench_la.records.cells import Condition


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


_OF_THE_NETWORK = ("arch", "activation", "alpha", "normalize", "resize", "crop")
_Strings = Annotated[list[str], BeforeValidator(_as_list)]
_Seeds = Annotated[list[int], BeforeValidator(_as_list)]
_Positive = Annotated[int, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Augment(_Part):
    """What is done to training images, before they are normalised."""

    pad: Annotated[int, Field(ge=0)] = 0
    """Black pixels added on each side before the crop."""
    crop: _Positive | None = None
    """Side in pixels of the random crop; the image's own size if not given."""
    flip: bool = False
    """Left and right exchanged, for every second image."""


class Recipe(_Part):
    """How to train. Milestones and length are both in epochs or both in iterations."""

    epochs: _Positive | None = None
    iterations: _Positive | None = None
    batch_size: _Positive | Literal["full"] = 128
    lr: Annotated[float, Field(gt=0)] = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    milestones: list[_Positive] = []
    """Epochs (or iterations) after which the learning rate is multiplied by gamma."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1
    augment: Augment = Augment()
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """A fraction of the training images, stratified, kept apart to validate on."""

    @model_validator(mode="after")
    def _one_length(self) -> Recipe:
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError("give either epochs or iterations")
        return self


class Plan(_Part):
    """A whole experiment. ``train`` uses the parts about data, network and recipe; ``eval`` those about checkpoints and noise."""

    checkpoints: _Strings = []
    arch: str | None = None
    activation: _Strings = []
    alpha: Annotated[float, Field(gt=0)] | None = None
    normalize: str | None = None
    data: str | None = None
    resize: _Positive | None = None
    crop: _Positive | None = None
    limit: _Positive | None = None
    noise: _Strings = ["paper"]
    severity: Annotated[list[int | str], BeforeValidator(_as_list)] = list(SEVERITIES)
    profile: str | None = None
    seed: Annotated[int, Field(ge=-(2**62), le=2**62)] = 0
    """Of the noise; within what a store can hold."""
    noise_seeds: Annotated[int, Field(gt=0, le=10_000)] = 1
    """How many: seed, seed + 1, ..."""
    device: str = "auto"
    batch_size: _Positive | None = None
    amp: bool = False
    fluctuation: bool = False
    """Whether a baseline also holds how much activations move."""
    train: Recipe = Recipe(epochs=30, lr=0.05, milestones=[15, 25])
    seeds: _Seeds = [11]
    """Of the training."""

    @field_validator("arch")
    @classmethod
    def _arch(cls, value: str | None) -> str | None:
        if value is not None:
            check_architecture(value)
        return value

    @field_validator("activation")
    @classmethod
    def _activation(cls, value: list[str]) -> list[str]:
        for name in value:
            lookup(ACTIVATIONS, name, kind="activation")
        return value

    @field_validator("normalize")
    @classmethod
    def _normalize(cls, value: str | None) -> str | None:
        if value is not None:
            parse_normalization(value)
        return value

    @field_validator("data")
    @classmethod
    def _data(cls, value: str | None) -> str | None:
        if value is not None:
            check_name(value)
        return value

    @field_validator("profile")
    @classmethod
    def _profile(cls, value: str | None) -> str | None:
        from corruptions import PROFILES

        if value is not None:
            lookup(PROFILES, value, kind="profile")
        return value

    @field_validator("severity", mode="after")
    @classmethod
    def _severity(cls, value: list[int | str]) -> list[int | str]:
        return list(parse_severities([str(part) for part in value]))

    @field_validator("noise", mode="after")
    @classmethod
    def _noise(cls, value: list[str]) -> list[str]:
        parse_noise(value)
        return value

    def conditions(self, *, height: int, width: int) -> list[Condition]:
        """The conditions of the plan without clean, for images of this size in pixels."""
        from corruptions import level_of, profile_for

        profile = self.profile or profile_for(height, width)
        asked = parse_noise(self.noise)
        own = {name for name, levels in asked if levels}
        if both := own & {name for name, levels in asked if not levels}:
            raise UserError(f"{both.pop()} is asked for by severity and with levels of its own; give one of the two")
        if "severity" in self.model_fields_set and len(own) == len(asked):
            raise UserError(
                "severities have no effect: " + ("every noise has levels of its own" if own else "no noise is asked for")
            )
        conditions = []
        for name, levels in asked:
            if levels:
                conditions += [Condition(corruption=name, severity=None, parameters=level, profile=None) for level in levels]
                continue
            for severity in parse_severities([str(part) for part in self.severity]):
                level = level_of(name, severity=severity, profile=profile)
                conditions.append(Condition(corruption=name, severity=severity, parameters=level, profile=profile))
        return list(dict.fromkeys(conditions))


def parse_severities(words: list[str]) -> tuple[int, ...]:
    """Severities from words such as ``3``, ``1-5`` or ``1,3``; sorted, each once.

    >>> parse_severities(["1-3", "5"])
    (1, 2, 3, 5)
    """
    found: set[int] = set()
    for word in (part.strip() for text in words for part in text.split(",")):
        match = re.fullmatch(r"(-?\d+)(?:-(\d+))?", word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= 5:
            raise UserError(f"severity is a whole number from 1 to 5, or a range such as 1-5, not {word!r}")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def parse_noise(words: list[str]) -> list[tuple[str, tuple[Level, ...]]]:
    """Names of corruptions, each with levels of the user's own or none.

    A comma separates both names and levels: what is a number belongs to the name before it. The numbers of a level with several
    parameters are joined by ``/``. ``clean`` adds nothing: clean images are always measured.

    >>> parse_noise(["gaussian_noise=0.05,0.1", "poisson,blur"])
    [('gaussian_noise', ((0.05,), (0.1,))), ('shot_noise', ()), ('gaussian_blur', ())]
    """
    from corruptions import CORRUPTIONS, names_of
    from corruptions.registry import known_words

    found: list[tuple[str, tuple[Level, ...]]] = []
    for part in (part.strip() for word in words for part in word.split(",")):
        if part == "clean":
            continue
        name, equals, level = part.rpartition("=")
        if not equals and found and found[-1][1] and _level(part):
            name, level = found[-1][0], part
        elif not equals:
            name, level = part, ""
        names = names_of(name)
        if not names:
            raise UserError(f"unknown corruption {name!r}{did_you_mean(name, known_words())}")
        if not (equals or level):
            found += [(name, ()) for name in names]
            continue
        numbers = _level(level)
        if len(names) > 1 or numbers is None:
            raise UserError(f"a level is one corruption's and a number, such as gaussian_noise=0.05, not {part!r}")
        try:
            CORRUPTIONS[names[0]].check(numbers)
        except ValueError as error:
            raise UserError(str(error)) from None
        if found and found[-1][0] == names[0] and found[-1][1]:
            found[-1] = (names[0], (*found[-1][1], numbers))
        else:
            found.append((names[0], (numbers,)))
    return found


def _level(text: str) -> Level | None:
    """The numbers of ``0.05`` or ``1.5/2``; None for what is no level."""
    try:
        return tuple(map(float, text.split("/")))
    except ValueError:
        return None


def read_plan(config: str | None, flags: Mapping[str, Any], *, purpose: Literal["train", "eval"] = "eval") -> Plan:
    """The plan of a file, or the default one, with the flags that were given (not None, not empty) winning over it.

    What a training recipe says of the network is for ``train``: to ``eval`` the checkpoints say it themselves.
    """
    content = {} if config is None else _read_yaml(find_config(config))
    recipe = content.get("train")
    if recipe is not None and not isinstance(recipe, dict):
        raise UserError(f"{config}: train is a table of settings, not {recipe!r}")
    if purpose == "eval" and recipe is not None:
        content = {key: value for key, value in content.items() if key not in _OF_THE_NETWORK}
    given = {key: value for key, value in flags.items() if value is not None and value != []}
    changes = given.pop("train", {})
    if recipe is None:
        recipe = Plan.model_fields["train"].default.model_dump(exclude_defaults=True)
    # A length of one's own replaces the recipe's, and its milestones with it.
    if any(recipe.get(unit) != changes[unit] for unit in ("epochs", "iterations") if unit in changes):
        recipe = {key: value for key, value in recipe.items() if key not in ("epochs", "iterations", "milestones")}
    merged = {**content, **given, "train": {**recipe, **changes}}
    try:
        return Plan.model_validate(merged)
    except ValidationError as error:
        raise UserError(("" if config is None else f"{config}: ") + _first_fault(error)) from None


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        model = Recipe if len(fault["loc"]) > 1 and fault["loc"][0] == "train" else Plan
        return f"unknown key {where!r}{did_you_mean(str(fault['loc'][-1]), model.model_fields)}"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message}, not {reprlib.repr(fault['input'])}" if where and fault["type"] != "value_error" else message


def find_config(name: str) -> Path:
    """A plan's file: a path, or the name of a plan that comes with larobust."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = {found.stem: found for found in sorted(shipped_configs().glob("*.yaml")) if found.stem != "published"}
    if path.stem in shipped and path.parent.name in ("", "configs"):
        return shipped[path.stem]
    raise UserError(f"no plan {name!r}{did_you_mean(path.stem, shipped)}")


def shipped_configs() -> Path:
    """Where the plans lie that come with larobust: beside the package once installed, above it in a checkout."""
    here = Path(__file__).parent.parent
    return here / "configs" if (here / "configs").is_dir() else here.parent / "configs"


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{place}: not readable as YAML ({getattr(error, 'problem', None) or 'syntax'})") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UserError(f"{path}: a plan is a table of settings, not {type(content).__name__}")
    return content
