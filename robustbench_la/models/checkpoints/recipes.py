"""How a checkpoint was trained, as far as its file records it in plain values: the recipe, and the training seed."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from robustbench_la.models.checkpoints.file import FORMAT

_SETTINGS = ("args", "hyper_parameters", "hparams", "config", "cfg", "opt", "options")
"""Where training scripts keep their settings."""
_LENGTH = r"((max|num|n|total|train)_)?(epochs?|iters|iterations|steps)"
_RECIPE = re.compile(
    rf"{_LENGTH}|(base_|init_|initial_|max_|min_)?lr|learning_rate|lr_.*|(train_|global_)?batch_?size|bs|batch"
    r"|optim(izer)?(_name)?|opt|momentum|nesterov|betas?|eps|weight_decay|wd|schedul(er|e)(_.*)?|sched|milestones|lr_steps|gamma"
    r"|step_size|decay_.*|warmup.*|(label_)?smoothing|dropout|drop(_path|_rate)?|mixup.*|cutmix.*|cutout.*|aa|auto_?augment.*"
    r"|rand_?augment.*|aug(ment(ation|ations)?)?|random_?erasing|reprob|crop(_size|_padding)?|flip|(train_)?(data)?_?set|data(_dir)?"
    r"|subset|limit|(train_)?fraction|val(idation)?_(split|fraction)|pretrained|ema(_decay)?|clip(_grad)?|grad_clip|amp|loss"
)
"""Names of settings that make up a recipe. The seed is none, nor what changes no weights: folders, devices."""
_SEEDS = ("seed", "training_seed", "random_seed", "manual_seed", "manualSeed")
_DIGITS = 16


def recipe_of(content: Mapping[str, Any]) -> str:
    """A digest of how a network was trained, without its seed.

    The epoch at which a foreign file was saved is no part of it: scripts keep the best epoch, which differs between seeds.

    Args:
        content: Of a checkpoint.

    Returns:
        16 hexadecimal digits, equal for networks that were trained alike; an empty text if the file does not record it.
    """
    if content.get("format") == FORMAT:
        training = content.get("training")
        names = ("recipe", "epochs", "data_fingerprint")
        recipe = {name: training[name] for name in names if name in training} if isinstance(training, Mapping) else {}
    else:
        recipe = {name: value for name, value in sorted(_settings(content)) if _RECIPE.fullmatch(name.rpartition(".")[2])}
    if not recipe:
        return ""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, default=str).encode()).hexdigest()[:_DIGITS]


def seed_of(content: Mapping[str, Any]) -> int | None:
    """The training seed that a foreign file records, next to its weights or among its settings; None for none, or several."""
    settings = [(name, value) for name, value in content.items() if _is_plain(value)] + list(_settings(content))
    seeds = {value for name, value in settings if name.rpartition(".")[2] in _SEEDS and type(value) is int and abs(value) < 2**63}
    return seeds.pop() if len(seeds) == 1 else None


def _settings(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The plain values among the settings of a training script, by name; nested ones by a dotted name."""
    for nest in _SETTINGS:
        given = content.get(nest)
        yield from _flat(vars(given) if isinstance(given, argparse.Namespace) else given)


def _flat(given: object, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    if not isinstance(given, Mapping) or depth > 3:
        return
    for key, value in given.items():
        name = f"{prefix}{str(key).replace('-', '_')}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.", depth + 1)
        elif _is_plain(value):
            # A dataset may be given by its folder, which differs between machines.
            yield name, PurePath(value).name if isinstance(value, str) and "/" in value else value


def _is_plain(value: object) -> bool:
    return (
        value is None
        or isinstance(value, (str, int, float, bool))
        or (isinstance(value, (list, tuple)) and all(isinstance(one, (str, int, float, bool)) for one in value))
    )
