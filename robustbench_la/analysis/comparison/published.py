"""Published results, read from a YAML file and shown next to measured ones. Nothing here was measured by larobust."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from robustbench_la.analysis.groups.groups import Group
from robustbench_la.analysis.metrics.imagenet_c import GROUP_MEMBERS, SEVERITIES
from robustbench_la.analysis.metrics.means import PAPER_TOTAL
from robustbench_la.analysis.tables.table import Column, Estimate, Row, Table, Value
from robustbench_la.errors import UserError, first_line
from robustbench_la.files import similar_files
from robustbench_la.records.cells import CLEAN
from robustbench_la.untrusted.yaml_text import read_yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Published accuracies of one architecture on one dataset."""

    source: str
    data: str
    """Name of the dataset without its folder."""
    architecture: str
    seeds: int
    remark: str
    images: int | None = None
    """Number of images of the dataset; None if the file does not say it."""
    rows: Mapping[str, Mapping[str, float]]
    """Activation -> column -> accuracy, a fraction."""

    def fits(self, group: Group) -> bool:
        """Whether a group has this architecture and the complete dataset, as it is, at the levels of CIFAR-C."""
        names = {name.split(":")[0] for name in group.data}
        whole = group.images == group.dataset_images and self.images in (None, group.images) and not group.resized
        whole = whole and group.jpeg is None and self.architecture == group.architecture
        return whole and names <= {self.data, f"{self.data}-c"} and group.profile in (None, _PROFILE, f"{self.data}-c")

    def fitting(self, group: Group, column: str) -> bool:
        """Whether a column of the group's table is a mean over the same conditions as the published one of its name."""
        if column == CLEAN.corruption:
            return True
        if column == PAPER_TOTAL:
            members: tuple[str, ...] = tuple(name for names in GROUP_MEMBERS.values() for name in names)
        else:
            members = GROUP_MEMBERS.get(column.lower(), (column,))
        severities = {name: [c.severity for c in group.conditions if c.corruption == name] for name in members}
        return all(measured == list(SEVERITIES) for measured in severities.values())

    def only(self, activations: Sequence[str], architectures: Sequence[str]) -> Published:
        """The rows that match the filters; all of them without filters."""
        kept = not architectures or self.architecture in architectures
        return replace(self, rows={n: row for n, row in self.rows.items() if kept and (not activations or n in activations)})

    def note(self, group: Group, columns: Sequence[str]) -> str:
        """What is to be said below the table of a group with these columns."""
        note = f"Published: {self.source}; {self.architecture} on {self.data}, mean of {self.seeds} seeds. {self.remark}".strip()
        published = {column for row in self.rows.values() for column in row}
        other = [column for column in columns if column in published and not self.fitting(group, column)]
        if not other:
            return note
        return f"{note} No published numbers of {', '.join(other)}: they are means over severities 1 to 5, which these are not."


def read_published(path: Path) -> list[Published]:
    """Read published results, from a file such as configs/published.yaml.

    Args:
        path: The YAML file, with accuracies in percent.

    Returns:
        One entry per table, with accuracies as fractions.

    Raises:
        UserError: If the file cannot be read, or does not contain published results.
    """
    try:
        content: Any = read_yaml(path)
    except FileNotFoundError:
        raise UserError(f"no such file: {path}{similar_files(path)}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    try:
        return [_entry(content, table) for table in content["tables"]]
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        reason = f"missing {error}" if isinstance(error, KeyError) else first_line(error)
        raise UserError(
            f"{path}: not a file of published results ({reason}); expected: source, and tables of data, "
            "architecture, seeds and rows"
        ) from None


def _entry(content: Mapping[str, Any], table: Mapping[str, Any]) -> Published:
    rows = {
        str(activation): {str(column): _share(value) for column, value in values.items()}
        for activation, values in table["rows"].items()
    }
    return Published(
        source=str(content["source"]),
        data=str(table["data"]),
        architecture=str(table["architecture"]),
        seeds=int(table["seeds"]),
        images=None if table.get("images") is None else int(table["images"]),
        remark=str(content.get("remark", "")),
        rows=rows,
    )


def _share(value: Any) -> float:
    if not 0 <= float(value) <= 100:
        raise ValueError(f"accuracies must be percentages from 0 to 100, not {reprlib.repr(value)}")
    return float(value) / 100


_PROFILE = "cifar-c"
"""The level table of published results."""


def published_row(entry: Published, activation: str, labels: int, columns: Sequence[Column], group: Group) -> Row:
    """One activation as a row in the table of a matching group; gaps where the group was measured under other conditions."""
    values = [_estimate(entry, activation, column.name) if entry.fitting(group, column.name) else None for column in columns]
    padding: tuple[Value, ...] = (None,) * (labels - 2)
    return Row(values=(f"{activation} (published)", *padding, entry.seeds, *values), is_published=True)


def published_table(entries: Sequence[Published]) -> Table:
    """A table of published results only, for those that match no stored networks."""
    names = list(dict.fromkeys(name for entry in entries for row in entry.rows.values() for name in row))
    columns = tuple(Column(name=name, kind="percent") for name in names)
    rows = [
        Row(
            values=(entry.data, entry.architecture, activation, entry.seeds, *(_estimate(entry, activation, n) for n in names)),
            is_published=True,
        )
        for entry in entries
        for activation in entry.rows
    ]
    labels = (*(Column(name=name) for name in ("data", "architecture", "activation")), Column(name="n", kind="count", label=True))
    notes = [
        "Published results, not measured here; the store has no complete measurement of these networks on these datasets.",
        *dict.fromkeys(f"{entry.source}. {entry.remark}".strip() for entry in entries),
    ]
    return Table(title="Published top-1 accuracy", columns=(*labels, *columns), rows=tuple(rows), notes=tuple(notes))


def nothing_matches(entries: Sequence[Published]) -> str:
    """What is said in place of published results of which none matches a stored network."""
    networks = ", ".join(dict.fromkeys(f"{entry.architecture} on {entry.data}" for entry in entries))
    return f"No published numbers: they are of {networks} (all images as they are), and nothing of that was measured here."


def _estimate(entry: Published, activation: str, column: str) -> Estimate | None:
    value = entry.rows[activation].get(column)
    return None if value is None else Estimate(value, count=entry.seeds)
