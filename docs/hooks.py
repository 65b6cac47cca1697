"""MkDocs hooks: pages that are made from the program itself each time the documentation is built, so they cannot go stale."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import sqlite3
import tempfile
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent


_command = "build"


def on_startup(*, command: str, dirty: bool) -> None:
    """Remember what MkDocs was asked to do: `serve` builds at each change and must not run notebooks each time."""
    global _command
    _command = command


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {
        "reference/cli.md": command_line(),
        "reference/names.md": names(),
        "contributing/files.md": every_file(),
        "contributing/working.md": (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("docs/contributing/", ""),
        "changes.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    }
    for notebook in sorted(Path(config.docs_dir).rglob("*.ipynb")):
        place = notebook.relative_to(config.docs_dir).with_suffix(".md").as_posix()
        pages[place] = as_markdown(notebook, run=_command == "build")
    for place, content in pages.items():
        files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace ``<!-- made: NAME -->`` by what the program says under that name."""
    return re.sub(r"<!-- made: (\w+) -->", lambda found: MADE[found[1]](), markdown)


def command_line() -> str:
    """Every command with its options."""
    import typer.main

    from robustbench_la.cli import app

    group: Any = typer.main.get_command(app)
    parts = ["# Command line", "", "Made from `larobust --help`. Each command explains itself with `--help` as well.", ""]
    for name, command in group.commands.items():
        help_text = "\n\n".join(filter(None, (command.help, command.epilog)))
        parts += [f"## larobust {name}", "", *_paragraphs(help_text), ""]
        arguments = [option for option in command.params if option.param_type_name == "argument"]
        for argument in arguments:
            parts += [f"`{argument.metavar or argument.name.upper()}`", f":   {_escaped(argument.help or '')}", ""]
        panels: dict[str, list[str]] = {}
        for option in command.params:
            if option.param_type_name == "option" and not option.hidden:
                spelled = ", ".join(f"`{word}`" for word in (*option.opts, *option.secondary_opts))
                metavar = f" `{option.metavar}`" if option.metavar and not option.is_flag else ""
                row = f"| {spelled}{metavar} | {_escaped(' '.join((option.help or '').split()))} |"
                panels.setdefault(getattr(option, "rich_help_panel", None) or "Options", []).append(row)
        for panel, rows in panels.items():
            parts += [f"| {panel} | |", "|:--|:--|", *rows, ""]
    return "\n".join(parts)


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs of a help text; an example as a code block."""
    for paragraph in text.strip().replace("\b\n", "").split("\n\n"):
        line = " ".join(paragraph.split())
        example = re.match(r"Examples?: (larobust .*)", line)
        yield f"```\n{example[1]}\n```\n" if example else _escaped(line) + "\n"


def _escaped(text: str) -> str:
    return re.sub(r"([\\*_<>|\[\]{}])", r"\\\1", text)


def names() -> str:
    """What `larobust list` shows."""
    from robustbench_la.cli.list_ import _LISTS, corruption_details
    from robustbench_la.output.formats import FORMATS

    tables = [table for make in _LISTS.values() for table in make()] + corruption_details()
    body = re.sub(r"^### ", "## ", FORMATS["markdown"](tables), flags=re.MULTILINE)
    return f"# Names\n\nWhat `larobust list corruptions`, `activations`, `architectures` and `datasets` show.\n\n{body}"


def every_file() -> str:
    """The tree, each file with the first sentence of its docstring."""
    parts = ["# Every file", "", "The first sentence of each file, taken from the file itself.", ""]
    for package in ("corruptions", "robustbench_la"):
        folders: dict[str, list[Path]] = {}
        for path in sorted((ROOT / package).rglob("*.py")):
            folders.setdefault(path.parent.relative_to(ROOT).as_posix(), []).append(path)
        for folder, paths in folders.items():
            inside = {path.name: _first_sentence(path) for path in paths}
            parts += [f"## {folder}/", "", _escaped(inside.pop("__init__.py", "")), ""]
            if inside:
                parts += ["| file | what it holds |", "|:--|:--|"]
                parts += [f"| `{name}` | {_escaped(sentence)} |" for name, sentence in inside.items()]
            parts.append("")
    return "\n".join(parts)


def _first_sentence(path: Path) -> str:
    docstring = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    text = " ".join(docstring.split()).replace("``", "")
    found = re.match(r".*?[.!?](?= [A-Z]|$)", text)
    return found[0] if found else text


def as_markdown(path: Path, *, run: bool) -> str:
    """A notebook as a page: its text, its code, and its outputs. run: run it first, in a folder that is thrown away."""
    notebook = nbformat.read(path, as_version=4)
    if run:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # on a busy machine, threads that spin are many times slower
        with tempfile.TemporaryDirectory() as folder:
            NotebookClient(notebook, resources={"metadata": {"path": folder}}).execute()
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code" and source:
            parts.append(f"```python\n{source}\n```")
            parts += [shown for output in cell.get("outputs", []) if (shown := _output(output))]
    return "\n\n".join(parts) + "\n"


def _output(output: Mapping[str, Any]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        return f"![output](data:image/png;base64,{''.join(data['image/png']).strip()})"
    text = "".join(output.get("text", []) if output.get("name") == "stdout" else data.get("text/plain", [])).rstrip()
    if text.startswith("<"):  # the name of an object that shows itself otherwise, such as a progress bar
        return ""
    return f"```text\n{text}\n```" if text else ""


def _layers() -> str:
    """The contract of the folders, as pyproject.toml states it, top first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    return "```text\n" + "\n".join(layers) + "\n```"


def _metrics() -> str:
    from robustbench_la.analysis.metrics.metrics import METRICS

    rows = [f"| `{name}` | {_escaped(metric.definition)} | {metric.better} |" for name, metric in METRICS.items()]
    return "\n".join(["| `--metric` | definition | better |", "|:--|:--|:--|", *rows])


def _statistics() -> str:
    from robustbench_la.records.layers import STATISTICS

    rows = [f"| `{name}` | {_escaped(definition)} |" for name, definition in STATISTICS.items()]
    return "\n".join(["| name | definition |", "|:--|:--|", *rows])


def _schema() -> str:
    """The tables of a new store, as SQLite itself describes them."""
    from robustbench_la.store.store import Store

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.sqlite"
        with Store(path):
            pass
        with contextlib.closing(sqlite3.connect(path)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            parts = [f"Schema version {version}.", ""]
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid").fetchall():
                parts += [f"### {table}", "", "| column | type | may be null |", "|:--|:--|:--|"]
                for _, column, kind, required, _, key in connection.execute(f"PRAGMA table_info({table})"):
                    parts.append(f"| `{column}` | {kind} | {'' if required or key else 'yes'} |")
                parts.append("")
    return "\n".join(parts)


def _example(file: str, begins: str, ends: str) -> str:
    """A part of a source file, between two patterns, as a code block."""
    source = (ROOT / file).read_text(encoding="utf-8")
    found = re.search(rf"^ *{begins}.*?{ends}", source, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"{file} has no example from {begins!r} to {ends!r}")
    return f"```python\n{textwrap.dedent(found[0])}\n```"


MADE: Mapping[str, Callable[[], str]] = {
    "a_corruption": lambda: _example("corruptions/families/noise.py", r"@corruption\(", r'\ndef .*?"""\n'),
    "an_activation": lambda: _example("robustbench_la/activations.py", '"la_silu": Activation', r"^    \),$"),
    "layers": _layers,
    "metrics": _metrics,
    "statistics": _statistics,
    "schema": _schema,
}
"""What a page may ask for by ``<!-- made: NAME -->``."""
