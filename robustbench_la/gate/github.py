"""A verdict for GitHub Actions: workflow commands, and Markdown for a pull request or a job summary."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_la.gate.report import about, beside_table, change, explain, headline
from robustbench_la.gate.verdict import POWER, Judgement, Verdict
from robustbench_la.output.markdown import escaped
from robustbench_la.text import printable


def verdict_markdown(verdict: Verdict, *, strict: bool = False) -> str:
    """Markdown for a pull request or a job summary: the verdict, what needs attention, and a collapsed table of the rest."""
    undecided = verdict.having("inconclusive") or verdict.having("arithmetic")
    sign = "⚪" if verdict.baseline is None else "❌" if verdict.failing(strict=strict) else "⚠️" if undecided else "✅"
    lines = [f"### {sign} larobust: {escaped(headline(verdict, strict=strict))}", ""]
    if verdict.baseline is None or verdict.now is None:
        return "\n".join([*lines, *(escaped(f"{remark}.") for remark in verdict.remarks)]).rstrip() + "\n"
    power = f"Smallest fall: in points, found with a probability of {100 * POWER:g} %."
    lines += [escaped(f"{about(verdict)} {power}"), ""]
    news = [one for one in verdict.judgements if one.outcome != "pass"]
    rest = [one for one in verdict.judgements if one.outcome == "pass"]
    if news:
        lines += [*_markdown_table(news), ""]
    if rest:
        lines += [f"<details><summary>{len(rest)} passed</summary>", "", *_markdown_table(rest), "", "</details>", ""]
    lines += [f"- {escaped(beside_table(one))}" for one in news if one.outcome == "inconclusive"]
    lines += [f"- {escaped(remark)}" for remark in verdict.remarks]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_table(judgements: Sequence[Judgement]) -> list[str]:
    lines = ["| condition | baseline | now | difference | 95 % interval | smallest fall | p | verdict |"]
    lines.append("|---|--:|--:|--:|--:|--:|--:|---|")
    for one in judgements:
        interval = "–" if one.low is None or one.high is None else f"{100 * one.low:+.2f} to {100 * one.high:+.2f}"
        verdict = f"**{one.outcome}**" if one.outcome == "regression" else one.outcome
        cells = (
            escaped(one.name),
            *(_value(one, value) for value in (one.baseline, one.now)),
            "gone" if one.difference is None else change(one),
            interval,
            "–" if one.smallest_fall is None else f"{100 * one.smallest_fall:.2f}",
            "–" if one.p is None else f"{one.p:.2g}",
            verdict,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _value(one: Judgement, value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}" if one.subject == "fluctuation" else f"{100 * value:.2f}"


def github(verdict: Verdict, *, strict: bool = False) -> list[str]:
    """Workflow commands of GitHub Actions: errors for what fails, warnings for what is undecided, notices for improvements."""
    failing = verdict.failing(strict=strict)
    commands = {"regression": "error", "inconclusive": "warning", "arithmetic": "warning", "improved": "notice"}
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
    """Markdown for the case that nothing could be judged."""
    return f"### ⚠️ larobust: could not judge\n\n{escaped(text)}\n"


def _data(text: str) -> str:
    """Text escaped for a workflow command."""
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
