"""A verdict as text: for a terminal, JUnit, Markdown, GitHub's annotations, JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Sequence
from typing import Any
from xml.etree import ElementTree

from robustbench_la.analysis.table import Column, Estimate, Row, Table
from robustbench_la.gate.judge import MEAN, Judgement, Verdict
from robustbench_la.records.answers import Pass, Snapshot

SCHEMA = 2
_NAMED = 3
"""How many conditions a line names."""


def headline(verdict: Verdict, *, strict: bool = False) -> str:
    """The verdict in a line.

    It begins with PASS, REGRESSION, INCONCLUSIVE (only where that fails the gate) or NO BASELINE.
    """
    if verdict.baseline is None:
        return "NO BASELINE: nothing was judged"
    regressed, unclear, improved = (verdict.having(outcome) for outcome in ("regression", "inconclusive", "improved"))
    total = len(verdict.judgements)
    parts = []
    if regressed:
        parts.append(f"REGRESSION: {len(regressed)} of {total} became worse ({_named(regressed)})")
    if unclear:
        word = "INCONCLUSIVE: " if strict and not regressed else ""
        parts.append(f"{word}{len(unclear)} of {total} inconclusive ({_named(unclear)})")
    if not verdict.failing(strict=strict):
        parts.insert(0, f"PASS: none of {total} regressed")
    if improved:
        parts.append(f"{len(improved)} improved ({_named(improved)}); larobust baseline --update keeps that")
    return "; ".join(parts)


def _named(judgements: Sequence[Judgement]) -> str:
    names = ", ".join(f"{one.name} {change(one)}" for one in judgements[:_NAMED])
    return names + (f" and {len(judgements) - _NAMED} more" if len(judgements) > _NAMED else "")


def change(one: Judgement) -> str:
    """By how much, in a few words; a fall that rounds to nothing still has its sign."""
    if one.difference is None:
        return "not there any more"
    return f"{100 * one.difference:+.1f} %" if one.subject == "fluctuation" else f"{100 * one.difference:+.2f}"


def explain(one: Judgement) -> str:
    """What was found, and what it was judged by, in a sentence or two."""
    if one.now is None or one.difference is None or one.low is None or one.high is None:
        return f"{one.name} is in the baseline and was not measured any more"
    moved = "rose" if one.difference > 0 else "fell" if one.difference < 0 else "stayed"
    if one.subject == "fluctuation":
        unit, text = "%", f"relative fluctuation {moved} from {one.baseline:.4g} to {one.now:.4g}: {change(one)}"
    else:
        unit, text = "points", f"accuracy {moved} from {100 * one.baseline:.2f} % to {100 * one.now:.2f} %: {change(one)} points"
    text += f", tolerance {100 * one.tolerance:g}; 95 % interval {100 * one.low:+.2f} to {100 * one.high:+.2f} {unit}"
    if one.p is not None:
        text += f", p = {one.p:.2g}"
    if one.lost is not None and one.gained is not None:
        text += f"; of {one.images:,} images {one.lost} lost and {one.gained} gained"
    if one.outcome == "inconclusive":
        text += "; may be chance" + (f", about {_settle(one)} images would tell" if one.images_to_settle else "")
    return f"{one.name}: {text}"


def _settle(one: Judgement) -> str:
    """To two digits, upwards: it is an estimate."""
    number = one.images_to_settle or 0
    step = 10 ** max(0, len(str(number)) - 2)
    return f"{-(-number // step) * step:,}"


def verdict_tables(verdict: Verdict) -> list[Table]:
    """Conditions, then what concerns fluctuation, worst first."""
    accuracy = [one for one in verdict.judgements if one.subject != "fluctuation"]
    fluctuation = [one for one in verdict.judgements if one.subject == "fluctuation"]
    found = []
    if accuracy:
        notes = (
            "Accuracy in %; difference in points with its 95 % interval; p: one-sided, that it fell, corrected by Holm over the "
            f"conditions ({MEAN}: by itself). A regression fell by more than its tolerance, with p at most "
            f"{verdict.rules.alpha:g}.",
            *(explain(one) + "." for one in accuracy if one.outcome == "inconclusive"),
        )
        found.append(_table("Against the baseline", accuracy, "percent", notes))
    if fluctuation:
        notes = (
            "Relative fluctuation: L1 norm of g(noisy) - g(clean) over that of g(clean), mean over layers and images; difference "
            "in % of the baseline with its 95 % bootstrap interval; p: one-sided, that it rose, corrected by Holm.",
            *(explain(one) + "." for one in fluctuation if one.outcome == "inconclusive"),
        )
        found += [_table("Fluctuation against the baseline", fluctuation, "number", notes), *_layers(verdict)]
    return found


def _table(title: str, judgements: Sequence[Judgement], kind: Any, notes: tuple[str, ...]) -> Table:
    rows = tuple(
        Row(
            values=(
                one.name.removeprefix("fluctuation under "),
                one.baseline,
                one.now,
                None if one.difference is None else Estimate(one.difference, one.low or 0.0, one.high or 0.0),
                one.tolerance,
                None if one.p is None else float(f"{one.p:.2g}"),
                one.outcome.upper() if one.outcome == "regression" else one.outcome,
            )
        )
        for one in judgements
    )
    columns = (
        Column(name="condition"),
        Column(name="baseline", kind=kind),
        Column(name="now", kind=kind),
        Column(name="difference", kind="percent", signed=True),
        Column(name="tolerance", kind="percent"),
        Column(name="p", kind="number"),
        Column(name="verdict"),
    )
    return Table(title=title, columns=columns, rows=rows, notes=notes)


def _layers(verdict: Verdict) -> list[Table]:
    """The mean relative fluctuation of each layer over the conditions of both sides, where these have the same layers."""
    before, after = verdict.baseline, verdict.now
    if before is None or after is None or before.layers != after.layers:
        return []
    shared = {one.key for one in before.fluctuations} & {one.key for one in after.fluctuations}
    rows = []
    for place, layer in enumerate(before.layers):
        was, now = (_layer_mean(side, place, shared) for side in (before, after))
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


def _layer_mean(snapshot: Snapshot, place: int, keys: Container[Pass]) -> float | None:
    values = [one.relative[place] for one in snapshot.fluctuations if one.key in keys]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def junit(verdict: Verdict, *, strict: bool = False) -> bytes:
    """JUnit XML, one test case a condition: failures for what fails the gate, skipped for what is inconclusive otherwise."""
    failing = verdict.failing(strict=strict)
    skipped = [one for one in verdict.having("inconclusive") if one not in failing]
    total = len(verdict.judgements) + (verdict.baseline is None)
    counts = {"tests": total, "failures": len(failing), "errors": 0, "skipped": len(skipped) + (verdict.baseline is None)}
    attributes = {"name": "larobust", **{name: str(count) for name, count in counts.items()}, "time": "0"}
    root = ElementTree.Element("testsuites", {name: value for name, value in attributes.items() if name != "skipped"})
    started = str((verdict.now.provenance.get("started") if verdict.now else None) or "1970-01-01T00:00:00")[:19]
    suite = ElementTree.SubElement(root, "testsuite", {**attributes, "timestamp": started, "hostname": "localhost"})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _facts(verdict):
        ElementTree.SubElement(properties, "property", {"name": name, "value": value})
    for one in verdict.judgements:
        classname = f"larobust.{one.subject}"
        case = ElementTree.SubElement(suite, "testcase", {"classname": classname, "name": one.name, "time": "0"})
        if one in failing:
            failure = ElementTree.SubElement(case, "failure", {"type": one.outcome, "message": explain(one)})
            failure.text = explain(one)
        elif one.outcome == "inconclusive":
            ElementTree.SubElement(case, "skipped", {"message": explain(one)})
    if verdict.baseline is None:
        case = ElementTree.SubElement(suite, "testcase", {"classname": "larobust", "name": "baseline", "time": "0"})
        ElementTree.SubElement(case, "skipped", {"message": headline(verdict)})
    ElementTree.indent(root, " ")
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _facts(verdict: Verdict) -> list[tuple[str, str]]:
    found = [("alpha", f"{verdict.rules.alpha:g}")]
    for side, snapshot in (("baseline", verdict.baseline), ("now", verdict.now)):
        if snapshot is not None:
            found += [(f"{side} checkpoint", _clean(snapshot.checkpoint)), (f"{side} sha256", snapshot.sha256)]
            found.append((f"{side} data", _clean(f"{snapshot.images} images of {snapshot.data}")))
    return found


def _clean(text: str) -> str:
    """Without characters that XML cannot hold."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def verdict_markdown(verdict: Verdict, *, strict: bool = False) -> str:
    """For a pull request or a job summary: the verdict, what needs a look, and the rest to unfold."""
    sign = "✅" if not verdict.failing(strict=strict) else "❌"
    lines = [f"### {'⚪' if verdict.baseline is None else sign} larobust: {_escaped(headline(verdict, strict=strict))}", ""]
    if verdict.baseline is None or verdict.now is None:
        return "\n".join([*lines, *(_escaped(f"{remark}.") for remark in verdict.remarks)]).rstrip() + "\n"
    lines += [_escaped(f"{about(verdict)}"), ""]
    news = [one for one in verdict.judgements if one.outcome != "pass"]
    rest = [one for one in verdict.judgements if one.outcome == "pass"]
    if news:
        lines += [*_markdown_table(news), ""]
    if rest:
        lines += [f"<details><summary>{len(rest)} passed</summary>", "", *_markdown_table(rest), "", "</details>", ""]
    lines += [f"- {_escaped(explain(one))}" for one in news if one.outcome == "inconclusive"]
    lines += [f"- {_escaped(remark)}" for remark in verdict.remarks]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_table(judgements: Sequence[Judgement]) -> list[str]:
    lines = ["| condition | baseline | now | difference | 95 % interval | p | verdict |", "|---|--:|--:|--:|--:|--:|---|"]
    for one in judgements:
        interval = "–" if one.low is None or one.high is None else f"{100 * one.low:+.2f} to {100 * one.high:+.2f}"
        verdict = f"**{one.outcome}**" if one.outcome == "regression" else one.outcome
        cells = (
            _escaped(one.name),
            *(_value(one, value) for value in (one.baseline, one.now)),
            "gone" if one.difference is None else change(one),
            interval,
            "–" if one.p is None else f"{one.p:.2g}",
            verdict,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _value(one: Judgement, value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}" if one.subject == "fluctuation" else f"{100 * value:.2f}"


def _escaped(text: str) -> str:
    text = " ".join(text.split())
    for mark in "\\`*_<>|[]":
        text = text.replace(mark, f"\\{mark}")
    return text


def about(verdict: Verdict) -> str:
    """What was compared with what, in a sentence."""
    before, after = verdict.baseline, verdict.now
    if before is None or after is None:
        return headline(verdict)
    answers = after.images * sum(one.now is not None and one.subject == "accuracy" for one in verdict.judgements)
    part = f" of {after.dataset_images:,}" if after.images < after.dataset_images else ""
    sides = (f"{side.checkpoint} ({side.sha256[:8]})" for side in (after, before))
    images = f"{after.images:,}{part} images of {after.data}"
    return f"{' against '.join(sides)}, on {images}; {verdict.flips:,} of {answers:,} answers differ."


def github(verdict: Verdict, *, strict: bool = False) -> list[str]:
    """Workflow commands of GitHub Actions: an error for what fails, a warning for what is unclear, a notice for what improved."""
    failing = verdict.failing(strict=strict)
    commands = {"regression": "error", "inconclusive": "warning", "improved": "notice"}
    lines = []
    for one in verdict.judgements:
        if one.outcome == "pass":
            continue
        command = "error" if one in failing else commands[one.outcome]
        lines.append(annotation(command, one.outcome, explain(one)))
    if verdict.baseline is None:
        lines.append(annotation("notice", "", "; ".join((headline(verdict), *verdict.remarks))))
    return lines


def annotation(command: str, title: str, text: str) -> str:
    """One workflow command: error, warning or notice."""
    return f"::{command} title={_property(f'larobust: {title}' if title else 'larobust')}::{_data(text)}"


def excuse(text: str) -> str:
    """Markdown where nothing could be judged."""
    return f"### ⚠️ larobust: could not judge\n\n{_escaped(text)}\n"


def _data(text: str) -> str:
    """Escaped as the runner unescapes it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def verdict_document(verdict: Verdict, *, strict: bool = False) -> dict[str, Any]:
    """For JSON."""
    sides = {"baseline": verdict.baseline, "now": verdict.now}
    names = ("checkpoint", "sha256", "architecture", "activation", "normalization", "data", "fingerprint", "images", "precision")
    return {
        "schema": SCHEMA,
        "verdict": headline(verdict, strict=strict).partition(":")[0].lower(),
        "failed": bool(verdict.failing(strict=strict)),
        "headline": headline(verdict, strict=strict),
        "alpha": verdict.rules.alpha,
        "strict": strict,
        "flips": verdict.flips,
        "remarks": list(verdict.remarks),
        **{
            side: None if own is None else {**{name: getattr(own, name) for name in names}, "provenance": dict(own.provenance)}
            for side, own in sides.items()
        },
        "judgements": [
            dataclasses.asdict(one) | {"condition": None if one.condition is None else one.condition.as_dict()}
            for one in verdict.judgements
        ],
    }
