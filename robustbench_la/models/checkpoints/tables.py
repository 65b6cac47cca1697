"""Tables of checkpoints, as CSV or YAML: a row per file, with its path and what is to be said about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from robustbench_la.errors import UserError, did_you_mean
from robustbench_la.files import at_home, exists, similar_files
from robustbench_la.models.checkpoints.named import FIELDS, NamedFile, field_of, named_file
from robustbench_la.text import is_printable
from robustbench_la.untrusted.csv_text import read_csv
from robustbench_la.untrusted.yaml_text import read_yaml

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
        rows = list(_of_yaml(path) if path.suffix in (".yaml", ".yml") else _of_csv(path))
    except FileNotFoundError:
        raise UserError(f"no such file: {path}{similar_files(path)}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if not rows:
        raise UserError(f"{path}: the table holds no checkpoint")
    return [_checked(path, place, row) for place, row in rows]


def _checked(table: Path, place: str, row: Mapping[str, str]) -> NamedFile:
    """The checkpoint of a row."""
    for name in row:
        if name != "path" and name not in FIELDS:
            raise UserError(f"{table}: unknown column {name[:40]!r}{did_you_mean(name, ('path', 'seed', *FIELDS))}")
        if name != "path" and not is_printable(row[name]):
            raise UserError(f"{table}, {place}: {name} is {row[name][:40]!r}, which holds characters that cannot be shown")
    if not row.get("path", "").strip():
        raise UserError(f"{table}, {place}: no path")
    given = at_home(row["path"].strip())
    path = table.parent / given
    if not exists(path):
        raise UserError(f"{table}, {place}: no such file: {path}{similar_files(path)}")
    try:
        return named_file(path, {name: text for name, text in row.items() if name != "path"}, source=f"the table {table}")
    except UserError as error:
        raise UserError(f"{table}, {place}: {error}") from None


def _of_csv(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    for line, row in read_csv(path, delimiter="\t" if path.suffix == ".tsv" else ","):
        if "path" not in row:
            raise UserError("its first line must name the columns, with one called path")
        yield f"line {line}", _by_field(row)


def _of_yaml(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    content = read_yaml(path)
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise UserError("a table of checkpoints is a list of mappings, such as - {path: a.pt, activation: silu}")
    for number, row in enumerate(content, start=1):
        nested = next((name for name, value in row.items() if isinstance(value, (list, dict))), None)
        if nested is not None:
            raise UserError(f"entry {number}: {nested[:40]!r} is one value, not several")
        yield f"entry {number}", _by_field({name: "" if value is None else str(value) for name, value in row.items()})


def _by_field(row: Mapping[str, str]) -> dict[str, str]:
    fields = {field_of(name): value for name, value in row.items()}
    if len(fields) < len(row):
        name = next(name for name in row if field_of(name) != name and field_of(name) in row)
        raise UserError(f"the columns {name!r} and {field_of(name)!r} are the same")
    return fields
