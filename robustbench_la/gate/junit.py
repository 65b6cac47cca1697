"""A verdict as JUnit XML, for tools that show test results."""

from __future__ import annotations

from xml.etree import ElementTree

from robustbench_la.gate.report import explain, headline
from robustbench_la.gate.verdict import Verdict
from robustbench_la.text import printable


def junit(verdict: Verdict, *, strict: bool = False) -> bytes:
    """JUnit XML with one test case per condition: failed if it fails the gate, skipped if it is otherwise undecided."""
    failing = verdict.failing(strict=strict)
    undecided = [one for outcome in ("inconclusive", "arithmetic") for one in verdict.having(outcome)]
    skipped = [one for one in undecided if one not in failing]
    total = len(verdict.judgements) + (verdict.baseline is None)
    counts = {"tests": total, "failures": len(failing), "errors": 0, "skipped": len(skipped) + (verdict.baseline is None)}
    attributes = {"name": "larobust", **{name: str(count) for name, count in counts.items()}, "time": "0"}
    root = ElementTree.Element("testsuites", {name: value for name, value in attributes.items() if name != "skipped"})
    started = printable(str((verdict.now.provenance.get("started") if verdict.now else None) or "1970-01-01T00:00:00"))[:19]
    suite = ElementTree.SubElement(root, "testsuite", {**attributes, "timestamp": started, "hostname": "localhost"})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _facts(verdict):
        ElementTree.SubElement(properties, "property", {"name": printable(name), "value": printable(value)})
    for one in verdict.judgements:
        classname = f"larobust.{one.subject}"
        case = ElementTree.SubElement(suite, "testcase", {"classname": classname, "name": printable(one.name), "time": "0"})
        if one in failing:
            failure = ElementTree.SubElement(case, "failure", {"type": one.outcome, "message": explain(one)})
            failure.text = explain(one)
        elif one in skipped:
            ElementTree.SubElement(case, "skipped", {"type": one.outcome, "message": explain(one)})
    if verdict.baseline is None:
        case = ElementTree.SubElement(suite, "testcase", {"classname": "larobust", "name": "baseline", "time": "0"})
        ElementTree.SubElement(case, "skipped", {"message": headline(verdict)})
    ElementTree.indent(root, " ")
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _facts(verdict: Verdict) -> list[tuple[str, str]]:
    facts = [("verdict", headline(verdict).partition(":")[0]), ("alpha", f"{verdict.rules.alpha:g}")]
    facts += [
        (f"smallest fall of {one.name}, points", f"{100 * one.smallest_fall:.2f}")
        for one in verdict.judgements
        if one.smallest_fall is not None
    ]
    for side, snapshot in (("baseline", verdict.baseline), ("now", verdict.now)):
        if snapshot is not None:
            facts.append((f"{side} checkpoint", snapshot.network.checkpoint))
            facts.append((f"{side} sha256", snapshot.network.sha256))
            facts.append((f"{side} data", f"{snapshot.images} images of {snapshot.data}"))
    return facts
