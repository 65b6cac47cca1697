"""A verdict as text: golden files, JUnit read back by another program, and names that would break a format."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import junitparser
import numpy as np
import pytest

from robustbench_la.gate import baseline, github, judge, junit, report
from robustbench_la.gate.tolerances import Rules
from robustbench_la.gate.verdict import Verdict
from robustbench_la.output import terminal
from robustbench_la.records.cells import Pass
from robustbench_la.records.snapshot import Fluctuation, quantise

BASELINES = Path(__file__).parent / "baselines"


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    """Of everything something: a regression, one that vanished, one that is unclear, one that improved, and fluctuation."""
    was, now = (baseline.read_baseline(BASELINES / f"mnist-silu-{number}.json") for number in (11, 22))
    answers, before = [], []
    for own, old in zip(now.answers, was.answers, strict=True):
        predictions, earlier = own.predictions.copy(), old.predictions.copy()
        right = np.flatnonzero(now.correct(own) & was.correct(old))
        match str(own.condition):
            case "gaussian_noise 5":
                predictions[right[:60]] += 1
            case "gaussian_blur 5":
                predictions[right[:110]] += 1
                earlier[right[200:279]] += 1
            case "shot_noise 1":
                earlier[right[:50]] += 1
        answers.append(dataclasses.replace(own, predictions=predictions))
        before.append(dataclasses.replace(old, predictions=earlier))
    moved = [
        Fluctuation(
            pass_=Pass(own.condition, 0),
            absolute=(12.5, 3.25),
            relative=(0.2 * by, 0.1 * by),
            per_image=quantise(by * np.random.default_rng(9).gamma(4, 0.05, 2000)),
        )
        for own, by in zip(was.answers[1:3] * 2, (1.0, 1.0, 1.25, 1.02), strict=True)
    ]
    was = dataclasses.replace(was, answers=tuple(before), layers=("act1", "act2"), fluctuations=tuple(moved[:2]))
    now = dataclasses.replace(
        now, answers=tuple(answers[:-2] + answers[-1:]), layers=("act1", "act2"), fluctuations=tuple(moved[2:])
    )
    found = judge.judge(was, now, Rules())
    assert {one.outcome for one in found.judgements} == {"regression", "inconclusive", "pass", "improved"}
    return found


@pytest.fixture
def passing() -> Verdict:
    one = baseline.read_baseline(BASELINES / "mnist-silu-11.json")
    return judge.judge(one, one)


def printed(verdict: Verdict, width: int) -> str:
    from rich.console import Console

    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, color_system=None)
    console.print(report.headline(verdict), soft_wrap=True, markup=False)
    for table in report.verdict_tables(verdict):
        console.print(terminal.terminal(table, width=width))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def test_the_terminal_at_80_columns(verdict: Verdict, golden: Callable[[str, str], None]) -> None:
    text = printed(verdict, 80)

    golden("check-80.txt", text)
    assert max(map(len, text.splitlines()[1:])) <= 80


def test_the_markdown(verdict: Verdict, golden: Callable[[str, str], None]) -> None:
    golden("check.md", github.verdict_markdown(verdict))


def test_the_annotations(verdict: Verdict, golden: Callable[[str, str], None]) -> None:
    golden("check-annotations.txt", "\n".join(github.github(verdict)) + "\n")


def test_the_verdict_stands_first_and_says_what_is_worst(verdict: Verdict, passing: Verdict) -> None:
    assert report.headline(verdict).startswith("REGRESSION: 3 of 20 became worse (gaussian_blur 4 no longer measured, ")
    assert report.headline(passing) == "PASS: none of 20 regressed"
    assert printed(verdict, 80).startswith("REGRESSION: ")
    unclear = dataclasses.replace(verdict, judgements=tuple(verdict.having("inconclusive")))
    assert report.headline(unclear).startswith("INCONCLUSIVE: 1 of 1 cannot be decided by these images (gaussian_blur 5")
    assert report.headline(unclear, strict=True).endswith("none regressed, but --strict fails that")
    assert report.headline(Verdict(judgements=(), rules=Rules(), baseline=None, now=None)).startswith("NO BASELINE")


def read_junit(content: bytes) -> junitparser.TestSuite:
    suites = list(junitparser.JUnitXml.fromstring(content))
    assert len(suites) == 1
    return suites[0]


@pytest.mark.parametrize("strict", [False, True])
def test_junit_read_back_has_a_test_case_for_each_condition(verdict: Verdict, strict: bool) -> None:
    suite = read_junit(junit.junit(verdict, strict=strict))
    results = {case.name: [type(result).__name__ for result in case.result] for case in suite}

    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (20, 4 if strict else 3, 0, 0 if strict else 1)
    assert results["gaussian_noise 5"] == results["gaussian_blur 4"] == ["Failure"]
    assert results["gaussian_blur 5"] == ["Failure" if strict else "Skipped"]
    assert results["clean"] == results["shot_noise 1"] == []
    failure = next(case for case in suite if case.name == "gaussian_noise 5").result[0]
    assert failure.message.startswith("gaussian_noise 5: accuracy fell from ")


ALLOWED = {
    "testsuites": ({"name", "time", "tests", "failures", "disabled", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname", "id", "package"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": (
        {"name", "assertions", "time", "classname", "status"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "skipped": ({"type", "message"}, set()),
    "failure": ({"type", "message"}, set()),
}
"""Attributes and children that the schema of Jenkins' xunit plugin (junit-10.xsd) allows."""


