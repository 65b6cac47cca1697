"""What readers of each format see, by libraries that are not ours: they find nothing that names could have put there."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import markdown

_TAGS = {
    "html", "head", "meta", "title", "style", "body", "div", "section", "h2", "h3", "p", "table", "thead", "tbody", "tr", "th",
    "td", "b", "small", "em", "strong", "details", "summary", "ul", "li",
}  # fmt: skip
_COMMANDS = {
    "begin", "end", "centering", "caption", "label", "small", "footnotesize", "scriptsize", "sbox", "toprule", "midrule",
    "bottomrule", "ifdim", "wd", "linewidth", "resizebox", "usebox", "else", "fi", "par", "smallskip", "raggedright", "textbf",
    "textit", "shortstack", "times", "pm", "sigma", "textbackslash", "textasciitilde", "textasciicircum", "textless",
    "textgreater", "textbar", "textquotedbl", "textasciigrave",
}  # fmt: skip
_LINK = re.compile(r"https?://|www\.|(?<![\w`])@\w|:[a-z+_-]+:")
"""What GitHub makes links, mentions and emoji of."""


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def assert_quiet(text: str) -> None:
    """Nothing that a terminal or a workflow would obey."""
    unprintable = {character for line in text.split("\n") for character in line if not character.isprintable()}
    assert not unprintable, (unprintable, text)
    assert not any(line.lstrip().startswith("::") for line in text.split("\n")), text
    assert not re.search(r"##\w*\[", text), text


def assert_html(text: str) -> str:
    """No tags, links and scripts but ours; gives the text of the page."""
    page = _Page()
    page.feed(text)
    page.close()
    assert page.tags <= _TAGS, page.tags
    assert page.attributes <= {"lang", "charset", "name", "content", "class", "scope"}, page.attributes
    return " ".join(page.texts)


def assert_markdown(text: str) -> None:
    """No links, images and tags but ours, as a library renders it; and nothing of what GitHub adds to it."""
    rendered = markdown.markdown(text, extensions=["tables", "nl2br"])
    shown = assert_html(re.sub(r' style="text-align: (left|right);"', "", rendered))
    assert_quiet(shown)
    parts = re.sub(r"\\(.)", lambda found: f"&{found[1]};", text).split("<!-- -->")
    assert not any(_LINK.search(part) for part in parts), text


def assert_latex(text: str) -> None:
    """No commands but ours, no comment but the first line, as many braces open as close."""
    _, _, body = text.partition("\n")
    commands = set(re.findall(r"(?<!\\)(?:\\\\)*\\([a-zA-Z]+)", body))
    assert commands <= _COMMANDS, commands - _COMMANDS
    plain = re.sub(r"\\.", "", body)
    assert plain.count("{") == plain.count("}")
    assert "%" not in plain.replace("{%\n", "")
    assert "#" not in plain


def assert_csv(text: str) -> list[list[str]]:
    """No formulas; gives the rows."""
    rows = list(csv.reader(io.StringIO(text)))
    assert len({len(row) for row in rows}) <= 1, rows
    for cell in (cell for row in rows for cell in row):
        assert not cell.lstrip(" ").startswith(("=", "@", "\t", "\r")), cell
        if cell.lstrip(" ").startswith(("+", "-")):
            float(cell.split("/")[0])
    return rows


def assert_junit(content: bytes) -> None:
    """XML, with elements of ours alone."""
    root = ElementTree.fromstring(content)
    assert {element.tag for element in root.iter()} <= {
        "testsuites", "testsuite", "properties", "property", "testcase", "failure", "skipped",
    }  # fmt: skip
    for element in root.iter():
        for text in (element.text or "", *element.attrib.values()):
            assert_quiet(text)


def strings_of(text: str) -> set[str]:
    """All strings of a JSON document."""
    found: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, str):
            found.add(value)
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            collect(each)

    collect(json.loads(text))
    return found


READERS = {
    "text": assert_quiet,
    "markdown": assert_markdown,
    "latex": assert_latex,
    "csv": assert_csv,
    "html": assert_html,
    "json": strings_of,
}
