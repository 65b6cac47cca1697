"""Plans for training and evaluation: types and ranges. Files: plan_file.py. Names that only the measuring wing knows are checked
there, by ``check_names``."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, ValidationInfo, field_validator, model_validator

from corruptions.registry import SEVERITIES
from robustbench_la.errors import UserError, lookup
from robustbench_la.other_activations import check_label
from robustbench_la.records.cells import Condition
from robustbench_la.records.noise_words import parse_noise, parse_severities
from robustbench_la.records.published_sets import is_published


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _as_words(value: object) -> object:
    """A list of texts, of which each may hold several, separated by commas."""
    texts = _as_list(value)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return texts
    return [word.strip() for text in texts for word in text.split(",")]


_Strings = Annotated[list[str], FailFast(), BeforeValidator(_as_list)]
_Words = Annotated[list[str], FailFast(), BeforeValidator(_as_words)]
_Seeds = Annotated[list[int], FailFast(), BeforeValidator(_as_list)]
_Positive = Annotated[int, Field(gt=0)]
_Side = Annotated[int, Field(gt=0, le=2048)]
"""In pixels; no classifier takes larger images, and one of 10^6 x 10^6 px fits into no memory."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Augment(_Part):
    """Augmentation of training images, before they are normalised."""

    pad: Annotated[int, Field(ge=0, le=2048)] = 0
    """Black pixels added on each side before the crop."""
    crop: _Side | None = None
    """Side of the random crop in pixels; the size of the image if not given."""
    flip: bool = False
    """Whether images are flipped horizontally with probability 1/2."""


class Recipe(_Part):
    """How to train. Milestones are in the unit of the length: epochs or iterations."""

    epochs: _Positive | None = None
    iterations: _Positive | None = None
    batch_size: _Positive | Literal["full"] = 128
    lr: Annotated[float, Field(gt=0)] = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    milestones: Annotated[list[_Positive], FailFast()] = []
    """Epochs (or iterations) after which the learning rate is multiplied by gamma."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1
    augment: Augment = Augment()
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of the training images that is held out for validation, stratified."""

    @model_validator(mode="after")
    def _one_length(self) -> Recipe:
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError("give either epochs or iterations")
        return self


class NetworkPlan(_Part):
    """What a checkpoint may not record about itself. A field added here is remembered by baselines, for the next checkpoint."""

    arch: str | None = None
    arch_label: str | None = None
    """What to call the architecture; networks with the same label are compared."""
    exchange: _Words = []
    """Activations to exchange in networks that are taken as they are, such as relu=la_silu."""
    key: str | None = None
    """Which of the weights in a file that holds several."""
    activation: _Strings = []
    layeract_alpha: Annotated[float, Field(gt=0)] | None = None
    normalize: str | None = None
    preprocess: str | None = None
    """``FILE.py:NAME``: the user's own, applied to corrupted images in place of a normalization."""
    channels: Literal[1, 3] | None = None
    """Of the images that it takes, if the dataset's have another number."""
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] | None = None
    """How images are resized."""
    labels: str | None = None
    """A text file whose line i is the name of the class folder that output i stands for."""
    label_map: str | None = None
    """The name of a list of such names that comes with larobust."""
    allow_stochastic: bool = False
    """Measure a network whose answer to an image depends on chance or on the other images of the batch."""


class _SharedPlan(NetworkPlan):
    """What training and evaluation both need: network, images, device."""

    data: str | None = None
    resize: _Side | None = None
    crop: _Side | None = None
    limit: _Positive | None = None
    device: str = "auto"

    @field_validator("activation")
    @classmethod
    def _activation(cls, value: list[str]) -> list[str]:
        for label in value:
            check_label(label)
        return value


class TrainingPlan(_SharedPlan):
    """What ``train`` needs."""

    train: Recipe = Recipe(epochs=30, lr=0.05, milestones=[15, 25])
    training_seeds: _Seeds = [11]
    """Seeds of the training, one network each."""


_NO_SEVERITIES = {
    "levels": "severities have no effect, since every noise has custom levels; give either severities or levels (gaussian=0.05)",
    "clean": "severities have no effect without noise; name one (gaussian), or leave the severities out",
}


class EvaluationPlan(_SharedPlan):
    """What ``eval``, ``fluctuation`` and ``baseline`` need."""

    checkpoints: _Strings = []
    """Paths, patterns, patterns whose names say something (``{activation}_seed{seed}.pt``), and tables of checkpoints."""
    keep_going: bool = False
    """Whether to go on without checkpoints that cannot be used."""
    noise: _Strings = ["paper"]
    severity: Annotated[list[int | str], FailFast(), BeforeValidator(_as_list)] = list(SEVERITIES)
    profile: str | None = None
    jpeg: Annotated[int, Field(ge=1, le=95)] | None = None
    """Quality of the JPEG as which corrupted images are stored before the network sees them, as in ImageNet-C (85)."""
    frost_textures: str | None = None
    """The folder that has the published photographs of frost."""
    noise_seed: Annotated[int, Field(ge=0, le=2**62)] = 0
    """Seed of the noise, within the range that a store can hold."""
    noise_seeds: Annotated[int, Field(gt=0, le=10_000)] = 1
    """How many: noise_seed, noise_seed + 1, ..."""
    batch_size: _Positive | None = None
    amp: bool = False
    trust_file: bool = False
    """Whether code in a checkpoint may be run."""
    allow_code: _Strings = []
    """Code that tables of checkpoints name and may run, such as ``net.py:Net``; no key of plan files."""
    fluctuation: bool = False
    """Whether a baseline also records the fluctuation of activations."""

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
    def _noise(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if not is_published(info.data.get("data")):  # a published set may hold corruptions that larobust does not know
            parse_noise(value)
        return value

    def clean_only(self) -> Self:
        """The plan without noise on the images: its severities and its profile do not apply either."""
        said = {name: getattr(self, name) for name in self.model_fields_set - {"severity", "profile"}}
        return type(self).model_validate({**said, "noise": []})

    def conditions(self, *, height: int, width: int) -> list[Condition]:
        """The conditions of the plan except clean.

        Args:
            height: Of the images, in pixels; decides the profile if none is given.
            width: The same.

        Returns:
            The conditions in the order given, each once.

        Raises:
            UserError: If a corruption has both severities and custom levels, or given severities would have no effect.
        """
        from corruptions import level_of, profile_for

        profile = self.profile or profile_for(height, width)
        noise = parse_noise(self.noise)
        custom = {name for name, levels in noise if levels}
        if both := custom & {name for name, levels in noise if not levels}:
            raise UserError(f"{both.pop()} is given both with and without custom levels; give one of the two")
        if "severity" in self.model_fields_set and len(custom) == len(noise):
            raise UserError(_NO_SEVERITIES["levels" if custom else "clean"])
        conditions = []
        for name, levels in noise:
            if levels:
                conditions += [Condition(corruption=name, severity=None, parameters=level, profile=None) for level in levels]
                continue
            for severity in parse_severities([str(part) for part in self.severity]):
                level = level_of(name, severity=severity, profile=profile)
                conditions.append(Condition(corruption=name, severity=severity, parameters=level, profile=profile))
        return [replace(condition, jpeg=self.jpeg) for condition in dict.fromkeys(conditions)]


class Plan(TrainingPlan, EvaluationPlan):
    """A whole experiment, as in a plan file: ``train`` and ``eval`` each use the part they need."""
