"""Any names, in every format that larobust writes."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

import pytest
from fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st
from readers import READERS, assert_csv, assert_html, assert_junit, assert_markdown, assert_quiet, strings_of

from robustbench_la.analysis.tables.table import Column, Row, Table
from robustbench_la.errors import UserError
from robustbench_la.gate import github, junit, report
from robustbench_la.gate.tolerances import Rules
from robustbench_la.gate.verdict import Judgement, Verdict
from robustbench_la.output.csv_text import csv_text
from robustbench_la.output.formats import FORMATS
from robustbench_la.output.html import fragment
from robustbench_la.output.latex import latex
from robustbench_la.output.terminal import plain
from robustbench_la.progress import _html
from robustbench_la.text import clipped, printable, quoted

NASTY = (
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m",
    "\x7f\x08\x08\x08",
    "a\n::error title=x::forged",
    "::error::x",
    "  ::set-output name=x::y",
    "##[error]x",
    "x ##vso[task.complete]",
    "\u202egnp.exe",
    "\u2066a\u2069\u200bb\u2060c\ufeff\u00ad",
    "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg",
    "\udcff\ud800",
    "\ue000\U000f0000\ufffe\uffff",
    "\u115f\u3164\u2800\ufe0f\U000e0100",
    "e" + "\u0301" * 50,
    "\u0301accent",
    "[red]PASS[/]",
    "[link=http://example.org]x[/link]",
    "[/]",
    ":smile:",
    '=HYPERLINK("http://example.org","x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "-0.5",
    "a|b|c",
    "`code` ```",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![](http://example.org/x.png)",
    "[x](javascript:alert(1))",
    "<http://example.org>",
    "http://example.org www.example.org",
    "@someone #1 GH-1 someone@example.org",
    "- a",
    "1. a",
    "---",
    "===",
    "<!-- ",
    "--> x",
    "&lt;b&gt; &#64;x",
    "\\input{/etc/passwd}",
    "\\write18{id} $x$ %c ~ ^ _ & # {}",
    "{{ 1 + 1 }} {% include 'x' %}",
    "PASS: none of 3 regressed",
    "]]></failure><failure/>",
    "100%25%0A::error::x",
    "網絡" * 30,
    "n" * 10_000,
    "n " * 5_000,
    "",
    " ",
)
"""Names that others may give to anything."""
_NAMES = st.sampled_from(NASTY) | st.text(max_size=40) | st.lists(st.sampled_from(NASTY), min_size=2, max_size=3).map("".join)


def table(name: str, other: str = "b") -> Table:
    """A table that says a name wherever there is text."""
    columns = (Column(name="checkpoint"), Column(name="activation"), Column(name=name, kind="percent"))
    rows = (Row(values=(name, "relu", 0.5)), Row(values=(other, name, -0.25)))
    return Table(title=name, columns=columns, rows=rows, notes=(name, f"Note: {name}."), paths=(name,))


def assert_tables(tables: list[Table]) -> None:
    """Every format, by its own reader."""
    for form, write in FORMATS.items():
        text = write(tables)
        assert_quiet(text)
        READERS[form](text)
    READERS["latex"](latex(tables, show_paths=True))
    assert_quiet(assert_html(fragment(tables, headline=tables[0].title, remarks=[tables[0].title])))
    assert_quiet(plain(tables, width=40))


def verdict(name: str) -> Verdict:
    """A verdict about conditions with this name."""
    plain = Judgement(
        name=name, subject="accuracy", condition=None, outcome="regression", baseline=0.9, now=0.5, difference=-0.4, low=-0.5,
        high=-0.3, tolerance=0.01, p=0.001, lost=40, gained=0, images=100,
    )  # fmt: skip
    gone = Judgement(
        name=name, subject="fluctuation", condition=None, outcome="regression", baseline=0.9, tolerance=0.1, images=100
    )
    return Verdict(
        judgements=(plain, gone),
        rules=Rules(drop=Fraction(1, 100), rise=Fraction(1, 10)),
        baseline=None,
        now=None,
        remarks=(name,),
    )


def assert_verdict(judged: Verdict) -> None:
    """Everything that the gate writes."""
    for line in github.github(judged):
        assert line.isprintable()
        assert re.fullmatch(r"::(error|notice|warning) title=larobust(%3A \w+)?::.*", line), line
    for text in (github.verdict_markdown(judged), github.excuse(judged.remarks[0])):
        assert_quiet(text)
        assert_markdown(text)
    assert_junit(junit.junit(judged))
    for text in map(report.explain, judged.judgements):
        assert_quiet(text)
        assert text.isprintable()


def assert_messages(name: str) -> None:
    """Messages, progress bars, CSV."""
    for text in (str(UserError(name)), printable(name), quoted(name), clipped(printable(name))):
        assert_quiet(text)
        assert text.isprintable(), text
        assert printable(text) == text
    assert_html(
        f"<p>{_html(name, 1, 2, 1.0, 'images')}</p>".replace("progress", "b").replace("max=", "class=").replace("value=", "name=")
    )
    rows = assert_csv(csv_text([name or "name", "number"], [{name or "name": name, "number": -1.5}]))
    assert rows[1][1] == "-1.5"


CHECKS: tuple[Callable[[str], None], ...] = (
    assert_messages,
    lambda name: assert_tables([table(name)]),
    lambda name: assert_verdict(verdict(name)),
)


@pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
def test_no_name_does_anything_in_any_format(name: str) -> None:
    for check in CHECKS:
        check(name)
    assert name in strings_of(FORMATS["json"]([table(name)]))


@fuzz()
@given(_NAMES, _NAMES)
def test_any_text_is_only_shown(name: str, other: str) -> None:
    assert_messages(name)
    assert_tables([table(name, other)])
    assert_verdict(verdict(other))


def test_long_names_are_short_in_tables_and_whole_in_json() -> None:
    name = "layer." * 2000 + "weight"
    whole = table(name)

    assert max(map(len, FORMATS["text"]([whole]).splitlines())) <= 130
    assert all(name not in FORMATS[form]([whole]) for form in ("text", "markdown", "latex", "html"))
    assert name in strings_of(FORMATS["json"]([whole]))


def test_a_forged_verdict_is_quoted() -> None:
    assert quoted("PASS: none of 3 regressed") == '"PASS: none of 3 regressed"'
    assert quoted("PASS") == '"PASS"'
