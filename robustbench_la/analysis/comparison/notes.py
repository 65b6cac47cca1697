"""The notes below a comparison: seeds, differences and their tests, gaps, published numbers."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_la.analysis.comparison.contenders import BEST, Contender
from robustbench_la.analysis.comparison.differences import MAX_T, Contrast
from robustbench_la.analysis.comparison.published import Published
from robustbench_la.analysis.comparison.reach import out_of_reach
from robustbench_la.analysis.comparison.request import NoColumnError, Request
from robustbench_la.analysis.groups.groups import Group
from robustbench_la.analysis.groups.noise_seeds import seeds_in_words, unequal_seeds
from robustbench_la.analysis.groups.titles import stochastic_note
from robustbench_la.analysis.metrics.columns import MetricColumns
from robustbench_la.analysis.metrics.definitions import reference_note
from robustbench_la.analysis.metrics.metrics import METRICS
from robustbench_la.analysis.statistics.seed_tests import MIN_SEEDS
from robustbench_la.analysis.tables.table import Estimate, Evidence, Row
from robustbench_la.text import assumptions

_LISTED = 6
"""The largest number of groups that were left out that a note lists."""


def comparison_notes(
    group: Group,
    request: Request,
    measured: MetricColumns,
    contenders: Sequence[Contender],
    contrasts: Sequence[Contrast],
    rows: Sequence[Row],
    published: Sequence[Published] = (),
    unit: str = "",
) -> tuple[str, ...]:
    """What readers need to know to understand the table of a group, one note per string. unit: of differences, if it varies."""
    notes = list(measured.notes)
    if METRICS[request.metric].needs_reference:
        notes.append(reference_note(group, request.reference or "alexnet"))
    seeds = group.noise_seeds
    if request.by == "activation" and any(len(contender.indices) > 1 for contender in contenders):
        interval = "; below it, the 95 % t-interval of the mean" if request.intervals else ""
        notes.append(f"Mean ± standard deviation over n training seeds{interval}.")
    if len(seeds) > 1:
        notes.append(_noise_note(rows, seeds, percent=METRICS[request.metric].kind == "percent"))
    if unequal := unequal_seeds(group):
        notes.append(unequal)
    if contrasts:
        notes.append(_difference_note(contrasts, request, unit))
    notes += _network_notes(group, request, contenders)
    if group.code_changed:
        notes.append(
            "The network code changed between runs, so other networks of this architecture are in a table of their own; if they "
            "are comparable, measure all of them with --as LABEL to join them."
        )
    notes += stochastic_note(results.network for results in group.networks)
    if group.images < group.dataset_images:
        notes.append(f"Partial: {group.images:,} of {group.dataset_images:,} images.")
    if any(None in row.values for row in rows) and request.allow_missing:
        notes.append("–: missing cells; means never cover only a part, and the best is chosen among complete ones.")
    shown = [column.name for column in measured.columns]
    notes += [entry.note(group, shown) for entry in published if entry.fits(group)]
    return tuple(notes)


def left_out_note(left_out: Sequence[tuple[str, Exception]]) -> str:
    """Which groups are not shown, and why. left_out: Title and reason of each."""
    reasons = [(title, error.what if isinstance(error, NoColumnError) else str(error)) for title, error in left_out]
    listed = "; ".join(f"{title} ({reason})" for title, reason in reasons[:_LISTED])
    more = f"; and {len(left_out) - _LISTED} more" if len(left_out) > _LISTED else ""
    return f"Left out: {listed}{more}. Choose what to compare with --data or --source."


def _network_notes(group: Group, request: Request, contenders: Sequence[Contender]) -> list[str]:
    """Weights that several files hold, recipes that differ, and what was assumed."""
    notes, names = [], group.names
    copies = [(names[copy], names[first]) for contender in contenders for copy, first in contender.duplicates]
    if copies:
        listed = "; ".join(f"{copy} and {first}" for copy, first in copies)
        notes.append(f"Identical weights, counted once as a training seed: {listed}.")
    if request.by == "activation" and len({results.variant.recipe for results in group.networks}) > 1:
        notes.append("Networks of different training recipes have rows of their own: they are neither pooled nor paired.")
    return [*notes, *filter(None, [assumptions(group.assumed)])]


def _noise_note(rows: Sequence[Row], seeds: Sequence[int], *, percent: bool) -> str:
    deviations = [
        value.noise_deviation
        for row in rows
        for value in row.values
        if isinstance(value, Estimate) and value.noise_deviation is not None and value.evidence is None
    ]
    note = f"Noise seeds {seeds_in_words(seeds)}: averaged within each network first"
    if not deviations:
        return f"{note}."
    note += "; the standard deviation over them, which is not part of ±, is at most "
    return f"{note}{_small(max(deviations), percent)}; CSV and JSON give each."


def _small(value: float, percent: bool) -> str:
    return f"{100 * value:.2g} points" if percent else f"{value:.2g}"


def _difference_note(contrasts: Sequence[Contrast], request: Request, unit: str) -> str:
    tested = [
        estimate.evidence
        for difference in contrasts
        for estimate in difference.estimates
        if estimate is not None and estimate.evidence
    ]
    tests = {(entry.one, entry.other, entry.p) for entry in tested if entry.p is not None}
    unit = unit or ("points" if METRICS[request.metric].kind == "percent" else "the unit of the column")
    if contrasts[0].checkpoints:
        notes = [f"Rows with −: each checkpoint minus {contrasts[0].against}, in {unit}."]
    else:
        notes = [f"Rows with −: layer-level minus element-level, in {unit}."]
    if any(difference.against == BEST for difference in contrasts):
        notes.append(_best_note(tested, request))
    if request.by == "checkpoint":
        if tests:
            notes.append(
                "Over the same images and noise. One condition: Newcombe's interval and McNemar's exact test; several: each "
                "image's mean is one value, t-interval and paired t-test over images."
            )
        elif request.tests and not any(entry.test for entry in tested):
            notes.append("These numbers of single networks have no test, so there is no table of tests.")
    elif any(difference.contender.seeds for difference in contrasts):
        notes.append("Over the training seeds that both share.")
        notes += _choice_notes(contrasts)
    if tests:
        protocol = "" if request.by == "checkpoint" else (
            " Paired t-test where both samples look normal (Shapiro-Wilk), else Wilcoxon signed-rank."
        )  # fmt: skip
        notes.append(f"* p < 0.05, ** p < 0.01, *** p < 0.001, after Holm's correction over the tests of this table.{protocol}")
    if reach := out_of_reach(contrasts):
        notes.append(reach)
    few = any(entry and (entry.count or 1) < MIN_SEEDS for difference in contrasts for entry in difference.estimates)
    if few and request.by == "activation":
        notes.append(f"No p-value with fewer than {MIN_SEEDS} shared seeds.")
    return " ".join(notes)


def _choice_notes(contrasts: Sequence[Contrast]) -> list[str]:
    """What is said where the activations among which the best is chosen were not all trained from the same seeds."""
    chosen = [
        (one.contender, estimate, estimate.count or 0)
        for one in contrasts
        if one.against == BEST
        for estimate in one.estimates
        if estimate and estimate.evidence
    ]
    notes = []
    if any(
        estimate.evidence and estimate.evidence.test == MAX_T and count < len(contender.seeds)
        for contender, estimate, count in chosen
    ):
        notes.append("Against the best: over the training seeds that all activations it is chosen from share.")
    if any(estimate.evidence and estimate.evidence.test is None and count >= MIN_SEEDS for _, estimate, count in chosen):
        notes.append(
            f"No p-value against the best where the activations it is chosen from share fewer than {MIN_SEEDS} training seeds."
        )
    return notes


def _best_note(tested: Sequence[Evidence], request: Request) -> str:
    note = f"{BEST.capitalize()}: the activation that is best in that column"
    if request.by == "checkpoint":
        return f"{note}; it is picked on the images it is compared on, so no p-value is given."
    if any(entry.test == MAX_T for entry in tested):
        return (
            f"{note}; as it is picked on the numbers it is tested on, its p is that of the largest |t| over all of them under "
            "sign flips (max-t)."
        )
    return f"{note}."
