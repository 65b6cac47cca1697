"""Two snapshots become a verdict: which conditions regressed. Pure judging: nothing is measured, read or printed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from corruptions import NOISE_VERSION
from robustbench_la.errors import NotComparableError
from robustbench_la.gate.judge_accuracy import judge_accuracy
from robustbench_la.gate.judge_fluctuation import judge_fluctuations
from robustbench_la.gate.subjects import subjects_of
from robustbench_la.gate.tolerances import Rules
from robustbench_la.gate.verdict import Judgement, Verdict, badness
from robustbench_la.records.cells import Condition, Pass
from robustbench_la.records.snapshot import Answers, Snapshot, check_comparable


def check_rules(baseline: Snapshot, rules: Rules, only: Callable[[Condition], bool] | None = None) -> None:
    """Raise what ``judge`` would raise for the rules and the selection, before anything is measured."""
    rules.check_used(subjects_of(baseline, only).tolerable)


def names(baseline: Snapshot, only: Callable[[Condition], bool] | None = None) -> list[str]:
    """The names of the judgements that ``judge`` makes, in the order of the baseline."""
    return subjects_of(baseline, only).names


def judge(
    baseline: Snapshot, now: Snapshot, rules: Rules | None = None, *, only: Callable[[Condition], bool] | None = None
) -> Verdict:
    """Judge ``now`` by ``baseline``, condition by condition, on the same images with the same noise.

    A condition regressed if its accuracy dropped by more than the tolerance (an effect that matters) and the drop is significant
    (a one-sided sign-flip test over images, for a single pass McNemar's exact test; corrected by Holm over conditions and
    corruptions), or if it is no longer measured. It is inconclusive if the drop exceeds the tolerance but is not significant; or
    if the interval of a smaller drop reaches beyond the tolerance, and the images are too few to find a drop of that size.
    Improvements are judged like regressions, with the sign reversed. If both sides are the same network, what differs is the
    arithmetic of the machines, and is called so, except for a regression: rounding alone makes no network significantly worse.

    Args:
        baseline: The snapshot to judge by.
        now: The snapshot to judge.
        rules: Tolerances and significance level; the defaults if None.
        only: Selects the conditions to judge; the mean is judged only without a selection.

    Returns:
        The judgements, worst first, with remarks.

    Raises:
        NotComparableError: If the snapshots are not comparable; lists all differences.
        NothingSelectedError: If no condition is left to judge.
    """
    rules = rules or Rules()
    check_comparable(baseline, now)
    subjects = subjects_of(baseline, only)
    rules.check_used(subjects.tolerable)
    measured = {one.pass_: one for one in now.answers}
    asked = [one for subject in subjects.accuracy if subject.kind == "accuracy" for one in subject.answers]
    _check_noise(asked, measured)
    judged = judge_accuracy(baseline, now, subjects.accuracy, measured, rules)
    remarks: list[str] = []
    if subjects.fluctuations and not now.fluctuations:
        remarks.append("fluctuation was not measured, so it is not judged")
    elif subjects.fluctuations:
        judged += judge_fluctuations(now, subjects.fluctuations, rules, remarks)
    pairs = [(one.predictions, measured[one.pass_].predictions) for one in asked if one.pass_ in measured]
    flips = sum(int(np.count_nonzero(one != other)) for one, other in pairs)
    if baseline.network.id == now.network.id:
        judged = [_of_the_same_network(one, rules) for one in judged]
        if any(one.outcome == "regression" and one.difference is not None for one in judged):
            remarks.append(
                "a significant fall of the same checkpoint is more than rounding: something here makes it answer worse"
            )
    elif hidden := _may_hide_a_fall(judged):
        remarks.append(hidden)
    return Verdict(
        judgements=tuple(sorted(judged, key=badness)),
        rules=rules,
        baseline=baseline,
        now=now,
        flips=flips,
        remarks=(*_remarks(baseline, now, flips, sum(len(one) for one, _ in pairs)), *remarks),
    )


def _of_the_same_network(one: Judgement, rules: Rules) -> Judgement:
    """The judgement if the same network was measured twice: what exceeds the tolerance is a difference of arithmetic.

    A significant regression remains one. Where the tolerance alone decides (an alpha of 1), it must be significant all the same.
    """
    if one.difference is None:  # no longer measured
        return one
    if one.outcome == "regression" and one.p is not None and one.p <= min(rules.alpha, Rules().alpha):
        return one
    return replace(one, outcome="arithmetic" if abs(one.difference) > one.tolerance else "pass", images_to_settle=None)


def _may_hide_a_fall(judged: Sequence[Judgement]) -> str | None:
    """A remark if something passed of which a fall beyond its tolerance would probably not have been found."""
    passed = [one for one in judged if one.outcome in ("pass", "improved") and one.smallest_fall is not None]
    falls = [one.smallest_fall for one in passed if one.smallest_fall is not None and one.smallest_fall > one.tolerance]
    if not falls:
        return None
    which = "everything" if len(falls) == len(passed) else f"{len(falls)} of the {len(passed)}"
    hiding = f"{which} that passed (up to {100 * max(falls):.2f} points)"
    return f"the smallest fall that would be found exceeds the tolerance of {hiding}"


def _check_noise(asked: Sequence[Answers], measured: Mapping[Pass, Answers]) -> None:
    """Raise NotComparableError if a condition was measured with different noise; missing conditions are regressions instead."""
    mismatches = []
    for one in asked:
        if one.pass_ in measured:
            continue
        condition = one.condition
        seeds = sorted({seed for other, seed in measured if other == condition and seed is not None})
        levels = [other for other, _ in measured if _is_meant_as(other, condition)]
        if seeds:
            mismatches.append(f"noise seed of {condition}: {one.noise_seed} in the baseline, {', '.join(map(str, seeds))} here")
        elif levels:
            left, right = (_level_in_words(level) for level in (condition, levels[0]))
            mismatches.append(f"level of {condition}: {left} in the baseline, {right} here")
    if mismatches:
        more = f" and {len(mismatches) - 3} more" if len(mismatches) > 3 else ""
        raise NotComparableError("not comparable; " + "; ".join(mismatches[:3]) + more)


def _is_meant_as(other: Condition, condition: Condition) -> bool:
    """Whether a condition is the same severity, or the same custom level, as another one with other draws, levels or JPEG."""
    custom = condition.is_custom
    alike = (other.corruption, other.severity) == (condition.corruption, condition.severity)
    return alike and (not custom or other.parameters == condition.parameters)


def _level_in_words(condition: Condition) -> str:
    if condition.prebuilt is not None:
        return f"images of {condition.profile} ({condition.prebuilt[:8]})"
    parts = [f"{condition.level_text} ({condition.profile or 'custom'})"]
    parts += [f"JPEG {condition.jpeg}"] * (condition.jpeg is not None)
    parts += [f"noise version {condition.noise_version}"] * (condition.noise_version != NOISE_VERSION)
    return ", ".join(parts)


def _remarks(baseline: Snapshot, now: Snapshot, flips: int, answers: int) -> list[str]:
    """What is remarkable about the two sides. flips: answers that differ."""

    sides = [{**side.network.as_dict(), **side.provenance} for side in (baseline, now)]

    def differing(*names: str) -> list[str]:
        values = ((name, *(side.get(name) for side in sides)) for name in names)
        return [f"{name}: {was} in the baseline, {here} now" for name, was, here in values if was != here]

    if baseline.network.id == now.network.id and flips:
        why = f" ({'; '.join(found)})" if (found := differing("larobust", "torch", "device", "host")) else ""
        same = f"the same checkpoint as the baseline's: {flips:,} of {answers:,} answers differ by the arithmetic of this machine"
        return [same + why]
    same = "the same checkpoint as the baseline's"
    known = [same] if baseline.network.sha256 == now.network.sha256 else []
    return [*known, *differing("architecture", "activation", "larobust")]
