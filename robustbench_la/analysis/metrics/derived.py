"""Metrics that are not means over conditions: from the accuracies under each condition to one row of columns per network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from robustbench_la.activations import ACTIVATIONS
from robustbench_la.analysis.groups.groups import Group
from robustbench_la.analysis.metrics import formulas
from robustbench_la.analysis.metrics.condition_values import ConditionValues
from robustbench_la.analysis.metrics.imagenet_c import COMMON, SEVERITIES
from robustbench_la.analysis.metrics.means import MEAN, Detail, Values, mean, mean_columns
from robustbench_la.records.cells import CLEAN, IMAGENET

_IMAGENET_C = "imagenet-c"
"""The level table of ImageNet-C, and the name of the published set."""
_BY_NAME = ("imagenet:", "imagenet-c:")
"""Datasets whose names alone say that they are ImageNet's."""


def corruption_errors(accuracies: ConditionValues, detail: Detail) -> list[Values]:
    """CE of each corruption that the reference was measured under, and mCE if all of COMMON were measured."""
    return _relative_to_reference(accuracies, relative=False)


def relative_corruption_errors(accuracies: ConditionValues, detail: Detail) -> list[Values]:
    """The same, with the clean error subtracted from every error."""
    return _relative_to_reference(accuracies, relative=True)


def _relative_to_reference(accuracies: ConditionValues, *, relative: bool) -> list[Values]:
    reference = accuracies.reference
    if reference is None:
        raise ValueError("corruption errors need a reference; specify a checkpoint of the store or alexnet with --reference")
    if relative and (reference.clean_error is None or CLEAN not in accuracies.conditions):
        raise ValueError("relative corruption errors need clean accuracies of both the networks and the reference")
    clean_reference = reference.clean_error if relative and reference.clean_error is not None else 0.0
    known = [name for name in accuracies.group.corruptions if name in reference.errors]
    if not known:
        raise ValueError(f"the reference {reference.name} was measured under none of these corruptions")
    if reference.profile is not None and (reason := not_imagenet_c(accuracies.group)):
        raise ValueError(f"the errors of {reference.name} are those {reason}")
    names = [name for name in known if sorted(accuracies.by_severity(0, name)) == list(SEVERITIES)]
    if not names:
        _require_severities(accuracies, known, "corruption errors are defined")
    rows: list[Values] = []
    for index, row in enumerate(accuracies.rows):
        errors = accuracies.errors(index)
        clean = row[CLEAN] if relative else 1.0
        values: Values = {}
        for name in names:
            values[name] = None
            if clean is not None and None not in errors[name].values():
                values[name] = formulas.corruption_error(
                    name,
                    errors[name],
                    reference.errors[name],
                    clean_error=1 - clean,
                    reference_clean_error=clean_reference,
                    severities=tuple(sorted(errors[name])),
                )
        if all(name in names for name in COMMON):
            values["relative mCE" if relative else "mCE"] = mean(values[name] for name in COMMON)
        rows.append(values)
    return rows


def not_imagenet_c(group: Group) -> str:
    """Which conditions errors on ImageNet-C belong to, and what these are instead, in words; empty if these are the same."""
    if group.source == "prebuilt" and group.profile == f"{_IMAGENET_C} (modified)":
        return (
            f"on the images of {_IMAGENET_C} as published, and these are modified, or a part of them; measure all of the "
            "published set, or compare with a network of yours (--reference CHECKPOINT)"
        )
    if group.profile != _IMAGENET_C:
        levels = f"those of {group.profile}" if group.profile else "custom levels"
        return f"at the levels of {_IMAGENET_C}, but these are {levels}"
    recorded = {stored.setting.label_set for results in group.networks for stored in results.cells.values()}
    if IMAGENET in recorded or (recorded == {None} and all(name.startswith(_BY_NAME) for name in group.data)):
        return ""
    what = f"on ImageNet's 1,000 classes, but those of {' = '.join(group.data)}"
    if recorded == {None}:
        return f"{what} were not recorded by the larobust that measured them; measure them again with --fresh"
    return f"{what} are others, or not all of them"


def _require_severities(accuracies: ConditionValues, names: Sequence[str], what: str) -> None:
    """Raise ValueError unless each corruption was measured at the severities of the definition, and at no other."""
    for name in names:
        measured = sorted(accuracies.by_severity(0, name))
        if measured != list(SEVERITIES):
            raise ValueError(f"{what} over severities 1 to 5, but {name} was measured at {', '.join(map(str, measured))} only")


