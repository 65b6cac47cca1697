"""Finds the checkpoints that paths, patterns, names with fields, and tables name. Reads none of them."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from robustbench_la.errors import UserError
from robustbench_la.files import exists, similar_files
from robustbench_la.models.checkpoints.deep_patterns import matching
from robustbench_la.models.checkpoints.file_names import fields_of, glob_of, is_template, read_name
from robustbench_la.models.checkpoints.named import NamedFile, activation_within, named_file
from robustbench_la.models.checkpoints.tables import SUFFIXES, read_table


def find_checkpoints(patterns: Sequence[str]) -> list[NamedFile]:
    """Find checkpoints.

    Args:
        patterns: Paths; glob patterns such as ``runs/*.pt``; patterns whose names say something, such as
            ``runs/{arch}_{activation}_seed{seed}.pth``; tables (``nets.csv``, ``nets.yaml``).

    Returns:
        The files in the order given, each once, with what is said about them.

    Raises:
        UserError: If there is no pattern, one names or matches nothing, a name cannot be read, or a label is of two files.
    """
    if not patterns:
        raise UserError("no checkpoint given; specify one with --ckpt model.pt")
    files: dict[Path, NamedFile] = {}
    for file in (file for pattern in patterns for file in _found(pattern)):
        before = files.setdefault(file.path, file)
        if before != file and replace(before, source=file.source) != file and before.source and file.source:
            raise UserError(f"{file.path}: {before.source} and {file.source} say different things about it; give one")
        if file.source:
            files[file.path] = file
    labels: dict[str, Path] = {}
    for file in files.values():
        if file.label is not None and labels.setdefault(file.label, file.path) != file.path:
            raise UserError(
                f"{labels[file.label]} and {file.path} share the label {file.label!r}, their name in tables; "
                "give networks that were trained alike a group: {group} in names, or the column group of a table"
            )
    return list(files.values())


_UP_AGAIN = re.compile(r"[*?\[{].*/\.\.(/|$)")


def _found(pattern: str) -> list[NamedFile]:
    if "\0" in pattern:
        raise UserError(f"{pattern!r} is no name of a file")
    if _UP_AGAIN.search(pattern) and not exists(Path(pattern)):
        raise UserError(f"{pattern!r} goes up (..) behind a wildcard, which finds the same files again and again")
    if Path(pattern).suffix in SUFFIXES and not glob.has_magic(pattern):
        return read_table(Path(pattern))
    template = is_template(pattern)
    if template:
        fields_of(pattern)  # an unknown field is reported even where no file matches
    searched = glob_of(pattern) if template else pattern
    matches = [pattern] if exists(Path(pattern)) else matching(searched)
    if not matches and not glob.has_magic(searched):
        raise UserError(f"no such file: {pattern}{similar_files(Path(pattern))}")
    if not matches:
        raise UserError(f"no checkpoint matches {pattern!r}")
    if not template:
        hints = {match: activation_within(Path(match).stem) for match in matches if match != pattern}
        return [NamedFile(path=Path(match), hint=hints.get(match)) for match in matches]
    return [named_file(Path(match), read_name(pattern, match), source="its name") for match in matches]
