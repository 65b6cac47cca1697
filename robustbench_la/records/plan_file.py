"""Plans as YAML files: the user's and those shipped with larobust; flags override them."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from robustbench_la.errors import UserError, did_you_mean
from robustbench_la.files import exists
from robustbench_la.records.named_code import check_code_is_named
from robustbench_la.records.plan import Plan, Recipe
from robustbench_la.untrusted.yaml_text import read_yaml

_OF_THE_NETWORK = (
    "arch",
    "arch_label",
    "exchange",
    "activation",
    "layeract_alpha",
    "normalize",
    "resize",
    "crop",
    "channels",
    "interpolation",
)

_RUNS = {"train": ("arch",), "eval": ("arch", "preprocess", "trust_file"), "corrupt": ()}
"""What a plan is read for -> its keys that may name code that runs."""
_RENAMED = {"alpha": "layeract_alpha", "seed": "noise_seed", "seeds": "training_seeds"}
"""Old keys, refused with a message that names the new ones."""


def read_plan(config: str | None, flags: Mapping[str, Any], *, purpose: Literal["train", "eval", "corrupt"] = "eval") -> Plan:
    """Read a plan, and let flags override it.

    What a plan with a training recipe says about the network applies to ``train`` only: for ``eval`` the checkpoints record it.
    For ``corrupt`` there is no network: what is said of images applies.

    Args:
        config: A plan file, or the name of a plan shipped with larobust; None for the defaults.
        flags: By the names of Plan's fields; None and empty lists mean not given.
        purpose: What the plan is read for.

    Returns:
        The plan.

    Raises:
        UserError: If the file cannot be read, or a setting is unknown or invalid.
    """
    content = {} if config is None else _content(find_config(config))
    if "allow_code" in content:
        raise UserError(f"{config}: a plan cannot allow code, so allow_code is no key of it; give --allow-code")
    recipe = content.get("train")
    if recipe is not None and not isinstance(recipe, dict):
        raise UserError(f"{config}: train must be a mapping of settings, not {reprlib.repr(recipe)}")
    if purpose == "eval" and recipe is not None:
        content = {key: value for key, value in content.items() if key not in _OF_THE_NETWORK}
    given = {key: value for key, value in flags.items() if value is not None and not (isinstance(value, list) and not value)}
    changes = given.pop("train", {})
    if recipe is None:
        recipe = Plan.model_fields["train"].default.model_dump(exclude_defaults=True)
    # A length given by flags replaces both the length and the milestones of the recipe.
    if any(recipe.get(unit) != changes[unit] for unit in ("epochs", "iterations") if unit in changes):
        recipe = {key: value for key, value in recipe.items() if key not in ("epochs", "iterations", "milestones")}
    merged = {**content, **given, "train": {**recipe, **changes}}
    try:
        plan = Plan.model_validate(merged)
    except ValidationError as error:
        raise UserError(("" if config is None else f"{config}: ") + _first_fault(error)) from None
    if config is not None:
        runs = _RUNS[purpose]
        check_code_is_named({name: getattr(plan, name) for name in runs}, given.keys(), source=config)
    return plan


_PLAIN = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be finite",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    "string_type": "must be text",
}
"""What pydantic's types of error mean to a user, by their names."""


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    # A union's alternatives, such as constrained-int, are in the location too; a user knows only keys and positions.
    where = ".".join(str(part) for part in fault["loc"] if isinstance(part, int) or part.isidentifier())
    if fault["type"] == "extra_forbidden":
        where = ".".join(map(str, fault["loc"]))
        if where in _RENAMED:
            return f"the key {where!r} is now {_RENAMED[where]!r}"
        model = Recipe if len(fault["loc"]) > 1 and fault["loc"][0] == "train" else Plan
        return f"unknown key {reprlib.repr(where)}{did_you_mean(str(fault['loc'][-1]), model.model_fields)}"
    plain = _PLAIN.get(fault["type"], "").format(**fault.get("ctx", {}))
    message = plain or fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message}, not {reprlib.repr(fault['input'])}" if where and fault["type"] != "value_error" else message


def find_config(name: str) -> Path:
    """Find a plan file.

    Args:
        name: A path, or the name of a plan shipped with larobust.

    Returns:
        Its path.

    Raises:
        UserError: If there is neither such a file nor such a plan.
    """
    path = Path(name)
    if exists(path):
        return path
    shipped = {file.stem: file for file in sorted(shipped_configs().glob("*.yaml")) if file.stem != "published"}
    if path.stem in shipped and path.parent.name in ("", "configs"):
        return shipped[path.stem]
    raise UserError(f"no plan {name!r}{did_you_mean(path.stem, shipped)}")


def shipped_configs() -> Path:
    """The folder of the plans shipped with larobust: inside the package once installed, next to it in a source checkout."""
    here = Path(__file__).parent.parent
    return here / "configs" if (here / "configs").is_dir() else here.parent / "configs"


def _content(path: Path) -> dict[str, Any]:
    try:
        content = read_yaml(path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{path}: a plan must be a mapping of settings, not {type(content).__name__}")
    return content