def test_junit_keeps_to_the_common_schema(verdict: Verdict, passing: Verdict) -> None:
    for one in (verdict, passing, Verdict(judgements=(), rules=Rules(), baseline=None, now=None)):
        root = ElementTree.fromstring(junit.junit(one))
        assert root.tag == "testsuites"
        for element in root.iter():
            attributes, children = ALLOWED[element.tag]
            assert set(element.attrib) <= attributes, element.tag
            assert {child.tag for child in element} <= children, element.tag
        cases = root.findall(".//testcase")
        assert [int(root[0].attrib[name]) for name in ("tests", "failures", "skipped")] == [
            len(cases),
            len(root.findall(".//failure")),
            len(root.findall(".//skipped")),
        ]
        assert all(case.get("classname") and case.get("name") for case in cases)


def test_sentences_below_a_table_say_only_what_it_does_not(verdict: Verdict) -> None:
    (note,) = (note for note in report.verdict_tables(verdict)[0].notes if note.startswith("gaussian_blur 5"))

    assert (
        note == "gaussian_blur 5: of 2,000 images 123 lost and 95 gained; may be chance, about 7,200 images are needed to decide."
    )


def test_names_that_would_break_a_format_do_not(passing: Verdict) -> None:
    assert passing.now is not None
    now = dataclasses.replace(
        passing.now, network=dataclasses.replace(passing.now.network, checkpoint="a\x00b\n::error::<b>|`%0A.pt")
    )
    odd = dataclasses.replace(passing, now=now)

    assert read_junit(junit.junit(odd)).tests == 20
    page = github.verdict_markdown(odd)
    assert "\n::error" not in page
    assert "<b>" not in page.replace("\\<b\\>", "")
    json.loads(json.dumps(report.verdict_document(odd), allow_nan=False))


def test_an_annotation_is_one_line_whatever_it_says(verdict: Verdict) -> None:
    condition = dataclasses.replace(verdict.judgements[0], name="a\nb: 100 %, c")
    lines = github.github(dataclasses.replace(verdict, judgements=(condition,)))

    assert lines == [r"::error title=larobust%3A regression::a\nb: 100 %25, c is in the baseline but is no longer measured"]


def test_json_holds_every_judgement_and_no_number_that_json_lacks(verdict: Verdict) -> None:
    told = json.loads(json.dumps(report.verdict_document(verdict), allow_nan=False))

    assert (told["verdict"], told["failed"], told["schema"]) == ("regression", True, 3)
    assert len(told["judgements"]) == 20
    assert told["judgements"][0]["now"] is None
    assert told["baseline"]["checkpoint"] == "runs/mnist-silu-11.pt"