def unnormalised(accuracies: ConditionValues, detail: Detail) -> list[Values]:
    """Mean error over the 15 common corruptions and their severities, without a reference (Hendrycks et al. 2020, AugMix)."""
    if missing := [name for name in COMMON if name not in accuracies.group.corruptions]:
        raise ValueError(f"unnormalised mCE needs all 15 common corruptions; not measured: {', '.join(missing)}")
    rows: list[Values] = []
    for index in range(len(accuracies.rows)):
        errors = accuracies.errors(index)
        gaps = {name: [str(severity) for severity in SEVERITIES if severity not in errors[name]] for name in COMMON}
        if listed := [f"{name} {' '.join(severities)}" for name, severities in gaps.items() if severities]:
            raise ValueError(f"missing cells: {', '.join(listed)}")
        rows.append({"unnormalised mCE": mean(mean(errors[name][severity] for severity in SEVERITIES) for name in COMMON)})
    return rows


def effective(accuracies: ConditionValues, detail: Detail) -> list[Values]:
    """Accuracy beyond the line fitted through the element-level networks, one point per network."""
    plain = mean_columns(accuracies, detail)
    rows: list[Values] = [{} for _ in plain]
    for column, line in _lines(accuracies, plain).items():
        for row, values in zip(plain, rows, strict=True):
            clean, value = row["clean"], row[column]
            missing = clean is None or value is None
            values[column] = None if missing else formulas.effective_robustness(clean or 0.0, value or 0.0, line)
    return rows


def about_lines(accuracies: ConditionValues, detail: Detail) -> list[str]:
    """The slope of each line, with its standard error."""
    lines = _lines(accuracies, mean_columns(accuracies, detail))
    count = next(iter(lines.values())).networks if lines else 0
    slopes = "; ".join(f"{column} {line.slope:.2f} ± {line.standard_error:.2f}" for column, line in lines.items())
    return [f"Slopes of the lines through {count} element-level networks, ± standard error: {slopes}."]


def _lines(accuracies: ConditionValues, plain: Sequence[Values]) -> dict[str, formulas.BaselineLine]:
    """The line of each column."""
    if CLEAN not in accuracies.conditions:
        raise ValueError("effective robustness needs clean images")
    networks = accuracies.group.networks
    element = [
        (row, results.variant.architecture)
        for row, results in zip(plain, networks, strict=True)
        if results.network.activation_level == "element"
    ]
    lines = {}
    for column in plain[0]:
        if column == CLEAN.corruption:
            continue
        points = [
            (clean, value, architecture)
            for row, architecture in element
            if (clean := row["clean"]) is not None and (value := row[column]) is not None
        ]
        lines[column] = formulas.fit_baselines(*(list(values) for values in zip(*points, strict=True))) if points else None
    if not element:
        raise ValueError("effective robustness needs element-level networks, and none was measured")
    if empty := [column for column, line in lines.items() if line is None]:
        raise ValueError(
            f"effective robustness of {', '.join(empty)} needs element-level networks without missing cells; measure them, or "
            "narrow the selection with --noise or --severity"
        )
    return {column: line for column, line in lines.items() if line is not None}


def relative(accuracies: ConditionValues, detail: Detail) -> list[Values]:
    """Accuracy of layer-level networks beyond that of the counterpart trained from the same seed."""
    plain = mean_columns(accuracies, detail)
    networks = [results.network for results in accuracies.group.networks]
    setups = [results.variant.setup for results in accuracies.group.networks]
    by_activation = {
        (setup, network.activation, network.training_seed): row
        for setup, network, row in zip(setups, networks, plain, strict=True)
    }
    rows: list[Values] = []
    for setup, network, accuracies_of_network in zip(setups, networks, plain, strict=True):
        entry = ACTIVATIONS.get(network.activation)
        counterpart: Mapping[str, float | None] = {}
        if entry and entry.counterpart and network.training_seed is not None and network.activation_level == "layer":
            counterpart = by_activation.get((setup, entry.counterpart, network.training_seed), {})
        values: Values = {}
        for column, value in accuracies_of_network.items():
            counterpart_value = counterpart.get(column)
            if column != CLEAN.corruption:
                missing = value is None or counterpart_value is None
                values[column] = None if missing else formulas.relative_robustness(value or 0.0, counterpart_value or 0.0)
        rows.append(values)
    if not any(value is not None for row in rows for value in row.values()):
        raise ValueError("relative robustness needs a layer-level network and its counterpart with the same training seed")
    return rows


def area(accuracies: ConditionValues, detail: Detail) -> list[Values]:
    """Area under the accuracy-severity curve of each corruption, and the mean over corruptions."""
    if CLEAN not in accuracies.conditions:
        raise ValueError("the area under the severity curve needs clean images, where the curve starts")
    _require_severities(accuracies, accuracies.group.corruptions, "the area under the severity curve is defined")
    rows: list[Values] = []
    for index, row in enumerate(accuracies.rows):
        values: Values = {}
        clean = row[CLEAN]
        for name in accuracies.group.corruptions:
            curve = accuracies.by_severity(index, name)
            missing = clean is None or None in curve.values()
            values[name] = None if missing else formulas.area_under_severity(clean or 0.0, curve, tuple(sorted(curve)))
        values[MEAN] = mean(values.values())
        rows.append(values)
    return rows
