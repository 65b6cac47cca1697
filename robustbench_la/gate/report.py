"""A verdict as text: for a terminal, JUnit, Markdown, GitHub's annotations, JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Sequence
from typing import Any

from robustbench_la.analysis.metrics.means import mean
from robustbench_la.analysis.tables.table import Column, Estimate, Row, Table, Value
from robustbench_la.gate.subjects import MEAN
from robustbench_la.gate.verdict import POWER, Judgement, Outcome, Verdict
from robustbench_la.records.cells import Pass
from robustbench_la.records.snapshot import Snapshot
from robustbench_la.text import printable, quoted

SCHEMA = 3
_NAMED = 3
"""The largest number of conditions that a line names."""


def headline(verdict: Verdict, *, strict: bool = False) -> str:
    """The verdict in one line.

    It begins with PASS, REGRESSION, INCONCLUSIVE, ARITHMETIC or NO BASELINE; only REGRESSION fails the gate without ``strict``.
    """
    if verdict.baseline is None:
        return "NO BASELINE: nothing was judged"
    total = len(verdict.judgements)
    parts: list[str] = []
    for outcome, words in _SAID.items():
        if some := verdict.having(outcome):
            word = "" if parts else f"{outcome.upper()}: "
            parts.append(f"{word}{len(some)} of {total} {words} ({_named(some)})")
    if not parts:
        parts = [f"PASS: none of {total} regressed"]
    elif not verdict.having("regression"):
        parts.append("none regressed" + (", but --strict fails that" if strict else ""))
    if improved := verdict.having("improved"):
        parts.append(f"{len(improved)} improved ({_named(improved)}); larobust baseline --update keeps that")
    return printable("; ".join(parts))


def word(verdict: Verdict) -> str:
    """The verdict in a word: that with which the headline begins."""
    return headline(verdict).partition(":")[0].lower()


_SAID: dict[Outcome, str] = {
    "regression": "became worse",
    "inconclusive": "cannot be decided by these images",
    "arithmetic": "differ by the arithmetic of this machine, for the same checkpoint",
}
"""How the headline counts the judgements that are not passed, the worst first."""


def _named(judgements: Sequence[Judgement]) -> str:
    names = ", ".join(f"{one.name} {change(one)}" for one in judgements[:_NAMED])
    return names + (f" and {len(judgements) - _NAMED} more" if len(judgements) > _NAMED else "")


def change(one: Judgement) -> str:
    """The size of the change in a few words; a drop that rounds to zero keeps its sign."""
    if one.difference is None:
        return "no longer measured"
    return f"{100 * one.difference:+.1f} %" if one.subject == "fluctuation" else f"{100 * one.difference:+.2f}"


def explain(one: Judgement) -> str:
    """The change and the evidence it was judged by, in a sentence or two."""
    if one.now is None or one.difference is None or one.low is None or one.high is None:
        return printable(f"{one.name} is in the baseline but is no longer measured")
    moved = "rose" if one.difference > 0 else "fell" if one.difference < 0 else "stayed"
    if one.subject == "fluctuation":
        unit, text = "%", f"relative fluctuation {moved} from {one.baseline:.4g} to {one.now:.4g}: {change(one)}"
    else:
        unit, text = "points", f"accuracy {moved} from {100 * one.baseline:.2f} % to {100 * one.now:.2f} %: {change(one)} points"
    text += f", tolerance {100 * one.tolerance:g}; 95 % interval {100 * one.low:+.2f} to {100 * one.high:+.2f} {unit}"
    if one.p is not None:
        text += f", p = {one.p:.2g}"
    return printable(f"{one.name}: " + "; ".join([text, *_evidence(one)]))


def beside_table(one: Judgement) -> str:
    """What a table of judgements does not show of an inconclusive one."""
    return printable(f"{one.name}: {'; '.join(_evidence(one))}")


def _evidence(one: Judgement) -> list[str]:
    """The images behind a judgement."""
    evidence = []
    if one.lost is not None and one.gained is not None:
        evidence.append(f"of {one.images:,} images {one.lost} lost and {one.gained} gained")
    if one.outcome == "inconclusive":
        beyond = one.difference is not None and abs(one.difference) > one.tolerance
        what = "may be chance" if beyond else "a fall beyond the tolerance cannot be excluded"
        evidence.append(what + (f", about {_settle(one)} images are needed to decide" if one.images_to_settle else ""))
    return evidence


def _settle(one: Judgement) -> str:
    """Rounded up to two digits, as it is an estimate."""
    number = one.images_to_settle or 0
    step = 10 ** max(0, len(str(number)) - 2)
    return f"{-(-number // step) * step:,}"


def verdict_tables(verdict: Verdict) -> list[Table]:
    """The tables of accuracy and of fluctuation, worst first."""
    accuracy = [one for one in verdict.judgements if one.subject != "fluctuation"]
    fluctuation = [one for one in verdict.judgements if one.subject == "fluctuation"]
    tables = []
    if accuracy:
        notes = (
            f"Accuracy in %; difference in points with its 95 % interval{_tolerance(accuracy)}; smallest fall: in points, found "
            f"with a probability of {100 * POWER:g} %; p: one-sided, that it fell, corrected by Holm over conditions and "
            f"corruptions ({MEAN}: on its own). A regression fell by more than its tolerance, with p at most "
            f"{verdict.rules.alpha:g}.",
            *(beside_table(one) + "." for one in accuracy if one.outcome == "inconclusive"),
        )
        tables.append(_table("Against the baseline", accuracy, "percent", notes))
    if fluctuation:
        notes = (
            "Relative fluctuation: L1 norm of g(noisy) - g(clean) over that of g(clean), mean over layers and images; difference "
            f"in % of the baseline with its 95 % bootstrap interval{_tolerance(fluctuation)}; p: one-sided, that it rose, "
            "corrected by Holm.",
            *(beside_table(one) + "." for one in fluctuation if one.outcome == "inconclusive"),
        )
        tables += [_table("Fluctuation against the baseline", fluctuation, "number", notes), *_layers(verdict)]
    return tables


def _tolerance(judgements: Sequence[Judgement]) -> str:
    """The tolerance in words, if it is the same for all: then it has no column."""
    one, *others = {one.tolerance for one in judgements}
    return "" if others else f"; tolerance {100 * one:g}"


def _table(title: str, judgements: Sequence[Judgement], kind: Any, notes: tuple[str, ...]) -> Table:
    columns: dict[Column, Callable[[Judgement], Value]] = {
        Column(name="condition"): lambda one: one.name.removeprefix("fluctuation under "),
        Column(name="baseline", kind=kind): lambda one: one.baseline,
        Column(name="now", kind=kind): lambda one: one.now,
        Column(name="difference", kind="percent", signed=True): lambda one: (
            None if one.difference is None else Estimate(one.difference, one.low or 0.0, one.high or 0.0)
        ),
        Column(name="tolerance", kind="percent"): lambda one: one.tolerance,
        Column(name="smallest_fall", kind="percent"): lambda one: one.smallest_fall,
        Column(name="p", kind="number"): lambda one: None if one.p is None else float(f"{one.p:.2g}"),
        Column(name="verdict"): lambda one: one.outcome.upper() if one.outcome == "regression" else one.outcome,
    }
    hidden = {"tolerance" if _tolerance(judgements) else "", "smallest_fall" if kind == "number" else ""}
    shown = {column: value for column, value in columns.items() if column.name not in hidden}
    rows = tuple(Row(values=tuple(value(one) for value in shown.values())) for one in judgements)
    return Table(title=title, columns=tuple(shown), rows=rows, notes=notes)


def _layers(verdict: Verdict) -> list[Table]:
    """The mean relative fluctuation of each layer over shared conditions; none if the two sides have different layers."""
    before, after = verdict.baseline, verdict.now
    if before is None or after is None or before.layers != after.layers:
        return []
    shared = {one.pass_ for one in before.fluctuations} & {one.pass_ for one in after.fluctuations}
    rows = []
    for index, layer in enumerate(before.layers):
        was, now = (_layer_mean(side, index, shared) for side in (before, after))
        if was and now is not None:
            change = now / was - 1  # a baseline keeps six digits
            rows.append(Row(values=(layer, was, now, change if abs(change) > 1e-5 else 0.0)))
    columns = (
        Column(name="layer"),
        Column(name="baseline", kind="number"),
        Column(name="now", kind="number"),
        Column(name="difference", kind="percent", signed=True),
    )
    notes = ("Relative fluctuation of each layer, mean over the conditions; difference in % of the baseline. Not judged.",)
    return [Table(title="Fluctuation by layer", columns=columns, rows=tuple(rows), notes=notes)] if rows else []


def _layer_mean(snapshot: Snapshot, index: int, keys: Container[Pass]) -> float | None:
    return mean(one.relative[index] for one in snapshot.fluctuations if one.pass_ in keys)


def about(verdict: Verdict) -> str:
    """What was compared, in a sentence."""
    before, after = verdict.baseline, verdict.now
    if before is None or after is None:
        return headline(verdict)
    judged = {one.condition for one in verdict.judgements if one.now is not None and one.subject == "accuracy"}
    answers = after.images * sum(one.condition in judged for one in before.answers)
    part = f" of {after.dataset_images:,}" if after.images < after.dataset_images else ""
    sides = (f"{quoted(side.network.checkpoint)} ({side.network.sha256[:8]})" for side in (after, before))
    images = f"{after.images:,}{part} images of {after.data}"
    return printable(f"{' against '.join(sides)}, on {images}; {verdict.flips:,} of {answers:,} answers differ.")


def verdict_document(verdict: Verdict, *, strict: bool = False) -> dict[str, Any]:
    """The verdict as a JSON document."""
    sides = {"baseline": verdict.baseline, "now": verdict.now}
    names = ("data", "fingerprint", "images", "precision")
    return {
        "schema": SCHEMA,
        "verdict": word(verdict),
        "failed": bool(verdict.failing(strict=strict)),
        "headline": headline(verdict, strict=strict),
        "alpha": verdict.rules.alpha,
        "strict": strict,
        "flips": verdict.flips,
        "remarks": list(verdict.remarks),
        **{
            side: None
            if snapshot is None
            else {
                **snapshot.network.as_dict(),
                **{name: getattr(snapshot, name) for name in names},
                "provenance": dict(snapshot.provenance),
            }
            for side, snapshot in sides.items()
        },
        "judgements": [
            dataclasses.asdict(one) | {"condition": None if one.condition is None else one.condition.as_dict()}
            for one in verdict.judgements
        ],
    }
