"""Tables of checkpoints, as CSV or YAML: a row per file, with its path and what is to be said about it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from robustbench_la.errors import UserError, did_you_mean, first_line
from robustbench_la.files import exists, similar_files
from robustbench_la.models.checkpoints.named import FIELDS, NamedFile, field_of, named_file

SUFFIXES = (".csv", ".tsv", ".yaml", ".yml")


def read_table(path: Path) -> list[NamedFile]:
    """Read a table of checkpoints.

    Args:
        path: A CSV file with a header, or a YAML list of mappings. Relative paths in it start at its folder.

    Returns:
        The checkpoints, in order.

    Raises:
        UserError: If it cannot be read, has unknown columns, or names a file that is not there; the message starts with the path.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"no such file: {path}{similar_files(path)}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable table of checkpoints ({first_line(error)})") from None
    rows = list(_of_yaml(text, path) if path.suffix in (".yaml", ".yml") else _of_csv(text, path))
    if not rows:
        raise UserError(f"{path}: the table holds no checkpoint")
    return [_checked(path, place, row) for place, row in rows]


def _checked(table: Path, place: str, row: Mapping[str, str]) -> NamedFile:
    """The checkpoint of a row."""
    for name in row:
        if name != "path" and name not in FIELDS:
            raise UserError(f"{table}: unknown column {name!r}{did_you_mean(name, ('path', 'seed', *FIELDS))}")
    if not row.get("path", "").strip():
        raise UserError(f"{table}, {place}: no path")
    given = Path(row["path"].strip()).expanduser()
    path = table.parent / given
    if not exists(path):
        raise UserError(f"{table}, {place}: no such file: {path}{similar_files(path)}")
    try:
        return named_file(path, {name: text for name, text in row.items() if name != "path"}, source=f"the table {table}")
    except UserError as error:
        raise UserError(f"{table}, {place}: {error}") from None


def _of_csv(text: str, path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    lines = csv.DictReader(io.StringIO(text), delimiter="\t" if path.suffix == ".tsv" else ",", skipinitialspace=True)
    if "path" not in [name.strip() for name in lines.fieldnames or ()]:
        raise UserError(f"{path}: its first line must name the columns, with one called path")
    try:
        for row in lines:
            if None in row:
                raise UserError(f"{path}, line {lines.line_num}: more values than columns")
            yield f"line {lines.line_num}", {field_of(name.strip()): value or "" for name, value in row.items()}
    except csv.Error as error:
        raise UserError(f"{path}: not a readable table of checkpoints ({first_line(error)})") from None


def _of_yaml(text: str, path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        content: Any = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path}: not a readable table of checkpoints ({first_line(error)})") from None
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise UserError(f"{path}: a table of checkpoints is a list of mappings, such as - {{path: a.pt, activation: silu}}")
    for number, row in enumerate(content, start=1):
        yield f"entry {number}", {field_of(str(name)): "" if value is None else str(value) for name, value in row.items()}
